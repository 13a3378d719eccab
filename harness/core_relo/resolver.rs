//! [`Resolver`]: what libbpf would do with each relocation of an object on one kernel.

use std::collections::HashMap;
use std::sync::Arc;

use super::insn::{Applied, apply};
use super::matching;
use super::object_side::{ObjectRelocation, ObjectSide};
use super::raw_type::Kind;
use super::spec::Spec;
use super::table::{TypeTable, essential_of};
use super::value::{Patch, patch};
use crate::object::btf_ext::RelocationKind;
use crate::record::{Candidate, RelocationOutcome};

/// The types of a kernel and of its modules, in the order of their ids in that kernel.
#[derive(Debug, Clone)]
pub struct Target {
    /// The kernel's own.
    pub kernel: Arc<TypeTable>,
    /// Name and types of each module that has BTF. Only asked where the kernel has no candidate.
    pub modules: Vec<(String, Arc<TypeTable>)>,
}

/// What becomes of one relocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// What the relocation asks for, in libbpf's words.
    pub local: String,
    /// The types of the kernel that were looked at, in order.
    pub candidates: Vec<Candidate>,
    /// Its outcome.
    pub outcome: RelocationOutcome,
}

/// Resolves the relocations of one object on one kernel, one after the other: what one relocation rules out, later ones of the same
/// type do not look at again, as with libbpf.
#[derive(Debug)]
pub struct Resolver<'a> {
    object: &'a ObjectSide,
    target: &'a Target,
    candidates: HashMap<u32, Vec<Found>>,
}

/// A type of the kernel: which table it is in, and its id.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// `None` for the kernel itself.
    module: Option<usize>,
    id: u32,
}

impl<'a> Resolver<'a> {
    /// Nothing is looked up yet.
    pub fn new(object: &'a ObjectSide, target: &'a Target) -> Resolver<'a> {
        Resolver { object, target, candidates: HashMap::new() }
    }

    /// One [`Resolution`] for each relocation of the object, in order.
    pub fn all(object: &ObjectSide, target: &Target) -> Vec<Resolution> {
        let mut resolver = Resolver::new(object, target);
        object.relocations.iter().map(|relocation| resolver.resolve(relocation)).collect()
    }

    /// Resolves one relocation of the object.
    pub fn resolve(&mut self, relocation: &ObjectRelocation) -> Resolution {
        let mut resolution =
            Resolution { local: String::new(), candidates: Vec::new(), outcome: RelocationOutcome::Skipped };
        let Some(insn) = relocation.insn else { return resolution };
        resolution.outcome = match self.outcome(relocation, insn, &mut resolution) {
            Ok(outcome) => outcome,
            Err(reason) if reason.contains("ambiguity: ") => RelocationOutcome::Ambiguous { reason },
            Err(reason) => RelocationOutcome::Failed { reason },
        };
        resolution
    }

    fn outcome(
        &mut self,
        relocation: &ObjectRelocation,
        insn: u32,
        resolution: &mut Resolution,
    ) -> Result<RelocationOutcome, String> {
        let types = &self.object.types;
        let record = &relocation.record;
        let (kind, root) = (record.kind, record.type_id);
        let name = types.name(root);
        let label = || Spec::empty(types, RelocationKind::TypeExists, root).text();
        if kind != RelocationKind::LocalTypeId && name.is_empty() {
            return Err(format!("target candidate search failed for [{root}] {}: -22", label()));
        }
        let local = Spec::parse(types, kind, root, &record.access)
            .map_err(|code| format!("parsing [{root}] {} + {} failed: {}", label(), record.access, code.number()))?;
        resolution.local = local.text();
        if kind == RelocationKind::LocalTypeId {
            let value = u64::from(root);
            let same = Patch { old: value, new: value, validate: false, ..Patch::default() };
            return Ok(applied(apply(relocation.bytes(), insn, &same)?, true));
        }
        let found = self.search(root, name);
        let (kept, patch) = self.choose(&local, &found, resolution).inspect_err(|_| {
            // libbpf gives up here. What follows is what it says when it resolves the others alone.
            self.candidates.remove(&root);
        })?;
        let is_found = !kept.is_empty();
        if is_found {
            self.candidates.insert(root, kept);
        }
        Ok(applied(apply(relocation.bytes(), insn, &patch)?, is_found))
    }

    /// Compares each candidate with what the relocation asks for. Returns those that match, and what they agree on.
    fn choose(
        &self,
        local: &Spec<'a>,
        found: &[Found],
        resolution: &mut Resolution,
    ) -> Result<(Vec<Found>, Patch), String> {
        let failed = |code: super::Code| format!("failed to relocate: {code}");
        let mut kept = Vec::new();
        let mut chosen: Option<(u32, Patch)> = None;
        for (number, candidate) in found.iter().enumerate() {
            let (module, table) = self.table(candidate.module);
            let matched = matching::candidate(local, Spec::empty(table, local.kind, candidate.id));
            let spec = matched.way.text();
            let matching = matched.result.map_err(|code| {
                let head = format!("<{}> [{}]", local.kind, candidate.id);
                format!("error matching candidate #{number} {head} {spec}: {}", code.number())
            })?;
            resolution.candidates.push(Candidate { spec, module: module.to_owned(), matching });
            if !matching {
                continue;
            }
            let new = patch(local, Some(&matched.way)).map_err(failed)?;
            match &chosen {
                None => chosen = Some((matched.way.bit_offset, new)),
                Some((bits, _)) if *bits != matched.way.bit_offset => {
                    return Err(format!("field offset ambiguity: {} != {bits}", matched.way.bit_offset));
                }
                Some((_, first)) if (first.poison, first.new) != (new.poison, new.new) => {
                    let word = |patch: &Patch| if patch.poison { "failure" } else { "success" };
                    return Err(format!(
                        "relocation decision ambiguity: {} {} != {} {}",
                        word(&new),
                        new.new,
                        word(first),
                        first.new
                    ));
                }
                Some(_) => {}
            }
            kept.push(*candidate);
        }
        match chosen {
            Some((_, patch)) => Ok((kept, patch)),
            None => Ok((kept, patch(local, None).map_err(failed)?)),
        }
    }

    fn table(&self, module: Option<usize>) -> (&'a str, &'a TypeTable) {
        let target = self.target;
        match module.and_then(|module| target.modules.get(module)) {
            Some((name, table)) => (name, table),
            None => ("vmlinux", &target.kernel),
        }
    }

    /// Types of the same name and kind: the kernel's, or else those of all modules.
    fn search(&mut self, root: u32, name: &[u8]) -> Vec<Found> {
        if let Some(known) = self.candidates.get(&root) {
            return known.clone();
        }
        let (target, wanted) = (self.target, self.object.types.get(root).map(|found| found.kind));
        let of = |module: Option<usize>, table: &TypeTable| -> Vec<Found> {
            let same = |kind: Kind| wanted.is_some_and(|wanted| kind.goes_with(wanted));
            let named = table.named(essential_of(name)).filter(|(_, found)| same(found.kind));
            named.map(|(id, _)| Found { module, id }).collect()
        };
        let mut found = of(None, &target.kernel);
        if found.is_empty() {
            let modules = target.modules.iter().enumerate();
            found = modules.flat_map(|(module, (_, table))| of(Some(module), table)).collect();
        }
        self.candidates.insert(root, found.clone());
        found
    }
}

fn applied(applied: Applied, is_found: bool) -> RelocationOutcome {
    match applied {
        Applied::Poisoned => RelocationOutcome::Poisoned,
        Applied::Value(old, new) if is_found => RelocationOutcome::Resolved { old, new },
        Applied::Value(old, new) => RelocationOutcome::NoMatch { old, new },
    }
}
