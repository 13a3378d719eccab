//! Finding types by name and members by name: [`Btf::candidates`], [`Btf::members`].

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Btf, Enumerator, MAX_DEPTH, Type, TypeKind};

/// Members of one struct that are looked at, those of its anonymous members included. The largest struct of a kernel has
/// a few hundred; a crafted nest of anonymous structs could have more than can be counted.
const MAX_MEMBERS: usize = 20_000;

/// The kinds of named types that a lookup may want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// A struct with its members.
    Struct,
    /// A union with its members.
    Union,
    /// An enum of any width.
    Enum,
    /// A typedef.
    Typedef,
    /// An integer.
    Int,
    /// A floating point number.
    Float,
    /// A function.
    Function,
    /// A global variable.
    Variable,
}

impl Want {
    fn matches(self, kind: &TypeKind) -> bool {
        match self {
            Want::Struct => matches!(kind, TypeKind::Composite { union: false, .. }),
            Want::Union => matches!(kind, TypeKind::Composite { union: true, .. }),
            Want::Enum => matches!(kind, TypeKind::Enum { .. }),
            Want::Typedef => matches!(kind, TypeKind::Typedef(_)),
            Want::Int => matches!(kind, TypeKind::Int { .. }),
            Want::Float => matches!(kind, TypeKind::Float { .. }),
            Want::Function => matches!(kind, TypeKind::Function(_)),
            Want::Variable => matches!(kind, TypeKind::Variable(_)),
        }
    }
}

/// A named member of a struct, seen through its anonymous members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberPlace {
    /// Offset of its name in the strings.
    pub name_offset: u32,
    /// Its type.
    pub type_id: u32,
    /// Bits from the start of the outermost struct.
    pub bit_offset: u64,
    /// Bits that it takes if it is a bitfield, otherwise 0.
    pub bitfield_size: u32,
    /// Whether it is the last member of the struct that declares it, and so may be a flexible array.
    pub last: bool,
}

/// The name without the flavour: `task_struct` of `task_struct___old`. libbpf's `bpf_core_essential_name_len`.
pub fn essential_name(name: &str) -> &str {
    essential(name.as_bytes()).and_then(|length| name.get(..length)).unwrap_or(name)
}

/// Where the flavour begins: at the last `___` with something other than an underscore on both sides.
fn essential(name: &[u8]) -> Option<usize> {
    let underscores = |bytes: &[u8]| bytes[0] != b'_' && &bytes[1..4] == b"___" && bytes[4] != b'_';
    name.windows(5).rposition(underscores).map(|at| at + 1)
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

impl Btf {
    /// The index of all named types; by hash, because comparing names costs several times more.
    pub(super) fn build_index(&self) -> Vec<(u64, u32)> {
        let mut index = self.index_from(0);
        index.sort_unstable();
        index
    }

    /// The entries of the index for types from id `first` on, unsorted.
    pub(super) fn index_from(&self, first: usize) -> Vec<(u64, u32)> {
        let entry = |(id, found): (usize, &Type)| {
            let name = self.bytes(found.name_offset).filter(|name| !name.is_empty())?;
            Some((hash(&name[..essential(name).unwrap_or(name.len())]), id as u32))
        };
        self.types.iter().enumerate().skip(first).filter_map(entry).collect()
    }

    /// How many types there are, void included.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether there is no type but void.
    pub fn is_empty(&self) -> bool {
        self.types.len() <= 1
    }

    /// The name of a type; empty for a nameless one or a bad id.
    pub fn name(&self, id: u32) -> Cow<'_, str> {
        self.get(id).and_then(|found| self.text(found.name_offset)).unwrap_or_default()
    }

    /// Ids of the types of a kind that have this name, flavours on either side ignored, lowest id first.
    pub fn candidates(&self, name: &str, want: Want) -> impl Iterator<Item = u32> {
        let wanted = essential_name(name).as_bytes();
        let key = hash(wanted);
        let start = self.index.partition_point(|&(hash, _)| hash < key);
        let same_hash = self.index[start..].iter().take_while(move |&&(hash, _)| hash == key);
        same_hash.map(|&(_, id)| id).filter(move |&id| {
            let Some(Type { name_offset, kind }) = self.get(id) else {
                return false;
            };
            let name = self.bytes(*name_offset).unwrap_or_default();
            want.matches(kind) && &name[..essential(name).unwrap_or(name.len())] == wanted
        })
    }

    /// Id of the first type of a kind with this name, see [`Btf::candidates`].
    pub fn find(&self, name: &str, want: Want) -> Option<u32> {
        self.candidates(name, want).next()
    }

    /// Every named type of a kind, by id.
    pub fn named(&self, want: Want) -> impl Iterator<Item = (u32, Cow<'_, str>)> {
        let wanted = move |(_, found): &(usize, &Type)| found.name_offset != 0 && want.matches(&found.kind);
        self.types
            .iter()
            .enumerate()
            .filter(wanted)
            .filter_map(|(id, found)| Some((id as u32, self.text(found.name_offset)?)))
    }

    /// The named members of a struct or union, seen through typedefs; those of anonymous members replace them,
    /// as in C and in libbpf. Empty for anything else.
    pub fn members(&self, id: u32) -> Vec<MemberPlace> {
        let mut places = Vec::new();
        let mut budget = MAX_MEMBERS;
        self.collect_members(id, 0, MAX_DEPTH, &mut budget, &mut places);
        places
    }

    fn collect_members(&self, id: u32, base: u64, depth: usize, budget: &mut usize, places: &mut Vec<MemberPlace>) {
        let Some(Type { kind: TypeKind::Composite { members, .. }, .. }) = self.resolve(id) else {
            return;
        };
        for (index, member) in members.iter().enumerate() {
            match budget.checked_sub(1) {
                Some(left) => *budget = left,
                None => return,
            }
            let bit_offset = base + u64::from(member.bit_offset);
            if self.bytes(member.name_offset).is_none_or(<[u8]>::is_empty) {
                // A nameless bitfield is padding: it has no members and is passed over.
                if let Some(depth) = depth.checked_sub(1) {
                    self.collect_members(member.type_id, bit_offset, depth, budget, places);
                }
                continue;
            }
            places.push(MemberPlace {
                name_offset: member.name_offset,
                type_id: member.type_id,
                bit_offset,
                bitfield_size: member.bitfield_size,
                last: index + 1 == members.len(),
            });
        }
    }

    /// Type id of the first member of a struct or union.
    pub fn first_member(&self, id: u32) -> Option<u32> {
        match &self.get(id)?.kind {
            TypeKind::Composite { members, .. } => members.first().map(|member| member.type_id),
            _ => None,
        }
    }

    /// A member by its name, see [`Btf::members`].
    pub fn member(&self, id: u32, name: &str) -> Option<MemberPlace> {
        let named = |place: &MemberPlace| self.bytes(place.name_offset) == Some(name.as_bytes());
        self.members(id).into_iter().find(named)
    }

    /// An enumerator by its name, flavours on either side ignored, in the enum that the type is.
    pub fn enumerator(&self, id: u32, name: &str) -> Option<Enumerator> {
        let wanted = essential_name(name);
        let named = |value: &&Enumerator| {
            self.text(value.name_offset).is_some_and(|candidate| essential_name(&candidate) == wanted)
        };
        self.enumerators(id).iter().find(named).copied()
    }

    /// The enumerators of the enum that the type is; empty for anything else.
    pub fn enumerators(&self, id: u32) -> &[Enumerator] {
        match self.resolve(id) {
            Some(Type { kind: TypeKind::Enum { values, .. }, .. }) => values,
            _ => &[],
        }
    }

    /// Whether some enum without a name has this enumerator.
    pub fn has_nameless_enumerator(&self, name: &str) -> bool {
        let of = |found: &Type| match &found.kind {
            TypeKind::Enum { values, .. } if self.bytes(found.name_offset).is_none_or(<[u8]>::is_empty) => {
                values.iter().any(|value| self.bytes(value.name_offset) == Some(name.as_bytes()))
            }
            _ => false,
        };
        self.types.iter().any(of)
    }

    /// Whether values of the type may be negative: false for anything that is neither integer nor enum.
    pub fn is_signed(&self, id: u32) -> bool {
        matches!(
            self.resolve(id).map(|found| &found.kind),
            Some(TypeKind::Int { signed: true, .. } | TypeKind::Enum { signed: true, .. })
        )
    }
}
