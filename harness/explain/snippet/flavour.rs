//! Reading a field that has several layouts: a flavour of the struct for each, and one function that picks.

use std::collections::BTreeSet;

use super::super::KernelTypes;
use super::super::spec::{LocalSpec, Step};
use super::super::walk::walk;
use super::{identifier, is_identifier, program};
use crate::object::btf::{Btf, Kind, Type, essential_name};
use crate::record::{Snippet, span};

/// Pointers and arrays nested deeper than this are not written down.
const MAX_DEPTH: usize = 8;

/// Function pointers within a prototype are followed this deep, and written with this many parameters at most.
const MAX_PROTOTYPE_DEPTH: usize = 4;
const MAX_PARAMETERS: usize = 32;

/// Elements of an array that a flavour declares at most; libbpf checks against the kernel's number, not this one.
const MAX_ELEMENTS: u32 = 4096;

/// One way a field lies in kernels.
pub(in super::super) struct Layout<'a> {
    btf: &'a Btf,
    /// The root type.
    root: u32,
    path: Vec<Step>,
    /// Type of the field, as C names it.
    type_name: String,
    /// Name of the first kernel with it, of the last one so far, and how many there are.
    first: &'a str,
    last: &'a str,
    count: usize,
}

/// Adds the layout of one kernel, or counts the kernel to a layout that is the same.
pub(in super::super) fn add_layout<'a>(
    layouts: &mut Vec<Layout<'a>>,
    kernel: KernelTypes<'a>,
    root: u32,
    path: &[Step],
) {
    let Ok(found) = walk(kernel.btf, root, path, None) else {
        return;
    };
    let type_name = kernel.btf.type_name(found.type_id);
    match layouts.iter_mut().find(|known| known.path == path && known.type_name == type_name) {
        Some(known) => (known.last, known.count) = (kernel.name, known.count + 1),
        None => layouts.push(Layout {
            btf: kernel.btf,
            root,
            path: path.to_vec(),
            type_name,
            first: kernel.name,
            last: kernel.name,
            count: 1,
        }),
    }
}

/// What a read gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    Number {
        signed: bool,
    },
    Pointer,
    /// The place of a struct or array, too large to be returned.
    Address,
}

/// One branch of the guard.
struct Branch {
    variable: String,
    flavour: String,
    exists: String,
    read: String,
    value: Value,
    type_name: String,
    comment: String,
    path: String,
}

/// The guard for a field: newest layout first. `None` if the field cannot be written as C.
pub(in super::super) fn field(spec: &LocalSpec, layouts: &[Layout<'_>], kernels: usize) -> Option<Snippet> {
    let root = essential_name(&spec.type_name);
    if !is_identifier(root) || spec.cut {
        return None;
    }
    let mut writer = Writer { forwards: BTreeSet::new(), types: Vec::new() };
    let mut labels = BTreeSet::new();
    let branches: Vec<Branch> =
        layouts.iter().rev().filter_map(|layout| branch(&mut writer, layout, kernels, &mut labels)).collect();
    // What the oldest layout gives, the function gives; one that gives something else is only mentioned.
    let is_number = |value: Value| matches!(value, Value::Number { .. });
    let (oldest, oldest_type) = branches.last().map(|branch| (branch.value, branch.type_name.clone()))?;
    let (branches, others): (Vec<Branch>, Vec<Branch>) = branches.into_iter().partition(|branch| {
        is_number(branch.value) && is_number(oldest) || branch.value == oldest && branch.type_name == oldest_type
    });
    let value = branches.iter().map(|branch| branch.value).reduce(|a, b| match (a, b) {
        (Value::Number { signed: a }, Value::Number { signed: b }) => Value::Number { signed: a || b },
        _ => a,
    })?;
    let returns = match value {
        Value::Number { signed: true } => "long long ",
        Value::Number { signed: false } => "unsigned long long ",
        Value::Pointer | Value::Address => "void *",
    };
    let members = spec.path.iter().filter_map(|step| match step {
        Step::Member(name) => Some(name.trim_matches('_')),
        Step::Index(_) | Step::Follow => None,
    });
    let function = identifier(&[root].into_iter().chain(members).collect::<Vec<_>>().join("_"));

    let mut code = String::new();
    for forward in &writer.forwards {
        code.push_str(&format!("{forward};\n"));
    }
    for declared in &writer.types {
        code.push_str(declared);
    }
    code.push_str(&format!("\nstatic __always_inline {returns}{function}(void *p)\n{{\n"));
    for Branch { variable, flavour, .. } in &branches {
        code.push_str(&format!("\t{flavour} *{variable} = p;\n"));
    }
    code.push('\n');
    for Branch { path, type_name, flavour, comment, .. } in &others {
        let type_name = type_name.replace("*/", "");
        code.push_str(&format!(
            "\t/* {comment}: `{path}` stands here, of another type (`{type_name}`); read it apart, by `{flavour}` */\n"
        ));
    }
    for Branch { exists, read, comment, .. } in &branches {
        code.push_str(&format!("\tif ({exists}) /* {comment} */\n\t\treturn {read};\n"));
    }
    code.push_str("\treturn 0; /* no layout known to this matrix */\n}\n");
    Some(program(code))
}

/// One branch; `None` if its types cannot be written as C.
fn branch(writer: &mut Writer, layout: &Layout<'_>, kernels: usize, labels: &mut BTreeSet<String>) -> Option<Branch> {
    let btf = layout.btf;
    let found = walk(btf, layout.root, &layout.path, None).ok()?;
    let value = match &btf.resolve(found.type_id)?.kind {
        Kind::Pointer(_) => Value::Pointer,
        Kind::Int { .. } | Kind::Enum { .. } => Value::Number { signed: btf.is_signed(found.type_id) },
        Kind::Composite { .. } | Kind::Array { .. } => Value::Address,
        _ => return None,
    };
    let label = (0..).map(|n| match n {
        0 => identifier(&format!("k{}", layout.first)),
        n => identifier(&format!("k{}_{n}", layout.first)),
    });
    // A flavour begins with something other than an underscore, and may not hold `___`, or libbpf takes too little off.
    let label = label.map(|label| label.replace("___", "_")).find(|label| labels.insert(label.clone()))?;
    let (flavour, last_struct) = writer.root(btf, layout.root, &layout.path, &label)?;

    let parts: Vec<&[Step]> = layout.path.split(|step| *step == Step::Follow).collect();
    let texts: Vec<String> = parts.iter().map(|part| super::super::path_text(part)).collect();
    let (last, before) = texts.split_last()?;
    let exists = match (last.is_empty(), before.is_empty()) {
        (true, _) => return None,
        (false, true) => format!("bpf_core_field_exists({label}->{last})"),
        (false, false) => format!("bpf_core_field_exists({last_struct}, {last})"),
    };
    let read = match (value, found.bitfield_size > 0, before.is_empty()) {
        (Value::Number { .. }, true, true) => format!("BPF_CORE_READ_BITFIELD_PROBED({label}, {last})"),
        (Value::Number { .. }, true, false) => return None,
        (Value::Address, _, true) => format!("&{label}->{last}"),
        (Value::Address, _, false) => format!("&BPF_CORE_READ({label}, {})->{last}", before.join(", ")),
        _ => format!("BPF_CORE_READ({label}, {})", texts.join(", ")),
    };
    let scattered = layout.count > 1 && layout.count < kernels && layout.first == layout.last;
    let comment = match scattered {
        true => layout.first.to_owned(),
        false => span(layout.first, layout.last),
    };
    let comment = comment.replace("*/", "");
    Some(Branch {
        variable: label,
        flavour,
        exists,
        read,
        value,
        type_name: layout.type_name.clone(),
        comment,
        path: super::super::path_text(&layout.path),
    })
}

/// Declares flavours.
struct Writer {
    /// Structs that are only pointed to.
    forwards: BTreeSet<String>,
    /// Flavours, each behind those it needs.
    types: Vec<String>,
}

impl Writer {
    /// Declares the root type with nothing but the path. Gives its flavour, and that of the struct with the last part.
    fn root(&mut self, btf: &Btf, root: u32, path: &[Step], label: &str) -> Option<(String, String)> {
        let named = btf.get(root)?;
        let path = match path {
            // A first index steps over whole root types.
            [Step::Index(_), ..] => return None,
            _ => path,
        };
        if let Kind::Typedef(_) = named.kind {
            let name = format!("{}___{label}", essential_name(&btf.name(root)));
            let mut last = name.clone();
            let body = self.body(btf, root, path, label, &mut last, MAX_DEPTH)?;
            let keyword = keyword(btf.resolve(root)?)?;
            self.types.push(format!("typedef {keyword} {{ {body}}} {ATTRIBUTE} {name};\n"));
            return Some((name, last));
        }
        let mut last = String::new();
        let flavour = self.composite(btf, root, path, label, &mut last, MAX_DEPTH)?;
        Some((flavour, last))
    }

    /// Declares a named struct with the first member of the path, or an anonymous one in place.
    fn composite(
        &mut self,
        btf: &Btf,
        id: u32,
        path: &[Step],
        label: &str,
        last: &mut String,
        depth: usize,
    ) -> Option<String> {
        let found = btf.resolve(id)?;
        let keyword = keyword(found)?;
        let name = btf.string(found.name_offset)?;
        if name.is_empty() {
            let body = self.body(btf, id, path, label, last, depth.checked_sub(1)?)?;
            return Some(format!("{keyword} {{ {body}}} {ATTRIBUTE}"));
        }
        let flavour = format!("{keyword} {}___{label}", essential_name(&name));
        if !is_identifier(essential_name(&name)) {
            return None;
        }
        *last = flavour.clone();
        let body = self.body(btf, id, path, label, last, depth.checked_sub(1)?)?;
        let declared = format!("{flavour} {{ {body}}} {ATTRIBUTE};\n");
        // A struct that the path goes through twice would need both members at once.
        if self.types.iter().any(|known| known.starts_with(&format!("{flavour} {{")) && *known != declared) {
            return None;
        }
        if !self.types.contains(&declared) {
            self.types.push(declared);
        }
        Some(flavour)
    }

    /// The one member that the path asks for; nothing if the path ends here.
    fn body(
        &mut self,
        btf: &Btf,
        id: u32,
        path: &[Step],
        label: &str,
        last: &mut String,
        depth: usize,
    ) -> Option<String> {
        let Some((first, rest)) = path.split_first() else {
            return Some(String::new());
        };
        let Step::Member(name) = first else {
            return None;
        };
        if !is_identifier(name) {
            return None;
        }
        let place = btf.member(id, name)?;
        let bits = if place.bitfield_size > 0 { format!(":{}", place.bitfield_size) } else { String::new() };
        let declared = self.declare(btf, place.type_id, name.clone(), rest, label, last, depth)?;
        Some(format!("{declared}{bits}; "))
    }

    /// Declares `inner` with the type, as far as the path needs it.
    #[allow(clippy::too_many_arguments)]
    fn declare(
        &mut self,
        btf: &Btf,
        id: u32,
        inner: String,
        path: &[Step],
        label: &str,
        last: &mut String,
        depth: usize,
    ) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        let found = btf.resolve(id)?;
        match (&found.kind, path.first()) {
            (Kind::Pointer(pointee), Some(Step::Follow)) => {
                let flavour = self.composite(btf, *pointee, &path[1..], label, last, depth)?;
                Some(format!("{flavour} *{inner}"))
            }
            (Kind::Array { element, count }, step) => {
                let rest = if step.is_some() { &path[1..] } else { path };
                let count = (*count).clamp(1, MAX_ELEMENTS);
                self.declare(btf, *element, format!("{inner}[{count}]"), rest, label, last, depth)
            }
            (Kind::Composite { .. }, _) => {
                // The last part of the path is still within the outer struct.
                let mut ignored = String::new();
                let flavour = self.composite(
                    btf,
                    id,
                    path,
                    label,
                    if path.contains(&Step::Follow) { last } else { &mut ignored },
                    depth,
                )?;
                Some(format!("{flavour} {inner}"))
            }
            (Kind::Pointer(pointee), None) => Some(match forward(btf, *pointee) {
                Some(forward) => {
                    let declared = format!("{forward} *{inner}");
                    self.forwards.insert(forward);
                    declared
                }
                None => format!("void *{inner}"),
            }),
            (Kind::Enum { size: 4, .. }, None) => {
                let name = btf.string(found.name_offset)?;
                // libbpf takes no integer for an enum, and compares the names of enums.
                let tag = if name.is_empty() { String::new() } else { format!("{}___{label} ", essential_name(&name)) };
                let value = format!("{}_{label}_unset", identifier(essential_name(&name)));
                Some(format!("enum {tag}{{ {value} }} {inner}"))
            }
            (Kind::Int { .. }, None) => Some(format!("{} {inner}", btf.name(btf.resolve_id(id)?))),
            _ => None,
        }
    }
}

/// Makes clang record a relocation for every access.
const ATTRIBUTE: &str = "__attribute__((preserve_access_index))";

fn keyword(found: &Type) -> Option<&'static str> {
    match found.kind {
        Kind::Composite { union: false, .. } => Some("struct"),
        Kind::Composite { union: true, .. } => Some("union"),
        _ => None,
    }
}

/// `struct gendisk`, if that is what the id is.
fn forward(btf: &Btf, id: u32) -> Option<String> {
    let found = btf.resolve(id)?;
    let keyword = match found.kind {
        Kind::Composite { union, .. } | Kind::Forward { union } => {
            if union {
                "union"
            } else {
                "struct"
            }
        }
        _ => return None,
    };
    let name = btf.string(found.name_offset).filter(|name| is_identifier(name))?;
    Some(format!("{keyword} {name}"))
}

/// The structs that a prototype names, to be declared before it.
pub(super) fn forwards(btf: &Btf, prototype: u32) -> BTreeSet<String> {
    let Some(Type { kind: Kind::Prototype { returns, parameters }, .. }) = btf.get(prototype) else {
        return BTreeSet::new();
    };
    let ids = parameters.iter().take(MAX_PARAMETERS).map(|one| one.type_id).chain([*returns]);
    let mut found = BTreeSet::new();
    ids.for_each(|id| collect_forwards(btf, id, MAX_PROTOTYPE_DEPTH, &mut found));
    found
}

fn collect_forwards(btf: &Btf, id: u32, depth: usize, found: &mut BTreeSet<String>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match btf.resolve(id).map(|found| &found.kind) {
        Some(Kind::Pointer(pointee)) => {
            found.extend(forward(btf, *pointee));
            collect_forwards(btf, *pointee, depth, found);
        }
        Some(Kind::Prototype { returns, parameters }) => {
            let ids = parameters.iter().take(MAX_PARAMETERS).map(|one| one.type_id).chain([*returns]);
            ids.for_each(|id| collect_forwards(btf, id, depth, found));
        }
        _ => {}
    }
}

/// A prototype with nothing in it that a header would have to declare, but for the structs of [`forwards`].
pub(super) fn plain_prototype(btf: &Btf, prototype: u32, name: &str) -> String {
    let Some(Type { kind: Kind::Prototype { returns, parameters }, .. }) = btf.get(prototype) else {
        return format!("void {name}(void)");
    };
    if parameters.len() > MAX_PARAMETERS {
        return format!("void {name}(void)");
    }
    let list: Vec<String> = parameters.iter().map(|one| plain(btf, one.type_id, "", MAX_PROTOTYPE_DEPTH)).collect();
    let list = if list.is_empty() { "void".to_owned() } else { list.join(", ") };
    plain(btf, *returns, &format!("{name}({list})"), MAX_PROTOTYPE_DEPTH)
}

/// Declares `inner` with a type in which typedefs are seen through. libbpf compares pointers with what they point to, so that
/// nothing but what is unknown is `void *`. As a parameter, type 0 is `...`.
fn plain(btf: &Btf, id: u32, inner: &str, depth: usize) -> String {
    let spaced = |name: &str| if inner.is_empty() { name.to_owned() } else { format!("{name} {inner}") };
    let Some(depth) = depth.checked_sub(1) else { return spaced("void *") };
    match btf.resolve(id).map(|found| &found.kind) {
        None | Some(Kind::Void) if id == 0 && inner.is_empty() => "...".to_owned(),
        None | Some(Kind::Void) => spaced("void"),
        Some(Kind::Pointer(pointee)) => match btf.resolve(*pointee).map(|found| &found.kind) {
            Some(Kind::Prototype { returns, parameters }) if parameters.len() <= MAX_PARAMETERS => {
                let list: Vec<String> = parameters.iter().map(|one| plain(btf, one.type_id, "", depth)).collect();
                let list = if list.is_empty() { "void".to_owned() } else { list.join(", ") };
                plain(btf, *returns, &format!("(*{inner})({list})"), depth)
            }
            Some(Kind::Void) | None => format!("void *{inner}"),
            Some(Kind::Composite { .. } | Kind::Forward { .. }) => match forward(btf, *pointee) {
                Some(forward) => format!("{forward} *{inner}"),
                None => format!("void *{inner}"),
            },
            Some(Kind::Int { .. } | Kind::Pointer(_)) => plain(btf, *pointee, &format!("*{inner}"), depth),
            Some(_) => format!("void *{inner}"),
        },
        Some(Kind::Int { .. }) => spaced(&btf.name(btf.resolve_id(id).unwrap_or_default())),
        Some(Kind::Enum { size: 8, .. }) => spaced("long long"),
        Some(_) => spaced("int"),
    }
}
