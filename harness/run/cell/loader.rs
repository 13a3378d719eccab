//! What another loader than libbpf did in a guest.

use std::sync::Arc;

use super::super::evidence::{AskedRelocation, CellEvidence};
use super::super::judgement;
use super::super::session::Session;
use super::Cell;
use crate::judge;
use crate::judge::KernelView as _;
use crate::loader::{Lacks, Loader, Observed};
use crate::object::btf::Btf;
use crate::object::{MapInfo, ProgramInfo};
use crate::plan::{Plan, PlannedObject};
use crate::protocol::{LeftOutMap, ProgramOutcome};
use crate::record::{Cause, CreatedMap, LoaderEvidence, ObjectProgram, ProgramRecord, Verdict};
use crate::vm::GuestFile;

/// Where loaders are in a guest, each by its checksum.
const LOADERS: &str = "/corematrix/loaders";
/// What a kernel keeps of a name.
const NAME: usize = 15;
/// More maps than any object has.
const MOST_MAPS: usize = 4096;

/// What is known about a loader while the cell runs.
#[derive(Debug, Default)]
pub(super) struct LoaderState {
    pub evidence: Option<LoaderEvidence>,
    /// The types of the programs that are linked now.
    types: Option<Btf>,
}

/// The evidence of a cell before anything is known.
pub(super) fn evidence(planned: &PlannedObject) -> CellEvidence {
    match planned.by_executable() {
        true => CellEvidence::of_loader(AskedRelocation::all(&planned.loaded)),
        false => CellEvidence::default(),
    }
}

/// The object's loader in the guest; `None` for libbpf.
pub(super) fn path(planned: &PlannedObject) -> Option<String> {
    planned.loader.as_ref()?.executable.as_ref().map(place)
}

/// The loaders of a plan's objects. They are part of every guest of the run: sending one to each cell would take a tenth of its time.
pub fn files(plan: &Plan) -> Vec<GuestFile> {
    let loaders = plan.objects.iter().filter_map(|planned| planned.loader.as_ref()?.executable.as_ref());
    let mut files: Vec<GuestFile> = loaders
        .map(|loader| GuestFile {
            path: place(loader),
            sha256: loader.sha256.clone(),
            content: Arc::clone(&loader.bytes),
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    files
}

fn place(loader: &Loader) -> String {
    format!("{LOADERS}/{}", loader.sha256)
}

impl Cell<'_> {
    /// Closes what the library is known to refuse, where its loader is not there to do so.
    pub(super) fn close_refused(&mut self, session: &Session<'_>) {
        let Some(loader) = &self.planned.loader else { return };
        let view = session.view();
        let is_before = |first: (u32, u32)| view.release().is_some_and(|release| release < first);
        let lacks = |what: &Lacks| match what {
            Lacks::Release(first) => is_before(*first),
            // Distributions take types of maps into older releases.
            Lacks::MapType { name, first } => {
                let has = view.has_enumerator("bpf_map_type", &format!("BPF_MAP_TYPE_{}", name.to_uppercase()));
                has.map_or_else(|| is_before(*first), |has| !has)
            }
        };
        for program in self.open.clone() {
            let planned = &self.planned.programs[program];
            if let Some(words) = loader.profile.refuses(&planned.name, &lacks) {
                let diagnosis = judge::not_opened(&[format!("by profile: {words}")]);
                self.done(session, program, judgement::of_diagnosis(planned, diagnosis));
            }
        }
    }

    /// Why a program is refused by profile that libbpf loads without a map: the library creates every map that it refers to, or every map.
    pub(super) fn map_by_profile(&self, program: Option<&ProgramInfo>) -> Option<String> {
        let loader = self.planned.loader.as_ref().filter(|loader| loader.executable.is_none())?;
        let left_out = &self.whole.as_ref()?.left_out;
        let refers = |map: &&String| program.is_some_and(|program| program.maps.contains(map));
        let map = left_out.iter().find(|map| loader.profile.needs_all_maps || refers(map))?;
        Some(format!("by profile: map `{map}` cannot be created, and {} loads nothing without it", loader.name))
    }

    /// What the library would have done otherwise than libbpf did instead.
    pub(super) fn otherwise_by_profile(&self, session: &Session<'_>, record: &mut ProgramRecord) {
        let Some(loader) = self.planned.loader.as_ref().filter(|loader| loader.executable.is_none()) else { return };
        if matches!(record.verdict, Verdict::HarnessError | Verdict::NotRun) {
            return;
        }
        if record.cause == Some(Cause::IncompleteMapDefinition) {
            // What the library completes, the profile has completed.
            let words = record.reason.take().unwrap_or_default();
            record.verdict = Verdict::MapCreationFailed;
            record.cause = Some(Cause::InvalidMapDefinition);
            record.reason = Some(format!("by profile: {} leaves it unresolved: {words}", loader.name));
        }
        let known = |asked| Some((asked, self.evidence.logged(asked)?));
        let name = &record.name;
        let observed = Observed {
            relocations: self.planned.relocations().iter().filter_map(known).collect(),
            section: &record.section,
            loaded: record.verdict == Verdict::Loaded,
            reaches: &|asked| {
                let mut places = self.evidence.places_in(name, asked);
                // What is too large to be looked at is taken to run all of its code.
                places.any(|insn| self.coverage.is_visited(name, insn).unwrap_or(true))
            },
        };
        let Some(refusal) = observed.refusal(&loader.name) else { return };
        let words = format!("by profile: {}", refusal.words);
        let diagnosis = match &refusal.missing_type {
            // A module of the kernel has no part in BTF of the loader's own.
            Some(missing) if self.planned.own_types().is_none() => judge::missing_type(&session.view(), words, missing),
            _ => judge::not_opened(&[words]),
        };
        // What libbpf did is not what the library does.
        let program = ObjectProgram { name: record.name.clone(), section: record.section.clone() };
        *record = ProgramRecord { load_ms: record.load_ms, ..judgement::of_diagnosis(&program, diagnosis) };
    }

    pub(super) fn loader_started(&mut self, library: String, version: String) {
        let known = self.loader.evidence.get_or_insert_default();
        (known.library, known.version) = (library, version);
    }

    /// Takes where a program has its functions. `types` is empty if they are those of the message before.
    pub(super) fn functions(&mut self, program: &str, functions: &[(u32, u32)], types: &[u8]) {
        if !types.is_empty() {
            self.loader.types = Btf::parse(types).ok();
        }
        if let Some(types) = &self.loader.types {
            self.evidence.functions(program, functions, types);
        }
    }

    /// Takes the maps that were created; those of the loader's own tests are none of the object's.
    pub(super) fn maps_created(&mut self, maps: Vec<CreatedMap>) {
        let planned = self.planned;
        let Some(known) = &mut self.loader.evidence else { return };
        for mut map in maps {
            let Some(declared) = declared(planned, &map.map) else { continue };
            // What it is given it does not define.
            if planned.reuses(&declared.name) {
                continue;
            }
            map.map.clone_from(&declared.name);
            map.note_changes(&declared.definition());
            match known.maps.iter().position(|known| known.map == map.map) {
                // What was refused may be made by a second try.
                Some(at) if known.maps[at].errno.is_some() => known.maps[at] = map,
                Some(_) => {}
                None if known.maps.len() < MOST_MAPS => known.maps.push(map),
                None => {}
            }
        }
    }

    /// The outcome with the object's own names of maps, and without the maps of the loader's own tests.
    pub(super) fn with_own_maps(&self, outcome: ProgramOutcome) -> ProgramOutcome {
        if !self.planned.by_executable() {
            return outcome;
        }
        let own = |left: LeftOutMap| {
            let map = declared(self.planned, &left.map)?.name.clone();
            Some(LeftOutMap { map, ..left })
        };
        ProgramOutcome { left_out: outcome.left_out.into_iter().filter_map(own).collect(), ..outcome }
    }
}

/// The object's map of which a kernel keeps this name.
fn declared<'a>(planned: &'a PlannedObject, kept: &str) -> Option<&'a MapInfo> {
    let maps = &planned.object.inventory.as_ref().ok()?.maps;
    maps.iter().find(|map| map.name == kept || kept.len() == NAME && map.name.starts_with(kept))
}
