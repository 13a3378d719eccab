//! [`SourceLocation`]: where in the C source a program failed, as far as the record shows.

use crate::record::{Cause, Source};
use crate::record::{CoreRelocation, SourcePlace};
use crate::record::{ObjectRecord, ProgramRecord, RunRecord};

/// A place in C source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLocation {
    /// Path of the file as the compiler saw it; the bare name where nothing better is known.
    pub file: String,
    /// Counts from 1.
    pub line: u32,
    /// Counts from 1; `None` if unknown.
    pub column: Option<u32>,
    /// The line's text.
    pub text: String,
}

impl SourceLocation {
    /// Where a relocation stands.
    pub fn of_relocation(source: &SourcePlace) -> SourceLocation {
        SourceLocation {
            file: source.file.clone(),
            line: source.line,
            column: (source.column > 0).then_some(source.column),
            text: source.text.trim().to_owned(),
        }
    }
}

/// Where `program` failed on kernel `k`; `None` if nothing in the record shows it.
pub fn place(record: &RunRecord, o: usize, k: usize, program: &ProgramRecord) -> Option<SourceLocation> {
    let object = &record.objects[o];
    let evidence = program.evidence.as_ref()?;
    let Some(source) = &evidence.source else {
        return about(record, o, k, program).map(SourceLocation::of_relocation);
    };
    let resolved = |source: &Source| {
        let (file, line) = source.place.as_ref()?;
        let text = source.text.as_deref().unwrap_or_default().trim().to_owned();
        Some(SourceLocation { file: full_path(object, file), line: *line, column: None, text })
    };
    // Kernels before 6.8 name no line. The object does, for its relocations, and so do newer kernels.
    let at_insn = || {
        let records = record.cell(o, k).relocations.iter();
        let mut here = records.filter(|one| {
            one.verifier_insns.iter().any(|place| place.program == program.name && place.insn == source.insn)
        });
        let asked = object.relocations.get(here.next()?.relocation)?;
        asked.source.as_ref().map(SourceLocation::of_relocation)
    };
    let elsewhere = || {
        let others = (0..record.kernels.len()).flat_map(|k| &record.cell(o, k).programs);
        let mut others = others.filter(|other| other.name == program.name).filter_map(|other| {
            let other = other.evidence.as_ref()?.source.as_ref()?;
            (other.text == source.text && other.text.is_some()).then_some(other)
        });
        others.find_map(resolved)
    };
    let by_text = || {
        let text = source.text.as_deref()?.trim();
        let mut sources = of_function(object, &program.name).filter_map(|asked| asked.source.as_ref());
        sources.find(|source| source.text.trim() == text).map(SourceLocation::of_relocation)
    };
    let mut found = resolved(source).or_else(at_insn).or_else(elsewhere).or_else(by_text)?;
    // Whichever way it was found: one line is one place.
    found.column = None;
    Some(found)
}

/// The relocation that a program failed on before the verifier saw it.
fn about<'r>(record: &'r RunRecord, o: usize, k: usize, program: &ProgramRecord) -> Option<&'r SourcePlace> {
    let causes =
        [Cause::MissingField, Cause::MissingType, Cause::MissingEnumValue, Cause::UnresolvedRelocation].map(Some);
    let subject = program.evidence.as_ref()?.subject.as_deref().filter(|_| causes.contains(&program.cause))?;
    let object = &record.objects[o];
    let named = |local: &str| {
        let rest = local.split_once(subject).map(|(_, rest)| rest);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" (") || rest.starts_with(" = "))
    };
    let mut found = record.cell(o, k).relocations.iter().filter(|one| named(&one.local));
    found.find_map(|one| {
        let asked = object.relocations.get(one.relocation).filter(|asked| asked.function == program.name)?;
        asked.source.as_ref()
    })
}

fn of_function<'r>(object: &'r ObjectRecord, name: &'r str) -> impl Iterator<Item = &'r CoreRelocation> {
    // A subprogram's lines count as well, after the program's own.
    let own = object.relocations.iter().filter(move |asked| asked.function == name);
    own.chain(object.relocations.iter().filter(move |asked| asked.function != name))
}

/// The kernel names a file without its path; the object's relocations have the path.
fn full_path(object: &ObjectRecord, file: &str) -> String {
    let mut files = object.relocations.iter().filter_map(|asked| asked.source.as_ref()).map(|source| &source.file);
    let same_name = |path: &&String| path.rsplit('/').next() == Some(file);
    files.find(same_name).cloned().unwrap_or_else(|| file.to_owned())
}
