//! [`Cut`]: raw BTF made of some types and members of other raw BTF.

use crate::bytes::u32_at;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{BtfError, MAGIC, extra_bytes, parts};

/// Bytes of the header, and of the record that every type begins with.
const HEADER: usize = 24;
const RECORD: usize = 12;

/// Which types are kept, and of structs and unions which members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cut {
    /// By type id; the members by their index.
    kept: BTreeMap<u32, BTreeSet<u32>>,
}

/// Raw BTF in the making.
struct Writer<'a> {
    /// Strings of the original.
    strings: &'a [u8],
    /// New ids by old ones.
    ids: HashMap<u32, u32>,
    types: Vec<u8>,
    new_strings: Vec<u8>,
    /// Offsets of strings that are there already.
    offsets: HashMap<&'a [u8], u32>,
}

impl Cut {
    /// Keeps a type; void is always there. Says whether it was not kept before.
    pub fn keep(&mut self, id: u32) -> bool {
        if id == 0 || self.kept.contains_key(&id) {
            return false;
        }
        self.kept.insert(id, BTreeSet::new());
        true
    }

    /// Keeps a struct or union and one of its members, by its index.
    pub fn keep_member(&mut self, id: u32, member: u32) {
        self.kept.entry(id).or_default().insert(member);
    }

    /// The raw BTF of what is kept of `raw`. References to types that are not kept become void.
    ///
    /// # Errors
    /// As [`Btf::parse`](super::Btf::parse) of `raw`.
    pub fn apply(&self, raw: &[u8]) -> Result<Vec<u8>, BtfError> {
        let (table, strings) = parts(raw)?;
        let records = self.records(table)?;
        let ids = records.iter().zip(1..).map(|((id, _), new)| (*id, new)).collect();
        let mut writer =
            Writer { strings, ids, types: Vec::new(), new_strings: vec![0], offsets: HashMap::from([(&b""[..], 0)]) };
        for (id, record) in records {
            writer.add(record, &self.kept[&id]);
        }
        Ok(writer.finish())
    }

    /// The whole records of what is kept, by id.
    fn records<'a>(&self, table: &'a [u8]) -> Result<Vec<(u32, &'a [u8])>, BtfError> {
        let mut records = Vec::new();
        let mut rest = table;
        for id in 1.. {
            if rest.is_empty() {
                break;
            }
            let truncated = BtfError::TypeTruncated { id };
            let info = u32_at(rest, 4).ok_or(truncated.clone())?;
            let (kind, count) = (kind_of(info), (info & 0xffff) as usize);
            let extra = extra_bytes(kind, count).ok_or(BtfError::UnknownKind { id, kind })?;
            let (record, tail) = rest.split_at_checked(RECORD + extra).ok_or(truncated)?;
            rest = tail;
            if self.kept.contains_key(&(id as u32)) {
                records.push((id as u32, record));
            }
        }
        Ok(records)
    }
}

fn kind_of(info: u32) -> u32 {
    info >> 24 & 0x1f
}

impl<'a> Writer<'a> {
    /// Adds a type, with these members if it is a struct or union.
    fn add(&mut self, record: &'a [u8], members: &BTreeSet<u32>) {
        let word = |index: usize| u32_at(record, index * 4).unwrap_or_default();
        let (info, size_or_type) = (word(1), word(2));
        let (kind, entries) = (kind_of(info), record[RECORD..].len() / 4);
        let name = self.name(word(0));
        match kind {
            // struct, union: name, type and place of each member.
            4 | 5 => {
                let kept: Vec<usize> = (0..entries / 3).filter(|&index| members.contains(&(index as u32))).collect();
                self.words(&[name, info & !0xffff | kept.len() as u32, size_or_type]);
                for at in kept.into_iter().map(|index| 3 + index * 3) {
                    let member = [self.name(word(at)), self.id(word(at + 1)), word(at + 2)];
                    self.words(&member);
                }
            }
            // array: element, index and length.
            3 => {
                let array = [name, info, size_or_type, self.id(word(3)), self.id(word(4)), word(5)];
                self.words(&array);
            }
            // enum, enum64: name and value.
            6 | 19 => {
                self.words(&[name, info, size_or_type]);
                let width = if kind == 6 { 2 } else { 3 };
                for at in (0..entries / width).map(|index| 3 + index * width) {
                    let name = self.name(word(at));
                    self.words(&[name]);
                    (1..width).for_each(|more| self.words(&[word(at + more)]));
                }
            }
            // function prototype: what it returns, and name and type of each parameter.
            13 => {
                let returns = self.id(size_or_type);
                self.words(&[name, info, returns]);
                for at in (0..entries / 2).map(|index| 3 + index * 2) {
                    let parameter = [self.name(word(at)), self.id(word(at + 1))];
                    self.words(&parameter);
                }
            }
            // pointer, typedef, volatile, const, restrict, type tag.
            2 | 8..=11 | 18 => {
                let target = self.id(size_or_type);
                self.words(&[name, info, target]);
            }
            // int, forward, float: they refer to nothing. What is left has no layout, and no one keeps it.
            _ => {
                self.words(&[name, info, size_or_type]);
                (0..entries).for_each(|index| self.words(&[word(3 + index)]));
            }
        }
    }

    fn words(&mut self, words: &[u32]) {
        self.types.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    fn id(&self, old: u32) -> u32 {
        self.ids.get(&old).copied().unwrap_or_default()
    }

    /// The new offset of a string.
    fn name(&mut self, offset: u32) -> u32 {
        let strings: &'a [u8] = self.strings;
        let tail = strings.get(offset as usize..).unwrap_or_default();
        let name = &tail[..memchr::memchr(0, tail).unwrap_or_default()];
        let new = self.new_strings.len() as u32;
        *self.offsets.entry(name).or_insert_with(|| {
            self.new_strings.extend_from_slice(name);
            self.new_strings.push(0);
            new
        })
    }

    fn finish(self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.new_strings.len() as u32);
        let header = [u32::from(MAGIC) | 1 << 16, HEADER as u32, 0, types, types, strings];
        let mut raw: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        raw.extend(self.types);
        raw.extend(self.new_strings);
        raw
    }
}
