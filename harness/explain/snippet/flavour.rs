//! Reading a field that has several layouts: a flavour of the struct for each, and one function that picks.

mod declarations;

use std::collections::BTreeSet;

use super::super::KernelTypes;
use super::super::spec::{LocalSpec, PathStep};
use super::super::walk::walk;
use super::{identifier, is_identifier, program};
use crate::object::btf::{Btf, TypeKind, essential_name};
use crate::record::{Snippet, span};
use declarations::Declarations;

/// One way a field lies in kernels.
pub(in super::super) struct Layout<'a> {
    btf: &'a Btf,
    /// The root type.
    root: u32,
    path: Vec<PathStep>,
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
    path: &[PathStep],
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
    let mut declarations = Declarations::default();
    let mut labels = BTreeSet::new();
    let branches: Vec<Branch> =
        layouts.iter().rev().filter_map(|layout| branch(&mut declarations, layout, kernels, &mut labels)).collect();
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
        PathStep::Member(name) => Some(name.trim_matches('_')),
        PathStep::Index(_) | PathStep::Follow => None,
    });
    let function = identifier(&[root].into_iter().chain(members).collect::<Vec<_>>().join("_"));

    let mut code = String::new();
    for forward in &declarations.forwards {
        code.push_str(&format!("{forward};\n"));
    }
    for declared in &declarations.types {
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
fn branch(
    declarations: &mut Declarations,
    layout: &Layout<'_>,
    kernels: usize,
    labels: &mut BTreeSet<String>,
) -> Option<Branch> {
    let btf = layout.btf;
    let found = walk(btf, layout.root, &layout.path, None).ok()?;
    let value = match &btf.resolve(found.type_id)?.kind {
        TypeKind::Pointer(_) => Value::Pointer,
        TypeKind::Int { .. } | TypeKind::Enum { .. } => Value::Number { signed: btf.is_signed(found.type_id) },
        TypeKind::Composite { .. } | TypeKind::Array { .. } => Value::Address,
        _ => return None,
    };
    let label = (0..).map(|n| match n {
        0 => identifier(&format!("k{}", layout.first)),
        n => identifier(&format!("k{}_{n}", layout.first)),
    });
    // A flavour begins with something other than an underscore, and may not hold `___`, or libbpf takes too little off.
    let label = label.map(|label| label.replace("___", "_")).find(|label| labels.insert(label.clone()))?;
    let (flavour, last_struct) = declarations.add(btf, layout.root, &layout.path, &label)?;

    let parts: Vec<&[PathStep]> = layout.path.split(|step| *step == PathStep::Follow).collect();
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
