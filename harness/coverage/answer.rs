//! What a kernel answers to a guard: level *resolved*.

use std::collections::HashMap;

use super::analysis::{Analysis, KERNEL_VERSION, Occurrence, SOME_ADDRESS};
use super::cell_coverage::ObjectFacts;
use super::code::Variable;
use super::flow::{Flow, FlowSetting};
use super::program::Operand;
use super::value::Bits;
use crate::object::btf::TypeKind;
use crate::record::{GuardKind, GuardRecord};

/// How a kconfig value is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// `y` is 1.
    Boolean,
    /// `y` is 2, `m` is 1.
    Tristate,
    /// `y` is the letter.
    Letter,
    /// A number, or a text, which is not followed.
    Number,
}

impl Analysis {
    /// Whether the kernel's answer picks the guard's first side; `None` if there is no answer, or if it does not decide alone.
    pub(super) fn resolved(
        &self,
        guard: &GuardRecord,
        occurrences: &[Occurrence],
        facts: &ObjectFacts<'_>,
    ) -> Option<bool> {
        let of_relocation = || facts.relocations.get(guard.relocation?)?.outcome.value();
        if guard.kind.is_existence() {
            return Some(of_relocation()? != 0);
        }
        let external = || facts.externs.iter().find(|external| external.name == guard.asked);
        if guard.kind == GuardKind::Ksym {
            return Some(external()?.resolved.is_some());
        }
        let occurrence = occurrences.first()?;
        let value = match guard.kind {
            GuardKind::Kconfig => self.kconfig(&guard.asked, facts)?,
            GuardKind::Rodata => Bits::constant(self.rodata_value(occurrence)?),
            _ => Bits::constant(of_relocation()?),
        };
        let values = [(occurrence.insn, value)].into();
        let flow = Flow::of(&self.programs[occurrence.program], &FlowSetting { values, forced: None })?;
        match flow.ways.get(&occurrence.branch?)? {
            [true, false] => Some(!occurrence.taken_first),
            [false, true] => Some(occurrence.taken_first),
            _ => None,
        }
    }

    /// How one program can go, given all that this kernel answers and the settings of the object; `None` if it is too large.
    pub(super) fn answered(&self, number: usize, facts: &ObjectFacts<'_>) -> Option<Flow> {
        let program = self.programs.get(number)?;
        let external = |name: &str| facts.externs.iter().find(|external| external.name == name);
        let mut values: HashMap<usize, Bits> = HashMap::new();
        for (&at, operand) in &program.operands {
            let value = match operand {
                Operand::Relocation { index, .. } => facts.relocations.get(*index).and_then(|one| one.outcome.value()),
                Operand::Ksym(weak) => external(&self.code.weak[*weak].name).map(|external| match external.resolved {
                    Some(_) => SOME_ADDRESS,
                    None => 0,
                }),
                _ => None,
            };
            values.extend(value.map(|value| (at, Bits::constant(value))));
        }
        for (guard, occurrences) in self.guards.iter().zip(&self.occurrences) {
            for occurrence in occurrences.iter().filter(|occurrence| occurrence.program == number) {
                let value = match guard.kind {
                    GuardKind::Kconfig => self.kconfig(&guard.asked, facts),
                    GuardKind::Rodata => self.rodata_value(occurrence).map(Bits::constant),
                    _ => None,
                };
                values.extend(value.map(|value| (occurrence.insn, value)));
            }
        }
        Flow::of(program, &FlowSetting { values, forced: None })
    }

    /// What is known about a kconfig value.
    fn kconfig(&self, name: &str, facts: &ObjectFacts<'_>) -> Option<Bits> {
        if let Some(external) = facts.externs.iter().find(|external| external.name == name) {
            return self.kconfig_value(name, external.resolved.as_deref()).map(Bits::constant);
        }
        let [major, minor] = facts.release.filter(|_| name == KERNEL_VERSION)?;
        let least = u64::from(major) << 16 | u64::from(minor) << 8;
        Some(Bits::constant(least).join(Bits::constant(least | 0xff)))
    }

    /// `value` is in libbpf's words: `0x50adf`, `y`, `250`; `None` if the kernel's config does not set it.
    fn kconfig_value(&self, name: &str, value: Option<&str>) -> Option<u64> {
        let Some(value) = value else { return Some(0) };
        let known = |variable: &Variable| match variable {
            Variable::Kconfig { name: known, type_id } if known == name => Some(*type_id),
            _ => None,
        };
        let stored = self.stored(self.code.variables.iter().find_map(known)?);
        match (value, stored) {
            (_, _) if name == KERNEL_VERSION => parse_number(value),
            ("y", Stored::Boolean) | ("m", Stored::Tristate) => Some(1),
            ("y", Stored::Tristate) => Some(2),
            ("n", Stored::Boolean | Stored::Tristate) => Some(0),
            (letter @ ("y" | "m" | "n"), Stored::Letter) => letter.bytes().next().map(u64::from),
            (number, _) => parse_number(number),
        }
    }

    fn stored(&self, type_id: u32) -> Stored {
        let Some(btf) = &self.code.btf else { return Stored::Number };
        let resolved = btf.resolve_id(type_id).unwrap_or_default();
        match btf.get(resolved).map(|found| &found.kind) {
            Some(TypeKind::Int { size: 1, .. }) if btf.name(resolved).contains("char") => Stored::Letter,
            Some(TypeKind::Int { size: 1, .. }) => Stored::Boolean,
            Some(TypeKind::Enum { .. }) => Stored::Tristate,
            _ => Stored::Number,
        }
    }

    /// What the object itself has in the variable: no one sets it yet.
    fn rodata_value(&self, occurrence: &Occurrence) -> Option<u64> {
        let program = &self.programs[occurrence.program];
        let (variable, offset) = occurrence.read?;
        let Variable::Rodata { data, .. } = self.code.variables.get(variable)? else { return None };
        let at = usize::try_from(offset).ok()?;
        let width = usize::from(program.insns.get(occurrence.insn)?.access_bytes());
        let bytes = data.get(at..at.checked_add(width)?)?;
        Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }
}

fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse::<i64>().ok().map(i64::cast_unsigned),
    }
}
