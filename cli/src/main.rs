//! The binary `windrose`: one file per command in `cmd`, composed here.

#[macro_use]
mod output;

mod args;
mod clock;
mod cmd;
mod config;
mod database;
mod demo;
mod signals;
mod standalone;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match cmd::run(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("windrose: {}", output::sentence(&error));
            ExitCode::FAILURE
        }
    }
}
