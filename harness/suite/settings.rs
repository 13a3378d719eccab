//! [`Settings`]: what suite files say of the objects of a run, checked against them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::expectation::misplaced;
use super::part::Objects;
use super::{Mistake, Shape, Suite, SuiteError, line_of};
use crate::gate::Expectations;
use crate::loader::AssignedLoaders;
use crate::manifest::ModuleChoice;
use crate::object::BpfObject;
use crate::protocol::ProgramSetup;
use crate::record::{AlternativesRecord, LoadingRecord, MachineSettings, OptionalRecord};

/// What the suite files of a run say of its objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// More settings to try an object with: the object's name and the shape.
    pub shapes: Vec<(String, Shape)>,
    /// What is done with programs beyond loading them: the object's name and the setup.
    pub programs: Vec<(String, ProgramSetup)>,
    /// What objects' own loaders do to them: the object's name and what is done.
    pub loading: Vec<(String, LoadingRecord)>,
    /// The raw BTF that objects' own loaders relocate them with: the object's name and the BTF.
    pub types: Vec<(String, Arc<[u8]>)>,
    /// What loads objects instead of libbpf: the object's name and the loaders.
    pub loaders: Vec<(String, AssignedLoaders)>,
    /// The loaders that suites name for objects.
    pub named_loaders: Vec<(String, String)>,
    /// The machines of objects, as suites say: the object's name and the settings.
    pub machines: Vec<(String, MachineSettings)>,
    /// The machine of all objects, as the run's options say.
    pub run_machine: MachineSettings,
    /// Groups of which one member is enough.
    pub alternatives: Vec<AlternativesRecord>,
    /// What may fail.
    pub optional: Vec<OptionalRecord>,
    /// Percent of the guard sides that have to be verified; of several suites the most.
    pub minimum_coverage: Option<f64>,
    /// Whether the least privileges are wanted with which objects load.
    pub least_privileges: bool,
    /// The modules that guests load; of several suites all that any names.
    pub modules: Option<ModuleChoice>,
    /// What can be said once, and the suite that says it: ``[[map]]` of `tool/events``.
    pub claims: Vec<(String, PathBuf)>,
}

/// What two suites of a run say, and only one of them can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("suites `{}` and `{}` both have a {what}", .first.display(), .second.display())]
pub struct SaidTwice {
    /// Such as ``[[map]]` of `tool/events``.
    pub what: String,
    /// The earlier suite.
    pub first: PathBuf,
    /// The later one.
    pub second: PathBuf,
}

impl Settings {
    /// The names of the objects as a run has them, each followed by its shapes and the rows of other loaders.
    pub fn rows(&self, objects: &[BpfObject]) -> Vec<String> {
        let mut rows = Vec::new();
        for object in objects {
            let assigned = self.loaders.iter().find(|(of, _)| *of == object.name).map(|(_, assigned)| assigned);
            let shapes = self.shapes.iter().filter(|(of, _)| *of == object.name);
            for row in std::iter::once(object.name.clone()).chain(shapes.map(|(of, shape)| shape.row(of))) {
                let others = assigned.map(|assigned| assigned.other_rows(&row)).unwrap_or_default();
                rows.push(row);
                rows.extend(others);
            }
        }
        rows
    }

    /// What the machine of an object is like: as the run sets it, else as a suite does.
    pub fn machine_of(&self, object: &str) -> MachineSettings {
        let known = self.machines.iter().find(|(of, _)| of == object).map(|(_, machine)| machine);
        known.map_or_else(|| self.run_machine.clone(), |known| self.run_machine.over(known))
    }

    /// What the loader of an object does to it, to be filled in.
    fn loading_of(&mut self, object: &str) -> &mut LoadingRecord {
        let known = self.loading.iter().position(|(of, _)| of == object);
        let at = known.unwrap_or_else(|| {
            self.loading.push((object.to_owned(), LoadingRecord::default()));
            self.loading.len() - 1
        });
        &mut self.loading[at].1
    }

    /// Takes in what another suite of the run says.
    ///
    /// # Errors
    ///
    /// What both say, which can be said once.
    pub fn merge(&mut self, other: Settings) -> Result<(), SaidTwice> {
        for (what, second) in &other.claims {
            if let Some((what, first)) = self.claims.iter().find(|(known, _)| known == what) {
                return Err(SaidTwice { what: what.clone(), first: first.clone(), second: second.clone() });
            }
        }
        self.claims.extend(other.claims);
        self.shapes.extend(other.shapes);
        self.programs.extend(other.programs);
        self.loading.extend(other.loading);
        self.types.extend(other.types);
        self.loaders.extend(other.loaders);
        self.named_loaders.extend(other.named_loaders);
        self.machines.extend(other.machines);
        self.alternatives.extend(other.alternatives);
        self.optional.extend(other.optional);
        self.least_privileges |= other.least_privileges;
        self.modules = match (self.modules.take(), other.modules) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        self.minimum_coverage = match (self.minimum_coverage, other.minimum_coverage) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
        Ok(())
    }
}

impl Suite {
    /// Checks what the suite says against the objects of the run.
    ///
    /// # Errors
    ///
    /// Anything that names an object, program, map or variable that does not exist, or a value that does not fit; with its line.
    pub fn settings(&self, objects: &[BpfObject]) -> Result<Settings, SuiteError> {
        let written = &self.written;
        let mut settings = Settings::default();
        let mut completed = Cow::Borrowed(objects);
        for object in &written.object {
            let (index, loading) = object.get_ref().checked(Objects(objects)).map_err(self.at(object.span().start))?;
            let name = &objects[index].name;
            self.claim(&mut settings, format!("`[[object]]` of `{name}`"), object.span().start)?;
            if let Some((_, inventory, _)) = objects[index].completed(&loading) {
                completed.to_mut()[index].inventory = Ok(inventory);
            }
            *settings.loading_of(name) = loading;
            let folder = self.path.parent().unwrap_or(Path::new(""));
            let types = object.get_ref().types(folder).map_err(self.at(object.span().start))?;
            settings.types.extend(types.map(|types| (name.clone(), types.into())));
            let loader = object.get_ref().loader().map(|loader| self.loader_path(loader));
            settings.named_loaders.extend(loader.map(|loader| (name.clone(), loader)));
        }
        // What the object's own loader makes programs and maps of can be named.
        let all = Objects(&completed);
        for group in &written.alternatives {
            let written = group.get_ref();
            let mut names = settings.alternatives.iter().map(|known| known.name.as_str());
            if names.any(|name| name == written.name()) {
                let message = format!("there are two alternatives `{}`", written.name());
                return Err(self.wrong(group.span().start, Mistake::new(message)));
            }
            settings.alternatives.push(written.group(all).map_err(self.at(group.span().start))?);
        }
        for optional in &written.optional {
            settings.optional.push(optional.get_ref().found(all).map_err(self.at(optional.span().start))?);
        }
        for shape in &written.shape {
            let (object, built) = shape.get_ref().built(all, &self.profiles).map_err(self.at(shape.span().start))?;
            let object = &objects[object].name;
            if settings.shapes.iter().any(|(other, known)| other == object && known.name == built.name) {
                let message = format!("object `{object}` has two shapes `{}`", built.name);
                return Err(self.wrong(shape.span().start, Mistake::new(message)));
            }
            self.claim(&mut settings, format!("`[[shape]]` `{}` of `{object}`", built.name), shape.span().start)?;
            settings.shapes.push((object.clone(), built));
        }
        self.check_expectations(objects, &settings)?;
        for program in &written.program {
            let checked = program.get_ref().checked(all, &self.path).map_err(self.at(program.span().start))?;
            let object = &objects[checked.object].name;
            let name = &checked.program;
            self.claim(&mut settings, format!("`[[program]]` of `{object}/{name}`"), program.span().start)?;
            settings.programs.extend(checked.setup.map(|setup| (object.clone(), setup)));
            if let Some(loading) = checked.loading {
                settings.loading_of(object).programs.push(loading);
            }
        }
        for map in &written.map {
            let (object, loading) = map.get_ref().checked(all).map_err(self.at(map.span().start))?;
            let object = &objects[object].name;
            self.claim(&mut settings, format!("`[[map]]` of `{object}/{}`", loading.map), map.span().start)?;
            settings.loading_of(object).maps.push(loading);
        }
        settings.least_privileges = written.least_privileges;
        if let Some(percent) = &written.minimum_coverage {
            let value = *percent.get_ref();
            if !(0.0..=100.0).contains(&value) {
                let message = format!("`minimum-coverage` is a percentage, and {value} is none");
                return Err(self.wrong(percent.span().start, Mistake::new(message)));
            }
            settings.minimum_coverage = Some(value);
        }
        if let Some(modules) = &written.modules {
            let folder = self.path.parent().unwrap_or(Path::new(""));
            let words = modules.get_ref().iter().map(String::as_str);
            let choice = ModuleChoice::of(words, folder)
                .map_err(|reason| self.wrong(modules.span().start, Mistake::new(format!("`modules`: {reason}"))))?;
            settings.modules = Some(choice);
        }
        Ok(settings)
    }

    /// Keeps that this suite says something that can be said once; `at` is the place of its table.
    fn claim(&self, settings: &mut Settings, what: String, at: usize) -> Result<(), SuiteError> {
        if settings.claims.iter().any(|(known, _)| *known == what) {
            return Err(self.wrong(at, Mistake::new(format!("there are two {what}"))));
        }
        settings.claims.push((what, self.path.clone()));
        Ok(())
    }

    /// Checks what the gate is going to read from the file.
    fn check_expectations(&self, objects: &[BpfObject], settings: &Settings) -> Result<(), SuiteError> {
        let (all, rows) = (Objects(objects), settings.rows(objects));
        let object = |row: &str| {
            let own = objects.iter().position(|object| object.name == row);
            own.or_else(|| {
                let (of, _) = settings.shapes.iter().find(|(of, shape)| shape.row(of) == row)?;
                objects.iter().position(|object| object.name == *of)
            })
        };
        let rows: Vec<(String, usize)> =
            rows.into_iter().filter_map(|row| object(&row).map(|object| (row, object))).collect();
        let Expectations { failures, warnings } = self.expectations()?;
        for (written, known) in self.written.expect.iter().zip(&failures) {
            let places = written.get_ref().places();
            all.check_scope(&known.scope, &rows, places).map_err(self.at(written.span().start))?;
        }
        for (written, known) in self.written.allow_warning.iter().zip(&warnings) {
            let places = written.get_ref().places();
            all.check_scope(&known.scope, &rows, places).map_err(self.at(written.span().start))?;
        }
        Ok(())
    }

    /// The failures that it expects, and the kernel warnings that it allows.
    ///
    /// # Errors
    ///
    /// A table of these is wrong; with its line.
    pub fn expectations(&self) -> Result<Expectations, SuiteError> {
        let origin = |start: usize| format!("{}:{}", self.path.display(), line_of(&self.text, start));
        let mut all = Expectations::default();
        for written in &self.written.expect {
            let start = written.span().start;
            let known = written.get_ref().check(origin(start)).map_err(misplaced);
            all.failures.push(known.map_err(self.at(start))?);
        }
        for written in &self.written.allow_warning {
            let start = written.span().start;
            let known = written.get_ref().check(origin(start)).map_err(misplaced);
            all.warnings.push(known.map_err(self.at(start))?);
        }
        Ok(all)
    }

    /// Places a mistake; `table` is where its table begins, for one that has no closer place.
    fn at(&self, table: usize) -> impl Fn((Option<usize>, Mistake)) -> SuiteError {
        move |(place, mistake)| self.wrong(place.unwrap_or(table), mistake)
    }
}
