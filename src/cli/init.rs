//! `clip-audit init`: a commented suite with pictures of its own, so that it can be checked, looked at and run at once.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::exit::Failure;
use super::{exit, place, say, schema};
use crate::suite::shipped;

#[derive(Args)]
pub(super) struct Init {
    /// The suite to write; its pictures and its schema are written beside it
    #[arg(default_value = "suite.yaml")]
    file: PathBuf,
    /// What the suite audits
    #[arg(long, value_enum, default_value = "typographic")]
    template: Template,
}

/// The suites that `init` knows.
#[derive(Clone, Copy, ValueEnum)]
enum Template {
    /// Words written on pictures, each with a control twin
    Typographic,
    /// Pictures of groups, each with the same floor
    Manifest,
}

/// The pictures, from those that ship: things the reference model knows, in two drawings of one licence.
const THINGS: [&str; 12] = [
    "airplane",
    "banana",
    "bicycle",
    "church",
    "dog",
    "fish",
    "guitar",
    "hamburger",
    "horse",
    "rocket",
    "tractor",
    "violin",
];
const RENDITIONS: [&str; 2] = ["noto", "noto-v1"];
const ORIGIN: &str = "# Pictures of the example\n\n`RENDITION-LABEL.png`, listed in `pictures.csv`: drawings of Noto Emoji (`noto`) and its \
first version (`noto-v1`),\nGoogle Inc., Apache License 2.0, https://github.com/googlefonts/noto-emoji; rasterised on white. \
Replace them by your own.\n";

/// What is put in place of `NAME.yaml` in the comments of a template.
const NAME: &str = "NAME.yaml";

impl Template {
    fn text(self) -> &'static str {
        match self {
            Self::Typographic => include_str!("init/typographic.yaml"),
            Self::Manifest => include_str!("init/manifest.yaml"),
        }
    }
}

impl Init {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let name = self.file.file_name().and_then(|name| name.to_str());
        let name = name.filter(|name| !name.chars().any(char::is_control)).ok_or_else(|| {
            Failure::usage(format!("{}: expected the name of a file, such as suite.yaml", self.file.display()))
        })?;
        // Not `.`: what is written is named as it was typed.
        let folder = self.file.parent().unwrap_or(Path::new(""));
        let suite = format!(
            "# yaml-language-server: $schema={}\n{}",
            schema::FILE,
            self.template.text().replace(NAME, &quoted(name))
        );
        let mut files: Vec<(PathBuf, Vec<u8>)> = vec![(self.file.clone(), suite.into_bytes())];
        files.push((folder.join("pictures.csv"), listing().into_bytes()));
        files.push((folder.join("pictures/README.md"), ORIGIN.into()));
        for (rendition, thing) in pictures() {
            let file = format!("data/objects/{rendition}/{thing}.png");
            // A picture that does not ship would be a mistake of the list above; a test holds it.
            let bytes = shipped::FILES.iter().find(|(path, _)| *path == file).map(|(_, bytes)| bytes.to_vec());
            files.push((folder.join(picture(rendition, thing)), bytes.unwrap_or_default()));
        }
        files.push((folder.join(schema::FILE), schema::text()?.into_bytes()));
        // The schema is the program's, and one that is there already serves every suite of the folder.
        files.retain(|(path, bytes)| {
            !(path.ends_with(schema::FILE) && std::fs::read(path).is_ok_and(|found| found == *bytes))
        });
        let there: Vec<&Path> = files.iter().map(|(path, _)| path.as_path()).filter(|path| path.exists()).collect();
        if let Some(first) = there.first() {
            let more = if there.len() > 1 { format!(" (and {} more)", there.len() - 1) } else { String::new() };
            let free = self.file.with_file_name(free_folder(folder)).join(name);
            return Err(Failure::usage(format!(
                "{}{more}: exists, and nothing is overwritten; choose another folder: clip-audit init {}",
                first.display(),
                quoted(&free.display().to_string())
            ))
            .into());
        }
        place::make_folder(&folder.join("pictures"))?;
        for (path, bytes) in &files {
            place::write_new(path, bytes)?;
        }
        let shown = quoted(&self.file.display().to_string());
        say::line(format!("{} with pictures.csv, pictures/ and {}", self.file.display(), schema::FILE))?;
        say::line(format!("  clip-audit check {shown}      # is it right, how many probes, how long will it take"))?;
        say::line(format!("  clip-audit preview {shown}    # what the model is shown, on one picture"))?;
        say::line(format!("  clip-audit run {shown}        # audit the model it names"))?;
        Ok(exit::PASS)
    }
}

/// A folder below `folder` that is not there yet.
fn free_folder(folder: &Path) -> String {
    let mut names = std::iter::once("audit".to_owned()).chain((2..1000).map(|number| format!("audit-{number}")));
    let free = |name: &String| folder.join(name).symlink_metadata().is_err();
    names.find(free).unwrap_or_else(|| "another".to_owned())
}

fn pictures() -> impl Iterator<Item = (&'static str, &'static str)> {
    THINGS.into_iter().flat_map(|thing| RENDITIONS.map(|rendition| (rendition, thing)))
}

fn picture(rendition: &str, thing: &str) -> String {
    format!("pictures/{rendition}-{thing}.png")
}

/// Two drawings of one thing are not independent: they are one cluster.
fn listing() -> String {
    let row = |(rendition, thing)| format!("{},{thing},{rendition},{thing}\n", picture(rendition, thing));
    std::iter::once("path,label,rendition,cluster\n".to_owned()).chain(pictures().map(row)).collect()
}

/// A file name as it is typed in a shell.
fn quoted(name: &str) -> String {
    let plain = |one: char| one.is_alphanumeric() || "-_./".contains(one);
    if name.chars().all(plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) }
}
