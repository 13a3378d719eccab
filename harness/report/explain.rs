//! [`CellFacts`]: one cell of a run, explained for people: what failed and where, what that means on the kernels of the run, and
//! what to do about it.

mod advice;
mod complexity_hint;
mod loader_hint;
mod log;
mod machine_hint;
mod map_hint;
mod sentence;
mod values;

use std::collections::{BTreeSet, HashMap};
use std::io;

use super::text::{one_line, paragraph, printable};
use crate::explain::{self, KernelFeatures, KernelTypes, KnownTypes};
use crate::object::{Inventory, ObjectTypes};
use crate::protocol::feature_probe::FeatureProbe;
use crate::record::KernelWarning;
use crate::record::Source;
use crate::record::Verdict;
use crate::record::{Cause, DangerEffect, Explanation, SnippetProof};
use crate::record::{CellRecord, KernelRecord, KernelState, ObjectRecord, ProgramRecord, RunRecord};
use crate::record::{RelocationRecord, SourcePlace};

/// Of a program that loads, at most this many dangers are shown with their values on every kernel.
const MOST_DANGERS: usize = 4;
/// Columns of the explanation that a record keeps.
const ADVICE_WIDTH: usize = 84;

/// What is known about one cell.
pub struct CellFacts<'a> {
    /// The run.
    pub record: &'a RunRecord,
    /// Which object, as an index.
    pub object: usize,
    /// Which kernel, as an index.
    pub kernel: usize,
    /// The types of the run's kernels, as far as they are available, in matrix order.
    pub matrix: &'a [KernelTypes<'a>],
    /// Kernels beyond it of which the types are known.
    pub known: &'a KnownTypes,
    /// Proves the guard of an explanation; `None` where no one tries.
    pub prove: &'a dyn Fn(&Explanation) -> Option<SnippetProof>,
    /// What kernels of the run answered when they were asked for their features, by their names.
    pub probes: &'a HashMap<String, FeatureProbe>,
    /// The object's own types; `None` if the object cannot be found again.
    pub types: Option<&'a ObjectTypes>,
    /// What is in the object; `None` if the object cannot be found again.
    pub inventory: Option<&'a Inventory>,
    /// Reads a verifier log by its path in the record.
    pub log: &'a dyn Fn(&str) -> io::Result<String>,
    /// Says which known kernel or module beyond the matrix has a function or tracepoint of this name in BTF, as a
    /// fragment.
    pub elsewhere: &'a dyn Fn(&str) -> Option<String>,
    /// What was not available for the explanation, as whole lines.
    pub missing: &'a [String],
}

/// The programs with these indexes explained, at most `width` columns wide where code and logs allow it.
pub fn render(facts: &CellFacts<'_>, programs: &[usize], width: usize) -> String {
    let mut blocks = Vec::new();
    let mut advised = Vec::new();
    for &p in programs {
        let program = &facts.cell().programs[p];
        let mut parts = match program.verdict {
            Verdict::Loaded => loaded(facts, program, width),
            Verdict::NotRun => vec![not_run(facts, program, width)],
            _ => failed(facts, program, width),
        };
        // Programs of one object often fail for one reason: explaining it once is enough.
        parts.retain(|part| part.contains(&heading(facts, program)) || !advised.contains(part));
        advised.extend(parts.iter().cloned());
        blocks.push(parts.join("\n"));
    }
    blocks.extend(kernel_log(facts, programs, width));
    let missing: String = facts.missing.iter().map(|line| paragraph(&format!("note: {line}"), 0, width)).collect();
    blocks.extend((!missing.is_empty()).then_some(missing));
    blocks.join("\n")
}

/// What the failure of `program` means on the kernels of the run; `None` where types have no answer.
pub fn explanation(facts: &CellFacts<'_>, program: &ProgramRecord) -> Option<Explanation> {
    advice::advice(facts, program, facts.cell().relocation_in_question(facts.object(), program))
}

/// What to do about the failure of `program` where types have no answer, as whole sentences.
pub fn hints(facts: &CellFacts<'_>, program: &ProgramRecord) -> Vec<String> {
    if let Some(path) = own_btf(facts, program) {
        return vec![format!(
            "its relocations were resolved against `{path}`, as set in the suite, not against the kernel's BTF: \
    generate that file from the BTF of the kernel"
        )];
    }
    let asked = facts.cell().relocation_in_question(facts.object(), program);
    let asks_loader = || advice::asks_loader(facts, program, asked);
    let mut hints = loader_hint::loader_hint(facts, program, &asks_loader);
    // Advice for libbpf is of no use to another loader.
    if hints.is_empty() {
        hints = map_hint::map_hint(facts, program);
    }
    hints.extend(complexity_hint::complexity_hint(facts, program));
    hints.extend(machine_hint::machine_hint(program));
    hints.extend(way_out(program).map(str::to_owned));
    hints.extend(privileges_hint(program));
    hints
}

/// The BTF of the object's own that a relocation of `program` failed with.
fn own_btf<'a>(facts: &CellFacts<'a>, program: &ProgramRecord) -> Option<&'a str> {
    let of_types = [Cause::MissingField, Cause::MissingType, Cause::MissingEnumValue, Cause::UnresolvedRelocation];
    let is_relocation = program.cause.is_some_and(|cause| of_types.contains(&cause));
    facts.object().loading.btf.as_deref().filter(|_| is_relocation)
}

/// What the reason of a program that needs its own loader adds to the words of its evidence.
fn way_out(program: &ProgramRecord) -> Option<&str> {
    let evidence = program.evidence.as_ref().filter(|_| program.cause == Some(Cause::NeedsLoader))?;
    let (_, rest) = program.reason.as_deref()?.split_once(evidence.line.as_str())?;
    rest.strip_prefix("; ")
}

/// What to give a loader that lacks a capability.
fn privileges_hint(program: &ProgramRecord) -> Option<String> {
    let evidence = program.evidence.as_ref().filter(|_| program.cause == Some(Cause::MissingCapability))?;
    let subject = evidence.subject.as_deref().filter(|subject| subject.starts_with("CAP_"))?;
    let names = subject.replace(" + ", " ");
    Some(format!(
        "it loads as root: give its loader {subject} (systemd: `AmbientCapabilities={names}`; file: `setcap`; \
    container: `capabilities.add`), or load it as root; `corematrix privileges` finds the fewest capabilities for each \
    kernel"
    ))
}

/// The explanation and hints that a record keeps of a program, as text; `None` where it has none.
pub fn recorded(program: &ProgramRecord) -> Option<String> {
    match &program.explanation {
        Some(explanation) => Some(advised(explanation, ADVICE_WIDTH) + &paragraphs(&program.hints, 0, ADVICE_WIDTH)),
        None => Some(paragraphs(&program.hints, 0, ADVICE_WIDTH)).filter(|hints| !hints.is_empty()),
    }
}

impl<'a> CellFacts<'a> {
    /// The cell.
    fn cell(&self) -> &'a CellRecord {
        self.record.cell(self.object, self.kernel)
    }

    /// What the record has of the object.
    fn object(&self) -> &'a ObjectRecord {
        &self.record.objects[self.object]
    }

    /// The kernel.
    fn kernel(&self) -> &'a KernelRecord {
        &self.record.kernels[self.kernel]
    }

    /// What is known about the kernels' features, in matrix order.
    fn features(&self) -> Vec<KernelFeatures<'a>> {
        let kernel = |kernel: &'a KernelRecord| KernelFeatures {
            name: &kernel.name,
            btf: self.matrix.iter().find(|types| types.name == kernel.name).map(|types| types.btf),
            probe: self.probes.get(&kernel.name),
        };
        let mut known: Vec<KernelFeatures<'a>> = self.record.kernels.iter().map(kernel).collect();
        // Those that are not of the run, behind the last kernel of the run that is older.
        let mut last = None;
        for types in self.matrix {
            match known.iter().position(|kernel| kernel.name == types.name) {
                Some(at) => last = Some(at),
                None => {
                    let at = last.map_or(0, |last| last + 1);
                    known.insert(at, KernelFeatures { name: types.name, btf: Some(types.btf), probe: None });
                    last = Some(at);
                }
            }
        }
        known
    }
}

/// What the kernel complained about while these programs were in flight, or none was.
fn kernel_log(facts: &CellFacts<'_>, programs: &[usize], width: usize) -> Vec<String> {
    let cell = facts.cell();
    let names: Vec<&str> = programs.iter().map(|&p| cell.programs[p].name.as_str()).collect();
    let mine =
        cell.kernel_log.iter().filter(|warning| warning.program.as_deref().is_none_or(|name| names.contains(&name)));
    let described = |warning: &KernelWarning| {
        let with = warning
            .program
            .as_ref()
            .map_or_else(|| "before or after its programs".to_owned(), |program| format!("while loading `{program}`"));
        let times = if warning.count > 1 { format!(", {} times", warning.count) } else { String::new() };
        let noise = if warning.is_noise(&facts.record.tool.accel) { "; a busy machine can cause this" } else { "" };
        let heading = format!(
            "{} on {}: the kernel logged a warning {with}{times}: {}{noise}",
            facts.object().name,
            cell.kernel,
            warning.headline
        );
        let lines: String = warning.text.lines().map(|line| format!("  | {}\n", printable(line))).collect();
        paragraph(&one_line(&heading), 0, width) + &lines
    };
    mine.map(described).collect()
}

/// One sentence for people who do not know BPF; the evidence follows.
pub fn sentence(facts: &CellFacts<'_>, program: &ProgramRecord, explanation: Option<&Explanation>) -> String {
    let dangers: Vec<_> =
        facts.cell().dangers.iter().filter(|danger| danger.programs.contains(&program.name)).collect();
    sentence::sentence(program, &facts.kernel().name, explanation, &dangers)
}

fn summary(facts: &CellFacts<'_>, program: &ProgramRecord, explanation: Option<&Explanation>, width: usize) -> String {
    paragraph(&one_line(&sentence(facts, program, explanation)), 0, width) + "\n"
}

fn heading(facts: &CellFacts<'_>, program: &ProgramRecord) -> String {
    let kernel = facts.kernel();
    let release = kernel.identity.as_ref().map_or_else(String::new, |identity| format!(" ({})", identity.release));
    one_line(&format!("{}/{} on {}{release}: {}", facts.object().name, program.name, kernel.name, program.verdict))
}

fn loaded(facts: &CellFacts<'_>, program: &ProgramRecord, width: usize) -> Vec<String> {
    let dangers: Vec<_> =
        facts.cell().dangers.iter().filter(|danger| danger.programs.contains(&program.name)).collect();
    let heading = heading(facts, program);
    if dangers.is_empty() {
        return vec![summary(facts, program, None, width) + &format!("{heading}; nothing to explain\n")];
    }
    let effects: BTreeSet<DangerEffect> = dangers.iter().map(|danger| danger.difference.effect()).collect();
    let effects: Vec<&str> = effects.into_iter().map(DangerEffect::label).collect();
    let mut parts =
        vec![summary(facts, program, None, width) + &format!("{heading}, but {}\n", effects.join(", and "))];
    for danger in dangers.iter().take(MOST_DANGERS) {
        let mut part = paragraph(&format!("silent danger: {danger}"), 2, width);
        part += &danger.source.as_ref().map_or_else(String::new, |source| at(source, width));
        parts.push(part);
        let is_own = facts.object().loading.btf.is_some();
        let advice = if facts.matrix.is_empty() || is_own { None } else { advice::of_danger(facts, danger) };
        parts.extend(advice.map(|advice| advised(&advice, width)));
        parts.extend(danger.relocation.map(|relocation| values::render(facts, relocation, width)));
    }
    if dangers.len() > MOST_DANGERS {
        parts.push(format!("  ... {} more dangers in report.json\n", dangers.len() - MOST_DANGERS));
    }
    parts
}

fn not_run(facts: &CellFacts<'_>, program: &ProgramRecord, width: usize) -> String {
    let mut text = summary(facts, program, None, width) + &heading(facts, program) + "\n";
    text += &paragraph(program.reason.as_deref().unwrap_or("no reason was recorded"), 2, width);
    let place = facts.cell().programs.iter().position(|one| one.name == program.name);
    let (reason, hint) = match &facts.kernel().state {
        KernelState::Pending | KernelState::Ready => (None, None),
        KernelState::Unavailable { reason, hint }
        | KernelState::BootFailed { reason, hint, .. }
        | KernelState::HarnessFailed { reason, hint, .. } => (Some(reason), hint.as_ref()),
        KernelState::Predicted { reason, hint, .. } => (reason.as_ref(), hint.as_ref()),
    };
    if let Some(predicted) = place.and_then(|p| facts.record.predicted(facts.object, facts.kernel, p)) {
        text += &paragraph(&format!("predicted from BTF: {}", predicted.words()), 2, width);
    }
    text.extend(reason.map(|reason| paragraph(&format!("kernel: {reason}"), 2, width)));
    text.extend(hint.map(|hint| paragraph(&format!("hint: {hint}"), 2, width)));
    text
}

fn failed(facts: &CellFacts<'_>, program: &ProgramRecord, width: usize) -> Vec<String> {
    let asked = facts.cell().relocation_in_question(facts.object(), program);
    let advice = advice::advice(facts, program, asked);
    let mut head = summary(facts, program, advice.as_ref(), width) + &heading(facts, program) + "\n";
    let subject = program.evidence.as_ref().and_then(|evidence| evidence.subject.as_deref());
    if let Some(cause) = program.cause {
        let subject = subject.map_or_else(String::new, |subject| format!(": `{subject}`"));
        head += &paragraph(&format!("cause: {cause}{subject}"), 2, width);
    }
    let line = program.evidence.as_ref().map(|evidence| evidence.line.as_str()).or(program.reason.as_deref());
    // Of a map libbpf reports only an errno.
    if let Some(reason) =
        program.reason.as_deref().filter(|reason| map_hint::is_of_map(program) && Some(*reason) != line)
    {
        head += &paragraph(&format!("reason: {reason}"), 2, width);
    }
    head.extend(line.map(|line| paragraph(&format!("evidence: {line}"), 2, width)));
    head += &source(facts, program, asked, width);
    let mut parts = vec![head];
    let wants_hints = advice.is_none() || facts.object().loader.is_some();
    match advice {
        Some(advice) => parts.push(advised(&advice, width)),
        // Nothing but the verifier's own words shows more.
        None => parts.extend(log::complaint(facts, program, width)),
    }
    if wants_hints {
        parts.extend(Some(paragraphs(&hints(facts, program), 2, width)).filter(|hints| !hints.is_empty()));
    }
    parts.extend(asked.map(|asked| values::render(facts, asked, width)));
    parts.extend(log::tail(facts, program));
    parts
}

/// A paragraph for each hint.
fn paragraphs(hints: &[String], indent: usize, width: usize) -> String {
    hints.iter().map(|hint| paragraph(&format!("hint: {}", one_line(hint)), indent, width)).collect()
}

fn advised(advice: &Explanation, width: usize) -> String {
    explain::render(advice, width).lines().map(|line| printable(line) + "\n").collect()
}

/// Where the program failed: as the verifier says, else where the relocation stands.
fn source(facts: &CellFacts<'_>, program: &ProgramRecord, asked: Option<usize>, width: usize) -> String {
    let Some(Source { insn, text, place: at }) = program.evidence.as_ref().and_then(|found| found.source.as_ref())
    else {
        return asked.map_or_else(String::new, |asked| place(facts, asked, width));
    };
    let at_insn = |record: &&RelocationRecord| {
        record.verifier_insns.iter().any(|place| place.program == program.name && place.insn == *insn)
    };
    let here = facts
        .cell()
        .relocations_of(facts.object(), &program.name)
        .find(at_insn)
        .map(|record| record.relocation)
        .or(asked);
    match (at, here) {
        (Some((file, line)), _) => marked(&format!("{file}:{line}"), text.as_deref().unwrap_or(""), Some(*insn), width),
        // Kernels before 6.8 name no file; the object does.
        (None, Some(here)) if facts.object().relocations.get(here).is_some_and(|asked| asked.source.is_some()) => {
            place(facts, here, width)
        }
        (None, _) => marked("", text.as_deref().unwrap_or(""), Some(*insn), width),
    }
}

/// Where a relocation stands in the source.
fn place(facts: &CellFacts<'_>, asked: usize, width: usize) -> String {
    let source = facts.object().relocations.get(asked).and_then(|asked| asked.source.as_ref());
    source.map_or_else(String::new, |source| at(source, width))
}

fn at(source: &SourcePlace, width: usize) -> String {
    marked(&format!("{}:{}", source.file, source.line), &source.text, None, width)
}

/// A source line with its place and a mark before it.
fn marked(place: &str, text: &str, insn: Option<u32>, width: usize) -> String {
    let insn = insn.map(|insn| format!("instruction {insn}"));
    let place: Vec<&str> =
        [Some(place), insn.as_deref()].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    let mut shown = match place.is_empty() {
        true => String::new(),
        false => paragraph(&format!("at: {}", place.join(", ")), 2, width),
    };
    if !text.trim().is_empty() {
        shown += &format!("    > {}\n", one_line(text));
    }
    shown
}

#[cfg(test)]
mod tests;
