//! The bytes of a checkpoint's files: opened once, hashed as a stream, read where a tensor stands. A file of some gigabytes
//! is never in memory as a whole.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::tensors::hexadecimal;
use crate::types::FileRecord;

/// Bytes hashed at a time.
const STEP: usize = 1 << 20;

/// One file of a checkpoint, or bytes inside the program.
pub(super) struct Blob {
    record: FileRecord,
    bytes: Bytes,
}

enum Bytes {
    Held(Cow<'static, [u8]>),
    File { file: File, modified: Option<SystemTime> },
}

impl Blob {
    /// Opens a file of a folder and hashes it. Only plain files: a pipe would wait for ever.
    ///
    /// # Errors
    /// The problem, naming the file.
    pub(super) fn open(folder: &Path, name: &str) -> Result<Rc<Self>, String> {
        let failed = |error: io::Error| format!("{name}: {error}");
        let path = folder.join(name);
        if !std::fs::metadata(&path).map_err(failed)?.is_file() {
            return Err(format!("{name} is not a plain file"));
        }
        let file = File::open(&path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        let mut hasher = Sha256::new();
        let (mut buffer, mut bytes) = (vec![0; STEP], 0u64);
        loop {
            match (&file).read(&mut buffer).map_err(failed)? {
                0 => break,
                count => {
                    hasher.update(&buffer[..count]);
                    bytes += count as u64;
                }
            }
        }
        let record = FileRecord { name: name.to_owned(), bytes, sha256: hexadecimal(hasher) };
        let blob = Self { record, bytes: Bytes::File { file, modified: found.modified().ok() } };
        blob.unchanged()?;
        Ok(Rc::new(blob))
    }

    /// Bytes that are at hand.
    pub(super) fn held(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Rc<Self> {
        let bytes = bytes.into();
        let sha256 = hexadecimal(Sha256::new_with_prefix(&bytes));
        let record = FileRecord { name: name.to_owned(), bytes: bytes.len() as u64, sha256 };
        Rc::new(Self { record, bytes: Bytes::Held(bytes) })
    }

    /// Name, length and hash.
    pub(super) fn record(&self) -> &FileRecord {
        &self.record
    }

    /// Name in its folder.
    pub(super) fn name(&self) -> &str {
        &self.record.name
    }

    /// Length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.record.bytes
    }

    /// Bytes from an offset. Nothing is allocated for bytes that are not there.
    ///
    /// # Errors
    /// When the file ends before, or cannot be read.
    pub(super) fn read(&self, offset: u64, count: u64) -> Result<Vec<u8>, String> {
        let end = offset.checked_add(count).filter(|&end| end <= self.len());
        let (Some(end), Ok(size)) = (end, usize::try_from(count)) else {
            return Err(format!("ends at {} bytes, {count} from {offset} on were to be read (cut short)", self.len()));
        };
        match &self.bytes {
            Bytes::Held(bytes) => Ok(bytes[offset as usize..end as usize].to_vec()),
            Bytes::File { file, .. } => {
                let mut bytes = vec![0; size];
                let mut file: &File = file;
                file.seek(SeekFrom::Start(offset))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map_err(|error| error.to_string())?;
                Ok(bytes)
            }
        }
    }

    /// The whole file, where it is no longer than `limit` bytes.
    ///
    /// # Errors
    /// When it is longer, or cannot be read; naming the file.
    pub(super) fn whole(&self, limit: u64) -> Result<Vec<u8>, String> {
        if self.len() > limit {
            return Err(format!("{}: is {} bytes, expected at most {limit}", self.name(), self.len()));
        }
        self.read(0, self.len()).map_err(|problem| format!("{}: {problem}", self.name()))
    }

    /// That what was hashed is what was read since.
    ///
    /// # Errors
    /// When the file was written to in between.
    pub(super) fn unchanged(&self) -> Result<(), String> {
        let Bytes::File { file, modified } = &self.bytes else { return Ok(()) };
        let now = file.metadata().map_err(|error| format!("{}: {error}", self.name()))?;
        if now.len() == self.len() && now.modified().ok() == *modified {
            Ok(())
        } else {
            Err(format!("{}: was written to while it was read", self.name()))
        }
    }

    /// What stands in place of weights, where it is something that is often found there.
    pub(super) fn mistaken(&self) -> Option<String> {
        let head = self.read(0, self.len().min(512)).ok()?;
        let text = head.trim_ascii_start();
        if head.is_empty() {
            Some("is empty".to_owned())
        } else if head.starts_with(b"version https://git-lfs") {
            Some("is a git-LFS pointer, not the weights: fetch them with `git lfs pull`".to_owned())
        } else if text.first() == Some(&b'<') {
            Some("is a web page or XML, not weights: the download brought an answer instead of the file".to_owned())
        } else if head.get(257..262) == Some(b"ustar") {
            Some("is a tar archive, which is not read: unpack it, or save the weights as safetensors".to_owned())
        } else if head.starts_with(&[0x1f, 0x8b]) {
            Some("is compressed with gzip: unpack it".to_owned())
        } else {
            None
        }
    }
}
