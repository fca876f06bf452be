//! Lists what ships inside the program (everything under `suites/`), the commit it is built from, and where a program that is
//! not packed finds libtorch.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files_below(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    let suites = root.join("suites");
    println!("cargo:rerun-if-changed=suites");
    let mut paths = Vec::new();
    files_below(&suites, &mut paths)?;
    let mut names: Vec<(String, PathBuf)> = paths
        .into_iter()
        .map(|path| (path.strip_prefix(&suites).unwrap_or(&path).to_string_lossy().into_owned(), path))
        .collect();
    names.sort();
    let lines: String = names
        .iter()
        .map(|(name, path)| format!("    ({name:?}, include_bytes!({:?})),\n", path.display().to_string()))
        .collect();
    let table = format!("&[\n{lines}]\n");
    fs::write(PathBuf::from(env::var("OUT_DIR").unwrap_or_default()).join("suites.rs"), table)?;

    // The run path of .cargo/config.toml knows .libtorch beside the build folder. With another library or another build folder
    // the program needs to be told; what is packed must not name a folder of this machine.
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let libtorch = env::var("LIBTORCH").unwrap_or_default();
    let unpacked = env::var("PROFILE").is_ok_and(|profile| profile == "debug");
    if unpacked && env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") && !libtorch.is_empty() {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}/lib", root.join(libtorch).display());
    }

    // Inside a checkout the commit names the program; a source archive has none and says so. Whether it is dirty depends on
    // every source, so that each of them is watched; the index is not, since any look at the state touches it.
    for watched in ["src", "templates", "models", "Cargo.toml", "Cargo.lock", "build.rs", ".git/HEAD", ".git/logs/HEAD"]
    {
        if root.join(watched).exists() {
            println!("cargo:rerun-if-changed={watched}");
        }
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    println!("cargo:rustc-env=CLIP_AUDIT_COMMIT={commit}{}", if dirty { "-dirty" } else { "" });
    Ok(())
}
