//! The aya loader: answers corematrix's requests with what aya does with an object. The protocol is in `../README.md`.

mod failure;
mod message;
mod object;
mod pins;
mod program;
mod sections;
mod settings;

use std::io;
use std::process::ExitCode;

use message::{Messages, Request};

/// What is wrong with this machine or with the requests. It is never about an object, and ends the loader.
type Trouble = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    unlimit_locked_memory();
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("error: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Trouble> {
    let mut messages = Messages::new(io::stdin().lock(), io::stdout().lock());
    let mut next = messages.request()?;
    while let Some(request) = next {
        next = match request {
            Request::Open(open) => object::serve(&open, &mut messages)?,
            Request::Load(load) => return Err(format!("load of `{}`: no object is open", load.program).into()),
        };
    }
    Ok(())
}

/// What programs that use aya do at their start. Where it fails, the kernel refuses maps, and says so.
fn unlimit_locked_memory() {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the pointer is that of a live structure, which is only read.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) } != 0 {
        eprintln!("warning: the limit of locked memory stays: {}", io::Error::last_os_error());
    }
}
