//! The `corematrix` executable: the host tool, and PID 1 of the guest.

use std::process::ExitCode;

use clap::Parser;
use corematrix::cli::{Cli, exit_code};
use corematrix::{guest, output};

fn main() -> ExitCode {
    if guest::is_guest() {
        guest::main();
    }
    let code = Cli::parse().run().unwrap_or_else(|failure| {
        output::complain(format_args!("{failure}\n"));
        ExitCode::from(failure.code)
    });
    match output::finish() {
        Ok(()) => code,
        Err(error) => {
            output::complain(format_args!("error: cannot write to standard output: {error}\n"));
            ExitCode::from(exit_code::INFRASTRUCTURE)
        }
    }
}
