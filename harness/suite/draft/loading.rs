//! [`tables`]: the `[[object]]`, `[[program]]` and `[[map]]` tables of what an object's own loader has to set, as far as the object shows it.

use std::fmt::Write as _;

use super::{comment, quoted};
use crate::object::rewrite::rewrite;
use crate::object::{BpfObject, Flaw, Inventory, MapInfo, ProgramInfo};
use crate::record::{ConstantLoading, LoadingRecord};

const HEAD: &str = "
# Values that libbpf needs and that the object's own loader sets. Proposed by corematrix; replace them by the loader's values.
";

/// Sections that loaders other than libbpf know, and libbpf's names of their program and attach types.
const SECTIONS: [(&str, &str, Option<&str>); 16] = [
    ("tc_ingress", "sched_cls", None),
    ("tc_egress", "sched_cls", None),
    ("classifier", "sched_cls", None),
    ("action", "sched_act", None),
    ("tcx", "sched_cls", Some("tcx_ingress")),
    ("cgroup_skb_ingress", "cgroup_skb", Some("cgroup_inet_ingress")),
    ("cgroup_skb_egress", "cgroup_skb", Some("cgroup_inet_egress")),
    ("cgroup_skb", "cgroup_skb", Some("cgroup_inet_ingress")),
    ("cgroup_sock", "cgroup_sock", Some("cgroup_inet_sock_create")),
    ("sockops", "sock_ops", Some("cgroup_sock_ops")),
    ("sk_msg", "sk_msg", Some("sk_msg_verdict")),
    ("sk_skb", "sk_skb", Some("sk_skb_stream_verdict")),
    ("socket", "socket_filter", None),
    ("xdp", "xdp", Some("xdp")),
    ("kprobe", "kprobe", None),
    ("perf_event", "perf_event", None),
];

/// The tables; empty if nothing has to be set.
pub(super) fn tables(object: &BpfObject, inventory: &Inventory) -> String {
    let mut text = String::new();
    let of_object = of_object(object, inventory);
    if !of_object.is_empty() {
        let _ = write!(text, "[[object]]\nobject = {}\n{of_object}", quoted(&object.name));
    }
    for program in inventory.programs.iter().filter(|program| program.prog_type.is_none()) {
        of_program(&mut text, object, program);
    }
    for program in inventory.programs.iter().filter(|program| program.prog_type.as_deref() == Some("ext")) {
        of_extension(&mut text, object, program);
    }
    for map in &inventory.maps {
        of_map(&mut text, object, map, inventory);
    }
    if text.is_empty() { text } else { format!("{HEAD}{text}") }
}

/// What is to be said of the object as a whole.
fn of_object(object: &BpfObject, inventory: &Inventory) -> String {
    let mut text = String::new();
    if inventory.programs.iter().any(|program| program.is_static) {
        text += "static-programs = true\n";
    }
    let can = |loading: &LoadingRecord| matches!(rewrite(&object.bytes, loading), Ok(Some(_)));
    if can(&LoadingRecord { called_programs: true, ..LoadingRecord::default() }) {
        text += "called-programs = true    # code calls functions outside `.text`\n";
    }
    if can(&LoadingRecord { legacy_maps: true, ..LoadingRecord::default() }) {
        text += "legacy-maps = true    # it defines maps without BTF\n";
    }
    for constant in object.undefined() {
        let wanted = ConstantLoading { constant: constant.clone(), value: None };
        if can(&LoadingRecord { constants: vec![wanted], ..LoadingRecord::default() }) {
            let _ = writeln!(text, "set.{} = 0    # a constant of inline assembly", quoted(&constant));
        }
    }
    // Functions of the kernel have a separate section in the object's BTF, and libbpf finds them.
    let mut externs: Vec<&String> = inventory.programs.iter().flat_map(|program| &program.externs).collect();
    externs.sort_unstable();
    externs.dedup();
    let is_called = |name: &&String| can(&LoadingRecord { stubs: vec![(*name).clone()], ..LoadingRecord::default() });
    let stubs: Vec<String> = externs.into_iter().filter(is_called).map(|name| quoted(name)).collect();
    if !stubs.is_empty() {
        let _ = writeln!(
            text,
            "stubs = [{}]    # extern functions that no kernel has: their calls return 0",
            stubs.join(", ")
        );
    }
    text
}

fn of_program(text: &mut String, object: &BpfObject, program: &ProgramInfo) {
    let name = quoted(&format!("{}/{}", object.name, program.name));
    let section = comment(&program.section);
    match SECTIONS.iter().find(|(begin, ..)| program.section.starts_with(begin)) {
        Some((_, kind, attach_type)) => {
            let _ = writeln!(text, "[[program]]\nprogram = {name}\ntype = \"{kind}\"    # section `{section}`");
            text.extend(attach_type.map(|attach_type| format!("attach-type = \"{attach_type}\"\n")));
        }
        None => {
            let _ = writeln!(
                text,
                "# [[program]]\n# program = {name}\n# type = \"kprobe\"    # section `{section}` is not known"
            );
        }
    }
}

/// What a program extends, only its user knows.
fn of_extension(text: &mut String, object: &BpfObject, program: &ProgramInfo) {
    let name = quoted(&format!("{}/{}", object.name, program.name));
    let function = program.section.split_once('/').map(|(_, function)| comment(function));
    let _ = writeln!(
        text,
        "# [[program]]\n# program = {name}\n# target = \"OBJECT:PROGRAM\"    # the program whose function it replaces"
    );
    let _ = match function {
        Some(function) => writeln!(text, "# target-function = {}", quoted(&function)),
        None => writeln!(text, "# target-function = \"NAME\""),
    };
}

fn of_map(text: &mut String, object: &BpfObject, map: &MapInfo, all: &Inventory) {
    let kind = map.map_type.as_deref().unwrap_or_default();
    let mut lines = Vec::new();
    for flaw in map.flaws() {
        lines.extend(match flaw {
            Flaw { field: "values", .. } => {
                // A map that no program uses is most likely there to be like those in this one.
                let is_used = |other: &&MapInfo| all.programs.iter().any(|program| program.maps.contains(&other.name));
                let sound = all.maps.iter().filter(|other| other.name != map.name && other.flaws().is_empty());
                let like = sound.min_by_key(is_used);
                Some(match like {
                    Some(like) => format!("inner = {{ like = {} }}    # {}", quoted(&like.name), comment(&flaw.what)),
                    None => format!(
                        "inner = {{ type = \"array\", key-size = 4, value-size = 4, max-entries = 1 }}    # {}",
                        comment(&flaw.what)
                    ),
                })
            }
            flaw => flaw.proposal(kind).map(|value| {
                format!("{} = {value}    # {kind}: {}", flaw.field.replace('_', "-"), comment(&flaw.what))
            }),
        });
    }
    if map.pinning > 1 {
        lines.push(format!("pinning = \"none\"    # libbpf knows no pinning {}", map.pinning));
    }
    if !lines.is_empty() {
        let _ = writeln!(text, "[[map]]\nmap = {}", quoted(&format!("{}/{}", object.name, map.name)));
        lines.iter().for_each(|line| text.extend([line, "\n"]));
    }
}
