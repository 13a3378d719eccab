//! [`Fact`]: something that a kernel's BTF says, in a small closed language.
//!
//! ```text
//! always                           never
//! field task_struct.state          field mm_struct.rss_stat.count     (through structs and unions, not arrays or pointers)
//! field-size task_struct.on_cpu == 4                                  (bytes)
//! type struct mnt_idmap            also: union, enum, typedef
//! enumerator bpf_func_id.BPF_FUNC_loop
//! value iter_type.ITER_IOVEC == 0
//! func bpf_task_from_pid           a function of vmlinux
//! func-args NAME >= 5              of a function, or of the prototype behind a typedef such as `btf_trace_sched_switch`, which
//!                                  counts the `void *` that comes before a tracepoint's own arguments
//! not FACT       FACT and FACT       FACT or FACT                     (`and` and `or` do not mix)
//! ```

use std::collections::HashMap;

use corematrix::object::btf::{Btf, Kind, Type};

/// A statement about a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Always,
    Never,
    Field(Vec<String>),
    FieldSize(Vec<String>, u32),
    Type(TypeKind, String),
    Enumerator(String, String),
    Value(String, String, i64),
    Func(String),
    FuncArgs(String, usize),
    Not(Box<Fact>),
    All(Vec<Fact>),
    Any(Vec<Fact>),
}

/// What kind of type a [`Fact::Type`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeKind {
    Composite,
    Enum,
    Typedef,
}

impl Fact {
    /// Reads a fact; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Fact, String> {
        let parts = |word: &str| text.split(word).map(Fact::parse).collect::<Result<Vec<_>, _>>();
        match (text.contains(" and "), text.contains(" or ")) {
            (true, true) => return Err(format!("`{text}` mixes `and` and `or`")),
            (true, false) => return parts(" and ").map(Fact::All),
            (false, true) => return parts(" or ").map(Fact::Any),
            (false, false) => {}
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let pair = |text: &str| {
            let (left, right) = text.split_once('.').ok_or(format!("`{text}` is not ENUM.VALUE"))?;
            Ok::<_, String>((left.to_owned(), right.to_owned()))
        };
        let number = |text: &str| text.parse::<u32>().map_err(|error| format!("`{text}`: {error}"));
        Ok(match words[..] {
            ["always"] => Fact::Always,
            ["never"] => Fact::Never,
            ["not", ..] => Fact::Not(Box::new(Fact::parse(&words[1..].join(" "))?)),
            ["field", field] if field.contains('.') => Fact::Field(path(field)),
            ["field-size", field, "==", size] => Fact::FieldSize(path(field), number(size)?),
            ["type", "struct" | "union", name] => Fact::Type(TypeKind::Composite, name.to_owned()),
            ["type", "enum", name] => Fact::Type(TypeKind::Enum, name.to_owned()),
            ["type", "typedef", name] => Fact::Type(TypeKind::Typedef, name.to_owned()),
            ["enumerator", constant] => {
                let (of, name) = pair(constant)?;
                Fact::Enumerator(of, name)
            }
            ["value", constant, "==", value] => {
                let (of, name) = pair(constant)?;
                Fact::Value(of, name, i64::from(number(value)?))
            }
            ["func", name] => Fact::Func(name.to_owned()),
            ["func-args", name, ">=", count] => Fact::FuncArgs(name.to_owned(), number(count)? as usize),
            _ => return Err(format!("`{text}` is not a fact")),
        })
    }

    /// Whether it holds for a kernel.
    pub fn holds(&self, kernel: &KernelTypes) -> bool {
        match self {
            Fact::Always => true,
            Fact::Never => false,
            Fact::Field(path) => kernel.field(path).is_some(),
            Fact::FieldSize(path, size) => kernel.field(path).and_then(|id| kernel.btf.size_of(id)) == Some(*size),
            Fact::Type(kind, name) => kernel.named(name).any(|(_, found)| match found.kind {
                Kind::Composite { .. } => *kind == TypeKind::Composite,
                Kind::Enum { .. } => *kind == TypeKind::Enum,
                Kind::Alias(_) => *kind == TypeKind::Typedef,
                _ => false,
            }),
            Fact::Enumerator(of, name) => kernel.enumerator(of, name).is_some(),
            Fact::Value(of, name, value) => kernel.enumerator(of, name) == Some(*value),
            Fact::Func(name) => kernel.named(name).any(|(_, found)| matches!(found.kind, Kind::Function(_))),
            Fact::FuncArgs(name, count) => kernel.parameters(name).is_some_and(|found| found >= *count),
            Fact::Not(fact) => !fact.holds(kernel),
            Fact::All(facts) => facts.iter().all(|fact| fact.holds(kernel)),
            Fact::Any(facts) => facts.iter().any(|fact| fact.holds(kernel)),
        }
    }
}

/// The types of a kernel, with an index by name.
pub struct KernelTypes {
    btf: Btf,
    by_name: HashMap<String, Vec<u32>>,
}

impl KernelTypes {
    pub fn new(btf: Btf) -> Self {
        let mut by_name: HashMap<String, Vec<u32>> = HashMap::new();
        for (id, found) in (0..).zip(btf.types()) {
            if let Some(name) = btf.string(found.name_offset).filter(|name| !name.is_empty()) {
                by_name.entry(name).or_default().push(id);
            }
        }
        KernelTypes { btf, by_name }
    }

    fn named(&self, name: &str) -> impl Iterator<Item = (u32, &Type)> {
        let ids = self.by_name.get(name).into_iter().flatten();
        ids.filter_map(|&id| Some((id, self.btf.get(id)?)))
    }

    /// The type id of the field at the end of a path that begins with a struct's name.
    fn field(&self, path: &[String]) -> Option<u32> {
        let (first, members) = path.split_first()?;
        self.named(first).find_map(|(id, found)| {
            matches!(found.kind, Kind::Composite { .. }).then_some(())?;
            members.iter().try_fold(id, |id, name| self.member(id, name))
        })
    }

    /// The type id of a member, also of one inside of a nameless member.
    fn member(&self, id: u32, name: &str) -> Option<u32> {
        let Kind::Composite { members, .. } = &self.btf.resolve(id)?.kind else { return None };
        members.iter().find_map(|member| match self.btf.string(member.name_offset).as_deref() {
            Some("") => self.member(member.type_id, name),
            found => (found == Some(name)).then_some(member.type_id),
        })
    }

    fn enumerator(&self, of: &str, name: &str) -> Option<i64> {
        self.named(of).find_map(|(_, found)| {
            let Kind::Enum { values, .. } = &found.kind else { return None };
            let constant = values.iter().find(|value| self.btf.string(value.name_offset).as_deref() == Some(name))?;
            Some(constant.value)
        })
    }

    /// How many parameters a function has, or the prototype behind a typedef.
    fn parameters(&self, name: &str) -> Option<usize> {
        self.named(name).find_map(|(id, found)| {
            let mut target = match found.kind {
                Kind::Function(prototype) => self.btf.get(prototype)?,
                Kind::Alias(_) => self.btf.resolve(id)?,
                _ => return None,
            };
            if let Kind::Pointer(pointee) = target.kind {
                target = self.btf.resolve(pointee)?;
            }
            match target.kind {
                Kind::Prototype { parameters } => Some(parameters),
                _ => None,
            }
        })
    }
}
