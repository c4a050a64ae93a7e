//! `windrose completions`

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::args::Args;
use crate::output;

pub(crate) fn print(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "windrose", &mut script);
    output::write(format_args!("{}", String::from_utf8_lossy(&script)));
    ExitCode::SUCCESS
}
