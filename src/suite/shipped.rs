//! The suites that ship inside the program, with their pictures.

/// Every file below `suites/`, sorted by path.
pub const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/suites.rs"));

/// File name and contents of the suite that ships under this name (`typographic`).
pub fn find(name: &str) -> Option<(&'static str, &'static [u8])> {
    let file = format!("{name}.yaml");
    FILES.iter().find(|(path, _)| *path == file).copied()
}

/// Name and first comment line of every suite that ships.
pub fn suites() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().filter_map(|(path, bytes)| {
        let name = path.strip_suffix(".yaml").filter(|name| !name.contains('/'))?;
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let about =
            text.lines().filter_map(|line| line.strip_prefix("# ")).find(|line| !line.contains("yaml-language-server"));
        Some((name, about.unwrap_or_default()))
    })
}
