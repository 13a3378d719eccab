//! What it means that libbpf refused a struct_ops map: [`refused`].

use super::{Case, Diagnosis, about};
use crate::protocol::libbpf_log;
use crate::record::Verdict;
use crate::record::{Cause, Evidence};

/// The refusal that `line`, a warning of libbpf's, stands for. It names the map and the member, and the object's types the struct.
pub(super) fn refused(case: &Case<'_>, line: &str) -> Diagnosis {
    match member(line) {
        Some(member) => {
            let map = libbpf_log::failed_struct_ops(line).flatten();
            let in_struct = map.and_then(|map| {
                let maps = &case.object?.struct_ops;
                maps.iter().find(|known| known.name == map).map(|known| known.type_name.as_str())
            });
            let subject = in_struct.map_or_else(|| member.to_owned(), |in_struct| format!("{in_struct}.{member}"));
            let evidence = Evidence::line(line).about(subject);
            Diagnosis::of(Verdict::AttachTargetMissing, Cause::MissingStructOpsMember, evidence)
        }
        None => {
            let cause = Cause::MissingAttachTarget;
            Diagnosis::of(Verdict::AttachTargetMissing, cause, about(cause, line))
        }
    }
}

/// The member that the kernel's struct does not have, or has with another type.
fn member(line: &str) -> Option<&str> {
    let pieces = ["Cannot find member ", "Unmatched member type "];
    let (_, rest) = pieces.iter().find_map(|piece| line.split_once(piece))?;
    rest.split(' ').next().filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::{UnknownKernel, judge, tests::outcome};
    use super::*;
    use crate::object::{Inventory, StructOpsInfo};
    use crate::protocol::Stage;

    fn subject(line: &str) -> (Option<Cause>, Option<String>) {
        let outcome = outcome(Stage::Prepare, &[line]);
        let object = Inventory {
            struct_ops: vec![StructOpsInfo {
                name: "tiny".to_owned(),
                type_name: "sched_ext_ops".to_owned(),
                linked: false,
            }],
            ..Inventory::default()
        };
        let case = Case {
            outcome: &outcome,
            log: "",
            program: None,
            object: Some(&object),
            kernel: &UnknownKernel,
            poison: &|_| None,
            memory_mib: None,
            machine: None,
            by_loader: false,
            own_types: None,
        };
        let diagnosis = judge(&case);
        assert_eq!(diagnosis.verdict, Verdict::AttachTargetMissing);
        (diagnosis.cause, diagnosis.evidence.and_then(|evidence| evidence.subject))
    }

    #[test]
    fn missing_member_is_named_with_its_struct() {
        let member = Some(Cause::MissingStructOpsMember);
        let line = "struct_ops init_kern tiny: Cannot find member cgroup_set_idle in kernel BTF";
        assert_eq!(subject(line), (member, Some("sched_ext_ops.cgroup_set_idle".to_owned())));
        let line = "struct_ops init_kern tiny: Unmatched member type flags 1 != 4(kernel)";
        assert_eq!(subject(line), (member, Some("sched_ext_ops.flags".to_owned())));
        let line = "struct_ops init_kern other: Cannot find member x in kernel BTF";
        assert_eq!(subject(line), (member, Some("x".to_owned())));
    }

    #[test]
    fn missing_type_is_no_missing_member() {
        let line = "struct_ops init_kern: struct bpf_struct_ops_sched_ext_ops is not found in kernel BTF";
        assert_eq!(subject(line), (Some(Cause::MissingAttachTarget), Some("struct sched_ext_ops".to_owned())));
    }
}
