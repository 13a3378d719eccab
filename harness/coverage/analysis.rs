//! [`Analysis`]: everything that an object's own bytes say of its guards. Nothing here depends on a kernel.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{Code, LineRecord, Variable};
use super::flow::{BranchComparison, Flow, FlowSetting};
use super::insn::Test;
use super::line_table::IndexedLines;
use super::program::{Operand, Program};
use super::value::Bits;
use crate::explain::LocalSpec;
use crate::object::btf_ext::RelocationKind;
use crate::record::SourcePlace;
use crate::record::{GuardKind, GuardRecord, ObjectCoverage, SideRecord};

/// Stands for the address of something that exists.
pub(super) const SOME_ADDRESS: u64 = 0xffff_8000_0000_1000;

/// The kconfig value that every kernel has.
pub(super) const KERNEL_VERSION: &str = "LINUX_KERNEL_VERSION";

/// Instructions of all programs of an object together, subprograms once for each.
const MOST_INSNS: usize = 8_000_000;
/// Steps of all flows through an object together, some 20 seconds; a tool of everyday size takes a thousandth.
const MOST_STEPS: u64 = 32_000_000;

const NO_BRANCH: &str = "its value alone decides no branch";
const NO_PROGRAM: &str = "no program contains this code";
const TOO_LARGE: &str = "the program is too large to analyse";
const NEVER_ASKED: &str = "its address is never compared";

/// The guards of an object, and the programs that they are part of.
#[derive(Debug, Default)]
pub struct Analysis {
    /// The guards, by place in the object.
    pub guards: Vec<GuardRecord>,
    pub(super) code: Code,
    pub(super) lines: IndexedLines,
    /// In the order of the object's programs.
    pub(super) programs: Vec<Program>,
    /// For each guard, its occurrences.
    pub(super) occurrences: Vec<Vec<Occurrence>>,
}

/// A guard within one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Occurrence {
    /// As an index into the object's programs.
    pub program: usize,
    /// The asking instruction.
    pub insn: usize,
    /// The branch that is decided; of several, the first.
    pub branch: Option<usize>,
    /// Whether that branch is taken on the first side.
    pub taken_first: bool,
    /// The variable that is read, and the offset in it, if one is.
    pub read: Option<(usize, i64)>,
    /// The instructions that can be reached on one side only.
    pub sides: [BTreeSet<usize>; 2],
}

/// A guard's place: function, asking instruction, and the branch with its function.
type Key = (usize, usize, Option<(usize, usize)>);

#[derive(Default)]
struct Found {
    occurrences: Vec<Occurrence>,
    comparison: Option<BranchComparison>,
    too_large: bool,
}

impl Analysis {
    /// Analyses a whole object. `programs` are the names of its programs.
    pub fn of(bytes: &[u8], programs: &[&str]) -> Analysis {
        let code = Code::read(bytes);
        let lines = IndexedLines::of(&code);
        let own = |name: &&str| code.functions.iter().position(|one| !one.subprogram && one.name == **name);
        let owns: Vec<Option<usize>> = programs.iter().map(own).collect();
        if owns.iter().any(Option::is_none) {
            return Analysis::default();
        }
        let mut room = MOST_INSNS;
        let link = |own| {
            let program = Program::link(&code, own, room);
            room -= program.insns.len();
            program
        };
        let programs: Vec<Program> = owns.into_iter().flatten().map(link).collect();
        let mut found: BTreeMap<Key, Found> = BTreeMap::new();
        // What no program contains is listed nevertheless.
        for (function, one) in code.functions.iter().enumerate() {
            for (&insn, reference) in &one.references {
                if let super::code::Reference::Operand(Operand::Relocation { existence: true, .. } | Operand::Ksym(_)) =
                    reference
                {
                    found.insert((function, insn, None), Found::default());
                }
            }
        }
        let mut steps = MOST_STEPS;
        for (number, program) in programs.iter().enumerate() {
            occurrences(number, program, &mut found, &mut steps);
        }
        found.retain(|&(function, insn, _), _| !code.reads_bitfield(function, insn));
        let mut analysis = Analysis { guards: Vec::new(), code, lines, programs, occurrences: Vec::new() };
        for (key, found) in found {
            let guard = analysis.guard(key, &found);
            analysis.guards.push(guard);
            analysis.occurrences.push(found.occurrences);
        }
        analysis.never_asked();
        analysis
    }

    /// What the record of the object keeps.
    pub fn record(&self) -> ObjectCoverage {
        let lines_of = |program: &Program| {
            let records = self.records(program);
            records.iter().filter_map(|record| self.lines.place(record)).collect()
        };
        let programs = self.programs.iter().map(lines_of).collect();
        ObjectCoverage { guards: self.guards.clone(), lines: self.lines.table.clone(), programs }
    }

    /// The line records of a program with its subprograms, by instruction.
    pub(super) fn records(&self, program: &Program) -> Vec<LineRecord> {
        let of = |part: &super::program::Part| {
            let first = part.first;
            let shift = move |record: &LineRecord| LineRecord { insn: first + record.insn, ..*record };
            self.code.functions[part.function].lines.iter().map(shift)
        };
        program.parts.iter().flat_map(of).collect()
    }

    fn guard(&self, (function, insn, _): Key, found: &Found) -> GuardRecord {
        let one = &self.code.functions[function];
        let (mut kind, mut asked, mut relocation) = (GuardKind::Ksym, String::new(), None);
        match one.references.get(&insn) {
            Some(super::code::Reference::Operand(Operand::Relocation { index, .. })) => {
                let core = &self.code.relocations[*index];
                kind = kind_of(core.kind);
                let spec = self.code.btf.as_ref().and_then(|btf| LocalSpec::of(core, btf));
                asked = spec.map(|spec| spec.to_string()).unwrap_or_else(|| format!("type {}", core.type_id));
                relocation = Some(*index);
            }
            Some(super::code::Reference::Operand(Operand::Ksym(weak))) => asked.clone_from(&self.code.weak[*weak].name),
            _ => {
                if let Some((variable, offset)) = found.occurrences.first().and_then(|one| one.read) {
                    (kind, asked) = variable_name(&self.code.variables[variable], offset);
                }
            }
        }
        let whens = match (found.comparison, kind) {
            (Some(comparison), _) => conditions(comparison, &asked),
            (None, GuardKind::TypeMatches) => ["matches", "does not match"].map(str::to_owned),
            _ => ["exists", "does not exist"].map(str::to_owned),
        };
        let mut sides = whens.map(|when| SideRecord { when, insns: 0, lines: Default::default() });
        for occurrence in &found.occurrences {
            let program = &self.programs[occurrence.program];
            let records = self.records(program);
            for (side, insns) in sides.iter_mut().zip(&occurrence.sides) {
                side.insns = side.insns.max(insns.len());
                let lines = insns.iter().filter_map(|&insn| self.lines.place(covering(&records, program, insn)?));
                side.lines.0.extend(lines);
            }
        }
        // Sides without instructions of their own are still sides, if a branch goes another way.
        let by_branch = found.occurrences.iter().any(|one| found.comparison.is_none() && one.branch.is_some());
        let decides = by_branch || sides.iter().any(|side| side.insns > 0);
        let undecided = match (found.occurrences.is_empty(), found.too_large) {
            _ if decides => None,
            (_, true) => Some(TOO_LARGE),
            (true, false) => Some(NO_PROGRAM),
            (false, false) => Some(NO_BRANCH),
        };
        GuardRecord {
            kind,
            asked,
            function: one.name.clone(),
            insn: insn as u32,
            source: self.decision(function, found).or_else(|| self.source(function, insn)),
            relocation,
            programs: found
                .occurrences
                .iter()
                .map(|occurrence| occurrence.program)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            sides,
            undecided: undecided.map(str::to_owned),
        }
    }

    /// The source place of the branch that a guard decides: the compiler may ask long before.
    fn decision(&self, function: usize, found: &Found) -> Option<SourcePlace> {
        let occurrence = found.occurrences.iter().find(|occurrence| occurrence.branch.is_some())?;
        let (program, branch) = (&self.programs[occurrence.program], occurrence.branch?);
        let part = program.part(branch);
        (part.function == function).then(|| self.source(function, branch - part.first))?
    }

    /// The source place of an instruction; that of the nearest record before it with a line.
    pub(super) fn source(&self, function: usize, insn: usize) -> Option<SourcePlace> {
        let btf = self.code.btf.as_ref()?;
        let before = self.code.functions[function].lines.iter().rev().filter(|record| record.insn <= insn);
        let record = before.into_iter().find(|record| record.line() > 0)?;
        Some(SourcePlace {
            file: btf.string(record.words[0])?,
            line: record.line(),
            column: record.column(),
            text: btf.string(record.words[1])?.trim().to_owned(),
        })
    }

    /// Lists the weak externs that no guard asks for, so that none is passed over.
    fn never_asked(&mut self) {
        for weak in self.code.weak.clone() {
            let kind = if weak.kconfig { GuardKind::Kconfig } else { GuardKind::Ksym };
            if self.guards.iter().any(|guard| guard.kind == kind && guard.asked == weak.name) {
                continue;
            }
            let side = |when: &str| SideRecord { when: when.to_owned(), insns: 0, lines: Default::default() };
            self.guards.push(GuardRecord {
                kind,
                asked: weak.name,
                function: String::new(),
                insn: 0,
                source: None,
                relocation: None,
                programs: Vec::new(),
                sides: [side("exists"), side("does not exist")],
                undecided: Some(if weak.kconfig { NO_BRANCH } else { NEVER_ASKED }.to_owned()),
            });
            self.occurrences.push(Vec::new());
        }
    }
}

/// The record that an instruction belongs to.
pub(super) fn covering<'a>(records: &'a [LineRecord], program: &Program, insn: usize) -> Option<&'a LineRecord> {
    let start = program.function_start(insn);
    records[..records.partition_point(|record| record.insn <= insn)].last().filter(|record| record.insn >= start)
}

/// Finds the guards of one program.
fn occurrences(number: usize, program: &Program, found: &mut BTreeMap<Key, Found>, steps: &mut u64) {
    let key = |at: usize| {
        let part = program.part(at);
        (part.function, at - part.first)
    };
    let base = Flow::within(program, &FlowSetting::default(), steps);
    for (&at, operand) in &program.operands {
        let values = match operand {
            Operand::Relocation { existence: true, .. } => [1, 0],
            Operand::Ksym(_) => [SOME_ADDRESS, 0],
            _ => continue,
        };
        let (function, insn) = key(at);
        let entry = found.entry((function, insn, None)).or_default();
        let mut flow = |value| {
            let setting = FlowSetting { values: [(at, Bits::constant(value))].into(), forced: None };
            Flow::within(program, &setting, steps)
        };
        match values.map(&mut flow) {
            [Some(yes), Some(no)] => {
                let sides = exclusive(program, at, &yes, &no);
                let branch = decided(&yes, &no);
                let taken_first = branch.is_some_and(|branch| yes.ways.get(&branch) == Some(&[false, true]));
                entry.occurrences.push(Occurrence {
                    program: number,
                    insn: at,
                    branch,
                    taken_first,
                    read: None,
                    sides,
                });
            }
            _ => entry.too_large = true,
        }
    }
    let Some(base) = base else { return };
    for (&(branch, asked), &comparison) in &base.decisions {
        let read = base.reads.get(&asked).copied();
        let of_value = matches!(program.operands.get(&asked), Some(Operand::Relocation { existence: false, .. }));
        if read.is_none() && !of_value {
            continue;
        }
        let (function, insn) = key(asked);
        let entry = found.entry((function, insn, Some(key(branch)))).or_default();
        entry.comparison = Some(comparison);
        let taken_first = takes_first(comparison);
        let flow = |taken| {
            let setting = FlowSetting { forced: Some((branch, taken)), ..FlowSetting::default() };
            Flow::within(program, &setting, steps)
        };
        match [taken_first, !taken_first].map(flow) {
            [Some(yes), Some(no)] => {
                let sides = exclusive(program, asked, &yes, &no);
                let branch = Some(branch);
                entry.occurrences.push(Occurrence { program: number, insn: asked, branch, taken_first, read, sides });
            }
            _ => entry.too_large = true,
        }
    }
}

/// The first branch that goes another way.
fn decided(yes: &Flow, no: &Flow) -> Option<usize> {
    let differs = |(branch, ways): (&usize, &[bool; 2])| {
        no.ways.get(branch).is_some_and(|other| other != ways).then_some(*branch)
    };
    yes.ways.iter().find_map(differs)
}

/// What is reached in one flow and not in the other, and the other way round. Other global functions are left out: the verifier
/// looks at them whether they are called or not.
fn exclusive(program: &Program, at: usize, yes: &Flow, no: &Flow) -> [BTreeSet<usize>; 2] {
    let own = program.function_start(at);
    let counts = |insn: usize| {
        let start = program.function_start(insn);
        start == own || !program.globals.contains(&start)
    };
    let only = |one: &Flow, other: &Flow| {
        let differ = (0..program.insns.len()).filter(|&insn| one.reached[insn] && !other.reached[insn]);
        differ.filter(|&insn| counts(insn)).collect()
    };
    [only(yes, no), only(no, yes)]
}

/// Whether a branch jumps on the side that is named first: `==`, `>=` and their like, but `!= 0`.
fn takes_first(comparison: BranchComparison) -> bool {
    use Test::{Above, AboveEqual, Bits, Equal, Greater, GreaterEqual, NotEqual};
    let with_zero = comparison.with == Some(0);
    match comparison.test {
        Some(Equal) => !with_zero,
        Some(NotEqual) => with_zero,
        Some(Above | AboveEqual | Greater | GreaterEqual | Bits) | None => true,
        Some(_) => false,
    }
}

/// When each side of a comparing branch is taken.
fn conditions(comparison: BranchComparison, asked: &str) -> [String; 2] {
    let Some(test) = comparison.test else { return ["is taken", "is not taken"].map(str::to_owned) };
    let [mut yes, mut no] = test.words();
    if !takes_first(comparison) {
        (yes, no) = (no, yes);
    }
    let mut with = comparison.with;
    // What is written `>= 5.11.0` the compiler makes `> 5.10.255`.
    if asked == KERNEL_VERSION
        && let Some(version) = with.filter(|version| version & 0xff == 0xff)
        && [yes, no].iter().all(|word| [">", "<="].contains(word))
    {
        with = version.checked_add(1);
        [yes, no] = [yes, no].map(|word| if word == ">" { ">=" } else { "<" });
    }
    let operand = match with {
        None => "another answer".to_owned(),
        Some(version) if asked == KERNEL_VERSION => {
            format!("{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff)
        }
        Some(number @ 0..=255) => number.to_string(),
        Some(number) if number > u64::MAX - 255 => number.cast_signed().to_string(),
        Some(number) => format!("{number:#x}"),
    };
    [yes, no].map(|word| format!("{word} {operand}"))
}

fn kind_of(kind: RelocationKind) -> GuardKind {
    match kind {
        RelocationKind::TypeExists => GuardKind::TypeExists,
        RelocationKind::TypeMatches => GuardKind::TypeMatches,
        RelocationKind::EnumValueExists => GuardKind::EnumvalExists,
        RelocationKind::ByteSize => GuardKind::ByteSz,
        RelocationKind::TypeSize => GuardKind::TypeSize,
        RelocationKind::EnumValue => GuardKind::EnumvalValue,
        RelocationKind::Signed => GuardKind::Signed,
        _ => GuardKind::FieldExists,
    }
}

fn variable_name(variable: &Variable, offset: i64) -> (GuardKind, String) {
    match variable {
        Variable::Kconfig { name, .. } => (GuardKind::Kconfig, name.clone()),
        Variable::Rodata { symbols, .. } => {
            let at = u64::try_from(offset).unwrap_or(u64::MAX);
            let within = symbols.iter().find(|(_, start, size)| (*start..start.saturating_add(*size)).contains(&at));
            let name = match within {
                Some((name, start, _)) if *start == at => name.clone(),
                Some((name, start, _)) => format!("{name}+{}", at - start),
                None => format!(".rodata+{offset}"),
            };
            (GuardKind::Rodata, name)
        }
    }
}
