//! The binary `windrose`: one file per command in `cmd`, composed here.

#[macro_use]
mod output;

mod args;
mod bundles;
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
    // What the HTTP client of the demo encrypts with; the workspace's reqwest brings nothing of its own. It is the first call.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = args::Args::parse();
    match cmd::run(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("windrose: {}", output::sentence(&error));
            ExitCode::FAILURE
        }
    }
}
