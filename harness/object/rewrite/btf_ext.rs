//! [`BtfExtEditor`]: what the compiler says of instructions (`.BTF.ext`), of which records are copied from section to section.

use std::ops::Range;

use crate::bytes::u32_at;

const HEADER: usize = 32;
/// A record begins with the byte of its instruction.
const SHORTEST: usize = 4;

/// The records of one section: its name, as an offset of the BTF's strings, and the bytes of each.
type Records = (u32, Vec<Vec<u8>>);

/// Functions, source lines and CO-RE relocations, each with the size of its records.
pub(super) struct BtfExtEditor {
    tables: Vec<(usize, Vec<Records>)>,
}

/// Which section a name is of.
pub(super) type IsSection<'a> = &'a dyn Fn(u32) -> bool;

impl BtfExtEditor {
    /// Parses a `.BTF.ext` section.
    pub fn read(data: &[u8]) -> Result<BtfExtEditor, String> {
        let cut = || "its `.BTF.ext` is truncated".to_owned();
        let header = u32_at(data, 4).ok_or_else(cut)? as usize;
        let mut tables = Vec::new();
        for field in [8, 16, 24] {
            // Older compilers know of no CO-RE.
            if field + 8 > header {
                continue;
            }
            let (start, length) = (u32_at(data, field).ok_or_else(cut)?, u32_at(data, field + 4).ok_or_else(cut)?);
            let start = header.checked_add(start as usize).ok_or_else(cut)?;
            let end = start.checked_add(length as usize).ok_or_else(cut)?;
            tables.push(table(data.get(start..end).ok_or_else(cut)?).ok_or_else(cut)?);
        }
        Ok(BtfExtEditor { tables })
    }

    /// Copies the records of the instructions in a range of bytes of one section behind those of another, from the byte `place` there on.
    /// The other one has the name `to` if it had no records so far.
    pub fn copy(&mut self, from: (IsSection<'_>, Range<u64>), to: (IsSection<'_>, u32, u64)) {
        let ((is_it, range), (is_target, name, place)) = (from, to);
        for (_, sections) in &mut self.tables {
            let all = sections.iter().filter(|(name, _)| is_it(*name)).flat_map(|(_, records)| records);
            let copied: Vec<Vec<u8>> = all
                .filter_map(|record| {
                    let at = u64::from(u32_at(record, 0)?);
                    let moved = range.contains(&at).then(|| u32::try_from(at - range.start + place).ok())??;
                    Some(moved.to_le_bytes().iter().chain(&record[SHORTEST..]).copied().collect())
                })
                .collect();
            if copied.is_empty() {
                continue;
            }
            match sections.iter_mut().find(|(name, _)| is_target(*name)) {
                Some((_, records)) => records.extend(copied),
                None => sections.push((name, copied)),
            }
        }
    }

    /// The section as it is now.
    pub fn finish(&self) -> Vec<u8> {
        let mut data = vec![0x9f, 0xeb, 1, 0];
        data.extend((HEADER as u32).to_le_bytes());
        let mut body = Vec::new();
        for at in 0..3 {
            let start = body.len();
            if let Some((size, sections)) = self.tables.get(at) {
                if *size > 0 {
                    body.extend((*size as u32).to_le_bytes());
                }
                for (name, records) in sections {
                    body.extend(name.to_le_bytes());
                    body.extend((records.len() as u32).to_le_bytes());
                    records.iter().for_each(|record| body.extend(record));
                }
            }
            data.extend((start as u32).to_le_bytes());
            data.extend(((body.len() - start) as u32).to_le_bytes());
        }
        data.extend(body);
        data
    }
}

/// The size of a table's records, and the records; `None` if it is cut short. A table may be empty.
fn table(data: &[u8]) -> Option<(usize, Vec<Records>)> {
    if data.is_empty() {
        return Some((0, Vec::new()));
    }
    let size = u32_at(data, 0)? as usize;
    let mut sections = Vec::new();
    let mut at = 4;
    while at < data.len() && size >= SHORTEST {
        let (name, count) = (u32_at(data, at)?, u32_at(data, at.checked_add(4)?)? as usize);
        let start = at + 8;
        let end = count.checked_mul(size)?.checked_add(start)?;
        sections.push((name, data.get(start..end)?.chunks_exact(size).map(<[u8]>::to_vec).collect()));
        at = end;
    }
    (at == data.len()).then_some((size, sections))
}
