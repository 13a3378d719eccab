//! Builds `corematrix-guest`, which the host carries inside: static, so that it needs nothing of this machine in the guest.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What the guest is built from.
const SOURCES: [&str; 4] = ["harness/guest", "harness/protocol", "harness/record", "Cargo.lock"];
/// Of the outer build, and wrong for the inner one.
const NOT_INHERITED: [&str; 4] = ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_BUILD_TARGET"];

fn main() {
    for source in SOURCES.into_iter().chain(["build.rs", "Cargo.toml"]) {
        println!("cargo:rerun-if-changed={source}");
    }
    let guest = build();
    let out = PathBuf::from(variable("OUT_DIR")).join("corematrix-guest");
    fs::copy(&guest, &out).unwrap_or_else(|error| panic!("cannot copy `{}`: {error}", guest.display()));
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo did not set `{name}`"))
}

/// Runs cargo once more for the guest and returns the executable. All profiles share one.
fn build() -> PathBuf {
    let target = variable("TARGET");
    let out = PathBuf::from(variable("OUT_DIR"));
    // `target/PROFILE/build/corematrix-HASH/out`
    let shared = out.ancestors().nth(4).unwrap_or(&out);
    let folder = shared.join("guest");
    let mut cargo = Command::new(variable("CARGO"));
    for name in NOT_INHERITED {
        cargo.env_remove(name);
    }
    cargo
        .args(["build", "--package", "corematrix-guest", "--profile", "guest", "--target", &target, "--target-dir"])
        .arg(&folder)
        .arg("--manifest-path")
        .arg(Path::new(&variable("CARGO_MANIFEST_DIR")).join("harness/guest/Cargo.toml"))
        .env("CARGO_ENCODED_RUSTFLAGS", guest_flags());
    let status = cargo.status().unwrap_or_else(|error| panic!("cannot run cargo for the guest: {error}"));
    assert!(
        status.success(),
        "the guest was not built: {status}; its static libraries are in `libelf-dev` and `zlib1g-dev`"
    );
    folder.join(target).join("guest/corematrix-guest")
}

/// Not the position of code, but its size counts in a guest. Paths are written as in the outer build, so that a reproducible build
/// stays one.
fn guest_flags() -> String {
    let outer = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let own = ["-Ctarget-feature=+crt-static", "-Crelocation-model=static"];
    let remapped = outer.split('\x1f').filter(|flag| flag.starts_with("--remap-path-prefix="));
    own.into_iter().chain(remapped).collect::<Vec<_>>().join("\x1f")
}
