//! [`CellPrediction`]: what BTF predicts for an object where no kernel was booted.

use serde::{Deserialize, Serialize};

use crate::{Alternative, AlternativeKind, RelocationOutcome, RunRecord};

/// Names in a reason, at most; the record has all.
const MOST_NAMES: usize = 4;

/// What BTF predicts for one object on one kernel. Nothing was loaded: a prediction is never a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CellPrediction {
    /// By program, in the object's order.
    pub programs: Vec<PredictedOutcome>,
    /// By relocation, in the order of the object's records.
    pub relocations: Vec<RelocationOutcome>,
    /// By guard: whether its first side is picked; `None` where BTF has no answer.
    pub guards: Vec<Option<bool>>,
}

/// What BTF predicts for one program on one kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum PredictedOutcome {
    /// Every relocation that the program can reach has its target, and so has its attachment. Whether the verifier accepts it is open.
    Resolves,
    /// The same, and the kernel lacks something that the program is guarded against.
    AbsentAndGuarded {
        /// What the kernel does not have, such as `struct inode.i_ctime`; each once.
        absent: Vec<String>,
    },
    /// An instruction that can be reached was made invalid: the verifier will refuse the program.
    RejectedIfReached {
        /// What the kernel does not have, such as `struct inode.i_ctime`; each once.
        missing: Vec<String>,
        /// What it has, and libbpf cannot make the instruction read, since its size is another one; each once.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unfit: Vec<String>,
    },
    /// libbpf will refuse to relocate it.
    Refused {
        /// libbpf's words.
        reason: String,
    },
    /// The kernel does not have what the program attaches to, as far as its BTF and that of its modules shows.
    MissingTarget {
        /// Such as `vfs_read`.
        target: String,
        /// What else is known about it, in words that go behind its name; without any a module may have it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// The kernel does not have a function that the program needs. If the reason names the kernel alone, a module may have it.
    MissingKfunc {
        /// Its name, and what is wrong.
        reason: String,
    },
    /// The kernel does not know a helper that can be reached, the type of a map, or the program's own type.
    MissingFeature {
        /// Such as ``helper `bpf_loop` ``; each once.
        features: Vec<String>,
    },
    /// What the program attaches to has other arguments than those that it reads.
    OtherPrototype {
        /// In words.
        reason: String,
    },
    /// Nothing can be said.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl PredictedOutcome {
    /// Such as `resolves`.
    pub fn label(&self) -> &'static str {
        match self {
            PredictedOutcome::Resolves => "resolves",
            PredictedOutcome::AbsentAndGuarded { .. } => "absent and guarded",
            PredictedOutcome::RejectedIfReached { .. } => "rejected if reached",
            PredictedOutcome::Refused { .. } => "refused by libbpf",
            PredictedOutcome::MissingTarget { .. } => "attach target missing",
            PredictedOutcome::MissingKfunc { .. } => "kfunc missing",
            PredictedOutcome::MissingFeature { .. } => "feature missing",
            PredictedOutcome::OtherPrototype { .. } => "attach target has another prototype",
            PredictedOutcome::Unknown { .. } => "not predicted",
        }
    }

    /// In at most six columns, for tables with many kernels. No verdict begins with `~`.
    pub fn short(&self) -> &'static str {
        match self {
            PredictedOutcome::Resolves => "~res",
            PredictedOutcome::AbsentAndGuarded { .. } => "~guard",
            PredictedOutcome::RejectedIfReached { .. } => "~rej",
            PredictedOutcome::Refused { .. } => "~refus",
            PredictedOutcome::MissingTarget { .. } => "~targ",
            PredictedOutcome::MissingKfunc { .. } => "~kfunc",
            PredictedOutcome::MissingFeature { .. } => "~feat",
            PredictedOutcome::OtherPrototype { .. } => "~proto",
            PredictedOutcome::Unknown { .. } => "~?",
        }
    }

    /// Whether BTF predicts that the program does not load.
    pub fn is_failure(&self) -> bool {
        !matches!(
            self,
            PredictedOutcome::Resolves | PredictedOutcome::AbsentAndGuarded { .. } | PredictedOutcome::Unknown { .. }
        )
    }

    /// Whether types have nothing against the program.
    pub fn resolves(&self) -> bool {
        matches!(self, PredictedOutcome::Resolves | PredictedOutcome::AbsentAndGuarded { .. })
    }

    /// The label, and why: `attach target missing: ...`.
    pub fn words(&self) -> String {
        match self.reason() {
            Some(reason) => format!("{}: {reason}", self.label()),
            None => self.label().to_owned(),
        }
    }

    /// Why, in one line; `None` for a program that simply resolves.
    pub fn reason(&self) -> Option<String> {
        match self {
            PredictedOutcome::Resolves => None,
            PredictedOutcome::AbsentAndGuarded { absent } => Some(format!("the kernel lacks {}", named(absent))),
            PredictedOutcome::RejectedIfReached { missing, unfit } => {
                let missing = (!missing.is_empty()).then(|| format!("no match for {}", named(missing)));
                let unfit = (!unfit.is_empty())
                    .then(|| format!("libbpf cannot adapt the instruction to the size of {}", named(unfit)));
                Some(missing.into_iter().chain(unfit).collect::<Vec<_>>().join("; "))
            }
            PredictedOutcome::MissingTarget { target, why } => {
                Some(format!("`{target}` {}", why.as_deref().unwrap_or("is not in the kernel itself")))
            }
            PredictedOutcome::MissingFeature { features } => {
                let shown = features.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
                Some(format!("the kernel lacks {shown}{}", and_more(features.len())))
            }
            PredictedOutcome::Refused { reason }
            | PredictedOutcome::OtherPrototype { reason }
            | PredictedOutcome::MissingKfunc { reason }
            | PredictedOutcome::Unknown { reason } => Some(reason.clone()),
        }
    }
}

fn named(names: &[String]) -> String {
    let first: Vec<String> = names.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
    format!("{}{}", first.join(", "), and_more(names.len()))
}

fn and_more(names: usize) -> String {
    match names.saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

impl RunRecord {
    /// What BTF predicts for a program on a kernel that was not booted. All as indexes.
    pub fn predicted(&self, object: usize, kernel: usize, program: usize) -> Option<&PredictedOutcome> {
        self.cell(object, kernel).prediction.as_ref()?.programs.get(program)
    }

    /// What a program is predicted to fail with on a kernel that was not booted, unless a suite excuses it: it is optional, or types
    /// have nothing against another member of a declared group.
    pub fn predicted_failure(&self, object: usize, kernel: usize, program: usize) -> Option<&PredictedOutcome> {
        let outcome = self.predicted(object, kernel, program).filter(|outcome| outcome.is_failure())?;
        let own = (self.objects[object].name.as_str(), self.objects[object].programs.get(program)?.name.as_str());
        let is_it = |part: &Alternative| part.object == own.0 && part.name.as_deref().is_none_or(|name| name == own.1);
        let is_optional = self.optional.iter().any(|optional| is_it(&optional.what));
        let mut groups = self.alternatives.iter().filter(|group| group.declared && group.kind != AlternativeKind::Maps);
        let has_other = groups.any(|group| {
            group.members.iter().any(is_it)
                && group.members.iter().any(|member| !is_it(member) && self.is_predicted_to_serve(member, kernel))
        });
        (!is_optional && !has_other).then_some(outcome)
    }

    /// Whether types have nothing against a program, or against any of an object's.
    fn is_predicted_to_serve(&self, member: &Alternative, kernel: usize) -> bool {
        let Some(object) = self.objects.iter().position(|object| object.name == member.object) else { return false };
        let programs = self.objects[object].programs.iter().enumerate();
        let mut own =
            programs.filter(|(_, program)| member.name.as_ref().is_none_or(|name| *name == program.name)).peekable();
        own.peek().is_some()
            && own.all(|(p, _)| self.predicted(object, kernel, p).is_some_and(PredictedOutcome::resolves))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_a_few_and_counts_the_others() {
        let names = |count: usize| (0..count).map(|n| format!("struct a.f{n}")).collect();
        let outcome = PredictedOutcome::RejectedIfReached { missing: names(6), unfit: Vec::new() };
        let reason = "no match for `struct a.f0`, `struct a.f1`, `struct a.f2`, `struct a.f3` and 2 more";
        assert_eq!(outcome.reason().as_deref(), Some(reason));
        let outcome = PredictedOutcome::RejectedIfReached { missing: Vec::new(), unfit: names(1) };
        let reason = "libbpf cannot adapt the instruction to the size of `struct a.f0`";
        assert_eq!(outcome.reason().as_deref(), Some(reason));
        let outcome = PredictedOutcome::AbsentAndGuarded { absent: names(1) };
        assert_eq!(outcome.reason().as_deref(), Some("the kernel lacks `struct a.f0`"));
        assert!(outcome.resolves() && !outcome.is_failure());
    }
}
