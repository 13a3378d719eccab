//! [`rows`]: the least privileges of a run: of each program, and of each object as a whole; [`render`] writes them as text.

use std::fmt::Write as _;

use super::text::{one_line, paragraph};
use crate::privileges::{OnKernel, by_kernel};
use crate::record::{LeastPrivileges, Need, PrivilegesRecord, RunRecord};

/// What is said of an object as a whole.
pub const WHOLE: &str = "whole object";

/// What a program, or an object as a whole, needs on each kernel where that was looked for.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// The object, by its place.
    pub object: usize,
    /// The program; `None` for the object as a whole.
    pub program: Option<&'a str>,
    /// For each kernel of the run.
    pub on: Vec<Option<&'a LeastPrivileges>>,
    /// The same in words.
    pub words: String,
}

/// The rows of an object; none if nothing was looked for.
pub fn rows(record: &RunRecord, object: usize) -> Vec<Row<'_>> {
    let found: Vec<Option<&PrivilegesRecord>> =
        (0..record.kernels.len()).map(|kernel| record.cell(object, kernel).privileges.as_ref()).collect();
    if found.iter().all(Option::is_none) {
        return Vec::new();
    }
    let names = record.objects[object].programs.iter().map(|program| program.name.as_str());
    let mut rows: Vec<Row<'_>> = names
        .map(|name| {
            let of = |all: &PrivilegesRecord| all.programs.iter().position(|one| one.program == name);
            let on = found.iter().map(|all| all.and_then(|all| Some(&all.programs[of(all)?].least)));
            row(record, object, Some(name), on.collect())
        })
        .collect();
    if rows.len() != 1 {
        rows.push(row(record, object, None, found.iter().map(|all| all.map(|all| &all.object)).collect()));
    }
    rows
}

fn row<'a>(
    record: &'a RunRecord,
    object: usize,
    program: Option<&'a str>,
    on: Vec<Option<&'a LeastPrivileges>>,
) -> Row<'a> {
    Row { object, program, words: words(record, &on), on }
}

fn words(record: &RunRecord, on: &[Option<&LeastPrivileges>]) -> String {
    let kernels = record.kernels.iter().zip(on);
    let all: Vec<OnKernel<'_>> =
        kernels.map(|(kernel, least)| OnKernel { kernel: &kernel.name, least: *least }).collect();
    by_kernel(&all)
}

/// What is needed, without what all names begin with; a star where a token is enough.
pub fn short(least: Option<&LeastPrivileges>) -> String {
    let Some(least) = least else { return "-".to_owned() };
    let words = match &least.needs {
        Need::Capabilities(names) if names.is_empty() => return "none".to_owned(),
        Need::Capabilities(names) => {
            let bare: Vec<&str> = names.iter().map(|name| name.strip_prefix("CAP_").unwrap_or(name)).collect();
            bare.join("+")
        }
        Need::AllCapabilities => "all".to_owned(),
        Need::Root => "root".to_owned(),
        Need::FailsAsRoot => return "fails".to_owned(),
        Need::Unknown(_) => return "?".to_owned(),
    };
    words + if least.token == Some(true) { "*" } else { "" }
}

/// The least privileges of all objects, in words; empty if no one asked.
pub fn render(record: &RunRecord, width: usize) -> String {
    let mut text = String::new();
    for object in 0..record.objects.len() {
        for row in rows(record, object) {
            let name = &record.objects[object].name;
            let what = row.program.map_or_else(|| format!("{name} ({WHOLE})"), |program| format!("{name}/{program}"));
            text += &paragraph(&one_line(&format!("{what}: {}", row.words)), 2, width);
        }
    }
    text
}

/// The same as tables, kernels across.
pub fn tables(record: &RunRecord, width: usize) -> String {
    let mut text = String::new();
    for object in 0..record.objects.len() {
        let rows = rows(record, object);
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{}", one_line(&record.objects[object].name));
        let names: Vec<String> = rows.iter().map(|row| one_line(row.program.unwrap_or(WHOLE))).collect();
        let first = names.iter().map(String::len).max().unwrap_or_default();
        let kernels: Vec<String> = record.kernels.iter().map(|kernel| one_line(&kernel.name)).collect();
        let cells: Vec<Vec<String>> =
            rows.iter().map(|row| row.on.iter().map(|least| short(*least)).collect()).collect();
        let columns: Vec<usize> = kernels
            .iter()
            .enumerate()
            .map(|(k, name)| cells.iter().map(|row| row[k].len()).max().unwrap_or_default().max(name.len()))
            .collect();
        let mut line = |head: &str, cells: &[String]| {
            let mut line = format!("  {head:first$}");
            for (cell, column) in cells.iter().zip(&columns) {
                let _ = write!(line, "  {cell:column$}");
            }
            let _ = writeln!(text, "{}", line.trim_end());
        };
        line("", &kernels);
        names.iter().zip(&cells).for_each(|(name, cells)| line(name, cells));
        text.push('\n');
        for (name, row) in names.iter().zip(&rows) {
            text += &paragraph(&format!("{name}: {}", row.words), 2, width);
        }
        text += &reasons(record, object, width);
        text.push('\n');
    }
    if text.contains('*') {
        text += "* a BPF token of a user namespace suffices\n";
    }
    text
}

/// Why something is not known, and why no token was tried.
fn reasons(record: &RunRecord, object: usize, width: usize) -> String {
    let mut stories: Vec<(String, Vec<&str>)> = Vec::new();
    let mut tell = |story: String, kernel: usize| {
        let name = record.kernels[kernel].name.as_str();
        match stories.iter_mut().find(|(known, _)| *known == story) {
            Some((_, kernels)) if kernels.contains(&name) => {}
            Some((_, kernels)) => kernels.push(name),
            None => stories.push((story, vec![name])),
        }
    };
    for kernel in 0..record.kernels.len() {
        let Some(found) = &record.cell(object, kernel).privileges else { continue };
        for least in found.programs.iter().map(|one| &one.least).chain([&found.object]) {
            if let Need::Unknown(reason) = &least.needs {
                tell(format!("unknown: {reason}"), kernel);
            }
        }
        if let Some(reason) = &found.no_token {
            tell(format!("no token was tried: {reason}"), kernel);
        }
    }
    let line = |(story, kernels): (String, Vec<&str>)| {
        paragraph(&one_line(&format!("{}: {story}", kernels.join(", "))), 2, width)
    };
    stories.into_iter().map(line).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::{ProgramPrivileges, Verdict, sample};

    fn record() -> RunRecord {
        let kernels = ["5.10", "6.1", "6.12"].map(sample::kernel).to_vec();
        let objects = vec![sample::object("probe", &[("on_packet", "xdp"), ("on_read", "kprobe/vfs_read")])];
        let mut record = sample::assemble(kernels, objects, |_, _, _| (Verdict::Loaded, None));
        let least = |names: &[&str], token| LeastPrivileges {
            needs: Need::Capabilities(names.iter().map(|name| (*name).to_owned()).collect()),
            token,
        };
        let found = |token: Option<bool>, no_token: Option<&str>| PrivilegesRecord {
            object: least(&["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"], token),
            programs: vec![
                ProgramPrivileges { program: "on_packet".into(), least: least(&["CAP_BPF", "CAP_NET_ADMIN"], token) },
                ProgramPrivileges { program: "on_read".into(), least: least(&["CAP_BPF", "CAP_PERFMON"], token) },
            ],
            no_token: no_token.map(str::to_owned),
        };
        record.cells[0].privileges = Some(found(None, Some("this kernel has no BPF tokens (Linux 6.9 or later)")));
        record.cells[2].privileges = Some(found(Some(true), None));
        record
    }

    #[test]
    fn tables_tell_programs_and_kernels() {
        insta::assert_snapshot!(tables(&record(), 100));
    }

    #[test]
    fn words_tell_each_row() {
        insta::assert_snapshot!(render(&record(), 100));
        let mut without = record();
        without.cells.iter_mut().for_each(|cell| cell.privileges = None);
        assert_eq!((render(&without, 100), tables(&without, 100)), (String::new(), String::new()));
    }
}
