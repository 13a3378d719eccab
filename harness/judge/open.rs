//! [`open_failure`]: what it means that libbpf would not open an object. [`unclaimed`]: what it means that it finds nothing in it.

use super::{Diagnosis, about, first, texts};
use crate::object::{Inventory, Unclaimed};
use crate::record::{Cause, Evidence, Verdict};

/// What libbpf alone refuses, and what to do about it. Other loaders take such an object, or the object's own loader changes it before
/// it is loaded.
const OTHER_LOADERS: [(&str, &str); 8] = [
    (
        "is static and not supported",
        "declare the program without `static`, set `static-programs = true` in an `[[object]]` table of a suite",
    ),
    ("legacy map definitions in 'maps' section", LEGACY),
    ("bad map relo against '", LEGACY),
    (
        "invalid pinning value ",
        "use `LIBBPF_PIN_BY_NAME` or no pinning, set `pinning` to `\"none\"` or a path in a `[[map]]` table of a suite",
    ),
    (
        "failed to find BTF for extern '",
        "define it in the object, declare it `__ksym`, or set in an `[[object]]` table of a suite `stubs = [\"NAME\"]` \
    (function) or `set.NAME = VALUE` (constant of inline assembly)",
    ),
    ("bad call relo against '", CALLED),
    ("unrecognized extern section '", "declare the extern `__ksym` or `__kconfig`"),
    ("unsupported map linkage ", "define the map in the object"),
];
const CALLED: &str = "define the called function without `SEC()`, so that it is in `.text`, set `called-programs = \
    true` in an `[[object]]` table of a suite";
const LEGACY: &str = "define the maps in `.maps`, set `legacy-maps = true` in an `[[object]]` table of a suite";

/// What libbpf misses in a program that its own loader has, and what to do about it.
const LOADERS_PART: [(&str, &str); 4] = [
    ("missing BPF prog type", "name its type in `SEC()`, or with `type` in a `[[program]]` table of a suite"),
    (
        "no BTF-based attach target is specified",
        "name its target in `SEC()`, or with `target` in a `[[program]]` table of a suite",
    ),
    ("program isn't referenced anywhere", "refer to it in a struct_ops map"),
    (
        "attach program FD is not set",
        "name the program whose function it replaces with `target = \"OBJECT:PROGRAM\"` in a `[[program]]` table of a \
    suite",
    ),
];

/// libbpf's words about what only the program's own loader knows, and what to do about it.
pub(super) fn with_way_out(line: &str) -> String {
    let known = LOADERS_PART.iter().find(|(words, _)| line.contains(words));
    let way_out = known.map_or_else(String::new, |(_, way_out)| format!("{way_out}, or "));
    format!("{line}; {way_out}load it with its own loader (`--loader`, or `corematrix exec`)")
}

/// What to do about an object that only libbpf refuses, if that is what a warning says.
fn way_out(warning: &str) -> Option<&'static str> {
    // Any other section is corrupt.
    let of_maps = |warning: &str| {
        let (_, section) = warning.rsplit_once("in section '")?;
        section.trim_end_matches('\'').split('/').any(|part| part == "maps").then_some(())
    };
    let (_, way_out) = OTHER_LOADERS.iter().find(|(words, _)| warning.contains(words))?;
    let is_relocation = warning.contains("bad map relo against '");
    // No loader calls data.
    let in_data = |name: &str| warning.contains(&format!("' in section '{name}"));
    let calls_data = warning.contains("bad call relo against '")
        && [".data", ".rodata", ".bss", ".maps"].iter().any(|name| in_data(name));
    (!calls_data && (!is_relocation || of_maps(warning).is_some())).then_some(*way_out)
}

/// Judges an object that is sound and holds no program that libbpf knows of.
pub fn unclaimed(what: &Unclaimed) -> Diagnosis {
    let rule = what.rule();
    let evidence = Evidence::line(&rule);
    let way_out =
        format!("{rule}; {}, or load it with its own loader (`--loader`, or `corematrix exec`)", what.way_out());
    Diagnosis::of(Verdict::HarnessLimit, Cause::NeedsLoader, evidence).because(way_out)
}

/// Judges an object that libbpf could not open, from its warnings and what is known to be in it.
pub fn open_failure(warnings: &[String], object: Option<&Inventory>) -> Diagnosis {
    if let Some((line, way_out)) = warnings.iter().find_map(|warning| Some((warning, way_out(warning)?))) {
        let diagnosis = Diagnosis::of(Verdict::HarnessLimit, Cause::NeedsLoader, about(Cause::NeedsLoader, line));
        return diagnosis
            .because(format!("{line}; {way_out}, or load it with its own loader (`--loader`, or `corematrix exec`)"));
    }
    let needs_btf = warnings.iter().find(|warning| warning.starts_with("BTF is required, but is missing"));
    if let Some(line) = needs_btf.filter(|_| object.is_some_and(|object| !object.has_btf)) {
        let reason = format!("the object was built without `-g`: it has no BTF, but its maps need BTF ({line})");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_loader_knows_says_what_to_do() {
        let line = "prog 'p': missing BPF prog type, check ELF section name 'filter'";
        let way_out = "name its type in `SEC()`, or with `type` in a `[[program]]` table of a suite";
        let message = format!("{line}; {way_out}, or load it with its own loader (`--loader`, or `corematrix exec`)");
        assert_eq!(with_way_out(line), message);
        let line = "prog 'p': attach program FD is not set";
        assert_eq!(
            with_way_out(line),
            format!(
                "{line}; name the program whose function it replaces with `target = \"OBJECT:PROGRAM\"` in a \
    `[[program]]` table of a suite, or load it with its own loader (`--loader`, or `corematrix exec`)"
            )
        );
    }
}
