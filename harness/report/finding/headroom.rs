//! [`of_headroom`]: programs that load and are close to a limit of the kernel.

use super::super::text::one_line;
use super::{Finding, FindingKind, FindingLevel};
use crate::record::{Limit, NEAR_LIMIT_PERCENT, RunRecord};
use crate::report::table::kernels;

/// One for each program and limit: how much it uses where it is worst, and where else it is close.
pub fn of_headroom(record: &RunRecord, shown: &[usize], o: usize) -> Vec<Finding> {
    let mut found = Vec::new();
    for (p, program) in record.objects[o].programs.iter().enumerate() {
        for limit in Limit::ALL {
            let mut near = record.uses_of(o, p, limit);
            near.retain(|(_, one)| one.is_near());
            let Some((worst, most)) = near.first() else { continue };
            let mut affected: Vec<usize> = near.iter().map(|(k, _)| *k).collect();
            affected.sort_unstable();
            let least = near.last().map_or(most.used, |(_, one)| one.used);
            let place = match near.len() {
                1 => format!("on {}", record.kernels[*worst].name),
                // Where all use as much no kernel is the worst.
                _ if least == most.used => kernels(record, shown, &affected),
                _ => {
                    let all = kernels(record, shown, &affected);
                    format!("on {} (the worst); above {NEAR_LIMIT_PERCENT} % {all}", record.kernels[*worst].name)
                }
            };
            found.push(Finding {
                level: FindingLevel::Warning,
                kind: FindingKind::NearLimit,
                object: Some(o),
                programs: vec![one_line(&program.name)],
                kernels: affected,
                subject: Some(limit.label().to_owned()),
                story: one_line(&format!("`{}` loads and {most} {place}", program.name)),
                place: None,
            });
        }
    }
    found
}
