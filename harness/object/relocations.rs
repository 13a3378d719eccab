//! [`listed`]: the CO-RE relocations of an object with their functions and source lines.

use std::collections::{BTreeMap, HashMap};

use super::btf::Btf;
use super::btf_ext::{BtfExt, LineInfo};
use super::inventory::{INSN_SIZE, Placed};
use crate::record::{CoreRelocation, SourcePlace};

/// Lists the relocations in the order of `.BTF.ext`, numbered within each section as libbpf does.
pub(super) fn listed<'a>(btf: &Btf, ext: &'a BtfExt, functions: &[Placed]) -> Vec<CoreRelocation> {
    let mut by_section: BTreeMap<&str, Vec<&Placed>> = BTreeMap::new();
    for function in functions {
        // Sorted by offset already.
        by_section.entry(&function.raw_section).or_default().push(function);
    }
    let lines = Lines::new(ext);
    let mut counts: HashMap<&str, u32> = HashMap::new();
    let number = |relocation: &'a super::btf_ext::BtfRelocation| {
        let super::btf_ext::BtfRelocation { section, insn_offset, kind, .. } = relocation;
        let count = counts.entry(&**section).or_default();
        let index = *count;
        *count += 1;
        let offset = u64::from(*insn_offset);
        let candidates = by_section.get(&**section).map_or(&[][..], Vec::as_slice);
        let at = candidates.partition_point(|function| function.offset <= offset);
        let function = candidates[..at].last().filter(|function| offset < function.offset + function.size);
        let start = function.map_or(0, |function| function.offset);
        CoreRelocation {
            section: section.to_string(),
            index,
            function: function.map_or_else(String::new, |function| function.name.clone()),
            insn: u32::try_from((offset - start) / INSN_SIZE).unwrap_or(u32::MAX),
            kind: kind.to_string(),
            source: lines.at(section, *insn_offset).map(|line| place(btf, line)),
        }
    };
    ext.relocations.iter().map(number).collect()
}

/// Where a line is, and its text.
pub(super) fn place(btf: &Btf, line: &LineInfo) -> SourcePlace {
    SourcePlace {
        file: btf.string(line.file_offset).unwrap_or_default(),
        line: line.line,
        column: line.column,
        text: btf.string(line.text_offset).unwrap_or_default().trim().to_owned(),
    }
}

/// Line info by section, sorted by instruction.
struct Lines<'a>(HashMap<&'a str, Vec<&'a LineInfo>>);

impl<'a> Lines<'a> {
    fn new(ext: &'a BtfExt) -> Self {
        let mut by_section: HashMap<&str, Vec<&LineInfo>> = HashMap::new();
        for line in &ext.lines {
            by_section.entry(&line.section).or_default().push(line);
        }
        by_section.values_mut().for_each(|lines| lines.sort_by_key(|line| line.insn_offset));
        Lines(by_section)
    }

    /// The line of the instruction: the last one that begins at or before it.
    fn at(&self, section: &str, insn_offset: u32) -> Option<&'a LineInfo> {
        let lines = self.0.get(section)?;
        lines[..lines.partition_point(|line| line.insn_offset <= insn_offset)].last().copied()
    }
}
