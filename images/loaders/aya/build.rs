//! Gives the executable aya's version, which the library does not export.

fn main() {
    println!("cargo::rerun-if-changed=Cargo.lock");
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    let version = lock
        .lines()
        .skip_while(|line| *line != r#"name = "aya""#)
        .find_map(|line| line.strip_prefix("version = "))
        .unwrap_or("unknown");
    println!("cargo::rustc-env=AYA_VERSION={}", version.trim_matches('"'));
}
