//! The `corematrix` executable.

use std::process::ExitCode;

use clap::Parser;
use corematrix::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.code)
        }
    }
}
