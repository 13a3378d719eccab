//! [`need!`]: what a test needs. A contributor's machine may lack it: the test says so and ends. With `COREMATRIX_NO_SKIP`,
//! which `make test` sets, it fails.
//!
//! The unit tests include this file, too.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Where it is set, nothing may be skipped.
const NO_SKIP: &str = "COREMATRIX_NO_SKIP";

/// What any of Debian's and other systems' packages call it.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Begins a test that needs programs of these names, or `browser`, `guests`, `libbpf headers`, `loaders`, `programs`.
macro_rules! need {
    ($($what:literal),+) => {
        if need::is_skipped(&[$($what),+]) {
            return;
        }
    };
}
pub(crate) use need;

/// Whether the calling test lacks something and has to end. Panics where that is no excuse.
#[track_caller]
pub fn is_skipped(what: &[&str]) -> bool {
    let Some(missing) = what.iter().find(|what| !is_here(what)) else { return false };
    let (missing, hint) = match *missing {
        "guests" => ("QEMU or virtme-ng", "./setup.sh"),
        "programs" => ("objects of `programs/` and `tests/causes/`", "make programs"),
        "loaders" => ("loaders of cilium/ebpf and aya", "make loaders"),
        missing => (missing, "./setup.sh --tests"),
    };
    assert!(std::env::var_os(NO_SKIP).is_none(), "no {missing}, and ${NO_SKIP} is set\nhint: run `{hint}`");
    say_skipped(&format!("no {missing} (`{hint}`)"));
    true
}

/// Says that the calling test is not run to its end.
pub fn say_skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Unlike `eprintln!` this is shown for a test that passes, too.
    let _ = std::io::stderr().write_all(format!("skipped: {why}: {test}\n").as_bytes());
}

fn is_here(what: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    match what {
        "browser" => browser().is_some(),
        "guests" => {
            let virtme = is_set("COREMATRIX_VIRTME_RUN") || root.join(".venv/bin/virtme-run").is_file();
            (is_set("COREMATRIX_QEMU") || is_program("qemu-system-x86_64")) && (virtme || is_program("virtme-run"))
        }
        "libbpf headers" => Path::new("/usr/include/bpf/bpf_core_read.h").is_file(),
        "loaders" => ["cilium-ebpf", "aya"].iter().all(|name| root.join("target/loaders").join(name).is_file()),
        "python-tuf" => root.join(".venv/tuf.txt").is_file(),
        "programs" => root.join("target/programs").is_dir() && root.join("target/causes").is_dir(),
        program => is_program(program),
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}

fn is_program(name: &str) -> bool {
    program(name).is_some()
}

/// Debian keeps some programs out of users' `PATH`.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The browser that there is.
pub fn browser() -> Option<PathBuf> {
    BROWSERS.iter().find_map(|name| program(name))
}
