//! Whether a type of the object and one of the kernel are the same to libbpf: for fields, for `type_exists`, for `type_matches`.

use super::raw_type::{Kind, RawType};
use super::table::{TypeTable, essential_of};
use super::{Code, MAX_DEPTH, MAX_VISITS};

/// The object's types and the kernel's, and how many of them may still be looked at.
pub(super) struct Comparison<'a> {
    pub local: &'a TypeTable,
    pub target: &'a TypeTable,
    left: u32,
}

/// A type of the object and one of the kernel, seen through typedefs and qualifiers.
struct Pair<'a> {
    local: RawType<'a>,
    target: RawType<'a>,
}

impl<'a> Comparison<'a> {
    pub fn new(local: &'a TypeTable, target: &'a TypeTable) -> Comparison<'a> {
        Comparison { local, target, left: MAX_VISITS }
    }

    pub fn visit(&mut self) -> Result<(), Code> {
        self.left = self.left.checked_sub(1).ok_or(Code::Endless)?;
        Ok(())
    }

    fn pair(&mut self, local: u32, target: u32) -> Result<Pair<'a>, Code> {
        self.visit()?;
        let (_, local) = self.local.skip(local).ok_or(Code::Invalid)?;
        let (_, target) = self.target.skip(target).ok_or(Code::Invalid)?;
        Ok(Pair { local, target })
    }

    fn names(&self, local: u32, target: u32) -> (&'a [u8], &'a [u8]) {
        (essential_of(self.local.name_at(local)), essential_of(self.target.name_at(target)))
    }

    /// Fields: what is read there has the same kind of type (`bpf_core_fields_are_compat`).
    pub fn fields(&mut self, local: u32, target: u32) -> Result<bool, Code> {
        let (mut local, mut target) = (local, target);
        loop {
            let pair = self.pair(local, target)?;
            if pair.local.kind.is_composite() && pair.target.kind.is_composite() {
                return Ok(true);
            }
            if !pair.local.kind.goes_with(pair.target.kind) {
                return Ok(false);
            }
            return match pair.local.kind {
                Kind::Pointer | Kind::Float => Ok(true),
                Kind::Forward | Kind::Enum | Kind::Enum64 => {
                    let (local, target) = self.names(pair.local.name_offset, pair.target.name_offset);
                    Ok(local.is_empty() || target.is_empty() || local == target)
                }
                Kind::Int => Ok(whole_ints(&pair)),
                Kind::Array => {
                    (local, target) = elements(&pair)?;
                    continue;
                }
                _ => Ok(false),
            };
        }
    }

    /// `type_exists`, `type_size`, `type_id`: the names of the roots are known to be the same (`bpf_core_types_are_compat`).
    pub fn types(&mut self, local: u32, target: u32) -> Result<bool, Code> {
        let (ours, theirs) =
            (self.local.get(local).ok_or(Code::Invalid)?, self.target.get(target).ok_or(Code::Invalid)?);
        Ok(ours.kind.goes_with(theirs.kind) && self.types_at(local, target, MAX_DEPTH)?)
    }

    fn types_at(&mut self, local: u32, target: u32, level: u32) -> Result<bool, Code> {
        let (mut local, mut target) = (local, target);
        for _ in 0..MAX_DEPTH {
            let pair = self.pair(local, target)?;
            if !pair.local.kind.goes_with(pair.target.kind) {
                return Ok(false);
            }
            match pair.local.kind {
                Kind::Void | Kind::Struct | Kind::Union | Kind::Enum | Kind::Forward | Kind::Enum64 => return Ok(true),
                Kind::Int => return Ok(whole_ints(&pair)),
                Kind::Pointer => (local, target) = (pair.local.size_or_type, pair.target.size_or_type),
                Kind::Array => (local, target) = elements(&pair)?,
                Kind::Prototype => {
                    if pair.local.count != pair.target.count {
                        return Ok(false);
                    }
                    for index in 0..pair.local.count {
                        let below = level.checked_sub(1).ok_or(Code::Invalid)?;
                        let (ours, theirs) = parameters(&pair, index)?;
                        // libbpf compares the kinds once more before it sees through names; what it skipped has none.
                        if !self.types_at(ours, theirs, below)? {
                            return Ok(false);
                        }
                    }
                    (local, target) = (pair.local.size_or_type, pair.target.size_or_type);
                }
                _ => return Ok(false),
            }
        }
        Err(Code::Invalid)
    }

    /// `type_matches` (`bpf_core_types_match`).
    pub fn matches(&mut self, local: u32, target: u32) -> Result<bool, Code> {
        self.matches_at(local, target, false, MAX_DEPTH)
    }

    fn matches_at(&mut self, local: u32, target: u32, behind_pointer: bool, level: u32) -> Result<bool, Code> {
        if level == 0 {
            return Err(Code::Invalid);
        }
        let (mut local, mut target, mut behind_pointer) = (local, target, behind_pointer);
        for _ in 0..MAX_DEPTH {
            let pair = self.pair(local, target)?;
            if !self.same_name(pair.local.name_offset, pair.target.name_offset) {
                return Ok(false);
            }
            let (ours, theirs) = (pair.local.kind, pair.target.kind);
            match ours {
                Kind::Forward => {
                    let declared = if pair.local.flag { Kind::Union } else { Kind::Struct };
                    let same = theirs == Kind::Forward && pair.local.flag == pair.target.flag;
                    return Ok(same || behind_pointer && theirs == declared);
                }
                Kind::Enum | Kind::Enum64 => return self.enums_match(&pair),
                Kind::Struct | Kind::Union if behind_pointer => {
                    let declared = theirs == Kind::Forward && pair.target.flag == (ours == Kind::Union);
                    return Ok(ours == theirs || declared);
                }
                _ if ours != theirs => return Ok(false),
                Kind::Void => return Ok(true),
                Kind::Struct | Kind::Union => return self.composites_match(&pair, level),
                Kind::Int => {
                    let signed = |found: &RawType<'_>| found.int().map(|(encoding, _)| encoding & 1);
                    return Ok(pair.local.size_or_type == pair.target.size_or_type
                        && signed(&pair.local) == signed(&pair.target));
                }
                Kind::Pointer => {
                    behind_pointer = true;
                    (local, target) = (pair.local.size_or_type, pair.target.size_or_type);
                }
                Kind::Array => {
                    let count = |found: &RawType<'_>| found.array().map(|(_, count)| count);
                    if count(&pair.local) != count(&pair.target) {
                        return Ok(false);
                    }
                    (local, target) = elements(&pair)?;
                }
                Kind::Prototype => {
                    if pair.local.count != pair.target.count {
                        return Ok(false);
                    }
                    for index in 0..pair.local.count {
                        let (ours, theirs) = parameters(&pair, index)?;
                        if !self.matches_at(ours, theirs, behind_pointer, level - 1)? {
                            return Ok(false);
                        }
                    }
                    (local, target) = (pair.local.size_or_type, pair.target.size_or_type);
                }
                _ => return Ok(false),
            }
        }
        Err(Code::Invalid)
    }

    fn same_name(&self, local: u32, target: u32) -> bool {
        let (local, target) = self.names(local, target);
        local == target
    }

    /// Every enumerator of the object's is in the kernel's.
    fn enums_match(&mut self, pair: &Pair<'a>) -> Result<bool, Code> {
        let Pair { local, target } = pair;
        if !target.kind.is_enum() || local.size_or_type != target.size_or_type || local.count > target.count {
            return Ok(false);
        }
        for index in 0..local.count {
            let (ours, _) = local.enumerator(index).ok_or(Code::Invalid)?;
            let mut found = false;
            for other in 0..target.count {
                self.visit()?;
                let (theirs, _) = target.enumerator(other).ok_or(Code::Invalid)?;
                if self.same_name(ours, theirs) {
                    found = true;
                    break;
                }
            }
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Every member of the object's is in the kernel's, and matches.
    fn composites_match(&mut self, pair: &Pair<'a>, level: u32) -> Result<bool, Code> {
        let Pair { local, target } = pair;
        if local.count > target.count {
            return Ok(false);
        }
        for index in 0..local.count {
            let ours = local.member(index).ok_or(Code::Invalid)?;
            let mut found = false;
            for other in 0..target.count {
                self.visit()?;
                let theirs = target.member(other).ok_or(Code::Invalid)?;
                if self.same_name(ours.name_offset, theirs.name_offset)
                    && self.matches_at(ours.type_id, theirs.type_id, false, level - 1)?
                {
                    found = true;
                    break;
                }
            }
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether libbpf takes a type of the object for one of the kernel, regardless of their names.
pub fn types_are_compatible(local: &TypeTable, local_id: u32, target: &TypeTable, target_id: u32) -> bool {
    Comparison::new(local, target).types(local_id, target_id).unwrap_or(false)
}

/// Integers that begin at their first bit, as all do but those of old compilers' bitfields.
fn whole_ints(pair: &Pair<'_>) -> bool {
    let whole = |found: &RawType<'_>| found.int().is_some_and(|(_, offset)| offset == 0);
    whole(&pair.local) && whole(&pair.target)
}

fn elements(pair: &Pair<'_>) -> Result<(u32, u32), Code> {
    let element = |found: &RawType<'_>| found.array().map(|(element, _)| element).ok_or(Code::Invalid);
    Ok((element(&pair.local)?, element(&pair.target)?))
}

fn parameters(pair: &Pair<'_>, index: u32) -> Result<(u32, u32), Code> {
    let parameter = |found: &RawType<'_>| found.parameter(index).ok_or(Code::Invalid);
    Ok((parameter(&pair.local)?, parameter(&pair.target)?))
}
