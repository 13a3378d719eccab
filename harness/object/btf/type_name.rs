//! C names of types: [`Btf::type_name`] and [`Btf::declaration`].

use super::{Btf, Qualifier, TypeKind};

/// Types looked at for one name. Real names take fewer than twenty; a crafted prototype could ask for millions.
const MAX_PARTS: usize = 200;

impl Btf {
    /// The type as C writes it, such as `struct task_struct *`, `unsigned int`, `char[16]` or `int (*)(void *)`. A part
    /// that cannot be read is `?`.
    pub fn type_name(&self, id: u32) -> String {
        self.declaration(id, "")
    }

    /// A declaration of `name` with the type, as C writes it, without the semicolon: `char comm[16]`.
    pub fn declaration(&self, id: u32, name: &str) -> String {
        let mut budget = MAX_PARTS;
        self.declare(id, name.to_owned(), &mut budget)
    }

    /// Wraps the declarator `inner` in the type. `budget` is how many more types may be looked at.
    fn declare(&self, id: u32, inner: String, budget: &mut usize) -> String {
        let (mut id, mut inner, mut qualifiers) = (id, inner, String::new());
        loop {
            *budget = match budget.checked_sub(1) {
                Some(left) => left,
                None => return joined("...", &inner),
            };
            let Some(found) = self.get(id) else {
                return joined("?", &inner);
            };
            let tag = |keyword: &str| match self.text(found.name_offset).unwrap_or_default() {
                name if name.is_empty() => format!("{qualifiers}{keyword} {{...}}"),
                name => format!("{qualifiers}{keyword} {name}"),
            };
            let base = match &found.kind {
                TypeKind::Pointer(target) => {
                    // Qualifiers before a `*` belong to the pointer.
                    inner = format!("*{qualifiers}{inner}");
                    qualifiers.clear();
                    id = *target;
                    if matches!(
                        self.get(id).map(|target| &target.kind),
                        Some(TypeKind::Array { .. } | TypeKind::Prototype { .. })
                    ) {
                        inner = format!("({inner})");
                    }
                    continue;
                }
                TypeKind::Array { element, count } => {
                    inner = format!("{inner}[{count}]");
                    id = *element;
                    continue;
                }
                TypeKind::Prototype { returns, parameters } => {
                    let mut list = Vec::new();
                    for parameter in parameters {
                        list.push(match parameter.type_id {
                            0 => "...".to_owned(),
                            type_id => self.declare(type_id, String::new(), budget),
                        });
                    }
                    let list = if list.is_empty() { "void".to_owned() } else { list.join(", ") };
                    inner = format!("{inner}({list})");
                    id = *returns;
                    continue;
                }
                TypeKind::Function(prototype) => {
                    id = *prototype;
                    continue;
                }
                TypeKind::Variable(target) => {
                    id = *target;
                    continue;
                }
                TypeKind::Qualified(qualifier, target) => {
                    match qualifier {
                        Qualifier::Const => qualifiers.push_str("const "),
                        Qualifier::Volatile => qualifiers.push_str("volatile "),
                        Qualifier::Restrict | Qualifier::Tag => {}
                    }
                    id = *target;
                    continue;
                }
                TypeKind::Void => format!("{qualifiers}void"),
                TypeKind::Composite { union: false, .. } | TypeKind::Forward { union: false } => tag("struct"),
                TypeKind::Composite { union: true, .. } | TypeKind::Forward { union: true } => tag("union"),
                TypeKind::Enum { .. } => tag("enum"),
                TypeKind::Int { .. }
                | TypeKind::Float { .. }
                | TypeKind::Typedef(_)
                | TypeKind::Section { .. }
                | TypeKind::Other => {
                    format!("{qualifiers}{}", self.text(found.name_offset).unwrap_or_default())
                }
            };
            return joined(&base, &inner);
        }
    }
}

/// `base` and a declarator, with a space where C is written with one.
fn joined(base: &str, inner: &str) -> String {
    let inner = inner.trim_end();
    let space = if inner.is_empty() || inner.starts_with('[') { "" } else { " " };
    format!("{base}{space}{inner}")
}
