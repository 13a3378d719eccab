//! [`render`]: which of several alternatives serves on which kernel, and where none does.

use super::super::text::{one_line, paragraph};
use super::failures::kernels;
use super::titled;
use crate::record::{Alternative, AlternativesRecord, RunRecord, Service};

/// The groups that suites declare, and of the proposed ones those where it matters: where a member does not work somewhere.
pub fn render(record: &RunRecord, shown: &[usize], width: usize) -> String {
    if shown.is_empty() {
        return String::new();
    }
    // The shapes of an object mostly fare alike.
    let mut stories: Vec<(Vec<String>, String)> = Vec::new();
    for group in &record.alternatives {
        let services: Vec<(usize, Service)> = shown.iter().map(|&k| (k, record.service(group, k))).collect();
        if !group.declared && services.iter().all(|(k, _)| all_work(record, group, *k)) {
            continue;
        }
        let mut by_service: Vec<(Service, String, Vec<usize>)> = Vec::new();
        for (k, service) in services {
            let what = match service {
                Service::By(member) => one_line(&group.label(&group.members[member])),
                Service::None => none(record, group, k),
                Service::Unknown => "unknown".to_owned(),
            };
            match by_service.iter_mut().find(|(.., known, _)| *known == what) {
                Some((.., on)) => on.push(k),
                None => by_service.push((service, what, vec![k])),
            }
        }
        by_service.sort_by_key(|(service, ..)| *service);
        let parts: Vec<String> =
            by_service.iter().map(|(_, what, on)| format!("{what} {}", kernels(record, shown, on))).collect();
        let origin = if group.declared { "" } else { " (proposed)" };
        let (name, story) = (one_line(&group.name), format!("{origin}: {}", parts.join(", ")));
        let base = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
        match stories.iter_mut().find(|(names, known)| *known == story && base(&names[0]) == base(&group.name)) {
            Some((names, _)) => names.push(name),
            None => stories.push((vec![name], story)),
        }
    }
    let lines = stories.iter().map(|(names, story)| paragraph(&(names.join(", ") + story), 2, width));
    let mut block: String = lines.collect();
    let optional = record.optional.iter().map(|optional| {
        let name = optional.what.name.as_ref().map_or(String::new(), |name| format!("/{name}"));
        paragraph(&one_line(&format!("{}{name} is optional: {}", optional.what.object, optional.reason)), 2, width)
    });
    block.extend(optional);
    titled("Alternatives", &block)
}

/// That none serves. What loads and cannot attach looks like a success elsewhere in the report, so that it is said here.
fn none(record: &RunRecord, group: &AlternativesRecord, kernel: usize) -> String {
    let loads = group.members.iter().filter(|member| record.only_cannot_attach(group, member, kernel));
    let labels: Vec<String> = loads.map(|member| format!("`{}`", group.label(member))).collect();
    match &labels[..] {
        [] => "none".to_owned(),
        [one] => one_line(&format!("none ({one} loads, but cannot attach)")),
        _ => one_line(&format!("none ({} load, but cannot attach)", labels.join(", "))),
    }
}

/// Whether every member of a group works on a kernel, so that the choice does not matter.
pub fn all_work(record: &RunRecord, group: &AlternativesRecord, kernel: usize) -> bool {
    let alone = |member: &Alternative| AlternativesRecord { members: vec![member.clone()], ..group.clone() };
    group.members.iter().all(|member| record.service(&alone(member), kernel) == Service::By(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Verdict;
    use crate::record::sample;
    use crate::record::{AlternativeKind, OptionalRecord};

    #[test]
    fn groups_tell_who_serves_where() {
        let kernels = ["5.4", "6.1", "6.12"].map(sample::kernel).to_vec();
        let programs = [("fast", "fentry/x"), ("slow", "kprobe/x"), ("other", "xdp")];
        let objects = vec![sample::object("a", &programs)];
        let mut record = sample::assemble(kernels, objects, |_, p, k| match (p, k) {
            (0, 1) | (1, 0) | (2, _) => (Verdict::Loaded, None),
            _ => (Verdict::AttachTargetMissing, Some("no".to_owned())),
        });
        let group = |name: &str, declared, members: [&str; 2]| AlternativesRecord {
            name: name.to_owned(),
            kind: AlternativeKind::Programs,
            declared,
            members: members.map(|name| Alternative { object: "a".to_owned(), name: Some(name.to_owned()) }).to_vec(),
        };
        record.alternatives = vec![
            group("x", true, ["fast", "slow"]),
            group("always", false, ["other", "other"]),
            group("half", false, ["other", "slow"]),
            group("half@more", false, ["other", "slow"]),
        ];
        let what = Alternative { object: "a".to_owned(), name: Some("slow".to_owned()) };
        record.optional.push(OptionalRecord { what, reason: "a nicety".to_owned() });
        // `fast` loads on 6.1, which cannot attach it.
        record.cells[1].dangers = vec![sample::unattachable("fast")];
        insta::assert_snapshot!(render(&record, &[0, 1, 2], 100));
    }
}
