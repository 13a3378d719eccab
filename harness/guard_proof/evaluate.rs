//! [`GuardObject`]: which arm of a guard a kernel picks, by its types or by what libbpf did there.

use std::sync::Arc;

use super::{TypedKernel, meant};
use crate::core_relo::{ObjectSide, Resolver, Target, TypeTable};
use crate::object::btf_ext::RelocationKind;
use crate::record::{Arm, History, RelocationOutcome, Snippet, WrongGuard};

/// What separates the name of a type from its flavour.
const FLAVOUR: &str = "___";

/// The compiled guard of a history.
#[derive(Debug)]
pub struct GuardObject<'a> {
    history: &'a History,
    /// The arms that the guard asks for, in its order.
    order: Vec<&'a Arm>,
    side: ObjectSide,
}

/// What the guard does on one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked<'a> {
    /// The arm whose condition is the first that is true; `None` if none is.
    pub arm: Option<&'a Arm>,
    /// What that arm reads and the kernel does not have, as libbpf words it.
    pub unread: Vec<String>,
}

impl<'a> GuardObject<'a> {
    /// # Errors
    /// The object cannot be read, or does not ask for every arm; as a fragment.
    pub fn read(bytes: &[u8], snippet: &Snippet, history: &'a History) -> Result<GuardObject<'a>, String> {
        let side = ObjectSide::read(bytes).map_err(|error| error.to_string())?;
        let place = |arm: &&Arm| Some(snippet.code.find(&format!("if ({})", arm.condition.as_ref()?)));
        let mut order: Vec<(usize, &Arm)> = Vec::new();
        for arm in history.arms.iter().filter(|arm| arm.condition.is_some()) {
            let missing = || format!("the guard does not check `{}`", arm.path.as_deref().unwrap_or_default());
            order.push((place(&arm).flatten().ok_or_else(missing)?, arm));
        }
        order.sort_by_key(|(place, _)| *place);
        let order: Vec<&Arm> = order.into_iter().map(|(_, arm)| arm).collect();
        let guard = GuardObject { history, order, side };
        match guard.order.iter().find(|arm| guard.relocations_of(arm).all(|(_, kind)| !is_condition(kind))) {
            Some(arm) => {
                Err(format!("the compiled guard has no condition for `{}`", arm.path.as_deref().unwrap_or_default()))
            }
            None => Ok(guard),
        }
    }

    /// The relocations of an arm: those of its flavour.
    fn relocations_of(&self, arm: &'a Arm) -> impl Iterator<Item = (usize, RelocationKind)> {
        let flavour = arm.flavour.as_deref().unwrap_or_default();
        self.side.relocations.iter().enumerate().filter_map(move |(number, relocation)| {
            let name = String::from_utf8_lossy(self.side.types.name(relocation.record.type_id));
            let (_, own) = name.rsplit_once(FLAVOUR)?;
            (own == flavour).then_some((number, relocation.record.kind))
        })
    }

    /// What the guard does where its relocations come to this. `outcome` takes the number of a relocation.
    pub fn picked<'b>(&self, outcome: impl Fn(usize) -> Option<&'b RelocationOutcome>) -> Picked<'a> {
        let is_true =
            |number: usize| matches!(outcome(number), Some(RelocationOutcome::Resolved { new, .. }) if *new != 0);
        let holds = |arm: &&&'a Arm| {
            let mut conditions = self.relocations_of(arm).filter(|(_, kind)| is_condition(*kind));
            conditions.all(|(number, _)| is_true(number))
        };
        let arm = self.order.iter().find(holds).copied();
        let reads = arm.into_iter().flat_map(|arm| self.relocations_of(arm)).filter(|(_, kind)| !is_condition(*kind));
        let unread = reads.filter(|(number, _)| !matches!(outcome(*number), Some(RelocationOutcome::Resolved { .. })));
        let mut unread: Vec<String> = unread.map(|(number, kind)| self.words(number, kind)).collect();
        unread.dedup();
        Picked { arm, unread }
    }

    fn words(&self, number: usize, kind: RelocationKind) -> String {
        let relocation = &self.side.relocations[number].record;
        let name = String::from_utf8_lossy(self.side.types.name(relocation.type_id));
        format!("{kind} of `{name}` ({})", relocation.access)
    }

    /// Where the guard does not do what the history says; `kernels` by age, as the history has them.
    pub fn wrong(&self, kernels: &[TypedKernel]) -> Vec<WrongGuard> {
        let names: Vec<&str> = kernels.iter().map(|kernel| kernel.name.as_str()).collect();
        let meant = meant(self.history, &names);
        let wrong = kernels.iter().zip(meant).filter_map(|(kernel, meant)| {
            // A kernel that is in no arm, not even that of nothing, was not asked.
            let (meant, types) = (meant?, kernel.types.open()?);
            let split = |(name, raw): &(String, Vec<u8>)| {
                let table = TypeTable::of_module(raw.clone(), Arc::clone(&types)).ok()?;
                Some((name.clone(), Arc::new(table)))
            };
            let modules = kernel.modules.iter().filter_map(split).collect();
            let target = Target { kernel: types, modules };
            let outcomes = Resolver::all(&self.side, &target);
            let picked = self.picked(|number| outcomes.get(number).map(|one| &one.outcome));
            Some(WrongGuard { kernel: kernel.name.clone(), reason: difference(Some(meant), &picked)? })
        });
        wrong.collect()
    }
}

/// What is wrong where one arm is meant and the guard does this; `None` if nothing is.
pub fn difference(meant: Option<&Arm>, picked: &Picked<'_>) -> Option<String> {
    let path = |arm: Option<&Arm>| arm.and_then(|arm| arm.path.clone());
    // What the guard does not ask for it need not find.
    let wanted = path(meant.filter(|arm| arm.condition.is_some()));
    let words = |path: Option<String>| path.map_or_else(|| "nothing".to_owned(), |path| format!("`{path}`"));
    let taken = path(picked.arm);
    if taken != wanted {
        return Some(format!("it selects {}, not {}", words(taken), words(wanted)));
    }
    (!picked.unread.is_empty()).then(|| format!("it reads a missing field: {}", picked.unread.join(", ")))
}

fn is_condition(kind: RelocationKind) -> bool {
    matches!(kind, RelocationKind::FieldExists | RelocationKind::TypeExists | RelocationKind::EnumValueExists)
}
