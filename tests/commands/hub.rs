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

/// Downloads, from a server made here that answers as the hub does.
#[cfg(feature = "hub")]
mod downloads {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What the server does with the weights.
    #[derive(Clone, Copy, PartialEq)]
    enum Weights {
        Whole,
        /// Half of what is asked for, then the connection ends.
        CutOff,
        /// Half of them, said to be all that was asked for.
        Half,
        /// One byte is another.
        Changed,
        /// Said to be of a commit that leads out of the cache.
        Elsewhere,
    }

    struct Server {
        endpoint: String,
        /// Paths asked for, each once for every request.
        asked: Arc<Mutex<Vec<String>>>,
        weights: Arc<Mutex<Weights>>,
    }

    impl Server {
        fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            let (asked, weights) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Weights::Whole)));
            let server = Self { endpoint, asked: Arc::clone(&asked), weights: Arc::clone(&weights) };
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    // A client that gives up in the middle is part of the tests.
                    let _ = answer(stream.unwrap(), &asked, *weights.lock().unwrap());
                }
            });
            server
        }

        fn asked(&self) -> Vec<String> {
            std::mem::take(&mut self.asked.lock().unwrap())
        }

        /// `inspect` with a token, allowed to download.
        fn inspect(&self, cache: &Path, model: &str, more: &[&str]) -> (Option<i32>, String, String) {
            let arguments = ["inspect", model, "--device", "cpu", "--threads", "1", "--allow-download"];
            let mut command = program(cache, &[&arguments[..], more].concat());
            command.env("HF_ENDPOINT", &self.endpoint).env("HF_TOKEN", "a-secret");
            let (code, out, err) = finish(command);
            assert!(!format!("{out}{err}").contains("a-secret"), "{out} {err}");
            (code, out, err)
        }
    }

    fn answer(mut stream: TcpStream, asked: &Mutex<Vec<String>>, weights: Weights) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().unwrap()?;
        let headers: Vec<String> = lines.map_while(|line| line.ok().filter(|line| !line.is_empty())).collect();
        let header = |wanted: &str| {
            let found = headers.iter().filter_map(|line| line.split_once(": "));
            found.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned()).next()
        };
        assert_eq!(header("authorization").as_deref(), Some("Bearer a-secret"), "{headers:?}");
        let path = request.split(' ').nth(1).unwrap().to_owned();
        asked.lock().unwrap().push(path.clone());
        if ["main", COMMIT].iter().any(|revision| path == format!("/api/models/some/clip/revision/{revision}")) {
            let names =
                ["README.md", "config.json", "preprocessor_config.json", "model.safetensors", "pytorch_model.bin"];
            let siblings: Vec<_> = names.iter().map(|name| serde_json::json!({ "rfilename": name })).collect();
            let body = serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string();
            return write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
        let name = path.strip_prefix(&format!("/some/clip/resolve/{COMMIT}/"));
        let Some(bytes) = name.and_then(|name| fs::read(formats().join("hugging").join(name)).ok()) else {
            return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        };
        let large = name == Some("model.safetensors");
        let weights = if large { weights } else { Weights::Whole };
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let etag = if large { &digest[..] } else { &digest[..40] };
        let commit = if weights == Weights::Elsewhere { "../../../../outside" } else { COMMIT };
        let range = header("range").unwrap();
        let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let first: usize = first.parse().unwrap();
        let last = last.parse().map_or(bytes.len(), |last: usize| last + 1);
        let mut part = bytes[first..last].to_vec();
        if weights == Weights::Changed && part.len() > 1 {
            let middle = part.len() / 2;
            part[middle] ^= 1;
        }
        let sent = if part.len() > 1 && matches!(weights, Weights::CutOff | Weights::Half) {
            part.len() / 2
        } else {
            part.len()
        };
        let promised = if weights == Weights::Half { sent } else { part.len() };
        write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {promised}\r\nContent-Range: bytes {first}-{}/{}\r\nETag: \"{etag}\"\r\n\
             X-Repo-Commit: {commit}\r\nConnection: close\r\n\r\n",
            last - 1,
            bytes.len()
        )?;
        stream.write_all(&part[..sent])
    }

    #[test]
    fn a_model_is_fetched_once_and_pinned() {
        let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
        let (code, out, err) = server.inspect(cache.path(), "hf://some/clip", &[]);
        assert_eq!(code, Some(0), "{err}");
        assert!(out.starts_with(&format!("hf://some/clip@{COMMIT} (Hugging Face folder)")), "{out}");
        assert!(out.contains(&format!("main of some/clip is commit {COMMIT}, downloaded")), "{out}");
        // What a checkpoint consists of, and nothing else.
        let asked = server.asked();
        for name in ["config.json", "preprocessor_config.json", "model.safetensors"] {
            assert!(asked.contains(&format!("/some/clip/resolve/{COMMIT}/{name}")), "{asked:?}");
        }
        assert!(!asked.iter().any(|path| path.contains("README") || path.contains(".bin")), "{asked:?}");
        // The same layout as that of the cache made by hand, so that others find it too.
        let snapshot = cache.path().join("models--some--clip/snapshots").join(COMMIT);
        assert!(fs::symlink_metadata(snapshot.join("model.safetensors")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(cache.path().join("models--some--clip/refs/main")).unwrap(), COMMIT);
        for revision in ["", "@main", &format!("@{COMMIT}")] {
            let (code, out, err) = server.inspect(cache.path(), &format!("hf://some/clip{revision}"), &[]);
            assert!(code == Some(0) && out.contains("from the cache"), "{out} {err}");
        }
        // Without permission too, and offline.
        let mut command = program(cache.path(), &["inspect", "hf://some/clip", "--device", "cpu"]);
        command.env("HF_ENDPOINT", &server.endpoint).env("HF_HUB_OFFLINE", "1");
        assert_eq!(finish(command).0, Some(0));
        assert_eq!(server.asked(), Vec::<String>::new());
        // The weights are those that were meant, or nothing is done with them.
        let (code, _, err) = server.inspect(cache.path(), "hf://some/clip", &["--expect-sha256", &"0".repeat(64)]);
        assert!(code == Some(3) && err.contains("SHA-256"), "{code:?} {err}");
    }

    #[test]
    fn what_the_server_does_not_have_or_nobody_may_fetch_is_said() {
        let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
        let (code, _, err) = server.inspect(cache.path(), "hf://some/clip@v9", &[]);
        assert!(
            code == Some(5) && err.contains("hf://some/clip@v9: the list of its files could not be downloaded"),
            "{err}"
        );
        assert!(err.contains("404"), "{err}");
        server.asked();
        let mut command = program(cache.path(), &["inspect", "hf://some/clip", "--device", "cpu", "--allow-download"]);
        command.env("HF_ENDPOINT", &server.endpoint).env("HF_HUB_OFFLINE", "1");
        let (code, _, err) = finish(command);
        assert!(code == Some(3) && err.contains("the environment asks to stay offline"), "{err}");
        assert_eq!(server.asked(), Vec::<String>::new());
    }

    #[test]
    fn what_arrives_damaged_is_not_kept() {
        for (weights, expected) in [
            (Weights::CutOff, "model.safetensors could not be downloaded"),
            (Weights::Half, "bytes arrived"),
            (Weights::Changed, "its SHA-256 is"),
            (Weights::Elsewhere, "the server does not say of which commit it is"),
        ] {
            let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
            let cache = folder.path().join("a/b/c/cache");
            *server.weights.lock().unwrap() = weights;
            let (code, _, err) = server.inspect(&cache, "hf://some/clip", &[]);
            assert!(code == Some(5) && err.contains(expected), "expected {expected}: {code:?} {err}");
            let snapshot = cache.join("models--some--clip/snapshots").join(COMMIT);
            assert!(fs::symlink_metadata(snapshot.join("model.safetensors")).is_err());
            let above: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(above, ["a"]);
            // The next time all is well.
            *server.weights.lock().unwrap() = Weights::Whole;
            let (code, out, err) = server.inspect(&cache, "hf://some/clip", &[]);
            assert!(code == Some(0) && out.contains("downloaded"), "{out} {err}");
        }
    }
}
