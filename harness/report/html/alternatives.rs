//! [`alternatives`]: which of several ways to one thing serves on which kernel.

use serde_json::{Value, json};

use crate::record::{AlternativeKind, AlternativesRecord, RunRecord, Service};
use crate::report::table::all_work;

/// The groups that matter, with a number for each kernel: the member that serves, -1 where none does, -2 where no one knows.
pub(super) fn alternatives(record: &RunRecord) -> Vec<Value> {
    // A proposal is of no interest where every member works everywhere.
    let matters = |group: &&AlternativesRecord| {
        group.declared || (0..record.kernels.len()).any(|kernel| !all_work(record, group, kernel))
    };
    let services = record.alternatives.iter().filter(matters).map(|group| {
        let service = (0..record.kernels.len()).map(|kernel| match record.service(group, kernel) {
            Service::By(member) => i64::try_from(member).unwrap_or(-2),
            Service::None => -1,
            Service::Unknown => -2,
        });
        let members = group.members.iter().map(|member| {
            let o = record.objects.iter().position(|object| object.name == member.object);
            let programs = o.filter(|_| group.kind == AlternativeKind::Programs).map(|o| &record.objects[o].programs);
            let p = programs.and_then(|all| all.iter().position(|one| Some(&one.name) == member.name.as_ref()));
            json!({ "object": member.object, "name": member.name, "o": o, "p": p })
        });
        let unattachable = (0..record.kernels.len()).map(|kernel| {
            let cannot = |&at: &usize| record.only_cannot_attach(group, &group.members[at], kernel);
            (0..group.members.len()).filter(cannot).collect::<Vec<_>>()
        });
        json!({
            "unattachable": unattachable.collect::<Vec<_>>(),
            "name": group.name,
            "kind": group.kind,
            "declared": group.declared,
            "members": members.collect::<Vec<_>>(),
            "service": service.collect::<Vec<_>>(),
        })
    });
    services.collect()
}
