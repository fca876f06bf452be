//! Models of Hugging Face's hub, from a hand-made cache in the layout that huggingface_hub writes: found without any network,
//! pinned to their commit in the record, and refused with file and folder where something is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::place::Place;
use crate::formats::formats;

pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A cache with one repository: files as links to blobs, a branch and a tag.
pub(super) fn cache() -> TempDir {
    let cache = tempfile::tempdir().unwrap();
    let repository = cache.path().join("models--some--clip");
    let snapshot = repository.join("snapshots").join(COMMIT);
    for folder in [&repository.join("blobs"), &repository.join("refs/pr"), &snapshot] {
        fs::create_dir_all(folder).unwrap();
    }
    for name in ["config.json", "preprocessor_config.json", "model.safetensors"] {
        fs::copy(formats().join("hugging").join(name), repository.join("blobs").join(name)).unwrap();
        std::os::unix::fs::symlink(format!("../../blobs/{name}"), snapshot.join(name)).unwrap();
    }
    fs::write(repository.join("refs/main"), COMMIT).unwrap();
    fs::write(repository.join("refs/pr/1"), format!("{COMMIT}\n")).unwrap();
    cache
}

pub(super) fn program(cache: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clip-audit"));
    for name in
        ["HF_HOME", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"]
    {
        command.env_remove(name);
    }
    // A server that nobody answers at: no test reaches the network.
    command.env("HF_ENDPOINT", "http://127.0.0.1:9").env("HF_HUB_CACHE", cache).args(arguments);
    command
}

pub(super) fn finish(mut command: Command) -> (Option<i32>, String, String) {
    let run = command.output().unwrap();
    (run.status.code(), String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap())
}

fn inspect(cache: &Path, model: &str) -> (Option<i32>, String, String) {
    finish(program(cache, &["inspect", model, "--device", "cpu", "--threads", "1"]))
}

#[test]
fn a_cached_repository_is_read_and_pinned() {
    let cache = cache();
    for revision in ["", "@main", "@pr/1", &format!("@{COMMIT}")] {
        let (code, out, err) = inspect(cache.path(), &format!("hf://some/clip{revision}"));
        assert_eq!((code, err.as_str()), (Some(0), ""), "{revision}");
        assert!(out.starts_with(&format!("hf://some/clip@{COMMIT} (Hugging Face folder)")), "{out}");
        let named = revision.strip_prefix('@').unwrap_or("main");
        assert!(out.contains(&format!("{named} of some/clip is commit {COMMIT}, from the cache")), "{out}");
    }
    // Where the folder comes from: the order of huggingface_hub.
    let home = tempfile::tempdir().unwrap();
    fs::rename(cache.path(), home.path().join("hub")).unwrap();
    let mut command = program(home.path(), &["inspect", "hf://some/clip", "--device", "cpu"]);
    command.env_remove("HF_HUB_CACHE").env("HF_HOME", home.path());
    assert_eq!(finish(command).0, Some(0));
}

#[test]
fn what_is_not_cached_is_an_error_that_names_file_and_folder() {
    let cache = cache();
    let repository = cache.path().join("models--some--clip");
    let missing = |path: PathBuf| format!("{} is missing", path.display());
    let other = "89abcdef0123456789abcdef0123456789abcdef";
    for (model, lacking) in [
        ("hf://some/other".to_owned(), missing(cache.path().join("models--some--other/refs/main"))),
        ("hf://some/clip@v2".to_owned(), missing(repository.join("refs/v2"))),
        (format!("hf://some/clip@{other}"), missing(repository.join("snapshots").join(other))),
    ] {
        let (code, out, err) = inspect(cache.path(), &model);
        assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
        let expected = format!("is not on this machine: {lacking}, and nothing is downloaded without --allow-download");
        assert!(err.contains(&expected) && err.contains(&model), "expected {expected}, found {err}");
    }
    // A link whose file was removed from the cache is no file.
    fs::remove_file(repository.join("blobs/model.safetensors")).unwrap();
    let (code, _, err) = inspect(cache.path(), "hf://some/clip");
    assert!(code == Some(3) && err.contains(&format!("{COMMIT} lacks model.safetensors")), "{err}");
    let arguments = ["inspect", "hf://some/clip", "--device", "cpu", "--allow-download"];
    let mut command = program(cache.path(), &arguments);
    command.env("HF_HUB_OFFLINE", "1");
    let (code, _, err) = finish(command);
    assert!(code == Some(3) && err.contains("the environment asks to stay offline (HF_HUB_OFFLINE)"), "{err}");

    // Allowed, but the program cannot, or nobody answers.
    let (code, _, err) = finish(program(cache.path(), &arguments));
    if cfg!(feature = "hub") {
        assert!(
            code == Some(5) && err.contains("could not be downloaded") && err.contains("lacks model.safe"),
            "{err}"
        );
    } else {
        assert!(code == Some(3) && err.contains("fetch it with `hf download some/clip --revision main`"), "{err}");
    }

    fs::write(repository.join("refs/main"), "not a commit").unwrap();
    let (code, _, err) = inspect(cache.path(), "hf://some/clip");
    assert!(code == Some(3) && err.contains("refs/main holds no commit"), "{err}");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let cache = cache();
    for name in
        ["clip", "a/b/c", "../x", "a/..", "a--b/c", "/etc", "a/b@../../x", "a/b@", "a/b@/x", ".a/b", "a/b@x y", ""]
    {
        let (code, _, err) = inspect(cache.path(), &format!("hf://{name}"));
        assert!(code == Some(3) && err.contains("names no model of the hub"), "{name}: {code:?} {err}");
    }
}

#[test]
fn a_suite_that_names_the_hub_needs_permission() {
    let (place, cache) = (Place::new(), cache());
    place.suite("suite.yaml", &[("use: reference", "use: \"hf://some/clip@main\"")]);
    let suite = place.path("suite.yaml").display().to_string();
    let (code, _, err) = finish(program(cache.path(), &["check", &suite, "--device", "cpu"]));
    assert!(code == Some(2) && err.contains("--allow-download allows it"), "{code:?} {err}");
    let (code, out, err) = finish(program(cache.path(), &["check", &suite, "--device", "cpu", "--allow-download"]));
    assert!(code == Some(0) && out.contains("ok"), "{code:?} {out} {err}");
    // The record keeps the commit, not the branch.
    let out = place.path("out");
    let arguments =
        ["run", &suite, "--device", "cpu", "--threads", "1", "--allow-download", "--out", out.to_str().unwrap()];
    let (code, _, err) = finish(program(cache.path(), &arguments));
    assert!(matches!(code, Some(0 | 1 | 4)), "{code:?} {err}");
    let record: serde_json::Value = serde_json::from_slice(&fs::read(out.join("audit.json")).unwrap()).unwrap();
    assert_eq!(record["model"]["name"], format!("hf://some/clip@{COMMIT}"));
}

#[test]
fn a_suite_says_what_its_model_must_be() {
    let place = Place::new();
    fs::copy(formats().join("legacy.bin"), place.path("weights.bin")).unwrap();
    let check = |model: &str, more: &[&str]| {
        place.suite("suite.yaml", &[("model: { use: reference }", model)]);
        let suite = place.path("suite.yaml").display().to_string();
        finish(program(Path::new("/nowhere"), &[&["check", &suite, "--device", "cpu"], more].concat()))
    };
    let bytes = fs::read(formats().join("legacy.bin")).unwrap();
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let (wrong, lone) = ("0".repeat(64), "use: weights.bin, quick-gelu: true");
    for (model, more, expected) in [
        (format!("model: {{ {lone} }}"), &[][..], Some(0)),
        (format!("model: {{ {lone}, expect-sha256: {hash} }}"), &[], Some(0)),
        (format!("model: {{ {lone}, expect-sha256: [{}] }}", hash.to_uppercase()), &[], Some(0)),
        (format!("model: {{ {lone}, expect-sha256: \"{wrong}\" }}"), &[], Some(3)),
        (format!("model: {{ {lone}, expect-sha256: [{hash}, \"{wrong}\"] }}"), &[], Some(3)),
        // The command line has the last word.
        (format!("model: {{ {lone}, expect-sha256: \"{wrong}\" }}"), &["--expect-sha256", &hash], Some(0)),
        (format!("model: {{ {lone}, expect-sha256: abc }}"), &[], Some(2)),
        ("model: { use: weights.bin }".to_owned(), &[], Some(3)),
    ] {
        let (code, out, err) = check(&model, more);
        assert_eq!(code, expected, "{model}: {out} {err}");
        match expected {
            Some(3) if model.contains(&wrong) => {
                assert!(err.contains(&hash) || err.contains("no file of weights has"), "{err}")
            }
            Some(2) => {
                assert!(err.contains("suite.yaml:4:") && err.contains("a SHA-256 is 64 hexadecimal digits"), "{err}")
            }
            _ => {}
        }
    }
    // Of another model nothing was said.
    let (code, _, err) = check(&format!("model: {{ {lone}, expect-sha256: \"{wrong}\" }}"), &["--model", "reference"]);
    assert!(code == Some(0) && err.contains("expect-sha256 of the suite is for its own model"), "{code:?} {err}");
}
