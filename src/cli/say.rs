//! Printing: results to stdout, untrusted text made inert for a terminal.

use std::io::Write;

/// Text with control and bidirectional formatting characters made visible, so that no label, file name or message can
/// drive the terminal or reorder what is read. Line breaks stay.
pub(super) fn inert(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        let hidden = character.is_control() && character != '\n';
        let reorders = matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if hidden || reorders {
            safe.push_str(&format!("<U+{:04X}>", u32::from(character)));
        } else {
            safe.push(character);
        }
    }
    safe
}

/// A line on stdout. That nobody reads on (`| head`) is no failure: it must not change an exit code.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn line(text: impl AsRef<str>) -> std::io::Result<()> {
    match writeln!(std::io::stdout().lock(), "{}", inert(text.as_ref())) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Bytes on stdout as they are: text of this program alone.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn verbatim(bytes: &[u8]) -> std::io::Result<()> {
    match std::io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// A line on stderr: what happens, as opposed to what came out.
pub(super) fn log(text: impl AsRef<str>) {
    // A closed stderr is no reason to lose the work.
    let _ = writeln!(std::io::stderr().lock(), "{}", inert(text.as_ref()));
}
