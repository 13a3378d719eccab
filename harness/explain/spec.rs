//! [`LocalSpec`]: what a CO-RE relocation asks for, as libbpf words it in its log or as the object's own records say.

use std::fmt;

use crate::object::btf::{Btf, TypeKind, Want};
use crate::object::btf_ext::{BtfRelocation, RelocationKind};

/// Deepest access that libbpf follows (`BPF_CORE_SPEC_MAX_LEN`).
const MAX_STEPS: usize = 64;

/// The local spec of one CO-RE relocation. Displays as `struct task_struct.__state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSpec {
    /// What the relocation asks for.
    pub kind: RelocationKind,
    /// Id of the root type in the object's BTF.
    pub type_id: u32,
    /// libbpf's word for the kind of the root type, such as `struct`, `enum64` or `typedef`.
    pub type_kind: String,
    /// Name of the root type with its flavour, such as `task_struct___old`; empty for an anonymous one.
    pub type_name: String,
    /// The members and indexes from the root type to the field; empty unless it is about a field.
    pub path: Vec<PathStep>,
    /// The enumerator with its value, if it is about one.
    pub enumerator: Option<(String, i128)>,
    /// Such as `0:1:2`; empty unless it is about a field or if the text was cut before it.
    pub access: String,
    /// Bits from the start of the root type in the object's eyes; `None` unless it is about a field or if cut.
    pub bit_offset: Option<u64>,
    /// Whether the text was cut, as libbpf does at 255 characters: the last name may be short.
    pub cut: bool,
}

/// One step on the way to a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathStep {
    /// A named member of a struct or union; anonymous ones on the way to it are not named.
    Member(String),
    /// An element of an array.
    Index(u32),
    /// What a pointer points to. A relocation never has one; a replacement may.
    Follow,
}

/// A path as C writes it: `mem[0].base`, `q->disk`.
pub fn path_text(path: &[PathStep]) -> String {
    let mut text = String::new();
    for (index, step) in path.iter().enumerate() {
        match step {
            PathStep::Member(name) => {
                let arrow = index > 0 && path[index - 1] == PathStep::Follow;
                text.push_str(if arrow || index == 0 { "" } else { "." });
                text.push_str(name);
            }
            PathStep::Index(element) => text.push_str(&format!("[{element}]")),
            PathStep::Follow => text.push_str("->"),
        }
    }
    text
}

/// The kinds of relocation, to find one by its name.
const KINDS: [RelocationKind; 13] = [
    RelocationKind::ByteOffset,
    RelocationKind::ByteSize,
    RelocationKind::FieldExists,
    RelocationKind::Signed,
    RelocationKind::LeftShift,
    RelocationKind::RightShift,
    RelocationKind::LocalTypeId,
    RelocationKind::TargetTypeId,
    RelocationKind::TypeExists,
    RelocationKind::TypeSize,
    RelocationKind::EnumValueExists,
    RelocationKind::EnumValue,
    RelocationKind::TypeMatches,
];

/// Whether a relocation asks about a field, a type or an enumerator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// `byte_off` and similar.
    Field,
    /// `type_exists` and similar.
    Type,
    /// `enumval_exists` and `enumval_value`.
    Enumerator,
}

/// What a kind of relocation asks about; `None` for an unknown kind.
pub fn asked(kind: RelocationKind) -> Option<Asked> {
    Some(match kind {
        RelocationKind::ByteOffset
        | RelocationKind::ByteSize
        | RelocationKind::FieldExists
        | RelocationKind::Signed
        | RelocationKind::LeftShift
        | RelocationKind::RightShift => Asked::Field,
        RelocationKind::LocalTypeId
        | RelocationKind::TargetTypeId
        | RelocationKind::TypeExists
        | RelocationKind::TypeSize
        | RelocationKind::TypeMatches => Asked::Type,
        RelocationKind::EnumValueExists | RelocationKind::EnumValue => Asked::Enumerator,
        RelocationKind::Unknown(_) => return None,
    })
}

impl LocalSpec {
    /// Reads what `bpf_core_format_spec` of libbpf 1.0 and later writes, such as
    /// `<byte_off> [6] struct task_struct.state (0:1 @ offset 24)`. A text without its end is read as far as it goes;
    /// `None` if not even a type is in it.
    pub fn parse(text: &str) -> Option<LocalSpec> {
        let (kind, rest) = text.trim().strip_prefix('<')?.split_once("> [")?;
        let kind = KINDS.into_iter().find(|known| known.to_string() == kind)?;
        let (type_id, rest) = rest.split_once("] ")?;
        let (type_kind, rest) = rest.split_once(' ')?;
        let mut spec = LocalSpec {
            kind,
            type_id: type_id.parse().ok()?,
            type_kind: type_kind.to_owned(),
            type_name: String::new(),
            path: Vec::new(),
            enumerator: None,
            access: String::new(),
            bit_offset: None,
            cut: false,
        };
        let name = match asked(kind)? {
            Asked::Type => rest,
            Asked::Enumerator => spec.parse_enumerator(rest),
            Asked::Field => spec.parse_field(rest),
        };
        spec.type_name = if name == "<anon>" { String::new() } else { name.to_owned() };
        (!name.is_empty()).then_some(spec)
    }

    /// Takes `NAME::ENUMERATOR = 3` apart and gives the type's name.
    fn parse_enumerator<'a>(&mut self, text: &'a str) -> &'a str {
        let Some((name, rest)) = text.split_once("::") else {
            self.cut = true;
            return text;
        };
        let (enumerator, value) = rest.split_once(" = ").unwrap_or((rest, ""));
        let value = value.parse().ok();
        self.cut = value.is_none();
        self.enumerator = Some((enumerator.to_owned(), value.unwrap_or_default()));
        name
    }

    /// Takes `NAME.a.b[3].c (0:1:2:3:4 @ offset 24.3)` apart and gives the type's name.
    fn parse_field<'a>(&mut self, text: &'a str) -> &'a str {
        let (dotted, place) = match text.rsplit_once(" (") {
            Some((dotted, place)) => (dotted, Some(place)),
            None => (text, None),
        };
        let whole = place.and_then(|place| place.strip_suffix(')')).and_then(|place| {
            let (access, offset) = place.split_once(" @ offset ")?;
            let (bytes, bits) = offset.split_once('.').unwrap_or((offset, "0"));
            let bit_offset = bytes.parse::<u64>().ok()?.checked_mul(8)?.checked_add(bits.parse().ok()?)?;
            Some((access.to_owned(), bit_offset))
        });
        self.cut = whole.is_none();
        if let Some((access, bit_offset)) = whole {
            (self.access, self.bit_offset) = (access, Some(bit_offset));
        }
        let name_end = dotted.find(['.', '[']).unwrap_or(dotted.len());
        let (name, mut rest) = dotted.split_at(name_end);
        while let Some(first) = rest.chars().next() {
            rest = &rest[first.len_utf8()..];
            let end = match first {
                '[' => rest.find(']').unwrap_or(rest.len()),
                _ => rest.find(['.', '[']).unwrap_or(rest.len()),
            };
            let (word, tail) = rest.split_at(end);
            match first {
                '[' => {
                    let Ok(index) = word.parse() else { break };
                    self.path.push(PathStep::Index(index));
                    rest = tail.strip_prefix(']').unwrap_or(tail);
                }
                _ => {
                    self.path.extend((!word.is_empty()).then(|| PathStep::Member(word.to_owned())));
                    rest = tail;
                }
            }
        }
        name
    }

    /// The local spec of a relocation record, read from the object's BTF as libbpf's `bpf_core_parse_spec` does. `None`
    /// if the record does not fit the BTF; libbpf refuses such an object.
    pub fn of(relocation: &BtfRelocation, local: &Btf) -> Option<LocalSpec> {
        let root = local.get(relocation.type_id)?;
        let mut spec = LocalSpec {
            kind: relocation.kind,
            type_id: relocation.type_id,
            type_kind: kind_word(&root.kind).to_owned(),
            type_name: local.string(root.name_offset)?,
            path: Vec::new(),
            enumerator: None,
            access: String::new(),
            bit_offset: None,
            cut: false,
        };
        match asked(relocation.kind)? {
            Asked::Type => {}
            Asked::Enumerator => {
                let value = local.enumerators(relocation.type_id).get(relocation.access.parse::<usize>().ok()?)?;
                let unsigned = matches!(local.resolve(relocation.type_id)?.kind, TypeKind::Enum { signed: false, .. });
                let number = if unsigned { i128::from(value.value as u64) } else { i128::from(value.value) };
                spec.enumerator = Some((local.string(value.name_offset)?, number));
            }
            Asked::Field => spec.follow_access(&relocation.access, local)?,
        }
        Some(spec)
    }

    fn follow_access(&mut self, access: &str, local: &Btf) -> Option<()> {
        let indexes: Vec<u32> = access.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
        let (first, rest) = indexes.split_first()?;
        if rest.len() >= MAX_STEPS {
            return None;
        }
        let mut id = self.type_id;
        let mut bits = 0u64;
        let size_of = |count: u32, id: u32| u64::from(count).checked_mul(u64::from(local.size_of(id)?))?.checked_mul(8);
        if *first > 0 {
            self.path.push(PathStep::Index(*first));
            bits = size_of(*first, id)?;
        }
        for &index in rest {
            match &local.resolve(id)?.kind {
                TypeKind::Composite { members, .. } => {
                    let member = members.get(index as usize)?;
                    let name = local.string(member.name_offset)?;
                    if !name.is_empty() {
                        self.path.push(PathStep::Member(name));
                    }
                    bits = bits.checked_add(member.bit_offset.into())?;
                    id = member.type_id;
                }
                TypeKind::Array { element, .. } => {
                    self.path.push(PathStep::Index(index));
                    bits = bits.checked_add(size_of(index, *element)?)?;
                    id = *element;
                }
                _ => return None,
            }
        }
        self.access = access.to_owned();
        self.bit_offset = Some(bits);
        Some(())
    }

    /// The kind of type that the root type is and that libbpf looks for in the kernel; `None` for one that it cannot be.
    pub fn want(&self) -> Option<Want> {
        Some(match self.type_kind.as_str() {
            "struct" => Want::Struct,
            "union" => Want::Union,
            "enum" | "enum64" => Want::Enum,
            "typedef" => Want::Typedef,
            "int" => Want::Int,
            "float" => Want::Float,
            _ => return None,
        })
    }

    /// The root type as C names it, such as `struct task_struct___old`.
    pub fn root(&self) -> String {
        type_text(&self.type_kind, &self.type_name)
    }
}

/// A type as C names it: libbpf's word for its kind, where C has that too, and its name.
pub(super) fn type_text(type_kind: &str, name: &str) -> String {
    match type_kind {
        "struct" | "union" => format!("{type_kind} {name}"),
        "enum" | "enum64" => format!("enum {name}"),
        _ => name.to_owned(),
    }
}

/// libbpf's word for a kind of root type (`btf_kind_str`).
fn kind_word(kind: &TypeKind) -> &'static str {
    match kind {
        TypeKind::Void => "void",
        TypeKind::Int { .. } => "int",
        TypeKind::Float { .. } => "float",
        TypeKind::Enum { size: 8, .. } => "enum64",
        TypeKind::Enum { .. } => "enum",
        TypeKind::Pointer(_) => "ptr",
        TypeKind::Array { .. } => "array",
        TypeKind::Composite { union: false, .. } => "struct",
        TypeKind::Composite { union: true, .. } => "union",
        TypeKind::Forward { .. } => "fwd",
        TypeKind::Typedef(_) => "typedef",
        TypeKind::Function(_) => "func",
        TypeKind::Prototype { .. } => "func_proto",
        TypeKind::Variable(_) => "var",
        TypeKind::Section { .. } => "datasec",
        TypeKind::Qualified(..) => "const",
        TypeKind::Other => "decl_tag",
    }
}

impl fmt::Display for LocalSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root())?;
        if let Some((enumerator, _)) = &self.enumerator {
            write!(f, "::{enumerator}")?;
        }
        match self.path.first() {
            Some(PathStep::Member(_)) => write!(f, ".{}", path_text(&self.path)),
            _ => f.write_str(&path_text(&self.path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> PathStep {
        PathStep::Member(name.to_owned())
    }

    #[test]
    fn fields_of_every_form_are_read() {
        let spec = LocalSpec::parse("<byte_off> [6] struct task_struct___x.no_such_field (0:1 @ offset 4)").unwrap();
        assert_eq!(spec.kind, RelocationKind::ByteOffset);
        assert_eq!((spec.type_id, spec.type_kind.as_str(), spec.type_name.as_str()), (6, "struct", "task_struct___x"));
        assert_eq!(spec.path, [member("no_such_field")]);
        assert_eq!((spec.access.as_str(), spec.bit_offset, spec.cut), ("0:1", Some(32), false));
        assert_eq!(spec.to_string(), "struct task_struct___x.no_such_field");

        let deep = LocalSpec::parse("<lshift_u64> [70] union u[2].a.b[3][0].c (2:1:2:3:0:4 @ offset 24.3)").unwrap();
        let path = [PathStep::Index(2), member("a"), member("b"), PathStep::Index(3), PathStep::Index(0), member("c")];
        assert_eq!((deep.path.as_slice(), deep.bit_offset), (path.as_slice(), Some(195)));
        assert_eq!(deep.to_string(), "union u[2].a.b[3][0].c");

        let whole = LocalSpec::parse("<field_exists> [1] struct s (0 @ offset 0)").unwrap();
        assert_eq!((whole.type_name.as_str(), whole.path.len(), whole.bit_offset), ("s", 0, Some(0)));
    }

    #[test]
    fn types_and_enumerators_are_read() {
        let int = LocalSpec::parse("<type_exists> [3] int unsigned int").unwrap();
        assert_eq!((int.type_name.as_str(), int.to_string().as_str()), ("unsigned int", "unsigned int"));
        let value = LocalSpec::parse("<enumval_value> [9] enum64 x::VALUE = -3").unwrap();
        assert_eq!(value.enumerator, Some(("VALUE".to_owned(), -3)));
        assert_eq!(value.to_string(), "enum x::VALUE");
        let anonymous = LocalSpec::parse("<byte_off> [30] struct <anon>.a (0:0 @ offset 0)").unwrap();
        assert_eq!((anonymous.type_name.as_str(), anonymous.path.len()), ("", 1));
    }

    #[test]
    fn a_cut_text_is_read_as_far_as_it_goes() {
        let full = "<byte_off> [6] struct a.b[10].c (0:1:10:2 @ offset 34)";
        for end in 0..full.len() {
            let Some(spec) = LocalSpec::parse(&full[..end]) else {
                assert!(end < "<byte_off> [6] struct a".len(), "{}", &full[..end]);
                continue;
            };
            assert!(spec.cut, "{}", &full[..end]);
        }
        assert_eq!(LocalSpec::parse(&full[..30]).unwrap().path, [member("b"), PathStep::Index(10)]);
        assert!(LocalSpec::parse("<enumval_value> [9] enum x::VAL").unwrap().cut);
        for junk in ["", "<", "<byte_off>", "<byte_off> [x] struct a.b", "<made_up> [1] struct a", "relo #1"] {
            assert_eq!(LocalSpec::parse(junk), None, "{junk}");
        }
    }
}
