//! [`Spec`]: a way from a root type to a field, an enumerator, or the type itself, through the types of an object or of a kernel.

use super::raw_type::{RawMember, RawType};
use super::table::TypeTable;
use super::{Code, MAX_STEPS};
use crate::object::btf_ext::RelocationKind;

/// A named member, an element of an array, or an enumerator on the way. What is anonymous is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step<'a> {
    /// The struct that declares the member, the type of the element, or the enum.
    pub type_id: u32,
    /// Number of the member, element or enumerator.
    pub index: u32,
    /// `None` for an element.
    pub name: Option<&'a [u8]>,
}

/// A way through the types of one table.
#[derive(Debug, Clone)]
pub(super) struct Spec<'a> {
    pub types: &'a TypeTable,
    pub kind: RelocationKind,
    pub root: u32,
    pub steps: Vec<Step<'a>>,
    /// The number of each member on the way, anonymous ones included.
    pub raw: Vec<u32>,
    /// Bits from the start of the root type; it runs over as libbpf's does.
    pub bit_offset: u32,
}

/// What a kind of relocation asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Field,
    Type,
    Enumerator,
    Unknown,
}

pub(super) fn about(kind: RelocationKind) -> About {
    use RelocationKind::{
        ByteOffset, ByteSize, EnumValue, EnumValueExists, FieldExists, LeftShift, LocalTypeId, RightShift, Signed,
        TargetTypeId, TypeExists, TypeMatches, TypeSize,
    };
    match kind {
        ByteOffset | ByteSize | FieldExists | Signed | LeftShift | RightShift => About::Field,
        LocalTypeId | TargetTypeId | TypeExists | TypeSize | TypeMatches => About::Type,
        EnumValueExists | EnumValue => About::Enumerator,
        RelocationKind::Unknown(_) => About::Unknown,
    }
}

impl<'a> Spec<'a> {
    pub fn empty(types: &'a TypeTable, kind: RelocationKind, root: u32) -> Spec<'a> {
        Spec { types, kind, root, steps: Vec::new(), raw: Vec::new(), bit_offset: 0 }
    }

    /// Reads the access string of a record, such as `0:1:2`, in the object's own types (`bpf_core_parse_spec`).
    pub fn parse(types: &'a TypeTable, kind: RelocationKind, root: u32, access: &str) -> Result<Spec<'a>, Code> {
        let mut spec = Spec::empty(types, kind, root);
        let about = about(kind);
        if about == About::Type {
            return if access == "0" { Ok(spec) } else { Err(Code::Invalid) };
        }
        let mut indexes = Vec::new();
        for word in access.split(':') {
            if indexes.len() == MAX_STEPS {
                return Err(Code::TooBig);
            }
            // A negative number is never within a type.
            indexes.push(word.parse::<u32>().map_err(|_| Code::Invalid)?);
        }
        let (&first, rest) = indexes.split_first().ok_or(Code::Invalid)?;
        let (id, found) = types.skip(root).ok_or(Code::Invalid)?;
        match about {
            About::Enumerator => {
                if !found.kind.is_enum() || !rest.is_empty() {
                    return Err(Code::Invalid);
                }
                let (name, _) = found.enumerator(first).ok_or(Code::Invalid)?;
                spec.steps.push(Step { type_id: id, index: first, name: Some(types.name_at(name)) });
            }
            About::Field => {
                spec.steps.push(Step { type_id: id, index: first, name: None });
                spec.step_over(first, id)?;
                spec.follow(id, rest)?;
            }
            About::Type | About::Unknown => return Err(Code::Invalid),
        }
        spec.raw = indexes;
        Ok(spec)
    }

    /// Adds the offset of an element of the type `id`.
    pub fn step_over(&mut self, index: u32, id: u32) -> Result<(), Code> {
        let size = self.types.size(id).ok_or(Code::Invalid)?;
        let bits = index.wrapping_mul(size).wrapping_mul(8);
        self.bit_offset = self.bit_offset.wrapping_add(bits);
        Ok(())
    }

    fn follow(&mut self, root: u32, indexes: &[u32]) -> Result<(), Code> {
        let mut id = root;
        for &index in indexes {
            let (at, found) = self.types.skip(id).ok_or(Code::Invalid)?;
            if found.kind.is_composite() {
                let member = found.member(index).ok_or(Code::Invalid)?;
                self.bit_offset = self.bit_offset.wrapping_add(member.bit_offset);
                if member.name_offset != 0 {
                    let name = self.types.name_at(member.name_offset);
                    if name.is_empty() {
                        return Err(Code::Invalid);
                    }
                    self.steps.push(Step { type_id: at, index, name: Some(name) });
                }
                id = member.type_id;
            } else if let Some((element, count)) = found.array() {
                let (element, _) = self.types.skip(element).ok_or(Code::Invalid)?;
                if index >= count && !self.ends_in_flexible(count) {
                    return Err(Code::Invalid);
                }
                self.steps.push(Step { type_id: element, index, name: None });
                self.step_over(index, element)?;
                id = element;
            } else {
                return Err(Code::Invalid);
            }
        }
        Ok(())
    }

    /// Whether an array of so many elements, to which the last step led, is a flexible one: without elements, and last in its struct.
    pub fn ends_in_flexible(&self, count: u32) -> bool {
        let Some(Step { type_id, index, name: Some(_) }) = self.steps.last() else { return false };
        let last = self.types.get(*type_id).map(|found| found.count);
        count == 0 && last.is_some_and(|last| index.checked_add(1) == Some(last))
    }

    /// The member that the last step is; `None` for an element.
    pub fn last_member(&self) -> Option<(RawType<'a>, RawMember)> {
        let Step { type_id, index, name } = *self.steps.last()?;
        let types = self.types;
        let found = name.and_then(|_| types.get(type_id))?;
        Some((found, found.member(index)?))
    }
}
