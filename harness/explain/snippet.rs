//! [`Snippet`]: the guard to write, as C that compiles behind `vmlinux.h` or without it, and `bpf_core_read.h`.

mod flavour;
mod prototype;

pub(super) use flavour::{Offer, field};

use super::guard::Guard;
use super::spec::{LocalSpec, type_text};
use super::symbol::AttachTarget;
use crate::feature::Feature;
use crate::object::btf::{Btf, TypeKind, essential_name};
use crate::record::{Snippet, SnippetPlace};

/// A piece of C to write, and what it asks of the running kernel.
#[derive(Debug)]
pub(super) struct Draft {
    snippet: Snippet,
    guard: Guard,
}

impl Draft {
    /// The code, unless its guard is true on a kernel with these types; `probed` is what that kernel answered of the feature
    /// in question.
    pub(super) fn unless_idle(self, btf: Option<&Btf>, probed: bool) -> Option<Snippet> {
        (!self.guard.holds(btf, probed)).then_some(self.snippet)
    }
}

/// Words that C or libbpf's headers keep for themselves and that a name may be.
const RESERVED: [&str; 12] =
    ["int", "long", "short", "char", "enum", "struct", "union", "const", "void", "static", "inline", "typeof"];

/// A name as a C identifier: odd bytes become underscores.
fn identifier(name: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let mut name: String = name.chars().map(clean).collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || RESERVED.contains(&name.as_str()) {
        name.insert(0, '_');
    }
    name
}

/// Whether a name can stand in C as it is; another cannot be written in a snippet.
fn is_identifier(name: &str) -> bool {
    !name.is_empty() && identifier(name) == name
}

fn guarded(snippet: Snippet, guard: Guard) -> Draft {
    Draft { snippet, guard }
}

fn program(code: String) -> Snippet {
    Snippet { place: SnippetPlace::Program, code }
}

fn loader(code: String) -> Snippet {
    Snippet { place: SnippetPlace::Loader, code }
}

/// Asks whether a type exists.
pub(super) fn type_exists(spec: &LocalSpec) -> Option<Draft> {
    let name = essential_name(&spec.type_name);
    if !is_identifier(name) {
        return None;
    }
    let flavour = type_text(&spec.type_kind, &format!("{name}___guard"));
    let declaration = match spec.type_kind.as_str() {
        "struct" | "union" => format!("{flavour} {{}} __attribute__((preserve_access_index));"),
        "enum" | "enum64" => format!("{flavour} {{ {name}___guard_value }};"),
        // libbpf looks for a typedef of this name; what it names has to be of a like kind.
        _ => return None,
    };
    let guard = Guard::Type { name: name.to_owned(), want: spec.want()? };
    let snippet = program(format!(
        "{declaration}\n\n\tif (bpf_core_type_exists({flavour})) {{\n\t\t/* this kernel has `{}` */\n\t}} else \
    {{\n\t\t/* this kernel lacks it: do not read it here */\n\t}}\n",
        type_text(&spec.type_kind, name)
    ));
    Some(guarded(snippet, guard))
}

/// Asks whether an enumerator exists, and takes its value from the kernel.
pub(super) fn enumerator_exists(enum_name: &str, enumerator: &str, value: i128) -> Option<Snippet> {
    let (enum_name, enumerator) = (essential_name(enum_name), essential_name(enumerator));
    if !is_identifier(enum_name) || !is_identifier(enumerator) {
        return None;
    }
    let suffix = if i128::from(value as i32) == value { "" } else { "LL" };
    let (flavour, name) = (format!("enum {enum_name}___guard"), format!("{enumerator}___guard"));
    Some(program(format!(
        "{flavour} {{ {name} = {value}{suffix} }};\n\n\tlong long value;\n\n\tif \
    (bpf_core_enum_value_exists({flavour}, {name}))\n\t\tvalue = bpf_core_enum_value({flavour}, \
    {name});\n\telse\n\t\tvalue = -1; /* this kernel lacks it */\n"
    )))
}

/// Asks whether the kernel has a feature. A `callback` cannot be guarded in the program: the loader has to choose.
pub(super) fn feature(
    feature: Feature,
    enumerator: &str,
    number: i64,
    callback: bool,
    program_type: Option<&str>,
) -> Vec<Draft> {
    if !is_identifier(enumerator) {
        return Vec::new();
    }
    let listing = feature.listing().0;
    let listed = || Guard::Enumerator { in_enum: listing.to_owned(), name: enumerator.to_owned() };
    let guard = |then: &str, otherwise: &str| {
        let (flavour, name) = (format!("enum {listing}___guard"), format!("{enumerator}___guard"));
        let code = program(format!(
            "{flavour} {{ {name} = {number} }};\n\n\tif (bpf_core_enum_value_exists({flavour}, {name})) {{\n\t\t/* {then} \
             */\n\t}} else {{\n\t\t/* {otherwise} */\n\t}}\n"
        ));
        guarded(code, listed())
    };
    let probed = |code: String| guarded(loader(code), Guard::Probe);
    let without = "bpf_program__set_autoload(prog, false); /* and enable the one for the other kernels */";
    let bare = enumerator.strip_prefix(feature.listing().1).unwrap_or(enumerator);
    match feature {
        Feature::Helper => {
            let mut snippets = Vec::new();
            if !callback {
                snippets.push(guard(&format!("call bpf_{bare}() here only"), "work without it"));
            }
            // libbpf cannot ask for helpers of these.
            let cannot = ["tracing", "lsm", "ext", "struct_ops"];
            let own = program_type.filter(|own| !cannot.contains(own) && is_identifier(own));
            if own.is_some() || callback {
                let own = own.unwrap_or("kprobe").to_uppercase();
                snippets.push(probed(format!(
                    "\tif (libbpf_probe_bpf_helper(BPF_PROG_TYPE_{own}, {enumerator}, NULL) != 1)\n\t\t{without}\n"
                )));
            }
            snippets
        }
        Feature::MapType => vec![
            probed(format!(
                "\tif (libbpf_probe_bpf_map_type({enumerator}, NULL) != 1)\n\t\tbpf_map__set_autocreate(map, false);\n"
            )),
            guard("use the map here only", "use another map"),
        ],
        Feature::ProgramType => {
            vec![probed(format!("\tif (libbpf_probe_bpf_prog_type({enumerator}, NULL) != 1)\n\t\t{without}\n"))]
        }
        Feature::AttachType => vec![guarded(attach_type_listed(enumerator), listed())],
    }
}

/// Leaves a program out where the kernel does not list its attach type. libbpf has no probe for these.
fn attach_type_listed(enumerator: &str) -> Snippet {
    loader(format!(
        "#include <string.h>\n\n/* whether the running kernel lists an attach type */\nstatic bool \
    has_attach_type(const char *name)\n{{\n\tstruct btf *btf = btf__load_vmlinux_btf();\n\tconst struct btf_type \
    *t;\n\tbool found = false;\n\tint i;\n\n\tif (!btf)\n\t\treturn false;\n\tt = btf__type_by_id(btf, \
    btf__find_by_name_kind(btf, \"bpf_attach_type\", BTF_KIND_ENUM));\n\tfor (i = 0; t && i < btf_vlen(t); \
    i++)\n\t\tfound |= !strcmp(btf__name_by_offset(btf, btf_enum(t)[i].name_off), name);\n\tbtf__free(btf);\n\treturn \
    found;\n}}\n\n\tif (!has_attach_type(\"{enumerator}\"))\n\t\tbpf_program__set_autoload(prog, false); /* and enable \
    the one for the other kernels */\n"
    ))
}

/// Leaves out the map of a struct_ops where the kernel does not offer it; libbpf then leaves out its programs.
pub(super) fn struct_ops(name: &str) -> Snippet {
    let name = escaped(name);
    loader(format!(
        "/* whether the running kernel has a struct_ops type */\nstatic bool has_struct_ops(const char \
    *type)\n{{\n\tstruct btf *btf = btf__load_vmlinux_btf();\n\tbool found = btf && btf__find_by_name_kind(btf, type, \
    BTF_KIND_STRUCT) > 0;\n\n\tbtf__free(btf);\n\treturn found;\n}}\n\n\tif \
    (!has_struct_ops(\"bpf_struct_ops_{name}\")) {{\n\t\tbpf_map__set_autocreate(map, \
    false);\n\t\tbpf_program__set_autoload(prog, false); /* and every other program of it */\n\t}}\n"
    ))
}

/// Leaves a program out where its target is missing.
pub(super) fn target_exists(target: &AttachTarget) -> Draft {
    let (attach, name) = attach_type(target);
    let snippet = loader(format!(
        "\tif (libbpf_find_vmlinux_btf_id(\"{name}\", {attach}) < 0)\n\t\tbpf_program__set_autoload(prog, false); /* \
    and enable the one for the other kernels */\n"
    ));
    guarded(snippet, Guard::Target(target.clone()))
}

/// Picks a program by how many parameters its target has.
pub(super) fn parameter_count(target: &AttachTarget, count: usize) -> Draft {
    let (find, skip) = match target {
        AttachTarget::Function(name) | AttachTarget::Iterator(name) => (
            format!("\tt = btf__type_by_id(btf, btf__find_by_name_kind(btf, \"{}\", BTF_KIND_FUNC));\n", escaped(name)),
            0,
        ),
        AttachTarget::Tracepoint(name) => (
            format!(
                "\tt = btf__type_by_id(btf, btf__find_by_name_kind(btf, \"btf_trace_{}\", BTF_KIND_TYPEDEF));\n\tif \
                 (t)\n\t\tt = btf__type_by_id(btf, t->type); /* the pointer */\n",
                escaped(name)
            ),
            // The tracepoint's own `void *`, which programs do not see.
            1,
        ),
    };
    let minus = if skip > 0 { " - 1" } else { "" };
    let snippet = loader(format!(
        "/* number of parameters on the running kernel; -1 if it lacks the target */\nstatic int \
    target_parameters(void)\n{{\n\tstruct btf *btf = btf__load_vmlinux_btf();\n\tconst struct btf_type *t;\n\tint \
    count = -1;\n\n\tif (!btf)\n\t\treturn -1;\n{find}\tif (t)\n\t\tt = btf__type_by_id(btf, t->type); /* the \
    prototype */\n\tif (t && btf_is_func_proto(t))\n\t\tcount = btf_vlen(t){minus};\n\tbtf__free(btf);\n\treturn \
    count;\n}}\n\n\tif (target_parameters() != {count})\n\t\tbpf_program__set_autoload(prog, false); /* and enable the \
    one for the other prototype */\n"
    ));
    guarded(snippet, Guard::Parameters(target.clone(), count))
}

/// libbpf's attach type and the name it takes.
fn attach_type(target: &AttachTarget) -> (&'static str, String) {
    match target {
        AttachTarget::Function(name) => match name.strip_prefix("bpf_lsm_") {
            Some(hook) => ("BPF_LSM_MAC", escaped(hook)),
            None => ("BPF_TRACE_FENTRY", escaped(name)),
        },
        AttachTarget::Iterator(name) => ("BPF_TRACE_ITER", escaped(name.trim_start_matches("bpf_iter_"))),
        AttachTarget::Tracepoint(name) => ("BPF_TRACE_RAW_TP", escaped(name)),
    }
}

/// A name within a C string.
fn escaped(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '"' | '\\') && !c.is_control()).collect()
}

/// Declares a kernel function weak and asks for it before the call.
pub(super) fn ksym(name: &str, btf: &Btf, prototype: u32) -> Option<Snippet> {
    let TypeKind::Prototype { .. } = btf.get(prototype)?.kind else {
        return None;
    };
    if !is_identifier(name) {
        return None;
    }
    let mut code = String::new();
    for forward in prototype::forwards(btf, prototype) {
        code.push_str(&format!("{forward};\n"));
    }
    code.push_str(&format!(
        "extern {} __weak __ksym;\n\n\tif (bpf_ksym_exists({name})) {{\n\t\t/* call {name}() here only */\n\t}} else \
    {{\n\t\t/* work without it */\n\t}}\n",
        prototype::plain_prototype(btf, prototype, name)
    ));
    Some(program(code))
}

/// A prototype as C; `None` if it is none.
pub(super) fn prototype(btf: &Btf, prototype: u32, name: &str) -> Option<String> {
    matches!(btf.get(prototype)?.kind, TypeKind::Prototype { .. })
        .then(|| prototype::plain_prototype(btf, prototype, name))
}

/// Declares a kernel function in the form that newer kernels have, beside that of the object.
pub(super) fn other_prototype(name: &str, flavour: &str, kernels: &str, btf: &Btf, prototype: u32) -> Option<Snippet> {
    let TypeKind::Prototype { .. } = btf.get(prototype)?.kind else {
        return None;
    };
    let name = essential_name(name);
    if !is_identifier(name) {
        return None;
    }
    let new = format!("{name}___{}", identifier(flavour).replace("___", "_"));
    let mut code = String::new();
    for forward in prototype::forwards(btf, prototype) {
        code.push_str(&format!("{forward};\n"));
    }
    let kernels = kernels.replace("*/", "");
    code.push_str(&format!(
        "extern {} __weak __ksym; /* {kernels} */\n\n\tif (bpf_ksym_exists({new})) {{\n\t\t/* call {new}() here only \
         */\n\t}} else {{\n\t\t/* the call as it is, if bpf_ksym_exists({name}) */\n\t}}\n",
        prototype::plain_prototype(btf, prototype, &new)
    ));
    Some(program(code))
}

/// Sets the member of a struct_ops map to NULL where the kernel does not have it.
pub(super) fn struct_ops_member(in_struct: &str, member: &str) -> Option<Snippet> {
    if !is_identifier(in_struct) || !is_identifier(member) {
        return None;
    }
    Some(loader(format!(
        "#include <string.h>\n\n/* whether the running kernel's struct has the member */\nstatic bool has_member(const char \
         *name, const char *member)\n{{\n\tstruct btf *btf = btf__load_vmlinux_btf();\n\tconst struct btf_type \
         *t;\n\tbool found = false;\n\tint i;\n\n\tif (!btf)\n\t\treturn false;\n\tt = btf__type_by_id(btf, \
         btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT));\n\tfor (i = 0; t && i < btf_vlen(t); i++)\n\t\tfound |= \
         !strcmp(btf__name_by_offset(btf, btf_members(t)[i].name_off), member);\n\tbtf__free(btf);\n\treturn \
         found;\n}}\n\n\tif (!has_member(\"{in_struct}\", \"{member}\")) {{\n\t\t/* skel->struct_ops.MAP->{member} = \
         NULL; with the map's name */\n\t\tbpf_program__set_autoload(prog, false); /* the program that the member \
         named */\n\t}}\n"
    )))
}

/// Sets a load flag where the kernel keeps it.
pub(super) fn load_flag(flag: &str) -> Vec<Snippet> {
    let member = match flag {
        "BPF_F_XDP_HAS_FRAGS" => "xdp_has_frags",
        _ => return Vec::new(),
    };
    vec![loader(format!(
        "#include <string.h>\n\n/* whether the running kernel knows the flag */\nstatic bool knows_flag(const char \
         *member)\n{{\n\tstruct btf *btf = btf__load_vmlinux_btf();\n\tconst struct btf_type *t;\n\tbool found = \
         false;\n\tint i;\n\n\tif (!btf)\n\t\treturn false;\n\tt = btf__type_by_id(btf, btf__find_by_name_kind(btf, \
         \"bpf_prog_aux\", BTF_KIND_STRUCT));\n\tfor (i = 0; t && i < btf_vlen(t); i++)\n\t\tfound |= \
         !strcmp(btf__name_by_offset(btf, btf_members(t)[i].name_off), member);\n\tbtf__free(btf);\n\treturn \
         found;\n}}\n\n\tif (knows_flag(\"{member}\"))\n\t\tbpf_program__set_flags(prog, bpf_program__flags(prog) | {flag});\n"
    ))]
}

/// A licence that is compatible with the GPL.
pub(super) fn licence() -> Snippet {
    program("char _license[] SEC(\"license\") = \"Dual BSD/GPL\"; /* or \"GPL\" */\n".to_owned())
}

/// Declares a kconfig extern weak.
pub(super) fn kconfig(option: &str) -> Option<Snippet> {
    is_identifier(option).then(|| {
        program(format!(
            "extern int {option} __kconfig __weak;\n\n\tif ({option}) {{\n\t\t/* code that needs the option */\n\t}}\n"
        ))
    })
}
