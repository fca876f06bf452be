//! `inspect` on every file format, and every kind of file that a stranger could pass off as weights: what the program says
//! first, and its exit code. Both are snapshots, because whoever must trust them asks for them as a whole.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::checkpoints::{CONFIGURATION, WEIGHTS, entries, serialise};
use crate::formats::{attacks, folder_of, formats, saved, tensor, zip};
use crate::overlays::pair;

/// Runs `inspect`; gives the exit code and what was printed, with the folder's name left out.
fn inspect(path: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_clip-audit"))
        .arg("inspect")
        .arg(path)
        .args(["--device", "cpu", "--threads", "1"])
        .args(arguments)
        .output()
        .unwrap();
    let parent = path.parent().unwrap().display().to_string();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&format!("{parent}/"), "");
    (run.status.code(), text(run.stdout), text(run.stderr))
}

#[test]
fn every_format_is_shown_whole() {
    let place = tempfile::tempdir().unwrap();
    let folder = |name: &str, files: &[(&str, &str)]| {
        let path = place.path().join(name);
        fs::create_dir(&path).unwrap();
        for (from, to) in files {
            fs::copy(formats().join(from), path.join(to)).unwrap();
        }
        path
    };
    let open_clip = folder("open-clip", &[(CONFIGURATION, CONFIGURATION), ("training.pt", "epoch_3.pt")]);
    let (config, preprocessing) = ("hugging/config.json", "hugging/preprocessor_config.json");
    let files =
        [(config, "config.json"), (preprocessing, "preprocessor_config.json"), ("hugging.bin", "pytorch_model.bin")];
    let hugging = folder("hugging-face", &files);
    let overlay = pair();
    let mut shown = String::new();
    for (path, arguments) in [
        (open_clip, &[][..]),
        (hugging, &[]),
        (formats().join("sharded"), &[]),
        (formats().join("openai.pt"), &[]),
        (formats().join("resnet.pt"), &[]),
        (formats().join("legacy.bin"), &["--quick-gelu", "true"]),
        (overlay.sibling(), &[]),
    ] {
        let (code, out, err) = inspect(&path, arguments);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{}", path.display());
        let _ = writeln!(shown, "{out}");

        let (code, out, err) = inspect(&path, &[arguments, &["--json"]].concat());
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let object: Value = serde_json::from_str(&out).unwrap();
        for key in ["architecture", "fingerprint", "format"] {
            assert!(shown.contains(object[key].as_str().unwrap()), "{key}: {object}");
        }
        assert!(object["facts"]["activation"].as_str().unwrap().contains("QuickGELU"));
        assert_eq!(object["dimension"], json!(20));
        let neurons = object["neurons"].as_str().unwrap();
        let mut places = object["taps"].as_array().unwrap().iter();
        let place = |tap: &Value| format!("{}.{}:", tap["layer"].as_str().unwrap(), tap["site"].as_str().unwrap());
        assert!(places.any(|tap| neurons.starts_with(&place(tap))), "{object}");
        assert!(object["files"].as_array().unwrap().iter().all(|file| file["sha256"].as_str().unwrap().len() == 64));
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("inspect", shown);
    });
}

#[test]
fn hostile_files_are_refused_with_3() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("made");
    let path = place.path().join("weights.pt");
    let whole = fs::read(formats().join("openai.pt")).unwrap();
    let mut table = String::from("input | exit code | first line\n");
    let mut refused = |name: &str, path: &Path, arguments: &[&str]| {
        let (code, out, err) = inspect(path, arguments);
        assert!(code == Some(3) && out.is_empty() && !err.contains("panicked"), "{name}: {code:?} {out} {err}");
        let _ = writeln!(table, "{name} | 3 | {}", err.lines().next().unwrap_or_default());
    };

    let deep = [&b"\x80\x02"[..], &[b']'; 5000], &[b'a'; 4999], b"."].concat();
    let long = [&b"\x80\x02"[..], &b"N0".repeat(1_000_001), b"N."].concat();
    let bomb = zip(&[
        ("archive/data.pkl", &tensor("torch\nFloatStorage", 16, 0, &[16], &[1]), 0),
        ("archive/data/0", &[0; 64], 8),
    ]);
    let good = |shape: &[u8], strides: &[u8]| saved(&tensor("torch\nFloatStorage", 16, 0, shape, strides));
    let stored = ("archive/data/0", &[0_u8; 64][..], 0);
    let pickle = tensor("torch\nFloatStorage", 16, 0, &[16], &[1]);
    let script = zip(&[
        ("a/data.pkl", b"\x80\x02c__torch__.clip\nCLIP\n)\x81cposix\nsystem\nX\x02\0\0\0ls\x85Rb.", 0),
        ("a/constants.pkl", b"", 0),
    ]);
    let mut files: Vec<(String, Vec<u8>)> = attacks(&target)
        .into_iter()
        .zip([
            "GLOBAL",
            "STACK_GLOBAL",
            "INST",
            "OBJ",
            "protocol 0",
            "eval",
            "torch.jit.load",
            "a class of TorchScript",
            "_rebuild_qtensor",
            "EXT1",
        ])
        .map(|((bytes, _), how)| (format!("pickle that would make a file ({how})"), saved(&bytes)))
        .collect();
    files.extend([
        ("the same without a zip file".to_owned(), attacks(&target)[0].0.clone()),
        ("TorchScript whose pickle calls a function".to_owned(), script),
        ("truncated zip file".to_owned(), whole[..whole.len() / 2].to_vec()),
        ("zip bomb".to_owned(), bomb),
        ("zip file that lies about a size".to_owned(), saved(&tensor("torch\nFloatStorage", 200, 0, &[16], &[1]))),
        ("zip file with two entries of a name".to_owned(), zip(&[("archive/data.pkl", &pickle, 0), stored, stored])),
        ("pickle that contains itself".to_owned(), saved(b"\x80\x02]q\0h\0a.")),
        ("pickle of 5000 lists inside each other".to_owned(), saved(&deep)),
        ("pickle of two million instructions".to_owned(), saved(&long)),
        ("pickle with a huge memo".to_owned(), saved(b"\x80\x02Nr\xff\xff\xff\xff.")),
        ("pickle with a text of 2 GB".to_owned(), saved(b"\x80\x02X\xff\xff\xff\x7fabc.")),
        ("storage out of bounds".to_owned(), good(&[17], &[1])),
        ("strides out of bounds".to_owned(), good(&[2, 2], &[200, 1])),
        ("wrong type".to_owned(), saved(&tensor("torch\nQInt8Storage", 16, 0, &[4], &[1]))),
        ("duplicate names".to_owned(), saved(b"\x80\x02}X\x01\0\0\0wNsX\x01\0\0\0wNs.")),
        ("no pickle".to_owned(), b"GGUF\x03\0\0\0".to_vec()),
        ("git-LFS pointer".to_owned(), b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".to_vec()),
        ("web page".to_owned(), b"<!DOCTYPE html><html><body>404</body></html>".to_vec()),
        ("JSON".to_owned(), b"{\"error\": \"not found\"}".to_vec()),
        ("empty file".to_owned(), Vec::new()),
    ]);
    for (name, bytes) in &files {
        fs::write(&path, bytes).unwrap();
        refused(name, &path, &["--quick-gelu", "true"]);
    }

    let safetensors = place.path().join("weights.safetensors");
    let mut changed = entries(&formats());
    changed.retain(|entry| entry.name.starts_with("visual."));
    fs::write(&safetensors, serialise(&changed)).unwrap();
    refused("missing text tower", &safetensors, &["--quick-gelu", "true"]);
    let mut changed = entries(&formats());
    changed[0].dtype = "I16".to_owned();
    fs::write(&safetensors, serialise(&changed)).unwrap();
    refused("wrong type in safetensors", &safetensors, &["--quick-gelu", "true"]);
    let mut changed = entries(&formats());
    changed[0].data[1] = 0x7e;
    fs::write(&safetensors, serialise(&changed)).unwrap();
    refused("NaN", &safetensors, &["--quick-gelu", "true"]);
    let mut changed = entries(&formats());
    changed.push(changed[0].clone());
    fs::write(&safetensors, serialise(&changed)).unwrap();
    refused("duplicate names in safetensors", &safetensors, &["--quick-gelu", "true"]);
    fs::write(&safetensors, [&u64::MAX.to_le_bytes()[..], b"{}"].concat()).unwrap();
    refused("header of 16 exabytes", &safetensors, &["--quick-gelu", "true"]);
    refused("activation that nobody knows", &formats().join("legacy.bin"), &[]);
    refused("hash that was not expected", &formats().join("legacy.bin"), &["--expect-sha256", &"0".repeat(64)]);
    refused("nothing there", &place.path().join("absent.pt"), &[]);

    let folder = folder_of(&[(CONFIGURATION, CONFIGURATION)]);
    fs::create_dir(folder.path().join(WEIGHTS)).unwrap();
    let moved = place.path().join("folder");
    fs::rename(folder.path(), &moved).unwrap();
    refused("folder in place of weights", &moved, &[]);
    fs::remove_dir_all(&moved).unwrap();
    fs::create_dir(&moved).unwrap();
    refused("empty folder", &moved, &[]);
    for (name, configuration) in [
        ("another model of transformers", json!({"model_type": "siglip"})),
        ("code beside the weights", json!({"model_type": "clip", "auto_map": {"AutoModel": "mine.Model"}})),
    ] {
        fs::write(moved.join("config.json"), configuration.to_string()).unwrap();
        fs::copy(formats().join("hugging/model.safetensors"), moved.join("model.safetensors")).unwrap();
        refused(name, &moved, &[]);
    }
    fs::remove_file(moved.join("model.safetensors")).unwrap();
    fs::write(moved.join("model.safetensors.index.json"), "{\"weight_map\":{\"a\":\"../../etc/passwd\"}}").unwrap();
    refused("index that leads elsewhere", &moved, &[]);

    assert!(!target.exists());
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("hostile", table);
    });
}
