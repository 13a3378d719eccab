//! [`BtfEditor`]: the types of an object, to which others are added. What is there keeps its type id.

use super::super::btf::{BtfError, raw_types};

/// Kinds of types.
pub(super) const STRUCT: u32 = 4;
pub(super) const VAR: u32 = 14;
pub(super) const DATASEC: u32 = 15;
pub(super) const FUNC: u32 = 12;
const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const TYPEDEF: u32 = 8;
/// `volatile`, `const`, `restrict`, and tags of types.
const QUALIFIERS: [u32; 4] = [9, 10, 11, 18];
/// Types nested deeper than this are taken for a cycle.
const MAX_DEPTH: usize = 64;
/// Bytes of the header, and words of a type before what its kind asks for.
const HEADER: u32 = 24;
pub(super) const WORDS: usize = 3;
/// The entries that a type may have.
const MOST_ENTRIES: usize = 0xffff;

/// The types of an object, each as its words: name, kind and number of entries, size or type, then what its kind asks for.
pub(super) struct BtfEditor {
    types: Vec<Vec<u32>>,
    strings: Vec<u8>,
    /// A type of one byte.
    byte: Option<u32>,
}

impl BtfEditor {
    /// Parses a `.BTF` section.
    pub fn read(data: &[u8]) -> Result<BtfEditor, BtfError> {
        let (types, strings) = raw_types(data)?;
        Ok(BtfEditor { types, strings: strings.to_vec(), byte: None })
    }

    /// No types at all.
    pub fn empty() -> BtfEditor {
        BtfEditor { types: Vec::new(), strings: vec![0], byte: None }
    }

    /// The words of a type.
    pub fn get(&self, id: u32) -> Option<&Vec<u32>> {
        self.types.get((id as usize).checked_sub(1)?)
    }

    /// The words of a type, to be changed.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Vec<u32>> {
        self.types.get_mut((id as usize).checked_sub(1)?)
    }

    /// The type ids of all types of a kind.
    pub fn of_kind(&self, kind: u32) -> Vec<u32> {
        let all = (1..).zip(&self.types);
        all.filter(|(_, words)| kind_of(words) == kind).map(|(id, _)| id).collect()
    }

    /// The kind of a type.
    pub fn kind(&self, id: u32) -> Option<u32> {
        self.get(id).map(|words| kind_of(words))
    }

    /// The name of a type.
    pub fn name(&self, id: u32) -> &[u8] {
        self.get(id).map(|words| self.text(words[0])).unwrap_or_default()
    }

    /// A string.
    pub fn text(&self, offset: u32) -> &[u8] {
        let tail = self.strings.get(offset as usize..).unwrap_or_default();
        tail.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// The type id seen through typedefs and qualifiers.
    pub fn resolve(&self, id: u32) -> Option<u32> {
        let mut id = id;
        for _ in 0..MAX_DEPTH {
            let words = self.get(id)?;
            match kind_of(words) {
                kind if kind == TYPEDEF || QUALIFIERS.contains(&kind) => id = words[2],
                _ => return Some(id),
            }
        }
        None
    }

    /// Adds a string and gives its offset.
    pub fn string(&mut self, text: &str) -> u32 {
        let offset = self.strings.len() as u32;
        self.strings.extend(text.bytes().chain([0]));
        offset
    }

    /// Adds a type and gives its id.
    pub fn add(&mut self, words: Vec<u32>) -> u32 {
        self.types.push(words);
        self.types.len() as u32
    }

    /// A type that stands for a number in the definition of a map, as `__uint` makes it: a pointer to an array of so many. The elements
    /// take a byte each, since the kernel takes no array of 4 GiB.
    pub fn number(&mut self, number: u32) -> u32 {
        let byte = match self.byte {
            Some(byte) => byte,
            None => {
                let name = self.string("unsigned char");
                self.add(vec![name, info(INT, 0), 1, 8])
            }
        };
        self.byte = Some(byte);
        let array = self.add(vec![0, info(ARRAY, 0), 0, byte, byte, number]);
        self.add(vec![0, info(PTR, 0), array])
    }

    /// Makes a type one that no one asks for: a pointer to nothing.
    pub fn forget(&mut self, id: u32) {
        if let Some(words) = self.get_mut(id) {
            *words = vec![0, info(PTR, 0), 0];
        }
    }

    /// The section as it is now.
    pub fn finish(self) -> Result<Vec<u8>, String> {
        if self.types.iter().any(|words| entries(words) > MOST_ENTRIES) {
            return Err("it has more maps than BTF can list".to_owned());
        }
        let types = self.types.iter().flatten().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let (Ok(types_length), Ok(strings_length)) = (u32::try_from(types.len()), u32::try_from(self.strings.len()))
        else {
            return Err("its types take more than 4 GiB".to_owned());
        };
        let mut data = vec![0x9f, 0xeb, 1, 0];
        for word in [HEADER, 0, types_length, types_length, strings_length] {
            data.extend(word.to_le_bytes());
        }
        data.extend(types);
        data.extend(self.strings);
        Ok(data)
    }
}

/// The second word of a type.
pub(super) fn info(kind: u32, entries: usize) -> u32 {
    kind << 24 | (entries as u32 & 0xffff)
}

/// The kind of a type.
pub(super) fn kind_of(words: &[u32]) -> u32 {
    words.get(1).map_or(0, |info| info >> 24 & 0x1f)
}

/// The entries that a struct or section has by its length.
fn entries(words: &[u32]) -> usize {
    match kind_of(words) {
        STRUCT | DATASEC => words.len().saturating_sub(WORDS) / 3,
        _ => 0,
    }
}
