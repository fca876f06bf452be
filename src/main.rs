//! The program `clip-audit`.

use std::process::ExitCode;

fn main() -> ExitCode {
    clip_audit::cli::main()
}
