//! Where things stand: suites by path or shipped name, output folders that one run owns, files that appear whole.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Component, Path, PathBuf};

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
    /// The model to audit: the one of the command line, else the one the suite names. A path in a suite stays inside the
    /// suite's folder, so that a stranger's suite cannot point elsewhere.
    pub(super) fn model(&self, given: Option<&str>) -> anyhow::Result<String> {
        let named = &self.suite.model.name;
        if let Some(given) = given {
            return Ok(given.to_owned());
        }
        if MODELS.iter().any(|model| model.name == named) {
            return Ok(named.clone());
        }
        let inside = Path::new(named).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        match &self.files {
            Files::Folder(folder) if inside => Ok(folder.join(named).display().to_string()),
            _ => Err(Failure::usage(format!(
                "{}: model.use: `{named}` is outside the suite's folder; give it with --model",
                self.suite.file
            ))
            .into()),
        }
    }
}

/// The largest suite read.
const SUITE_LIMIT_BYTES: u64 = 1 << 20;

/// Finds a suite: a file on disk, or the name of one that ships with the program.
pub(super) fn suite(name: &str) -> anyhow::Result<Placed> {
    let path = Path::new(name);
    if path.is_file() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
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
        let message = format!("{name}: there is no such file, and no suite of that name ships: {}", names.join(", "));
        return Err(Failure::usage(message).into());
    };
    Ok(Placed { suite: suite::read(file, bytes)?, files: Files::Embedded(shipped::FILES) })
}

/// An output folder that this process owns until it is dropped.
pub(super) struct Output {
    folder: PathBuf,
    lock: File,
}

impl Output {
    /// Makes the folder where needed and takes its lock.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let refused = |error: std::io::Error| Failure::environment(format!("{}: {error}", folder.display()));
        fs::create_dir_all(folder).map_err(refused)?;
        let lock = File::create(folder.join(".lock")).map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), lock }),
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

impl Drop for Output {
    fn drop(&mut self) {
        // Unlocking comes with closing; the empty file goes so that a finished folder holds results only.
        let _ = fs::remove_file(self.folder.join(".lock"));
        let _ = self.lock.unlock();
    }
}

/// Writes a file whole or not at all.
pub(super) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let refused = |error: std::io::Error| Failure::environment(format!("{}: {error}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = temporary_file(folder, ".write-").map_err(refused)?;
    {
        let mut buffered = std::io::BufWriter::new(temporary.as_file_mut());
        write(&mut buffered).with_context(|| path.display().to_string())?;
        buffered.flush().map_err(refused)?;
    }
    temporary.as_file().sync_all().map_err(refused)?;
    temporary.persist(path).map_err(|error| refused(error.error))?;
    Ok(path.to_owned())
}
