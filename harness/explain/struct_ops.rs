//! The stories of a struct_ops type that a kernel does not offer ([`offered`]) and of a member that its struct lacks ([`member`]).

use super::symbol::story;
use super::{KernelTypes, snippet};
use crate::object::btf::{Btf, Want};
use crate::record::{Explanation, Presence, Subject};

/// Explains the struct of a kernel's subsystem that a struct_ops map fills in, such as `sched_ext_ops`.
pub fn offered(name: &str, matrix: &[KernelTypes<'_>], failed: &str) -> Explanation {
    // What stands in a type's place matters little here: the struct is the subsystem.
    let presence = |btf: &Btf, name: &str| match btf.find(&format!("bpf_struct_ops_{name}"), Want::Struct) {
        Some(id) => Presence::Type { size: btf.size_of(id) },
        None => Presence::MissingType { type_name: format!("struct bpf_struct_ops_{name}") },
    };
    let mut explanation = story(Subject::Target, ("struct_ops", name), matrix, failed, presence, |_, _| Vec::new());
    explanation.in_its_place.clear();
    explanation.notes.push(
        "The kernel does not have this struct_ops: it is too old, or built without it. The programs of the map cannot \
    be loaded either."
            .to_owned(),
    );
    if explanation.presence.iter().any(|on| !on.presence.is_present()) {
        explanation.snippets.push(snippet::struct_ops(name));
    }
    explanation
}

/// Explains the member `member` of the struct_ops type `struct in_struct`, which the object's map sets.
pub fn member(in_struct: &str, member: &str, matrix: &[KernelTypes<'_>], failed: &str) -> Explanation {
    let presence = |btf: &Btf, _: &str| {
        let Some(id) = btf.find(in_struct, Want::Struct) else {
            return Presence::MissingType { type_name: format!("struct {in_struct}") };
        };
        match btf.member(id, member) {
            Some(place) => Presence::Field {
                bit_offset: place.bit_offset,
                bitfield_size: None,
                size: None,
                signed: false,
                type_name: btf.type_name(place.type_id),
            },
            None => Presence::MissingMember { in_type: format!("struct {in_struct}"), member: member.to_owned() },
        }
    };
    let name = format!("{in_struct}.{member}");
    let mut explanation =
        story(Subject::StructOpsMember, ("member", &name), matrix, failed, presence, |_, _| Vec::new());
    explanation.in_its_place.clear();
    explanation.notes.push(
        "libbpf refuses a map, with all its programs, that sets a member which the kernel's struct lacks. It ignores a \
    member that is zero (libbpf 1.4 or later): set the member to NULL between open and load on kernels that lack it."
            .to_owned(),
    );
    if explanation.presence.iter().any(|on| !on.presence.is_present()) {
        explanation.snippets.extend(snippet::struct_ops_member(in_struct, member));
    }
    explanation
}
