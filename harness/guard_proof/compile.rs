//! [`compile`]: C to a BPF object.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::{self, ProcessError};

/// The compiler.
const CLANG: &str = "clang";
/// A guard takes a tenth of a second; a busy machine may need longer.
const LIMIT: Duration = Duration::from_secs(60);

/// An object, and what compiled it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The object.
    pub bytes: Vec<u8>,
    /// Such as `clang 14.0.6`.
    pub compiler: String,
}

/// Compiles the C file at `path` to an object beside it.
///
/// # Errors
/// There is no compiler, or it does not take the file; as a fragment.
pub fn compile(path: &Path) -> Result<Compiled, String> {
    let mut command = Command::new(CLANG);
    command.arg("--version");
    let version = process::run(command, LIMIT).map_err(|error| error.to_string())?;
    let object = path.with_extension("o");
    let mut command = Command::new(CLANG);
    command.args(["-g", "-O2", "-target", "bpf", "-mcpu=v2", "-Wno-unused-variable", "-Wno-unused-but-set-variable"]);
    // Where Debian keeps what the kernel's headers need.
    command.arg(format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH));
    command.arg("-c").arg(path).arg("-o").arg(&object);
    process::run(command, LIMIT).map_err(|error| refused(&error))?;
    let bytes = std::fs::read(&object).map_err(|error| error.to_string())?;
    Ok(Compiled { bytes, compiler: short(&version) })
}

/// `clang 14.0.6` of `Debian clang version 14.0.6`.
fn short(version: &str) -> String {
    let line = version.lines().next().unwrap_or_default();
    let number = line.rsplit_once("version ").and_then(|(_, rest)| rest.split_whitespace().next());
    number.map_or_else(|| CLANG.to_owned(), |number| format!("{CLANG} {number}"))
}

/// The first complaint of the compiler.
fn refused(error: &ProcessError) -> String {
    let text = error.to_string();
    let complaint = text.lines().find_map(|line| line.split_once("error: ").map(|(_, complaint)| complaint));
    complaint.map_or_else(|| text.clone(), |complaint| format!("{CLANG}: {complaint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_have_short_names() {
        assert_eq!(short("Debian clang version 14.0.6\nTarget: x"), "clang 14.0.6");
        assert_eq!(short(""), "clang");
    }
}
