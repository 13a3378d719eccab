//! [`Observed::refusal`]: what a library would have refused, by what libbpf found on a kernel instead.

use super::super::{AYA, CILIUM_EBPF};
use crate::libbpf_log::relocations::LoggedRelocation;
use crate::record::{CoreRelocation, RelocationOutcome};

/// Kinds of relocation that are 0 with libbpf where there is no such type.
const ZERO_WITHOUT_TYPE: [&str; 2] = ["type_size", "target_type_id"];

/// What libbpf found on a kernel.
pub struct Observed<'a> {
    /// What became of the object's relocations, as far as libbpf got to them.
    pub relocations: Vec<(&'a CoreRelocation, &'a LoggedRelocation)>,
    /// Section of the program.
    pub section: &'a str,
    /// Whether the program was loaded.
    pub loaded: bool,
    /// Whether the program runs the instruction of a relocation, as far as is known.
    pub reaches: &'a dyn Fn(&CoreRelocation) -> bool,
}

/// Why a library refuses a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its words, as far as they are known.
    pub words: String,
    /// The type that it looked for, in the kernel and in modules that are loaded.
    pub missing_type: Option<String>,
}

impl Observed<'_> {
    /// Why the library refuses the program that libbpf was asked to load.
    pub fn refusal(&self, loader: &str) -> Option<Refusal> {
        let only = |words| Refusal { words, missing_type: None };
        match loader {
            AYA => self.relocations.iter().find_map(|(asked, found)| aya(asked, found)).map(only),
            CILIUM_EBPF => self.cilium_ebpf(),
            _ => None,
        }
    }

    fn cilium_ebpf(&self) -> Option<Refusal> {
        let begin = self.section.split('/').next().unwrap_or_default();
        if ["fsession", "fsession.s"].contains(&begin) {
            // The library knows the attach type, and looks for no function of the kernel to attach to.
            return Some(Refusal { words: "Tracing programs must provide btf_id".to_owned(), missing_type: None });
        }
        if !self.loaded {
            return None;
        }
        let is_poisoned =
            |(asked, found): &&(&CoreRelocation, &LoggedRelocation)| is_zero(asked, found) && (self.reaches)(asked);
        let (asked, found) = self.relocations.iter().find(is_poisoned)?;
        let words = format!(
            "apply CO-RE relocations: `{}` of {} is poisoned, since there is no such type",
            asked.kind, found.local
        );
        Some(Refusal { words, missing_type: Some(found.local.clone()) })
    }
}

/// What fails the whole object with aya, which relocates all functions first.
fn aya(asked: &CoreRelocation, found: &LoggedRelocation) -> Option<String> {
    let begin = format!("error relocating section: error relocating `{}`: instruction #{}", asked.section, asked.insn);
    if is_zero(asked, found) {
        return Some(format!("{begin}: missing target BTF info for `{}` of {}", asked.kind, found.local));
    }
    // libbpf poisons what it found only where the size of a load cannot be changed.
    let is_there = found.candidates.iter().any(|candidate| candidate.matching);
    let has_other_size = asked.kind == "byte_off" && found.outcome == RelocationOutcome::Poisoned && is_there;
    has_other_size.then(|| format!("{begin}: the size of {} is not that of the kernel's field", found.local))
}

fn is_zero(asked: &CoreRelocation, found: &LoggedRelocation) -> bool {
    ZERO_WITHOUT_TYPE.contains(&asked.kind.as_str()) && matches!(found.outcome, RelocationOutcome::NoMatch { .. })
}

/// Whether the library does something else about a relocation according to whether the program runs its instruction.
pub fn depends_on_reach(loader: &str, asked: &CoreRelocation) -> bool {
    loader == CILIUM_EBPF && ZERO_WITHOUT_TYPE.contains(&asked.kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Candidate;

    fn asked(kind: &str) -> CoreRelocation {
        let (section, function) = ("tp_btf/a".to_owned(), "a".to_owned());
        CoreRelocation { section, index: 0, function, insn: 3, kind: kind.to_owned(), source: None }
    }

    fn found(outcome: RelocationOutcome, matching: bool) -> LoggedRelocation {
        let candidates = vec![Candidate { spec: "struct a.b".to_owned(), module: "vmlinux".to_owned(), matching }];
        LoggedRelocation { local: "struct a.b".to_owned(), candidates, outcome, function: "a".to_owned() }
    }

    fn refusal(loader: &str, kind: &str, found: &LoggedRelocation, reached: bool) -> Option<Refusal> {
        let asked = asked(kind);
        let relocations = vec![(&asked, found)];
        Observed { relocations, section: "tp_btf/a", loaded: true, reaches: &|_| reached }.refusal(loader)
    }

    #[test]
    fn size_of_no_type_is_poisoned_or_refused() {
        let none = found(RelocationOutcome::NoMatch { old: 8, new: 0 }, false);
        assert!(
            refusal(CILIUM_EBPF, "type_size", &none, true)
                .is_some_and(|refusal| refusal.words.contains("CO-RE") && refusal.missing_type.is_some())
        );
        assert_eq!(refusal(CILIUM_EBPF, "type_size", &none, false), None);
        assert_eq!(refusal(CILIUM_EBPF, "type_exists", &none, true), None);
        assert!(
            refusal(AYA, "type_size", &none, false).is_some_and(|refusal| refusal.words.contains("error relocating"))
        );
        assert_eq!(refusal(AYA, "type_exists", &none, true), None);
    }

    #[test]
    fn field_of_another_size_fails_the_object_with_aya() {
        let poisoned = |matching| found(RelocationOutcome::Poisoned, matching);
        assert!(refusal(AYA, "byte_off", &poisoned(true), false).is_some());
        // A field that is missing is poisoned by aya as well.
        assert_eq!(refusal(AYA, "byte_off", &poisoned(false), true), None);
        assert_eq!(refusal(CILIUM_EBPF, "byte_off", &poisoned(true), true), None);
    }

    #[test]
    fn fsession_has_no_target_with_cilium_ebpf() {
        let observed =
            |loaded| Observed { relocations: Vec::new(), section: "fsession/a", loaded, reaches: &|_| false };
        assert!(observed(true).refusal(CILIUM_EBPF).is_some());
        // Where the kernel does not know the attach type, neither.
        assert!(observed(false).refusal(CILIUM_EBPF).is_some());
        assert_eq!(observed(true).refusal(AYA), None);
    }
}
