//! Lets `harness/guest/kernel_btf.rs` stand between libbpf's loader and libbpf's BTF parser.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for function in ["btf__load_vmlinux_btf", "btf__parse", "btf__free"] {
        println!("cargo:rustc-link-arg=-Wl,--wrap={function}");
    }
}
