//! [`TypeTable::excerpt`]: the few types that a question is about, as BTF of their own, so that hundreds of kernels can be searched.

use std::collections::{BTreeMap, HashMap};

use super::raw_type::{Kind, RawType};
use super::table::{TypeTable, essential_of};
use crate::bytes::u32_at;

/// Types in one excerpt, at most. Those beyond are void in it.
const MOST_TYPES: usize = 20_000;

/// Magic, version and length of the header of raw BTF.
const HEADER: [u8; 8] = [0x9f, 0xeb, 1, 0, 24, 0, 0, 0];

/// How a type is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// With all that it has.
    Whole,
    /// Its name, kind and size alone.
    Opaque,
}

impl TypeTable {
    /// Raw BTF with the types of this name, flavours ignored, and those that they refer to. The members of a struct are kept if it is at
    /// most `hops` structs away, of others the size alone. Excerpts are equal where the kernels do not differ in these types.
    pub fn excerpt(&self, name: &str, hops: u32) -> Vec<u8> {
        let asked = |kind: Kind| !matches!(kind, Kind::Function | Kind::Variable);
        let named = self.named(essential_of(name.as_bytes()));
        let roots: Vec<u32> = named.filter(|(_, found)| asked(found.kind)).map(|(id, _)| id).collect();
        Writer::new(self, reached(self, roots, hops)).write()
    }
}

/// Every type that the roots refer to, by its id.
fn reached(table: &TypeTable, roots: Vec<u32>, hops: u32) -> BTreeMap<u32, Form> {
    let mut found = BTreeMap::new();
    // Those that are as many structs away come first, so that each type is met by the shortest way.
    let (mut now, mut next, mut left) = (roots.clone(), Vec::new(), hops.saturating_add(1));
    loop {
        while let Some(id) = now.pop() {
            if id == 0 || found.len() == MOST_TYPES || found.contains_key(&id) {
                continue;
            }
            let Some(types) = table.get(id) else { continue };
            let form = form(&types, left > 0, roots.contains(&id));
            found.insert(id, form);
            if form == Form::Opaque {
                continue;
            }
            let named_struct = types.kind.is_composite() && types.name_offset != 0;
            let away = left > 0 && (named_struct || types.kind == Kind::Prototype);
            let to = if away { &mut next } else { &mut now };
            references(&types, |id| to.push(id));
        }
        if next.is_empty() {
            return found;
        }
        (now, next) = (std::mem::take(&mut next), Vec::new());
        left = left.saturating_sub(1);
    }
}

fn form(types: &RawType<'_>, near: bool, is_root: bool) -> Form {
    let opaque = match types.kind {
        Kind::Struct | Kind::Union => types.name_offset != 0 && !near,
        Kind::Enum | Kind::Enum64 => !is_root,
        _ => false,
    };
    if opaque { Form::Opaque } else { Form::Whole }
}

/// Calls `each` with the ids that a type refers to.
fn references(types: &RawType<'_>, mut each: impl FnMut(u32)) {
    match types.kind {
        kind if kind.is_name() || matches!(kind, Kind::Pointer | Kind::Function) => each(types.size_or_type),
        Kind::Array => {
            let words = [0, 4].map(|at| u32_at(types.extra, at));
            words.into_iter().flatten().for_each(each);
        }
        Kind::Struct | Kind::Union => {
            let members = (0..types.count).filter_map(|index| types.member(index));
            members.for_each(|member| each(member.type_id));
        }
        Kind::Prototype => {
            (0..types.count).filter_map(|index| types.parameter(index)).for_each(&mut each);
            each(types.size_or_type);
        }
        _ => {}
    }
}

struct Writer<'a> {
    table: &'a TypeTable,
    reached: BTreeMap<u32, Form>,
    /// New ids, in the order of the old ones.
    ids: HashMap<u32, u32>,
    types: Vec<u8>,
    strings: Vec<u8>,
    /// Where strings went, by where they were.
    moved: HashMap<u32, u32>,
}

impl<'a> Writer<'a> {
    fn new(table: &'a TypeTable, reached: BTreeMap<u32, Form>) -> Writer<'a> {
        let ids = reached.keys().zip(1..).map(|(&old, new)| (old, new)).collect();
        Writer { table, reached, ids, types: Vec::new(), strings: vec![0], moved: HashMap::new() }
    }

    fn write(mut self) -> Vec<u8> {
        for (id, form) in std::mem::take(&mut self.reached) {
            if let Some(types) = self.table.get(id) {
                self.add(&types, form);
            }
        }
        let mut raw = HEADER.to_vec();
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        [0, types, types, strings].iter().for_each(|word| raw.extend(word.to_le_bytes()));
        raw.extend(self.types);
        raw.extend(self.strings);
        raw
    }

    fn add(&mut self, types: &RawType<'_>, form: Form) {
        let count = if form == Form::Opaque { 0 } else { types.count };
        let name = self.string(types.name_offset);
        let refers = types.kind.is_name() || matches!(types.kind, Kind::Pointer | Kind::Function | Kind::Prototype);
        let last = if refers { self.id(types.size_or_type) } else { types.size_or_type };
        let info = u32::from(types.flag) << 31 | (types.kind as u32) << 24 | count;
        [name, info, last].iter().for_each(|word| self.types.extend(word.to_le_bytes()));
        let words = |index: u32| u32_at(types.extra, index as usize * 4).unwrap_or(0);
        let mut extra = Vec::new();
        match (form, types.kind) {
            (Form::Opaque, _) => {}
            (_, Kind::Array) => extra.extend([self.id(words(0)), self.id(words(1)), words(2)]),
            (_, Kind::Struct | Kind::Union) => {
                for at in (0..count).map(|index| index * 3) {
                    extra.extend([self.string(words(at)), self.id(words(at + 1)), words(at + 2)]);
                }
            }
            (_, Kind::Prototype) => {
                for at in (0..count).map(|index| index * 2) {
                    extra.extend([self.string(words(at)), self.id(words(at + 1))]);
                }
            }
            (_, Kind::Enum | Kind::Enum64) => {
                let each = if types.kind == Kind::Enum { 2 } else { 3 };
                for at in (0..count).map(|index| index * each) {
                    extra.push(self.string(words(at)));
                    extra.extend((1..each).map(|word| words(at + word)));
                }
            }
            // Everything else in it refers to nothing.
            _ => extra.extend((0..types.extra.len() as u32 / 4).map(words)),
        }
        extra.iter().for_each(|word| self.types.extend(word.to_le_bytes()));
    }

    fn id(&self, old: u32) -> u32 {
        self.ids.get(&old).copied().unwrap_or(0)
    }

    fn string(&mut self, old: u32) -> u32 {
        if old == 0 {
            return 0;
        }
        if let Some(&known) = self.moved.get(&old) {
            return known;
        }
        let new = self.strings.len() as u32;
        self.strings.extend(self.table.name_at(old));
        self.strings.push(0);
        self.moved.insert(old, new);
        new
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::core_relo::TypeTable;
    use crate::object::btf::{Btf, TypeKind, Want};
    use object::{Object, ObjectSection};

    fn kernel() -> TypeTable {
        let elf = include_bytes!("../../tests/fixtures/explain/kernel_a.o");
        let elf = object::File::parse(&elf[..]).unwrap();
        TypeTable::new(elf.section_by_name(".BTF").unwrap().data().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn an_excerpt_has_what_is_asked_about_and_little_else() {
        let table = kernel();
        let whole = Btf::parse(table.raw()).unwrap();
        let few = Btf::parse(&table.excerpt("inode", 2)).unwrap();
        assert!(few.len() < whole.len() / 2, "{} of {}", few.len(), whole.len());
        let names = |btf: &Btf| {
            let id = btf.find("inode", Want::Struct).unwrap();
            let members = btf.members(id).into_iter();
            members
                .map(|place| (btf.string(place.name_offset), btf.type_name(place.type_id), place.bit_offset))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&few), names(&whole));
        let time = few.find("timespec64", Want::Struct).unwrap();
        assert_eq!(few.members(time).len(), 2);
        let far = Btf::parse(&table.excerpt("inode", 0)).unwrap();
        let time = far.find("timespec64", Want::Struct).unwrap();
        assert!(
            far.members(time).is_empty()
                && far.size_of(time) == whole.size_of(whole.find("timespec64", Want::Struct).unwrap())
        );
    }

    #[test]
    fn an_enum_that_is_asked_about_keeps_its_values() {
        let few = Btf::parse(&kernel().excerpt("iter_type", 0)).unwrap();
        let id = few.find("iter_type", Want::Enum).unwrap();
        assert!(!few.enumerators(id).is_empty());
        let none = Btf::parse(&kernel().excerpt("no_such_type", 3)).unwrap();
        assert!(none.is_empty());
        assert!(matches!(none.get(0).unwrap().kind, TypeKind::Void));
    }
}
