//! [`Code`]: the functions of an object and what their instructions refer to, from its ELF and BTF.

use std::collections::{BTreeMap, HashMap};

use object::LittleEndian;
use object::elf;
use object::read::elf::{SectionHeader, Sym};

use super::insn::{BYTES, Insn};
use super::program::Operand;
use crate::object::btf::Btf;
use crate::object::btf_ext::{BtfExt, RelocationKind};
use crate::object::{Placed, functions, sections};

/// The functions of an object.
#[derive(Debug, Default)]
pub(super) struct Code {
    /// Programs and subprograms, by section and offset.
    pub functions: Vec<Function>,
    /// The object's weak kernel symbols, and its weak kconfig values.
    pub weak: Vec<Weak>,
    /// What loads may ask for by address.
    pub variables: Vec<Variable>,
    /// Its types, if they can be read.
    pub btf: Option<Btf>,
    /// Its CO-RE relocations.
    pub relocations: Vec<crate::object::btf_ext::BtfRelocation>,
    /// Where bitfields are shifted: function, instruction, and relocation.
    pub shifts: Vec<(usize, usize, usize)>,
}

/// One function.
#[derive(Debug)]
pub(super) struct Function {
    pub name: String,
    /// Whether it is a subprogram, not a program.
    pub subprogram: bool,
    /// Whether the verifier looks at it on its own.
    pub global: bool,
    pub insns: Vec<Insn>,
    /// By instruction.
    pub references: BTreeMap<usize, Reference>,
    /// Its CO-RE relocations of every kind, by instruction, as indexes into the object's list.
    pub relocations: Vec<(usize, usize)>,
    /// The kernel functions that it calls, by instruction.
    pub kfuncs: Vec<(usize, String)>,
    /// The maps that it refers to, by instruction.
    pub maps: Vec<(usize, String)>,
    /// Its line records by instruction.
    pub lines: Vec<LineRecord>,
}

/// One record of line info.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineRecord {
    /// From the start of the function or program.
    pub insn: usize,
    /// Offset of the file's name, of the line's text, and line and column: equal in the kernel and in the object.
    pub words: [u32; 3],
}

/// What an instruction refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    /// It calls a function of the object.
    Call(usize),
    /// It loads the address of a function of the object.
    Function(usize),
    /// Anything else.
    Operand(Operand),
}

/// An extern that the object does not need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weak {
    pub name: String,
    /// Whether it is a kconfig value, not a kernel symbol.
    pub kconfig: bool,
}

/// A variable whose value is fixed before the verifier looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Variable {
    /// A kconfig value.
    Kconfig {
        name: String,
        /// Type id in the object's BTF; 0 if it is not known.
        type_id: u32,
    },
    /// A read-only section.
    Rodata {
        /// Its bytes.
        data: Vec<u8>,
        /// Name, offset and size of what lies in it.
        symbols: Vec<(String, u64, u64)>,
    },
}

impl LineRecord {
    /// Counts from 1; 0 for code that belongs to no line.
    pub fn line(&self) -> u32 {
        self.words[2] >> 10
    }

    /// Counts from 1.
    pub fn column(&self) -> u32 {
        self.words[2] & 0x3ff
    }
}

/// Whether a kind of relocation asks for existence.
pub(super) fn is_existence(kind: RelocationKind) -> bool {
    use RelocationKind::{EnumValueExists, FieldExists, TypeExists, TypeMatches};
    matches!(kind, FieldExists | TypeExists | TypeMatches | EnumValueExists)
}

/// Whether the value of a relocation of this kind may be compared.
fn is_value(kind: RelocationKind) -> bool {
    use RelocationKind::{ByteSize, EnumValue, Signed, TypeSize};
    is_existence(kind) || matches!(kind, ByteSize | TypeSize | EnumValue | Signed)
}

/// An ELF symbol, as far as it matters here.
struct Symbol {
    name: String,
    section: usize,
    value: u64,
    weak: bool,
}

impl Code {
    /// Reads a whole object; one that cannot be read has no functions.
    pub fn read(bytes: &[u8]) -> Code {
        Code::try_read(bytes).unwrap_or_default()
    }

    fn try_read(bytes: &[u8]) -> Option<Code> {
        let sections = sections(bytes).ok()?;
        let (placed, text) = functions(bytes, &sections).ok()?;
        let data = |name: &str| {
            let (_, section) = sections.section_by_name(LittleEndian, name.as_bytes())?;
            section.data(LittleEndian, bytes).ok()
        };
        let btf = data(".BTF").and_then(|data| Btf::parse(data).ok());
        let ext = btf.as_ref().zip(data(".BTF.ext")).and_then(|(btf, data)| BtfExt::parse(data, btf).ok());
        let table = sections.symbols(LittleEndian, bytes, elf::SHT_SYMTAB).ok()?;
        let symbols: Vec<Symbol> = table
            .iter()
            .map(|symbol| Symbol {
                name: table.symbol_name(LittleEndian, symbol).map(text_of).unwrap_or_default(),
                section: symbol.st_shndx(LittleEndian).0.into(),
                value: symbol.st_value(LittleEndian),
                weak: symbol.is_weak(),
            })
            .collect();

        let kconfig: HashMap<String, u32> =
            btf.as_ref().map(|btf| btf.section_variables(".kconfig")).unwrap_or_default().into_iter().collect();
        let mut code = Code::default();
        for symbol in symbols.iter().filter(|symbol| symbol.weak && symbol.section == 0) {
            code.weak.push(Weak { name: symbol.name.clone(), kconfig: kconfig.contains_key(&symbol.name) });
        }
        for (name, &type_id) in &kconfig {
            code.variables.push(Variable::Kconfig { name: name.clone(), type_id });
        }
        code.variables.sort_by_key(|variable| match variable {
            Variable::Kconfig { name, .. } => name.clone(),
            Variable::Rodata { .. } => String::new(),
        });
        let mut rodata: HashMap<usize, usize> = HashMap::new();
        for (index, section) in sections.iter().enumerate() {
            let name = sections.section_name(LittleEndian, section).map(text_of).unwrap_or_default();
            if name == ".rodata" || name.starts_with(".rodata.") {
                let within = table.iter().filter(|symbol| {
                    usize::from(symbol.st_shndx(LittleEndian).0) == index && symbol.st_size(LittleEndian) > 0
                });
                let names = within.map(|symbol| {
                    let name = table.symbol_name(LittleEndian, symbol).map(text_of).unwrap_or_default();
                    (name, symbol.st_value(LittleEndian), symbol.st_size(LittleEndian))
                });
                let data = section.data(LittleEndian, bytes).ok()?.to_vec();
                rodata.insert(index, code.variables.len());
                code.variables.push(Variable::Rodata { data, symbols: names.collect() });
            }
        }

        for function in &placed {
            let section = sections.section(object::SectionIndex(function.section_index)).ok()?;
            let data = section.data(LittleEndian, bytes).ok()?;
            let range = function.offset as usize..(function.offset + function.size) as usize;
            code.functions.push(Function {
                name: function.name.clone(),
                subprogram: Some(function.section_index) == text,
                global: function.global,
                insns: Insn::decode(data.get(range)?),
                references: BTreeMap::new(),
                relocations: Vec::new(),
                kfuncs: Vec::new(),
                maps: Vec::new(),
                lines: Vec::new(),
            });
        }
        let place = |section: usize, offset: u64| place(&placed, section, offset);

        // Without a relocation a call stays in its section.
        for (index, function) in placed.iter().enumerate() {
            for at in 0..code.functions[index].insns.len() {
                let insn = code.functions[index].insns[at];
                if insn.calls_subprogram() {
                    let target =
                        (function.offset as i64 / BYTES as i64 + at as i64 + i64::from(insn.imm) + 1) * BYTES as i64;
                    if let Some((callee, 0)) =
                        u64::try_from(target).ok().and_then(|to| place(function.section_index, to))
                    {
                        code.functions[index].references.insert(at, Reference::Call(callee));
                    }
                }
            }
        }
        let maps = sections.section_by_name(LittleEndian, b".maps").map(|(index, _)| index.0);
        for section in sections.iter() {
            let Ok(Some((records, _))) = section.rel(LittleEndian, bytes) else { continue };
            let target = section.sh_info(LittleEndian) as usize;
            for record in records {
                let Some((function, at)) = place(target, record.r_offset.get(LittleEndian)) else { continue };
                let Some(symbol) = symbols.get(record.r_sym(LittleEndian) as usize) else { continue };
                let Some(&insn) = code.functions[function].insns.get(at) else { continue };
                if symbol.section == 0 && insn.is_call() {
                    code.functions[function].kfuncs.push((at, symbol.name.clone()));
                }
                if Some(symbol.section) == maps {
                    code.functions[function].maps.push((at, symbol.name.clone()));
                }
                let reference = match symbol.section {
                    0 if insn.is_wide() => code.external(symbol),
                    0 => Some(Reference::Operand(Operand::Other)),
                    section if rodata.contains_key(&section) && insn.is_wide() => {
                        Some(Reference::Operand(Operand::Variable {
                            variable: rodata[&section],
                            offset: symbol.value.cast_signed().wrapping_add(insn.imm.into()),
                        }))
                    }
                    section if insn.calls_subprogram() => {
                        let to = symbol.value.checked_add_signed((i64::from(insn.imm) + 1) * BYTES as i64);
                        let callee = to.and_then(|to| place(section, to));
                        callee.filter(|(_, at)| *at == 0).map(|(callee, _)| Reference::Call(callee))
                    }
                    section => {
                        let to = symbol.value.checked_add_signed(insn.imm.into());
                        let callee = to.and_then(|to| place(section, to));
                        Some(
                            callee
                                .map_or(Reference::Operand(Operand::Other), |(callee, _)| Reference::Function(callee)),
                        )
                    }
                };
                if let Some(reference) = reference {
                    code.functions[function].references.insert(at, reference);
                } else {
                    code.functions[function].references.remove(&at);
                }
            }
        }

        let numbers: HashMap<&str, usize> =
            placed.iter().map(|function| (function.raw_section.as_str(), function.section_index)).collect();
        if let Some(ext) = ext {
            for (index, relocation) in ext.relocations.iter().enumerate() {
                let section = numbers.get(&*relocation.section).copied();
                let found = section.and_then(|section| place(section, relocation.insn_offset.into()));
                let Some((function, at)) = found else { continue };
                code.functions[function].relocations.push((at, index));
                if relocation.kind == RelocationKind::LeftShift {
                    code.shifts.push((function, at, index));
                }
                if !is_value(relocation.kind) {
                    continue;
                }
                let operand = Operand::Relocation { index, existence: is_existence(relocation.kind) };
                code.functions[function].references.insert(at, Reference::Operand(operand));
            }
            for line in &ext.lines {
                let section = numbers.get(&*line.section).copied();
                if let Some((function, insn)) = section.and_then(|section| place(section, line.insn_offset.into())) {
                    let words = [line.file_offset, line.text_offset, line.line << 10 | line.column];
                    code.functions[function].lines.push(LineRecord { insn, words });
                }
            }
            code.functions.iter_mut().for_each(|function| function.lines.sort_by_key(|line| line.insn));
            code.relocations = ext.relocations;
        }
        code.btf = btf;
        Some(code)
    }

    /// Whether an instruction asks on behalf of `BPF_CORE_READ_BITFIELD`: the macro needs the size and the sign of the field that it
    /// shifts, and its author asks nothing.
    pub fn reads_bitfield(&self, function: usize, insn: usize) -> bool {
        let of = &self.functions[function];
        let Some(Reference::Operand(Operand::Relocation { index, .. })) = of.references.get(&insn) else {
            return false;
        };
        let asked = &self.relocations[*index];
        let line = |insn: usize| {
            let known = of.lines.partition_point(|record| record.insn <= insn);
            of.lines[..known].last().map(|record| (record.words[0], record.words[2] >> 10))
        };
        matches!(asked.kind, RelocationKind::ByteSize | RelocationKind::Signed)
            && self.shifts.iter().any(|&(shifting, at, shift)| {
                let shift = &self.relocations[shift];
                shifting == function
                    && (shift.type_id, &shift.access) == (asked.type_id, &asked.access)
                    && line(at) == line(insn)
            })
    }

    /// What a 64-bit load of a symbol that the object does not define refers to.
    fn external(&self, symbol: &Symbol) -> Option<Reference> {
        let of_name = |variable: &Variable| matches!(variable, Variable::Kconfig { name, .. } if *name == symbol.name);
        let operand = match self.variables.iter().position(of_name) {
            Some(variable) => Operand::Variable { variable, offset: 0 },
            None => match self.weak.iter().position(|weak| weak.name == symbol.name) {
                Some(weak) => Operand::Ksym(weak),
                None => Operand::Other,
            },
        };
        Some(Reference::Operand(operand))
    }
}

/// The function at a place of a section, and the instruction in it.
fn place(placed: &[Placed], section: usize, offset: u64) -> Option<(usize, usize)> {
    let after = placed.partition_point(|function| (function.section_index, function.offset) <= (section, offset));
    let function = placed.get(after.checked_sub(1)?)?;
    let within = function.section_index == section && offset < function.offset + function.size;
    within.then(|| (after - 1, ((offset - function.offset) / BYTES as u64) as usize))
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
