//! [`recognise`]: whose object this is, by what its own tool chain leaves in it and around it.

use memchr::memmem;

use super::{AYA, CILIUM_EBPF};

/// The module path of cilium/ebpf, which the Go linker writes into executables that use it.
const GO_MODULE: &[u8] = b"github.com/cilium/ebpf";
/// The first bytes of a Go executable's build information.
const GO_BUILD: &[u8] = b"\xff Go buildinf:";
/// How bpf2go names the objects that it compiles: `flow_bpfel.o`, `flow_x86_bpfel.o`.
const BPF2GO: [&str; 2] = ["_bpfel.o", "_bpfeb.o"];
/// What the Rust compiler calls itself in an object's debug information.
const RUST: &[u8] = b"rustc version ";
/// The crates that objects for aya are built of.
const AYA_CRATES: [&[u8]; 2] = [b"aya_ebpf", b"aya_bpf"];

/// A loader that an object was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    /// The loader's name.
    pub loader: &'static str,
    /// By what, as a lowercase fragment.
    pub how: String,
}

/// Whose object this is; `None` if nothing says so. `file` is where it was found, `around` the executable that embeds it.
pub fn recognise(object: &[u8], file: &str, around: Option<&[u8]>) -> Option<Recognised> {
    let name = file.rsplit('/').next().unwrap_or(file);
    if let Some(end) = BPF2GO.iter().find(|end| name.ends_with(**end)) {
        let how = format!("its file is named `*{end}`, as by bpf2go");
        return Some(Recognised { loader: CILIUM_EBPF, how });
    }
    if let Some(around) = around
        && contains(around, GO_BUILD)
        && contains(around, GO_MODULE)
    {
        let how = "it is embedded in a Go executable that links `github.com/cilium/ebpf`".to_owned();
        return Some(Recognised { loader: CILIUM_EBPF, how });
    }
    let krate = AYA_CRATES.iter().find(|name| contains(object, name))?;
    // A name alone may be anybody's.
    let how = format!("it was compiled by `rustc` with the crate `{}`", String::from_utf8_lossy(krate));
    (contains(object, RUST) || contains(object, b"rustc")).then_some(Recognised { loader: AYA, how })
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    memmem::find(bytes, what).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_recognised_by_what_their_tools_leave() {
        let loader = |object: &[u8], file, around| recognise(object, file, around).map(|found| found.loader);
        assert_eq!(loader(b"", "a/flow_x86_bpfel.o", None), Some(CILIUM_EBPF));
        assert_eq!(
            loader(b"", "agent", Some(b"..\xff Go buildinf:..github.com/cilium/ebpf/link..")),
            Some(CILIUM_EBPF)
        );
        assert_eq!(loader(b"", "agent", Some(b"..github.com/cilium/ebpf..")), None, "no Go executable");
        assert_eq!(loader(b"..aya_ebpf..rustc version 1.90.0..", "probe", None), Some(AYA));
        assert_eq!(loader(b"..aya_ebpf..", "probe", None), None);
        assert_eq!(loader(b"..rustc version 1.90.0..", "probe.bpf.o", None), None);
    }
}
