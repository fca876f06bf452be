//! `clip-audit completions`: what a shell needs to complete this program's commands and options.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, exit, say};

#[derive(Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> anyhow::Result<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "clip-audit", &mut script);
        say::verbatim(&script)?;
        Ok(exit::PASS)
    }
}
