//! A way through types in libbpf's words: `<byte_off> [123] struct task_struct.__state (0:2 @ offset 24)`.

use std::fmt::Write;

use super::raw_type::{Kind, RawType};
use super::spec::{About, Spec, about};

/// libbpf cuts the text here.
const MAX_TEXT: usize = 255;

impl Spec<'_> {
    /// Without the kind of relocation and the type id in front of it, which the record has elsewhere.
    pub fn text(&self) -> String {
        let root = self.types.get(self.root);
        let name = String::from_utf8_lossy(self.types.name(self.root));
        let name = if name.is_empty() { "<anon>".into() } else { name };
        let word = root.map_or("void", |found| kind_word(&found));
        let head = format!("<{}> [{}] ", self.kind, self.root);
        let mut text = format!("{word} {name}");
        match about(self.kind) {
            About::Field => self.field_text(&mut text),
            About::Enumerator => self.enumerator_text(&mut text),
            About::Type | About::Unknown => {}
        }
        let mut end = MAX_TEXT.saturating_sub(head.len()).min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text
    }

    fn field_text(&self, text: &mut String) {
        for (number, step) in self.steps.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = match step.name {
                Some(name) => write!(text, ".{}", String::from_utf8_lossy(name)),
                None if number > 0 || step.index > 0 => write!(text, "[{}]", step.index),
                None => Ok(()),
            };
        }
        let raw: Vec<String> = self.raw.iter().map(u32::to_string).collect();
        let (bytes, bits) = (self.bit_offset / 8, self.bit_offset % 8);
        let _ = match bits {
            0 => write!(text, " ({} @ offset {bytes})", raw.join(":")),
            _ => write!(text, " ({} @ offset {bytes}.{bits})", raw.join(":")),
        };
    }

    /// What did not match has no number, and libbpf shows the first enumerator.
    fn enumerator_text(&self, text: &mut String) {
        let Some((_, found)) = self.types.skip(self.root) else { return };
        let index = self.raw.first().copied().unwrap_or(0);
        let Some((name, value)) = found.enumerator(index) else { return };
        let name = String::from_utf8_lossy(self.types.name_at(name));
        let _ = match (found.kind, found.flag) {
            (Kind::Enum64, true) => write!(text, "::{name} = {}", value.cast_signed()),
            (Kind::Enum64, false) => write!(text, "::{name} = {value}"),
            (_, true) => write!(text, "::{name} = {}", value as i32),
            (_, false) => write!(text, "::{name} = {}", value as u32),
        };
    }
}

/// libbpf's `btf_kind_str`.
fn kind_word(found: &RawType<'_>) -> &'static str {
    match found.kind {
        Kind::Void => "void",
        Kind::Int => "int",
        Kind::Pointer => "ptr",
        Kind::Array => "array",
        Kind::Struct => "struct",
        Kind::Union => "union",
        Kind::Enum => "enum",
        Kind::Forward => "fwd",
        Kind::Typedef => "typedef",
        Kind::Volatile => "volatile",
        Kind::Const => "const",
        Kind::Restrict => "restrict",
        Kind::Function => "func",
        Kind::Prototype => "func_proto",
        Kind::Variable => "var",
        Kind::Section => "datasec",
        Kind::Float => "float",
        Kind::DeclTag => "decl_tag",
        Kind::TypeTag => "type_tag",
        Kind::Enum64 => "enum64",
    }
}
