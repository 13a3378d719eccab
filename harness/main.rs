//! The `corematrix` executable.

use std::process::ExitCode;

use corematrix::cli::Cli;
use corematrix::output;
use corematrix::record::exit_code;

fn main() -> ExitCode {
    let cli = match Cli::from_arguments() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let code = cli.run().unwrap_or_else(|failure| {
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
