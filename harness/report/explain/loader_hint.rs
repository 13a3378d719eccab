//! [`loader_hint`]: what to do in the code of a loader other than libbpf, whose functions the rest of the advice names.

use super::CellFacts;
use crate::loader::{AYA, CILIUM_EBPF};
use crate::record::{Cause, ProgramRecord};

/// What to do about the failure of `program` with the library of its object's loader, as lines; none with libbpf. `asks_loader` tells
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
            "with cilium/ebpf: on such kernels `delete(spec.Programs, \"{program}\")` before `LoadAndAssign`, and leave it out of the struct"
        ),
        AYA => format!("with aya: on such kernels do not `load` `{program}`"),
        other => format!("with `{other}`: on such kernels do not load `{program}`"),
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
        Cause::IncompatibleMap => vec![format!(
            "with cilium/ebpf: a map in `MapReplacements` needs the definition of the object's own; set what differs in `spec.Maps[\"{subject}\"]` \
             before `LoadAndAssign`"
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
    fn every_loader_can_leave_a_program_out() {
        assert!(left_out(CILIUM_EBPF, "p").contains("`delete(spec.Programs, \"p\")`"));
        assert_eq!(left_out(AYA, "p"), "with aya: on such kernels do not `load` `p`");
        assert_eq!(left_out("mine", "p"), "with `mine`: on such kernels do not load `p`");
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
