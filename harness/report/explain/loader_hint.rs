//! [`loader_hint`]: what to do in the code of a loader other than libbpf, whose functions the rest of the advice names.

use super::CellFacts;
use crate::loader::{AYA, CILIUM_EBPF};
use crate::record::{Cause, ProgramRecord};

/// What to do about the failure of `program` with the library of its object's loader, as lines; none with libbpf.
pub(super) fn loader_hint(facts: &CellFacts<'_>, program: &ProgramRecord) -> Vec<String> {
    let Some(loader) = &facts.object().loader else { return Vec::new() };
    let Some(cause) = program.cause else { return Vec::new() };
    let name = program.name.as_str();
    let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref()).unwrap_or("NAME");
    match loader.name.as_str() {
        CILIUM_EBPF => of_cilium_ebpf(cause, name, subject),
        AYA => of_aya(cause, name, subject),
        _ => Vec::new(),
    }
}

fn of_cilium_ebpf(cause: Cause, program: &str, subject: &str) -> Vec<String> {
    let leave_out = |test: &str| {
        vec![format!(
            "with cilium/ebpf: where {test} gives an error, `delete(spec.Programs, \"{program}\")` before `LoadAndAssign`, and leave it out of the \
             struct"
        )]
    };
    match cause {
        Cause::MissingProgramType | Cause::MissingAttachType => leave_out("`features.HaveProgramType`"),
        Cause::UnknownHelper | Cause::ForbiddenHelper => leave_out("`features.HaveProgramHelper`"),
        Cause::MissingMapType => leave_out("`features.HaveMapType`"),
        Cause::UnsupportedMapOption => vec![format!(
            "with cilium/ebpf: set `spec.Maps[\"{subject}\"].Flags` by what `features.HaveMapFlag` says, before `LoadAndAssign`"
        )],
        Cause::MapTooLarge => {
            vec![format!("with cilium/ebpf: set `spec.Maps[\"{subject}\"].MaxEntries` before `LoadAndAssign`")]
        }
        Cause::InvalidMapDefinition | Cause::IncompleteMapDefinition => vec![format!(
            "with cilium/ebpf: `spec.Maps[\"{subject}\"]` has the fields to set before `LoadAndAssign`: `InnerMap`, `Pinning`, sizes"
        )],
        Cause::MissingAttachTarget => leave_out("`(*btf.Spec).TypeByName` of `btf.LoadKernelSpec`"),
        _ => Vec::new(),
    }
}

fn of_aya(cause: Cause, program: &str, subject: &str) -> Vec<String> {
    let leave_out = |test: &str| {
        vec![format!(
            "with aya: do not `load` `{program}` where {test}; what the object itself holds is created by `EbpfLoader::load` all the same, so put \
             what a kernel lacks into an object of its own"
        )]
    };
    match cause {
        Cause::MissingProgramType | Cause::MissingAttachType => leave_out("`aya::sys::is_program_supported` says no"),
        Cause::UnknownHelper | Cause::ForbiddenHelper => leave_out("`aya::sys::is_helper_supported` says no"),
        Cause::MissingMapType => leave_out("`aya::sys::is_map_supported` says no"),
        Cause::MissingAttachTarget => leave_out("`Btf::id_by_type_name_kind` finds no such function"),
        Cause::MapTooLarge | Cause::InvalidMapDefinition | Cause::IncompleteMapDefinition => vec![format!(
            "with aya: `EbpfLoader::map_max_entries(\"{subject}\", N)` sets entries; other sizes and inner maps have to be in the object"
        )],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
