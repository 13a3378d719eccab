//! Lets `kernel_btf.rs` stand between libbpf's loader and libbpf's BTF parser, and links what a static libelf needs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for function in ["btf__load_vmlinux_btf", "btf__parse", "btf__free"] {
        println!("cargo:rustc-link-arg=-Wl,--wrap={function}");
    }
    // Since elfutils 0.189 libelf unpacks sections by zstd, and an archive does not say so.
    if archive("libelf.a").and_then(|path| fs::read(path).ok()).is_some_and(|bytes| has(&bytes, b"ZSTD_decompress")) {
        println!("cargo:rustc-link-arg=-lzstd");
    }
}

/// The path of a static library, as the C compiler finds it.
fn archive(name: &str) -> Option<PathBuf> {
    let output = Command::new("cc").arg(format!("-print-file-name={name}")).output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

fn has(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}
