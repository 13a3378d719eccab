//! Reading a field that has several layouts: a flavour of the struct for each, and one function that picks.

mod declarations;

use std::collections::BTreeSet;

use super::super::layout::Layout;
use super::super::spec::{LocalSpec, PathStep};
use super::super::walk::walk;
use super::{identifier, is_identifier, program};
use crate::object::btf::{TypeKind, essential_name};
use crate::record::Snippet;
use declarations::Declarations;

/// A layout that a guard is to ask for.
pub(in super::super) struct Offer<'a> {
    /// Its number.
    pub number: usize,
    pub layout: &'a Layout<'a>,
    /// What its flavours are called by.
    pub label: String,
    /// The kernels that have it.
    pub comment: String,
}

/// A guard.
pub(in super::super) struct Guarded {
    pub snippet: Snippet,
    /// Of each layout that it reads, its number, and the flavour, the condition and the read.
    pub arms: Vec<(usize, [String; 3])>,
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
    number: usize,
    variable: String,
    flavour: String,
    exists: String,
    read: String,
    value: Value,
    type_name: String,
    comment: String,
    path: String,
}

/// The guard for a field, which asks for the layouts in this order; `others` are only mentioned, and `rest` says which kernels take no
/// branch. `None` if the field cannot be written as C.
pub(in super::super) fn field(
    spec: &LocalSpec,
    (offers, others): (&[Offer<'_>], &[Offer<'_>]),
    rest: &str,
) -> Option<Guarded> {
    let root = essential_name(&spec.type_name);
    if !is_identifier(root) || spec.cut {
        return None;
    }
    let mut declarations = Declarations::default();
    let mut labels = BTreeSet::new();
    let mut write = |offers: &[Offer<'_>]| -> Vec<Branch> {
        offers.iter().filter_map(|offer| branch(&mut declarations, offer, &mut labels)).collect()
    };
    let (branches, others) = (write(offers), write(others));
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
            "\t/* {comment}: `{path}` is here, with another type (`{type_name}`); read it separately, through \
    `{flavour}` */\n"
        ));
    }
    for Branch { exists, read, comment, .. } in &branches {
        code.push_str(&format!("\tif ({exists}) /* {comment} */\n\t\treturn {read};\n"));
    }
    code.push_str(&format!("\treturn 0; /* {} */\n}}\n", rest.replace("*/", "")));
    let arms =
        branches.into_iter().map(|branch| (branch.number, [branch.variable, branch.exists, branch.read])).collect();
    Some(Guarded { snippet: program(code), arms })
}

/// One branch; `None` if its types cannot be written as C.
fn branch(declarations: &mut Declarations, offer: &Offer<'_>, labels: &mut BTreeSet<String>) -> Option<Branch> {
    let layout = offer.layout;
    let btf = layout.btf;
    let found = walk(btf, layout.root, &layout.path, None).ok()?;
    let value = match &btf.resolve(found.type_id)?.kind {
        TypeKind::Pointer(_) => Value::Pointer,
        TypeKind::Int { .. } | TypeKind::Enum { .. } => Value::Number { signed: btf.is_signed(found.type_id) },
        TypeKind::Composite { .. } | TypeKind::Array { .. } => Value::Address,
        _ => return None,
    };
    let label = (0..).map(|n| match n {
        0 => identifier(&format!("k{}", offer.label)),
        n => identifier(&format!("k{}_{n}", offer.label)),
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
    // What takes size, sign and shifts from the running kernel reads a number of any size.
    let adapts = found.bitfield_size > 0 || !layout.is_uniform;
    let read = match (value, adapts, before.is_empty()) {
        (Value::Number { .. }, true, true) => format!("BPF_CORE_READ_BITFIELD_PROBED({label}, {last})"),
        (Value::Number { .. }, true, false) => return None,
        (Value::Address, _, true) => format!("&{label}->{last}"),
        (Value::Address, _, false) => format!("&BPF_CORE_READ({label}, {})->{last}", before.join(", ")),
        _ => format!("BPF_CORE_READ({label}, {})", texts.join(", ")),
    };
    Some(Branch {
        number: offer.number,
        variable: label,
        flavour,
        exists,
        read,
        value,
        type_name: layout.type_name.clone(),
        comment: offer.comment.replace("*/", ""),
        path: super::super::path_text(&layout.path),
    })
}
