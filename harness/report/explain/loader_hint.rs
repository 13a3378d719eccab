//! [`loader_hint`]: what to do in the code of a loader other than libbpf, whose functions the rest of the advice names.

use super::CellFacts;
use crate::loader::{AYA, CILIUM_EBPF};
use crate::record::{Cause, ProgramRecord};

/// What to do about the failure of `program` with the library of its object's loader, as lines; none with libbpf. `asks_loader` says
/// whether the advice for libbpf has code for the loader.
pub(super) fn loader_hint(
    facts: &CellFacts<'_>,
    program: &ProgramRecord,
    asks_loader: &dyn Fn() -> bool,
) -> Vec<String> {
    let Some(loader) = &facts.object().loader else { return Vec::new() };
    let Some(cause) = program.cause else { return Vec::new() };
    let name = program.name.as_str();
    let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref()).unwrap_or("NAME");
    let hints = match loader.name.as_str() {
        CILIUM_EBPF => of_cilium_ebpf(cause, name, subject),
        AYA => of_aya(cause, name, subject),
        _ => Vec::new(),
    };
    match hints.is_empty() && asks_loader() {
        true => vec![left_out(&loader.name, name)],
        false => hints,
    }
}

/// What every library can do about a program that a kernel does not take.
fn left_out(loader: &str, program: &str) -> String {
    match loader {
        CILIUM_EBPF => format!(
            "with cilium/ebpf: on such kernels, call `delete(spec.Programs, \"{program}\")` before `LoadAndAssign`, \
    and omit the program from the struct"
        ),
        AYA => format!("with aya: do not `load` `{program}` on such kernels"),
        other => format!("with `{other}`: do not load `{program}` on such kernels"),
    }
}

fn of_cilium_ebpf(cause: Cause, program: &str, subject: &str) -> Vec<String> {
    let leave_out = |test: &str| {
        vec![format!(
            "with cilium/ebpf: if {test} returns an error, call `delete(spec.Programs, \"{program}\")` before \
    `LoadAndAssign`, and omit the program from the struct"
        )]
    };
    match cause {
        Cause::MissingProgramType | Cause::MissingAttachType => leave_out("`features.HaveProgramType`"),
        Cause::UnknownHelper | Cause::ForbiddenHelper => leave_out("`features.HaveProgramHelper`"),
        Cause::MissingMapType => leave_out("`features.HaveMapType`"),
        Cause::UnsupportedMapOption => vec![format!(
            "with cilium/ebpf: set `spec.Maps[\"{subject}\"].Flags` according to `features.HaveMapFlag` before \
    `LoadAndAssign`"
        )],
        Cause::MapTooLarge => {
            vec![format!("with cilium/ebpf: set `spec.Maps[\"{subject}\"].MaxEntries` before `LoadAndAssign`")]
        }
        Cause::InvalidMapDefinition | Cause::IncompleteMapDefinition => vec![format!(
            "with cilium/ebpf: set the fields of `spec.Maps[\"{subject}\"]` before `LoadAndAssign`: `InnerMap`, \
    `Pinning`, sizes"
        )],
        Cause::IncompatibleMap => vec![format!(
            "with cilium/ebpf: a map in `MapReplacements` must have the same definition as in the object; set what \
    differs in `spec.Maps[\"{subject}\"]` before `LoadAndAssign`"
        )],
        Cause::MissingAttachTarget => leave_out("`(*btf.Spec).TypeByName` of `btf.LoadKernelSpec`"),
        _ => Vec::new(),
    }
}

fn of_aya(cause: Cause, program: &str, subject: &str) -> Vec<String> {
    let leave_out = |test: &str| {
        vec![format!(
            "with aya: do not `load` `{program}` where {test}; `EbpfLoader::load` still creates all maps of the \
    object, so put what a kernel lacks into a separate object"
        )]
    };
    match cause {
        Cause::MissingProgramType | Cause::MissingAttachType => leave_out(
            "`aya::sys::is_program_supported` returns \
    false",
        ),
        Cause::UnknownHelper | Cause::ForbiddenHelper => leave_out("`aya::sys::is_helper_supported` returns false"),
        Cause::MissingMapType => leave_out("`aya::sys::is_map_supported` returns false"),
        Cause::MissingAttachTarget => leave_out("`Btf::id_by_type_name_kind` finds no such function"),
        Cause::MapTooLarge | Cause::InvalidMapDefinition | Cause::IncompleteMapDefinition => vec![format!(
            "with aya: set entries with `EbpfLoader::map_max_entries(\"{subject}\", N)`; define other sizes and inner \
    maps in the object"
        )],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loader_can_leave_a_program_out() {
        assert!(left_out(CILIUM_EBPF, "p").contains("`delete(spec.Programs, \"p\")`"));
        assert_eq!(left_out(AYA, "p"), "with aya: do not `load` `p` on such kernels");
        assert_eq!(left_out("mine", "p"), "with `mine`: do not load `p` on such kernels");
    }

    #[test]
    fn hints_speak_of_the_library() {
        let lines = of_cilium_ebpf(Cause::MapTooLarge, "p", "events");
        assert_eq!(lines, ["with cilium/ebpf: set `spec.Maps[\"events\"].MaxEntries` before `LoadAndAssign`"]);
        assert!(of_aya(Cause::MissingMapType, "p", "bloom_filter")[0].contains("is_map_supported"));
        assert!(
            of_aya(Cause::MemoryNull, "p", "x").is_empty() && of_cilium_ebpf(Cause::MemoryNull, "p", "x").is_empty()
        );
    }
}
