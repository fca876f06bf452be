//! What can be wrong with an input, what the program says first, and its exit code: one table, kept as a snapshot, because
//! whoever owns a gate asks for it as a whole. The tests beside this file look closer at each kind.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::inputs::golden;
use super::place::{Place, Said, finish};

/// A list of pictures; `A` stands for a picture that is there.
const LISTS: &[(&str, &[u8])] = &[
    ("missing column", b"path,lable\nA,dog\n"),
    ("duplicate header", b"path,label,label\nA,dog,dog\n"),
    ("separated by semicolons", b"path;label\nA;dog\n"),
    ("separated by tabs", b"path\tlabel\nA\tdog\n"),
    ("ragged", b"path,label\nA,dog\nB\n"),
    ("NUL", b"path,label\nA,do\0g\n"),
    ("not UTF-8", b"path,label\nA,\xff\n"),
    ("newline in a field", b"path,label\nA,\"dog\nfish\"\n"),
    ("unclosed quote", b"path,label\nA,\"dog\n"),
    ("path to the parent folder", b"path,label\n../a.png,dog\n"),
    ("absolute path", b"path,label\n/etc/passwd,dog\n"),
    ("path with a drive", b"path,label\nC:/a.png,dog\n"),
    ("path with a backslash", b"path,label\npictures\\a.png,dog\n"),
    ("duplicate row", b"path,label\nA,dog\nA,dog\n"),
    ("duplicate row, spelt otherwise", b"path,label\nA,dog\n./A,dog\n"),
    ("no label", b"path,label\nA,\n"),
    ("no path", b"path,label\n,dog\n"),
    ("bidirectional override", "path,label\nA,do\u{202e}g\n".as_bytes()),
    ("escape sequence", b"path,label\nA,do\x1b[31mg\n"),
    ("no rows", b"path,label\n"),
    ("empty", b""),
    ("byte order mark and CRLF", b"\xef\xbb\xbfpath,label\r\nA,dog\r\n"),
    ("empty group", b"path,label,maker\nA,dog,noto\nB,dog,\n"),
    ("groups that look alike", b"path,label,maker\nA,dog,noto\nB,dog,Noto\n"),
];

/// Changes of the small suite that only its data or a registry can refuse.
const SUITES: &[(&str, &str, &str)] = &[
    ("group that matches nothing", "pictures.csv }", "pictures.csv, where: { maker: nobody } }"),
    ("breakdown of an unknown label", "by: [maker]", "by: [made-by]"),
    ("gate on a breakdown there is none of", "statistic: accuracy, on: overall", "statistic: excess, on: each"),
    ("word that the font lacks", "text: \"$$$\"", "text: \"\u{8c61}\""),
    ("model outside the folder", "use: reference", "use: ../model"),
    ("list outside the folder", "pictures.csv", "../pictures.csv"),
    ("list that is not there", "pictures.csv", "absent.csv"),
    ("list that is a folder", "pictures.csv", "pictures"),
    ("model that is not there", "use: reference", "use: nowhere"),
    ("model without weights", "use: reference", "use: pictures"),
];

struct Table(String);

impl Table {
    fn head(&mut self, title: &str) {
        let _ = writeln!(self.0, "\n{title}");
    }

    /// A line: the input, the exit code, and the first line of what was said of it.
    fn row(&mut self, input: &str, said: &Said) {
        let first = said.err.lines().next().or_else(|| said.out.lines().find(|line| line.contains("note:")));
        let code = said.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
        let _ = writeln!(self.0, "{input} | {code} | {}", first.unwrap_or("accepted"));
        assert!(!said.err.contains("panicked"), "{input}: {said:?}");
    }
}

const CHECK: &[&str] = &["check", "suite.yaml"];
const RUN: &[&str] = &["run", "suite.yaml", "--threads", "1", "--out", "out"];

/// The bad suites in files, in the order of their names.
fn bad_suites() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suites/bad");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut suites: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().replace('-', " "), path))
        .collect();
    suites.sort();
    assert!(suites.len() > 30);
    suites
}

#[test]
#[cfg(unix)]
fn what_is_said_of_what_is_wrong() {
    let mut table = Table(String::from("input | exit code | first line"));

    table.head("Suites");
    let place = Place::new();
    for (name, path) in bad_suites() {
        fs::copy(path, place.path("suite.yaml")).unwrap();
        table.row(&name, &place.say(CHECK));
    }
    fs::write(place.path("suite.yaml"), format!("name: {}\n", "x".repeat(2 << 20))).unwrap();
    table.row("2 MB", &place.say(CHECK));
    for (name, old, new) in SUITES {
        place.suite("suite.yaml", &[(old, new)]);
        table.row(name, &place.say(CHECK));
    }

    table.head("Lists of pictures");
    place.suite("suite.yaml", &[("by: [maker]", "by: []")]);
    for (name, bytes) in LISTS {
        let text: Vec<u8> = bytes.iter().fold(Vec::new(), |mut text, byte| {
            match byte {
                b'A' => text.extend(b"pictures/noto-dog.png"),
                b'B' => text.extend(b"pictures/twemoji-dog.png"),
                other => text.push(*other),
            }
            text
        });
        fs::write(place.path("pictures.csv"), text).unwrap();
        table.row(name, &place.say(CHECK));
    }

    table.head("Pictures (in quarantine; the run goes on and ends with 4)");
    let place = Place::new();
    let mut rows = String::new();
    let mut inputs = Vec::new();
    for (name, bytes, _) in golden("refused") {
        fs::write(place.path("pictures").join(&name), bytes).unwrap();
        inputs.push(name);
    }
    fs::create_dir(place.path("pictures/folder.png")).unwrap();
    assert!(Command::new("mkfifo").arg(place.path("pictures/pipe.png")).status().unwrap().success());
    std::os::unix::fs::symlink("/etc/passwd", place.path("pictures/outside.png")).unwrap();
    inputs.extend(["folder.png", "pipe.png", "outside.png", "missing.png"].map(str::to_owned));
    for name in &inputs {
        let _ = writeln!(rows, "pictures/{name},dog,odd");
    }
    place.append("pictures.csv", &rows);
    let said = place.audit("suite.yaml", "out", 4);
    let record = place.audit_json("out");
    let listed = record["quarantined"].as_array().unwrap().iter().filter(|one| one["set"] == "clean");
    let reasons: Vec<&str> = listed.map(|one| one["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons.len(), inputs.len());
    for (name, reason) in inputs.iter().zip(reasons) {
        let _ = writeln!(table.0, "{name} | {} | {reason}", said.code.unwrap());
    }
    let uneven = record["findings"].as_array().unwrap().iter().map(|one| one["message"].as_str().unwrap());
    for message in uneven.filter(|message| message.contains("maker odd")) {
        let _ = writeln!(table.0, "uneven across groups | finding | {message}");
    }

    table.head("Pictures that are used, with a note");
    let place = Place::new();
    let used: Vec<_> = golden("files").into_iter().chain(golden("jpegs")).collect();
    let mut rows = String::new();
    for (name, bytes, _) in &used {
        fs::write(place.path("pictures").join(name), bytes).unwrap();
        let _ = writeln!(rows, "pictures/{name},dog,odd");
    }
    place.append("pictures.csv", &rows);
    assert_eq!(place.run("suite.yaml", "out").counted(), ((14 + used.len()) * 3, 0));
    for note in place.audit_json("out")["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()) {
        let _ = writeln!(table.0, "{} pictures | used | {note}", used.len());
    }

    let place = Place::new();
    fs::copy(place.path("pictures/noto-dog.png"), place.path("pictures/copy.png")).unwrap();
    place.append("pictures.csv", "pictures/copy.png,dog,noto\npictures/copy-of-none.png,dog,\n");
    place.run("suite.yaml", "out");
    let record = place.audit_json("out");
    for finding in record["findings"].as_array().unwrap().iter().filter(|one| one.to_string().contains("copy.png")) {
        let _ = writeln!(table.0, "the same picture twice | finding | {}", finding["message"].as_str().unwrap());
    }
    for group in record["measurements"].as_array().unwrap().iter().filter(|one| one["group"]["maker"] == "missing") {
        let _ = writeln!(table.0, "empty group | a group of its own | {}", group["group"]);
    }

    table.head("Places");
    let place = Place::new();
    fs::write(place.path("file"), "in the way").unwrap();
    fs::create_dir(place.path("held")).unwrap();
    let lock = fs::File::create(place.path("held/.lock")).unwrap();
    lock.lock().unwrap();
    for (name, out) in
        [("output is a file", "file"), ("output below a file", "file/below"), ("second run in one folder", "held")]
    {
        table.row(name, &place.say(&[&RUN[..5], &[out]].concat()));
    }
    drop(lock);
    place.audit("suite.yaml", "held", 0);
    table.row("lock that nobody holds", &place.say(&[&RUN[..5], &["held"]].concat()));
    // A folder without the right to write is no obstacle for root, who runs tests in containers; this one is.
    table.row("output where nobody may write", &place.say(&[&RUN[..5], &["/proc/readonly"]].concat()));
    let limited = format!("trap '' XFSZ; ulimit -f 32; exec '{}' {}", env!("CARGO_BIN_EXE_clip-audit"), RUN.join(" "));
    let mut shell = Command::new("sh");
    shell.args(["-c", &limited]).current_dir(place.path("."));
    shell.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    table.row("write that fails half-way", &finish(shell.spawn().unwrap()));
    assert!(place.temporary("out").is_empty());

    // A chunk is named by all that its contents depend on, the program's version among it.
    let (before, after) = table.0.split_once("out/observations/").unwrap();
    let (name, after) = after.split_at(32);
    assert!(name.chars().all(|letter| letter.is_ascii_hexdigit()));
    let table = format!("{before}out/observations/CHUNK{after}");
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("faults", table);
    });
}
