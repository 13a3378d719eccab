//! [`privileges`]: the least privileges with which programs load.

use serde_json::{Value, json};

use crate::record::RunRecord;
use crate::report::privileges::{rows, short};

/// A row for each program and each object as a whole of which it was looked for.
pub(super) fn privileges(record: &RunRecord) -> Vec<Value> {
    let of_object = |object: usize| {
        rows(record, object).into_iter().map(move |row| {
            let on: Vec<String> = row.on.iter().map(|least| short(*least)).collect();
            json!({ "object": record.objects[object].name, "program": row.program, "words": row.words, "on": on })
        })
    };
    (0..record.objects.len()).flat_map(of_object).collect()
}
