//! `windrose completions`

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::args::Args;

pub(crate) fn print(shell: clap_complete::Shell) -> ExitCode {
    clap_complete::generate(shell, &mut Args::command(), "windrose", &mut std::io::stdout());
    ExitCode::SUCCESS
}
