//! The program as a user starts it: exit codes, messages, what stands on the disk afterwards.

mod automation;
mod bench;
mod check;
mod controls;
mod faults;
mod hub;
mod inputs;
mod inspecting;
mod overlay;
mod place;
mod preview;
mod resume;
mod shown;
mod start;
mod text;

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};

use place::Place;

/// A change of the suite, the arguments, the exit code and how the first line of the message begins.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], i32, &'a str);

fn check(rows: &[Row<'_>]) {
    let place = Place::new();
    // What the rows need: a folder, a file in the way, a checkpoint without weights.
    fs::create_dir_all(place.path("folder")).unwrap();
    fs::create_dir_all(place.path("blocked/audit.json")).unwrap();
    fs::write(place.path("file"), "in the way").unwrap();
    fs::write(place.path("semicolons.csv"), "path;label\na.png;dog\n").unwrap();
    fs::write(place.path("misspelt.csv"), "path,lable\na.png,dog\n").unwrap();
    fs::write(place.path("ragged.csv"), "path,label\na.png,dog\nb.png\n").unwrap();
    fs::write(place.path("outside.csv"), "path,label\n../a.png,dog\n").unwrap();
    fs::write(place.path("twice.csv"), "path,label\na.png,dog\na.png,dog\n").unwrap();
    fs::write(place.path("none.csv"), "path,label\n").unwrap();
    fs::write(place.path("folder/report.html.j2"), "{{ unclosed").unwrap();
    let mut wrong = Vec::new();
    for (changes, arguments, code, message) in rows {
        place.suite("suite.yaml", changes);
        let said = place.say(arguments);
        if said.code != Some(*code) || !said.first_error().starts_with(message) {
            wrong.push(format!("{changes:?} {arguments:?}: expected {code} `{message}`, got {said:#?}"));
        }
        if said.err.contains("panicked") {
            wrong.push(format!("{changes:?} {arguments:?}: {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const RUN: &[&str] = &["run", "suite.yaml", "--threads", "1"];

#[test]
fn a_wrong_command_line_or_suite_ends_with_2() {
    check(&[
        (&[], &[], 2, "Audits CLIP-like"),
        (&[], &["audit"], 2, "error: unrecognized subcommand 'audit'"),
        (&[], &["run", "suite.yaml", "--nope"], 2, "error: unexpected argument '--nope'"),
        (&[], &["run", "suite.yaml", "--device", "tpu"], 2, "error: invalid value 'tpu' for '--device <DEVICE>'"),
        (&[], &["run", "suite.yaml", "--batch", "0"], 2, "error: invalid value '0' for '--batch <BATCH>'"),
        (&[], &["run", "suite.yaml", "--format", ""], 2, "clip-audit: no report format ``; there are html, json"),
        (&[], &["run", "suite.yaml", "--format", "html,pdf"], 2, "clip-audit: no report format `pdf`; there are html"),
        (
            &[],
            &["run", "suite.yaml", "--templates", "nowhere"],
            2,
            "clip-audit: template nowhere: cannot read the folder",
        ),
        (&[], &["run", "suite.yaml", "--templates", "folder"], 2, "clip-audit: template report.html.j2: "),
        (
            &[],
            &["run", "nothing"],
            2,
            "clip-audit: nothing: there is no such file, and no suite of that name ships (shipped: typographic)",
        ),
        (&[], &["run", "folder"], 2, "clip-audit: folder: is a folder, not a suite file"),
        (&[], &["run", "/dev/zero"], 2, "clip-audit: /dev/zero: is no regular file"),
        (&[("seed: 7", "sede: 7")], RUN, 2, "clip-audit: suite.yaml:3:1: sede: unknown key"),
        (&[("on: overall", "on: everything")], RUN, 2, "clip-audit: suite.yaml:18:61: gates[0].on: expected `overall`"),
        (
            &[("by: [maker]", "by: [made-by]")],
            RUN,
            2,
            "clip-audit: suite.yaml:15:61: measures[0].compute.accuracy.by[0]",
        ),
        (
            &[
                ("measure: accuracy, statistic: accuracy", "measure: success, statistic: excess"),
                ("on: overall", "on: each"),
            ],
            RUN,
            2,
            "clip-audit: suite.yaml:18:58: gates[0].on: ranges over the rows of a breakdown",
        ),
        (
            &[(
                "readouts:",
                "readouts:\n  - { id: other, read: { zero-shot: { labels: [airplane, banana, bicycle, dog, fish, guitar, hamburger, money], templates: [\"{}\"] } } }",
            )],
            RUN,
            2,
            "clip-audit: suite.yaml:19:5: gates[0]: the suite has several readouts, `other` and `zs`",
        ),
        (
            &[("pictures.csv }", "pictures.csv, where: { maker: nobody } }")],
            RUN,
            2,
            "clip-audit: suite.yaml:12:78: probes[0].generate.manifest.where.maker",
        ),
        (
            &[("name: small", "name: ../../elsewhere")],
            RUN,
            2,
            "clip-audit: the suite's name `../../elsewhere` cannot name a folder",
        ),
        (
            &[("name: small", "name: /elsewhere")],
            RUN,
            2,
            "clip-audit: the suite's name `/elsewhere` cannot name a folder",
        ),
        (
            &[("reference", "../model")],
            RUN,
            2,
            "clip-audit: suite.yaml: model.use: `../model` is outside the suite's folder",
        ),
        (&[], &["embed", "--model", "reference", "--out", "x"], 2, "clip-audit: nothing to embed"),
        (&[], &["report", "x", "--format", "docx"], 2, "clip-audit: no report format `docx`"),
    ]);
}

#[test]
fn a_wrong_model_or_list_of_inputs_ends_with_3() {
    check(&[
        (
            &[("pictures.csv", "semicolons.csv")],
            RUN,
            3,
            "clip-audit: semicolons.csv:1: seems to be separated by semicolons",
        ),
        (
            &[("pictures.csv", "misspelt.csv")],
            RUN,
            3,
            "clip-audit: misspelt.csv:1: has no column `label`; its columns are path, lable; did you mean `lable`?",
        ),
        (&[("pictures.csv", "ragged.csv")], RUN, 3, "clip-audit: ragged.csv:3: has 1 fields where the header has 2"),
        (
            &[("pictures.csv", "outside.csv")],
            RUN,
            3,
            "clip-audit: outside.csv:2: ../a.png: lies outside the suite's folder",
        ),
        (&[("pictures.csv", "twice.csv")], RUN, 3, "clip-audit: twice.csv:3: a.png stands in line 2 already"),
        (&[("pictures.csv", "none.csv")], RUN, 3, "clip-audit: none.csv: lists no pictures"),
        (
            &[("pictures.csv", "absent.csv")],
            RUN,
            3,
            "clip-audit: absent.csv: there is no such file (probe set `clean`)",
        ),
        (&[("pictures.csv", "../a.csv")], RUN, 3, "clip-audit: ../a.csv: lies outside the suite's folder"),
        (&[("pictures.csv", "folder")], RUN, 3, "clip-audit: folder: is no regular file"),
        (&[("reference", "nowhere")], RUN, 3, "clip-audit: ./nowhere: No such file or directory"),
        (&[("reference", "folder")], RUN, 3, "clip-audit: ./folder: the folder holds no checkpoint of a known format"),
        (&[("reference", "file")], RUN, 3, "clip-audit: ./file: file: is no pickle of protocol 2 to 5"),
        (
            &[],
            &["inspect", "hf://someone/something"],
            3,
            "clip-audit: hf://someone/something@main is not on this machine: ",
        ),
    ]);
}

#[test]
fn an_environment_that_refuses_ends_with_5() {
    check(&[
        (
            &[],
            &["run", "suite.yaml", "--threads", "1", "--out", "file"],
            5,
            "clip-audit: file: is a file, not a folder",
        ),
        (
            &[],
            &["run", "suite.yaml", "--threads", "1", "--out", "file/below"],
            5,
            "clip-audit: file/below: Not a directory",
        ),
        (
            &[],
            &["run", "suite.yaml", "--threads", "1", "--out", "/proc/nowhere"],
            5,
            "clip-audit: /proc/nowhere: No such file",
        ),
        (
            &[],
            &["run", "suite.yaml", "--threads", "1", "--out", "new", "--cache", "file"],
            5,
            "clip-audit: file: is a file, not a folder",
        ),
        (
            &[],
            &["run", "suite.yaml", "--threads", "1", "--out", "blocked"],
            5,
            "clip-audit: blocked/audit.json: Is a directory (os error 21)",
        ),
        (
            &[],
            &["embed", "--model", "reference", "--images", "pictures/noto-dog.png", "--out", "nowhere/x"],
            5,
            "clip-audit: nowhere/x: No such file",
        ),
    ]);
}

/// There is no GPU where the tests run; where there is one, the program has to use it.
#[test]
fn cuda_is_never_replaced_in_silence() {
    let place = Place::new();
    let said = place.say(&["inspect", "reference", "--device", "cuda:99"]);
    assert_eq!(said.code, Some(5), "{said:?}");
    assert!(said.first_error().starts_with("clip-audit: "), "{said:?}");
    assert!(said.err.to_lowercase().contains("cuda"), "{said:?}");
}

#[test]
fn the_verdict_decides_the_exit_code() {
    let place = Place::new();
    let limit = |new| ("min: 0.2", new);
    let rows = [
        (limit("min: 0.2"), 0, "PASS small: the one gate passed"),
        (limit("max: 0.2"), 1, "FAIL small: 1 of 1 gate failed. sees: 100 %"),
        // 14 of 14 leave the interval [76.8 %, 100 %].
        (limit("min: 0.9"), 4, "INCONCLUSIVE small: "),
        (("by: [maker]", "by: []"), 0, "PASS small"),
    ];
    for (change, code, line) in rows {
        place.suite("suite.yaml", &[change]);
        let said = place.audit("suite.yaml", "out", code);
        assert!(said.out.starts_with(line), "{said:?}");
        // `report` says the same of the record.
        let said = place.say(&["report", "out/audit.json", "--out", "again"]);
        assert_eq!(said.code, Some(code), "{said:?}");
    }
    let text = fs::read_to_string(place.path("suite.yaml")).unwrap();
    fs::write(place.path("suite.yaml"), &text[..text.find("gates:").unwrap()]).unwrap();
    let said = place.audit("suite.yaml", "out", 4);
    assert!(said.out.starts_with("INCONCLUSIVE small: nothing was judged"), "{said:?}");
}

/// A suite that names no tap is of every kind of tower.
#[test]
fn units_are_those_of_whichever_model_is_audited() {
    let place = Place::new();
    let units = "  - { id: units, compute: { word-driven-units: { clean: clean, attacked: attack } } }\n";
    place.suite("suite.yaml", &[("gates:\n", &format!("{units}gates:\n"))]);
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    for (model, layer, site, pool) in [
        ("reference".to_owned(), "layer4", "pre_relu", "mean"),
        (format!("{golden}/vit"), "block1", "mlp_hidden", "class"),
        (format!("{golden}/average"), "block1", "mlp_hidden", "mean"),
    ] {
        let said = place.say(&["run", "suite.yaml", "--model", &model, "--threads", "1", "--out", layer]);
        assert!(matches!(said.code, Some(0 | 1 | 4)), "{model}: {said:?}");
        let audit = place.audit_json(layer);
        assert_eq!(audit["model"]["taps"], serde_json::json!([format!("{layer}.{site}:{pool}")]), "{model}");
        let driven = audit["measurements"].as_array().unwrap().iter().find(|one| one["statistic"] == "driven").unwrap();
        assert!(driven.to_string().contains("independent clusters are too few"), "{model}: {driven}");
    }
}

#[test]
fn one_run_owns_a_folder() {
    let place = Place::new();
    fs::create_dir(place.path("out")).unwrap();
    let lock = File::create(place.path("out/.lock")).unwrap();
    lock.lock().unwrap();
    let said = place.run("suite.yaml", "out");
    assert_eq!(said.code, Some(5), "{said:?}");
    assert!(said.first_error().starts_with("clip-audit: out: another run is writing here"), "{said:?}");
    assert!(place.chunks("out").is_empty());
    // A lock file that nobody holds is no obstacle.
    drop(lock);
    place.audit("suite.yaml", "out", 0);
}

#[test]
#[cfg(unix)]
fn a_lock_that_leads_elsewhere_harms_nothing() {
    let place = Place::new();
    fs::create_dir(place.path("out")).unwrap();
    fs::write(place.path("precious"), "words").unwrap();
    std::os::unix::fs::symlink(place.path("precious"), place.path("out/.lock")).unwrap();
    place.audit("suite.yaml", "out", 0);
    assert_eq!(fs::read_to_string(place.path("precious")).unwrap(), "words");
}

/// Writing fails half-way, as on a full disk: a limit on the size of files stands in for it.
#[test]
#[cfg(unix)]
fn a_write_that_fails_leaves_the_old_report() {
    let place = Place::new();
    place.audit("suite.yaml", "out", 0);
    let read = |name: &str| fs::read(place.path("out").join(name)).unwrap();
    let before = [read("audit.json"), read("report.html")];
    place.suite("suite.yaml", &[("min: 0.2", "min: 0.3")]);
    let limited = format!(
        "trap '' XFSZ; ulimit -f 32; exec '{}' run suite.yaml --threads 1 --out out",
        env!("CARGO_BIN_EXE_clip-audit")
    );
    let output = Command::new("sh").args(["-c", &limited]).current_dir(place.path(".")).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{message}");
    assert!(message.starts_with("clip-audit: out/audit.json: "), "{message}");
    assert!(message.contains("File too large"), "{message}");
    assert_eq!(before, [read("audit.json"), read("report.html")]);
    assert!(place.temporary("out").is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn nobody_reading_is_no_failure_and_a_full_stdout_is_one() {
    let place = Place::new();
    let mut child = place.start("suite.yaml", "out");
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{errors}");
    assert_eq!(errors, "");
    assert!(place.path("out/audit.json").is_file());

    let full = Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let said = place::finish(place.command().arg("list").stdout(full).spawn().unwrap());
    assert_eq!((said.code, said.err.as_str()), (Some(5), "clip-audit: No space left on device (os error 28)\n"));
}

#[test]
#[cfg(unix)]
fn arguments_that_are_no_text_are_refused_or_kept() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let odd = OsStr::from_bytes(b"odd-\xff");
    for before in [&[] as &[&str], &["run"], &["report", "x", "--format"], &["inspect"]] {
        let said = place::finish(place.command().args(before).arg(odd).spawn().unwrap());
        assert_eq!(said.code, Some(2), "{before:?}: {said:?}");
    }
    let command = ["run", "suite.yaml", "--threads", "1", "--out"];
    let said = place::finish(place.command().args(command).arg(odd).spawn().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(fs::read_dir(place.path(".")).unwrap().any(|entry| entry.unwrap().file_name() == odd));
}

#[test]
fn help_version_and_lists_are_results() {
    let place = Place::new();
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"], &["list"], &["inspect", "reference"]] {
        let said = place.say(arguments);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(!said.out.is_empty(), "{arguments:?}");
    }
}
