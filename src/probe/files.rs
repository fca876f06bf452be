//! The file store of a suite: a folder that nothing may be read outside of, or files embedded in the program.

use std::borrow::Cow;
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Where a suite's files come from. Paths are relative, with `/`.
#[derive(Clone, Debug)]
pub enum Files {
    /// A folder on disk, canonical.
    Folder(PathBuf),
    /// Files inside the program: path and contents, sorted by path.
    Embedded(&'static [(&'static str, &'static [u8])]),
}

/// Why a file of a suite cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path would leave the suite's folder.
    #[error("{path}: lies outside the suite's folder; copy it inside")]
    Outside {
        /// As the suite names it.
        path: String,
    },
    /// There is nothing there.
    #[error("{path}: there is no such file")]
    Missing {
        /// As the suite names it.
        path: String,
    },
    /// A folder, pipe, socket or device.
    #[error("{path}: is no regular file")]
    NotAFile {
        /// As the suite names it.
        path: String,
    },
    /// Larger than a file of its kind may be.
    #[error("{path}: is larger than {limit_bytes} bytes")]
    TooLarge {
        /// As the suite names it.
        path: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// As the suite names it.
        path: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl Files {
    /// A folder on disk.
    ///
    /// # Errors
    /// When the folder does not exist.
    pub fn folder(path: &Path) -> Result<Self, FileError> {
        let io = |source| FileError::Io { path: path.display().to_string(), source };
        Ok(Self::Folder(path.canonicalize().map_err(io)?))
    }

    /// A path without `.` parts and doubled slashes; `None` when it would leave the store, is absolute, or has a
    /// backslash or a drive (`C:`), which mean different things on different systems. Looks at no file.
    pub fn clean(path: &str) -> Option<String> {
        let drive = matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
        if drive || path.contains(['\\', '\0']) {
            return None;
        }
        let parts = Path::new(path).components().filter(|part| *part != Component::CurDir);
        let parts = parts.map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        });
        Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
    }

    /// Reads a file of at most `limit_bytes`. The kind of file is checked before it is opened, so a pipe cannot hang.
    ///
    /// # Errors
    /// When the path leaves the store, is absent, is no regular file, is too large, or cannot be read.
    pub fn read(&self, path: &str, limit_bytes: u64) -> Result<Cow<'static, [u8]>, FileError> {
        let owned = || path.to_owned();
        let clean = Self::clean(path).ok_or_else(|| FileError::Outside { path: owned() })?;
        match self {
            Self::Embedded(files) => {
                let found = files.binary_search_by_key(&clean.as_str(), |(name, _)| name).ok();
                let found = found.and_then(|index| files.get(index));
                found.map(|(_, bytes)| Cow::Borrowed(*bytes)).ok_or_else(|| FileError::Missing { path: owned() })
            }
            Self::Folder(root) => {
                let io = |source: std::io::Error| match source.kind() {
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                        FileError::Missing { path: owned() }
                    }
                    _ => FileError::Io { path: owned(), source },
                };
                let full = root.join(&clean).canonicalize().map_err(io)?;
                if !full.starts_with(root) {
                    return Err(FileError::Outside { path: owned() });
                }
                if !fs::metadata(&full).map_err(io)?.is_file() {
                    return Err(FileError::NotAFile { path: owned() });
                }
                let mut bytes = Vec::new();
                let file = fs::File::open(&full).map_err(io)?;
                file.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(io)?;
                if bytes.len() as u64 > limit_bytes {
                    return Err(FileError::TooLarge { path: owned(), limit_bytes });
                }
                Ok(Cow::Owned(bytes))
            }
        }
    }
}
