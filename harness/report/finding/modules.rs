//! [`of_modules`]: the findings of kernel modules that kernels refused.

use super::super::table::kernels;
use super::super::text::{counted, one_line};
use super::{Finding, FindingKind, FindingLevel};
use crate::record::{Cause, RunRecord};

/// Programs that are named; the others are counted.
const MOST_NAMED: usize = 4;

/// One finding for each module and each reason that kernels gave: it is neither the object's fault nor the kernel's alone, and programs that
/// need the module are not judged.
pub(super) fn of_modules(record: &RunRecord, shown: &[usize]) -> Vec<Finding> {
    let mut found: Vec<(String, Finding)> = Vec::new();
    for o in 0..record.objects.len() {
        for &k in shown {
            let cell = record.cell(o, k);
            for module in &cell.modules {
                let Some(refused) = &module.refused else { continue };
                let at = found
                    .iter()
                    .position(|(known, one)| known == refused && one.subject.as_deref() == Some(module.name.as_str()));
                let at = at.unwrap_or_else(|| {
                    let finding = Finding {
                        level: FindingLevel::Warning,
                        kind: FindingKind::Module,
                        object: None,
                        programs: Vec::new(),
                        kernels: Vec::new(),
                        subject: Some(module.name.clone()),
                        story: String::new(),
                        place: None,
                    };
                    found.push((refused.clone(), finding));
                    found.len() - 1
                });
                let finding = &mut found[at].1;
                if !finding.kernels.contains(&k) {
                    finding.kernels.push(k);
                }
                for program in cell.programs.iter().filter(|program| program.cause == Some(Cause::ModuleNotLoaded)) {
                    let name = one_line(&format!("{}/{}", record.objects[o].name, program.name));
                    if !finding.programs.contains(&name) {
                        finding.programs.push(name);
                    }
                }
            }
        }
    }
    let told = |(refused, mut finding): (String, Finding)| {
        finding.kernels.sort_unstable();
        let on = kernels(record, shown, &finding.kernels);
        let names: Vec<String> = finding.programs.iter().take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
        let more = match finding.programs.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(" and {}", counted(more, "other program")),
        };
        let takes_down = if names.is_empty() {
            String::new()
        } else {
            format!("; therefore not judged: {}{more}", names.join(", "))
        };
        let module = finding.subject.as_deref().unwrap_or_default();
        finding.story = one_line(&format!("kernel module `{module}` {on}: {refused}{takes_down}"));
        finding
    };
    found.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::super::findings;
    use super::*;
    use crate::record::{ModuleRecord, Verdict, sample};

    #[test]
    fn refused_module_is_told_once_with_what_it_takes_down() {
        let objects = vec![sample::object("a", &[("p", "tc")]), sample::object("b", &[("p", "tc")])];
        let kernels = vec![sample::kernel("6.1"), sample::kernel("6.12")];
        let mut record = sample::assemble(kernels, objects, |_, _, _| (Verdict::Loaded, None));
        for cell in &mut record.cells {
            cell.modules = vec![
                ModuleRecord { name: "fine".to_owned(), errno: None, refused: None, kernel_log: Vec::new() },
                ModuleRecord {
                    name: "mine".to_owned(),
                    errno: Some(22),
                    refused: Some("the kernel refuses it: failed to validate module [mine] BTF: -22".to_owned()),
                    kernel_log: Vec::new(),
                },
            ];
        }
        record.cells[0].programs[0].verdict = Verdict::HarnessLimit;
        record.cells[0].programs[0].cause = Some(Cause::ModuleNotLoaded);
        let found: Vec<_> =
            findings(&record).into_iter().filter(|finding| finding.kind == FindingKind::Module).collect();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].programs.len(), found[0].kernels.len()), (1, 2));
        assert!(
            found[0].story.contains("failed to validate module [mine] BTF: -22; therefore not judged: `"),
            "{}",
            found[0].story
        );
    }
}
