//! [`open_failure`]: what it means that libbpf would not open an object.

use super::{Diagnosis, about, first, texts};
use crate::cause::{Cause, Evidence};
use crate::object::Inventory;
use crate::verdict::Verdict;

/// What libbpf alone refuses. Other loaders take such an object, or the object's own loader changes it before it is loaded.
const OTHER_LOADERS: [&str; 6] = [
    "is static and not supported",
    "legacy map definitions in 'maps' section",
    "invalid pinning value ",
    "failed to find BTF for extern '",
    "unrecognized extern section '",
    "unsupported map linkage ",
];

/// Judges an object that libbpf could not open, from its warnings and what is known to be in it.
pub fn open_failure(warnings: &[String], object: Option<&Inventory>) -> Diagnosis {
    let refused_by_libbpf = warnings.iter().find(|warning| OTHER_LOADERS.iter().any(|words| warning.contains(words)));
    if let Some(line) = refused_by_libbpf {
        return Diagnosis::of(Verdict::HarnessLimit, Cause::NeedsLoader, about(Cause::NeedsLoader, line));
    }
    let needs_btf = warnings.iter().find(|warning| warning.starts_with("BTF is required, but is missing"));
    if let Some(line) = needs_btf.filter(|_| object.is_some_and(|object| !object.has_btf)) {
        let reason = format!("the object was built without `-g`: it has no BTF, and its maps need it ({line})");
        let evidence = Evidence::line(line);
        return Diagnosis::of(Verdict::FailedToOpen, Cause::ObjectWithoutBtf, evidence).because(reason);
    }
    match texts::of_libbpf(warnings) {
        Some((_, cause, line)) => {
            Diagnosis::of(Verdict::FailedToOpen, cause, about(cause, line)).because(first(warnings))
        }
        None => Diagnosis::of(Verdict::FailedToOpen, Cause::ObjectBroken, Evidence::line(first(warnings))),
    }
}
