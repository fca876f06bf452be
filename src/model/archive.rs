//! The zip container of torch.save and torch.jit.save, read strictly. Programs that read zip files disagree on which of two
//! entries of one name counts, on what lies between them and on files with a second directory; only what torch writes
//! is taken: one directory at the end, no comment, entries apart from each other, none of them used twice, and those that
//! are read stored as they are. A name is only a name: nothing is unpacked.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::blob::Blob;

/// Entries of an archive; a model has some thousand tensors.
const ENTRIES: u64 = 100_000;
/// Bytes of its directory.
const DIRECTORY: u64 = 32 << 20;

/// An entry that is stored as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// Name, place of the header, and bytes of an entry or the method of its compression.
type Listed = (String, u64, Result<u64, u16>);

/// What an archive holds.
pub(super) struct Archive {
    blob: Rc<Blob>,
    /// By name: where its header stands, and its place, or the method by which it is compressed.
    entries: BTreeMap<String, (u64, Result<u64, u16>)>,
    /// Where headers stand, in order, and at last the directory.
    starts: Vec<u64>,
}

impl Archive {
    /// Whether a file begins as a zip file does.
    pub(super) fn detects(blob: &Blob) -> bool {
        blob.read(0, 4).is_ok_and(|head| head == *b"PK\x03\x04")
    }

    /// Reads the directory.
    ///
    /// # Errors
    /// Where it is not as torch writes it.
    pub(super) fn open(blob: &Rc<Blob>) -> Result<Self, String> {
        let (start, length, count) = directory(blob)?;
        if count > ENTRIES || length > DIRECTORY {
            return Err(format!("is a zip file of {count} entries, expected at most {ENTRIES}"));
        }
        let bytes = blob.read(start, length)?;
        let mut fields = Fields { bytes: &bytes, at: 0 };
        let (mut entries, mut headers) = (BTreeMap::new(), Vec::new());
        for _ in 0..count {
            let (name, header, place) = fields.entry()?;
            headers.push((header, place.unwrap_or(0)));
            if entries.insert(name.clone(), (header, place)).is_some() {
                return Err(format!("is a zip file with two entries `{name}`"));
            }
        }
        if fields.at != bytes.len() {
            return Err("is a zip file whose directory is longer than its entries".to_owned());
        }
        // Apart from each other and before the directory. What lies between (headers, padding) is at least 30 bytes.
        headers.sort_unstable();
        let starts: Vec<u64> = headers.iter().map(|header| header.0).chain([start]).collect();
        for ((header, bytes), next) in headers.iter().zip(&starts[1..]) {
            if header.checked_add(30).and_then(|end| end.checked_add(*bytes)).is_none_or(|end| end > *next) {
                return Err("is a zip file whose entries lie over each other".to_owned());
            }
        }
        Ok(Self { blob: Rc::clone(blob), entries, starts })
    }

    /// Every name.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Where an entry's bytes stand.
    ///
    /// # Errors
    /// When it is not there, is compressed, or its own header contradicts the directory.
    pub(super) fn find(&self, name: &str) -> Result<Stored, String> {
        let (header, place) =
            self.entries.get(name).ok_or_else(|| format!("is a zip file without an entry `{name}`"))?;
        let bytes = (*place).map_err(|method| {
            format!(
                "is a zip file whose entry `{name}` is compressed (method {method}); torch stores entries as they are"
            )
        })?;
        let local = self.blob.read(*header, 30)?;
        let mut fields = Fields { bytes: &local, at: 0 };
        let contradicts = || format!("is a zip file whose directory and entry `{name}` contradict each other");
        let signature = fields.number(4)?;
        fields.at = 8;
        let method = fields.number(2)?;
        fields.at = 26;
        let (name_bytes, extra) = (fields.number(2)?, fields.number(2)?);
        if signature != 0x0403_4b50 || method != 0 || self.blob.read(header + 30, name_bytes)? != name.as_bytes() {
            return Err(contradicts());
        }
        let offset = header + 30 + name_bytes + extra;
        // The name and the extra field push the bytes back; they still end before whatever comes next.
        let next = self.starts.partition_point(|start| start <= header);
        let end = self.starts.get(next).copied().unwrap_or(0);
        if offset.checked_add(bytes).is_none_or(|last| last > end) {
            return Err(contradicts());
        }
        Ok(Stored { offset, bytes })
    }

    /// The bytes of an entry of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Archive::find`], or when it is longer.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, String> {
        let found = self.find(name)?;
        if found.bytes > limit {
            return Err(format!(
                "is a zip file whose entry `{name}` is {} bytes, expected at most {limit}",
                found.bytes
            ));
        }
        self.blob.read(found.offset, found.bytes)
    }
}

/// Start, length and number of entries of the directory, from the records at the end of the file.
fn directory(blob: &Blob) -> Result<(u64, u64, u64), String> {
    let cut = || "is a zip file without its directory at the end (cut short, or something was appended)".to_owned();
    let end = blob.len().checked_sub(22).ok_or_else(cut)?;
    let record = blob.read(end, 22)?;
    let mut fields = Fields { bytes: &record, at: 0 };
    if fields.number(4)? != 0x0605_4b50 {
        return Err(cut());
    }
    let disks = (fields.number(2)?, fields.number(2)?);
    let counts = (fields.number(2)?, fields.number(2)?);
    let (mut length, mut start, comment) = (fields.number(4)?, fields.number(4)?, fields.number(2)?);
    if comment != 0 || disks != (0, 0) || counts.0 != counts.1 {
        return Err("is a zip file of several parts or with a comment, which torch does not write".to_owned());
    }
    let (mut count, mut before) = (counts.0, end);
    // The 64-bit record, where there is one, stands before and is pointed at by a locator of 20 bytes.
    if let Some(locator_at) = end.checked_sub(20)
        && let locator = blob.read(locator_at, 20)?
        && locator.starts_with(b"PK\x06\x07")
    {
        let mut fields = Fields { bytes: &locator, at: 8 };
        before = fields.number(8)?;
        let record = blob.read(before, 56).map_err(|_| cut())?;
        let mut fields = Fields { bytes: &record, at: 0 };
        if fields.number(4)? != 0x0606_4b50 || before.checked_add(56) != Some(locator_at) {
            return Err(cut());
        }
        fields.at = 24;
        (_, count, length, start) = (fields.number(8)?, fields.number(8)?, fields.number(8)?, fields.number(8)?);
    }
    if start.checked_add(length) != Some(before) {
        return Err(cut());
    }
    Ok((start, length, count))
}

/// Little-endian numbers in a row.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn take(&mut self, count: u64) -> Result<&[u8], String> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let found = end.and_then(|end| Some((end, self.bytes.get(self.at..end)?)));
        let (end, bytes) = found.ok_or_else(|| "is a zip file whose directory ends before its end".to_owned())?;
        self.at = end;
        Ok(bytes)
    }

    fn number(&mut self, bytes: u64) -> Result<u64, String> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// An entry of the directory.
    fn entry(&mut self) -> Result<Listed, String> {
        if self.number(4)? != 0x0201_4b50 {
            return Err("is a zip file with something else in its directory".to_owned());
        }
        self.take(4)?;
        let (flags, method) = (self.number(2)?, self.number(2)?);
        self.take(8)?;
        let (mut packed, mut bytes) = (self.number(4)?, self.number(4)?);
        let (name, extra, comment) = (self.number(2)?, self.number(2)?, self.number(2)?);
        let disk = self.number(2)?;
        self.take(6)?;
        let mut header = self.number(4)?;
        let name = self.take(name)?.to_vec();
        let extra = self.take(extra)?.to_vec();
        self.take(comment)?;
        let name = String::from_utf8(name).map_err(|_| "is a zip file with a name that is not UTF-8".to_owned())?;
        // Numbers too large for 32 bits stand in an extra field, in this order.
        let mut extras = Fields { bytes: &extra, at: 0 };
        while extras.at + 4 <= extra.len() {
            let (kind, length) = (extras.number(2)?, extras.number(2)?);
            let field = extras.take(length)?.to_vec();
            if kind == 1 {
                let mut wide = Fields { bytes: &field, at: 0 };
                for value in [&mut bytes, &mut packed, &mut header] {
                    if *value == u64::from(u32::MAX) {
                        *value = wide.number(8)?;
                    }
                }
            }
        }
        if flags & 1 != 0 || disk != 0 {
            return Err(format!("is a zip file whose entry `{name}` is encrypted or in another part"));
        }
        match method {
            0 if packed != bytes => Err(format!("is a zip file whose entry `{name}` has two sizes")),
            0 => Ok((name, header, Ok(bytes))),
            method => Ok((name, header, Err(method as u16))),
        }
    }
}
