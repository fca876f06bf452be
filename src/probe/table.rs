//! A CSV file read strictly. The csv crate splits the fields; everything it lets pass is checked here: text that is not
//! UTF-8, NUL, a header twice, ragged rows, fields over several lines, stray quotes, white space around values. Line
//! numbers are counted here too, because the crate's are wrong after CRLF.

use csv::{ReaderBuilder, StringRecord};

/// More columns than this are no list of pictures: every column becomes a fact of every probe.
const COLUMNS: usize = 1000;
/// A longer field is no label, group or path, but a file in the wrong place.
const FIELD_BYTES: usize = 1 << 16;

/// What is wrong, and in which line, counted from 1.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) line: u64,
    pub(super) message: String,
}

fn fault(line: u64, message: impl Into<String>) -> Fault {
    Fault { line, message: message.into() }
}

/// A table with a header.
pub(super) struct Table<'a> {
    /// Names of the columns, no two alike.
    pub(super) header: Vec<String>,
    text: &'a str,
}

/// A row below the header.
pub(super) struct Row {
    /// Its line in the file, counted from 1.
    pub(super) line: u64,
    record: StringRecord,
}

impl Row {
    /// A field, with nothing where there is no such column.
    pub(super) fn field(&self, index: usize) -> &str {
        self.record.get(index).unwrap_or_default()
    }
}

impl<'a> Table<'a> {
    /// Checks the text as a whole and reads the header.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let line_of = |offset: usize| 1 + line_ends(bytes.get(..offset).unwrap_or(bytes));
        if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
            return Err(fault(1, "is UTF-16; save it as UTF-8"));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|problem| fault(line_of(problem.valid_up_to()), "is not UTF-8; save the file as UTF-8"))?;
        if let Some(offset) = text.find('\0') {
            return Err(fault(line_of(offset), "holds a NUL character; the file may be damaged or no CSV"));
        }
        let mut rows = Rows::new(text);
        let header = rows.next().ok_or_else(|| fault(1, "is empty: expected a header line"))??;
        let names: Vec<String> = header.record.iter().map(str::to_owned).collect();
        if names.len() > COLUMNS {
            let message =
                format!("has {} columns; at most {COLUMNS} are read: leave out what no audit needs", names.len());
            return Err(fault(header.line, message));
        }
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() {
                return Err(fault(header.line, format!("column {} has no name", index + 1)));
            }
            if names.iter().take(index).any(|earlier| earlier == name) {
                return Err(fault(header.line, format!("has two columns `{name}`; rename one")));
            }
        }
        if let [only] = names.as_slice() {
            for (mark, called) in [(';', "semicolons"), ('\t', "tabs"), ('|', "bars")] {
                if only.contains(mark) {
                    return Err(fault(header.line, format!("seems to be separated by {called}; save it with commas")));
                }
            }
        }
        Ok(Self { header: names, text })
    }

    /// The rows below the header; after a fault there are no more.
    pub(super) fn rows(&self) -> impl Iterator<Item = Result<Row, Fault>> {
        let width = self.header.len();
        let mut rows = Rows::new(self.text);
        rows.next();
        rows.map(move |row| {
            let row = row?;
            if row.record.len() == width {
                return Ok(row);
            }
            let message = format!("has {} fields where the header has {width}", row.record.len());
            let remedy = if row.record.len() > width { "; quote fields that hold commas" } else { "" };
            Err(fault(row.line, message + remedy))
        })
    }
}

/// Records with their line numbers.
struct Rows<'a> {
    text: &'a str,
    reader: csv::Reader<&'a [u8]>,
    /// Up to here line ends are counted.
    counted: usize,
    line: u64,
    done: bool,
}

impl<'a> Rows<'a> {
    fn new(text: &'a str) -> Self {
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        Self { text, reader, counted: 0, line: 1, done: false }
    }

    fn read(&mut self) -> Result<Option<Row>, Fault> {
        let before = self.reader.position().byte() as usize;
        let mut record = StringRecord::new();
        let found = self.reader.read_record(&mut record).map_err(|problem| fault(self.line, problem.to_string()))?;
        // The reader stands before the rest of a line end or before empty lines, which it skips.
        let rest = self.text.get(before..).unwrap_or_default();
        let start = before + (rest.len() - rest.trim_start_matches(['\r', '\n']).len());
        self.line += line_ends(self.text.as_bytes().get(self.counted..start).unwrap_or_default());
        self.counted = start;
        if !found {
            return Ok(None);
        }
        let line = self.line;
        if record.iter().any(|field| field.contains(['\r', '\n'])) {
            return Err(fault(line, "a field goes over the end of the line; is a quote left open?"));
        }
        let raw = self.text.get(start..).unwrap_or_default();
        let raw = raw.split(['\r', '\n']).next().unwrap_or_default();
        if stray_quote(raw) {
            return Err(fault(
                line,
                "has a quote in the middle of a field; quote the whole field and double the quotes inside",
            ));
        }
        if let Some(field) = record.iter().find(|field| field.len() > FIELD_BYTES) {
            let message = format!("a field of {} bytes; a field has at most {FIELD_BYTES}", field.len());
            return Err(fault(line, message));
        }
        if let Some(field) = record.iter().find(|field| field.trim() != *field) {
            return Err(fault(line, format!("`{field}` has white space around it; remove it")));
        }
        Ok(Some(Row { line, record }))
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let row = self.read().transpose();
        self.done = !matches!(row, Some(Ok(_)));
        row
    }
}

/// How many lines end in these bytes: CRLF, LF or CR.
fn line_ends(bytes: &[u8]) -> u64 {
    let ends = bytes
        .iter()
        .enumerate()
        .filter(|&(index, &byte)| byte == b'\n' || (byte == b'\r' && bytes.get(index + 1) != Some(&b'\n')));
    ends.count() as u64
}

/// Whether a line has a quote that neither opens, closes nor stands doubled inside a quoted field.
fn stray_quote(line: &str) -> bool {
    let mut rest = line.chars().peekable();
    let mut quoted = false;
    let mut at_start = true;
    while let Some(letter) = rest.next() {
        match (letter, quoted) {
            ('"', true) if rest.peek() == Some(&'"') => {
                rest.next();
            }
            ('"', true) => {
                quoted = false;
                if rest.peek().is_some_and(|&next| next != ',') {
                    return true;
                }
            }
            ('"', false) if at_start => quoted = true,
            ('"', false) => return true,
            _ => {}
        }
        at_start = !quoted && letter == ',';
    }
    quoted
}
