//! The `corematrix` executable: the host tool, and PID 1 of the guest.

use std::process::ExitCode;

use clap::Parser;
use corematrix::cli::Cli;
use corematrix::guest;

fn main() -> ExitCode {
    if guest::is_guest() {
        guest::main();
    }
    match Cli::parse().run() {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.code)
        }
    }
}
