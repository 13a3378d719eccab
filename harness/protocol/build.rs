//! Makes an id of all that host and guest have to agree on: the sources of their messages, and of the records in these.

use std::fs;
use std::path::{Path, PathBuf};

/// What of the record crate is sent.
const RECORDS: [&str; 5] = [
    "../record/exercise.rs",
    "../record/loaded_program.rs",
    "../record/loader.rs",
    "../record/loading.rs",
    "../record/privileges.rs",
];

fn main() {
    let mut id = Fnv::new();
    for file in own_sources().into_iter().chain(RECORDS.map(PathBuf::from)) {
        println!("cargo:rerun-if-changed={}", file.display());
        id.add(file.to_string_lossy().as_bytes());
        id.add(&fs::read(&file).unwrap_or_default());
    }
    println!("cargo:rustc-env=COREMATRIX_PROTOCOL_BUILD={}-{:016x}", env!("CARGO_PKG_VERSION"), id.0);
}

/// The Rust files of this crate, in order.
fn own_sources() -> Vec<PathBuf> {
    println!("cargo:rerun-if-changed=.");
    let entries = fs::read_dir(Path::new(".")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect();
    files.sort();
    files
}

/// FNV-1a: the same on every machine and with every compiler.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
