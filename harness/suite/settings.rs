//! [`Settings`]: what suite files say of the objects of a run, checked against them.

use super::expectation::misplaced;
use super::part::Objects;
use super::{Mistake, Shape, Suite, SuiteError, line_of};
use crate::object::BpfObject;
use crate::protocol::ProgramSetup;
use crate::record::{AlternativesRecord, LoadingRecord, OptionalRecord};

/// What the suite files of a run say of its objects.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// More settings to try an object with: the object's name and the shape.
    pub shapes: Vec<(String, Shape)>,
    /// What is done with programs beyond loading them: the object's name and the setup.
    pub programs: Vec<(String, ProgramSetup)>,
    /// What objects' own loaders do to them: the object's name and what is done.
    pub loading: Vec<(String, LoadingRecord)>,
    /// Groups of which one member is enough.
    pub alternatives: Vec<AlternativesRecord>,
    /// What may fail.
    pub optional: Vec<OptionalRecord>,
    /// Percent of the guard sides that have to be verified; of several suites the most.
    pub minimum_coverage: Option<f64>,
}

impl Settings {
    /// The names of the objects as a run has them, each followed by its shapes.
    pub fn rows(&self, objects: &[BpfObject]) -> Vec<String> {
        let mut rows = Vec::new();
        for object in objects {
            rows.push(object.name.clone());
            let shapes = self.shapes.iter().filter(|(of, _)| *of == object.name);
            rows.extend(shapes.map(|(of, shape)| shape.row(of)));
        }
        rows
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
    /// The name of a shape that both give to one object.
    pub fn merge(&mut self, other: Settings) -> Result<(), String> {
        let known = |(object, shape): &&(String, Shape)| {
            self.shapes.iter().any(|(of, known)| of == object && known.name == shape.name)
        };
        if let Some((_, shape)) = other.shapes.iter().find(known) {
            return Err(shape.name.clone());
        }
        self.shapes.extend(other.shapes);
        self.programs.extend(other.programs);
        self.loading.extend(other.loading);
        self.alternatives.extend(other.alternatives);
        self.optional.extend(other.optional);
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
    /// Whatever names an object, program, map or variable that does not exist, or a value that does not fit; with its line.
    pub fn settings(&self, objects: &[BpfObject]) -> Result<Settings, SuiteError> {
        let (all, written) = (Objects(objects), &self.written);
        let mut settings = Settings::default();
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
            let (object, built) = shape.get_ref().built(all).map_err(self.at(shape.span().start))?;
            let object = &objects[object].name;
            if settings.shapes.iter().any(|(other, known)| other == object && known.name == built.name) {
                let message = format!("object `{object}` has two shapes `{}`", built.name);
                return Err(self.wrong(shape.span().start, Mistake::new(message)));
            }
            settings.shapes.push((object.clone(), built));
        }
        self.check_expectations(objects, &settings)?;
        let mut programs: Vec<(usize, String)> = Vec::new();
        for program in &written.program {
            let checked = program.get_ref().checked(all, &self.path).map_err(self.at(program.span().start))?;
            let object = &objects[checked.object].name;
            let name = &checked.program;
            if programs.contains(&(checked.object, name.clone())) {
                let message = format!("there are two `[[program]]` of `{object}/{name}`");
                return Err(self.wrong(program.span().start, Mistake::new(message)));
            }
            programs.push((checked.object, name.clone()));
            settings.programs.extend(checked.setup.map(|setup| (object.clone(), setup)));
            if let Some(loading) = checked.loading {
                settings.loading_of(object).programs.push(loading);
            }
        }
        let mut of_objects = Vec::new();
        for object in &written.object {
            let (index, loading) = object.get_ref().checked(all).map_err(self.at(object.span().start))?;
            let name = &objects[index].name;
            if of_objects.contains(&index) {
                let message = format!("there are two `[[object]]` of `{name}`");
                return Err(self.wrong(object.span().start, Mistake::new(message)));
            }
            of_objects.push(index);
            let known = settings.loading_of(name);
            let (programs, maps) = (std::mem::take(&mut known.programs), std::mem::take(&mut known.maps));
            *known = LoadingRecord { programs, maps, ..loading };
        }
        for map in &written.map {
            let (object, loading) = map.get_ref().checked(all).map_err(self.at(map.span().start))?;
            let object = &objects[object].name;
            let known = settings.loading_of(object);
            if known.maps.iter().any(|known| known.map == loading.map) {
                let message = format!("there are two `[[map]]` of `{object}/{}`", loading.map);
                return Err(self.wrong(map.span().start, Mistake::new(message)));
            }
            known.maps.push(loading);
        }
        if let Some(percent) = &written.minimum_coverage {
            let value = *percent.get_ref();
            if !(0.0..=100.0).contains(&value) {
                let message = format!("`minimum-coverage` is a percentage, and {value} is none");
                return Err(self.wrong(percent.span().start, Mistake::new(message)));
            }
            settings.minimum_coverage = Some(value);
        }
        Ok(settings)
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
        let origin = |start: usize| format!("{}:{}", self.path.display(), line_of(&self.text, start));
        for written in &self.written.expect {
            let (start, entry) = (written.span().start, written.get_ref());
            let known = entry.check(origin(start)).map_err(misplaced).map_err(self.at(start))?;
            all.check_scope(&known.scope, &rows, entry.places()).map_err(self.at(start))?;
        }
        for written in &self.written.allow_warning {
            let (start, entry) = (written.span().start, written.get_ref());
            let known = entry.check(origin(start)).map_err(misplaced).map_err(self.at(start))?;
            all.check_scope(&known.scope, &rows, entry.places()).map_err(self.at(start))?;
        }
        Ok(())
    }

    /// Places a mistake; `table` is where its table begins, for one that has no closer place.
    fn at(&self, table: usize) -> impl Fn((Option<usize>, Mistake)) -> SuiteError {
        move |(place, mistake)| self.wrong(place.unwrap_or(table), mistake)
    }
}
