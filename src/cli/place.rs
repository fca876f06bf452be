//! Where things stand: suites by path or shipped name, output folders that one run owns, files that appear whole.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::exit::Failure;
use crate::model::MODELS;
use crate::probe::Files;
use crate::suite::{self, Suite, shipped};
use crate::types::temporary_file;

/// A suite with its files.
pub(super) struct Placed {
    pub(super) suite: Suite,
    pub(super) files: Files,
}

impl Placed {
    /// The suite's folder; none of a suite that ships.
    pub(super) fn folder(&self) -> Option<&Path> {
        match &self.files {
            Files::Folder(folder) => Some(folder),
            Files::Embedded(_) => None,
        }
    }

    /// The model to audit: the one of the command line, else the one the suite names. A path in a suite stays inside the
    /// suite's folder, so that a stranger's suite cannot point elsewhere.
    pub(super) fn model(&self, given: Option<&str>, allow_download: bool) -> anyhow::Result<String> {
        let named = &self.suite.model.name;
        if let Some(given) = given {
            return Ok(given.to_owned());
        }
        if MODELS.iter().any(|model| model.name == named) {
            return Ok(named.clone());
        }
        if named.starts_with("hf://") {
            if allow_download {
                return Ok(named.clone());
            }
            return Err(Failure::usage(format!(
                "{}: model.use: `{named}` is outside the suite's folder; --allow-download allows it, or give it with --model",
                self.suite.file
            ))
            .into());
        }
        let inside = Path::new(named).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        match &self.files {
            Files::Folder(_) if inside => Ok(folder_of(Path::new(&self.suite.file)).join(named).display().to_string()),
            _ => Err(Failure::usage(format!(
                "{}: model.use: `{named}` is outside the suite's folder; give it with --model",
                self.suite.file
            ))
            .into()),
        }
    }
}

/// The folder a file stands in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The largest suite read.
const SUITE_LIMIT_BYTES: u64 = 1 << 20;

/// Finds a suite: a file on disk, or the name of one that ships with the program.
pub(super) fn suite(name: &str) -> anyhow::Result<Placed> {
    let path = Path::new(name);
    if path.is_file() {
        let folder = folder_of(path);
        let files = Files::folder(folder).map_err(|error| Failure::usage(error.to_string()))?;
        let size = fs::metadata(path).with_context(|| name.to_owned())?.len();
        if size > SUITE_LIMIT_BYTES {
            return Err(
                Failure::usage(format!("{name}: is {size} bytes; a suite has at most {SUITE_LIMIT_BYTES}")).into()
            );
        }
        let bytes = fs::read(path).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
        return Ok(Placed { suite: suite::read(name, &bytes)?, files });
    }
    let Some((file, bytes)) = shipped::find(name) else {
        let names: Vec<&str> = shipped::suites().map(|(name, _)| name).collect();
        let problem = match fs::metadata(path) {
            Ok(facts) if facts.is_dir() => "is a folder, not a suite file",
            Ok(_) => "is no regular file",
            Err(_) => "there is no such file",
        };
        let message = format!("{name}: {problem}, and no suite of that name ships (shipped: {})", names.join(", "));
        return Err(Failure::usage(message).into());
    };
    Ok(Placed { suite: suite::read(file, bytes)?, files: Files::Embedded(shipped::FILES) })
}

/// How the names of temporary files begin: those of reports and those of tables (`types::temporary_file`).
const TEMPORARY: [&str; 2] = [".write-", ".chunk-"];

/// An output folder that this process owns until it is dropped.
pub(super) struct Output {
    folder: PathBuf,
    _lock: File,
}

impl Output {
    /// Makes the folder where needed and takes its lock.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let refused = |error: std::io::Error| Failure::environment(format!("{}: {error}", folder.display()));
        make_folder(folder)?;
        // Not truncated: the name may lead to a file that is not ours. Never removed: whoever waits for a file that is
        // gone holds another lock than whoever comes next.
        let lock = File::options().write(true).create(true).truncate(false).open(folder.join(".lock"));
        let lock = lock.map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => {
                // Ours alone: what was begun and not finished here belongs to a run that was killed.
                sweep(folder, Duration::ZERO);
                Ok(Self { folder: folder.to_owned(), _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(Failure::environment(format!(
                "{}: another run is writing here; wait for it or choose another folder with --out",
                folder.display()
            ))
            .into()),
            Err(TryLockError::Error(error)) => Err(refused(error).into()),
        }
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file whole or not at all: under a temporary name, then renamed.
    pub(super) fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        write_whole(&self.folder.join(name), write)
    }
}

/// Makes a folder with its parents.
pub(super) fn make_folder(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| {
        let reason = if folder.exists() { "is a file, not a folder".to_owned() } else { error.to_string() };
        Failure::environment(format!("{}: {reason}", folder.display()))
    })
}

/// How long a temporary file in a folder that several runs may share is left alone: writing one takes seconds.
const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// The folder of finished chunks, made where needed. One given with `--cache` may be shared between runs.
pub(super) fn chunks(given: Option<&Path>, output: &Output) -> anyhow::Result<PathBuf> {
    let own = output.folder().join("observations");
    let folder = given.unwrap_or(&own);
    make_folder(folder)?;
    sweep(folder, if given.is_none() { Duration::ZERO } else { ABANDONED_AFTER });
    Ok(folder.to_owned())
}

/// Removes temporary files that a killed run left behind. One that cannot be removed harms nobody.
fn sweep(folder: &Path, older_than: Duration) {
    let ours = |name: &str| name.ends_with(".tmp") && TEMPORARY.iter().any(|prefix| name.starts_with(prefix));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        let named = entry.file_name().to_str().is_some_and(ours);
        if named && (older_than.is_zero() || age().is_some_and(|age| age > older_than)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes a file whole or not at all.
pub(super) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let temporary = written(path, write)?;
    temporary.persist(path).map_err(|error| refused(path, &error.error))?;
    Ok(path.to_owned())
}

/// Writes a file whole or not at all, and never over another.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let temporary = written(path, |out| Ok(out.write_all(bytes)?))?;
    temporary.persist_noclobber(path).map_err(|error| refused(path, &error.error))?;
    Ok(())
}

/// The temporary file that is to become `path`, written and on the disk.
fn written(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<tempfile::NamedTempFile> {
    let refused = |error: std::io::Error| refused(path, &error);
    let mut temporary = temporary_file(folder_of(path), TEMPORARY[0]).map_err(refused)?;
    {
        let mut buffered = std::io::BufWriter::new(temporary.as_file_mut());
        write(&mut buffered).with_context(|| path.display().to_string())?;
        buffered.flush().map_err(refused)?;
    }
    temporary.as_file().sync_all().map_err(refused)?;
    Ok(temporary)
}

fn refused(path: &Path, error: &std::io::Error) -> Failure {
    Failure::environment(format!("{}: {error}", path.display()))
}
