//! [`machines`]: what other machines than the kernel's own changed, for the page.

use serde_json::{Value, json};

use crate::record::RunRecord;
use crate::report::machines::machine_views;

/// Each machine with a row for each object: how many programs changed on each kernel; -1 where nothing was compared.
pub(super) fn machines(record: &RunRecord) -> Vec<Value> {
    let view = |view: &crate::report::machines::MachineView| {
        let row = |rows: &crate::record::MachineRow| {
            let counts = (0..record.kernels.len()).map(|kernel| {
                let is_it = |change: &&crate::record::MachineChange| change.rows == *rows && change.kernel == kernel;
                match record.is_compared(*rows, kernel) {
                    true => i64::try_from(view.changes.iter().filter(is_it).count()).unwrap_or(i64::MAX),
                    false => -1,
                }
            });
            let first = (0..record.kernels.len()).map(|kernel| {
                let change = view.changes.iter().find(|change| change.rows == *rows && change.kernel == kernel)?;
                record.cell(rows.row, kernel).programs.iter().position(|program| program.name == change.program)
            });
            json!({ "object": rows.base, "row": rows.row, "counts": counts.collect::<Vec<_>>(), "first": first.collect::<Vec<_>>() })
        };
        json!({
            "name": view.name,
            "settings": view.settings,
            "lines": view.lines(record),
            "rows": view.rows.iter().map(row).collect::<Vec<_>>(),
        })
    };
    machine_views(record).iter().map(view).collect()
}
