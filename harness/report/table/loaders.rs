//! [`notes`]: by what objects were loaded, and what that made another of; [`differences`]: where loaders disagree.

use std::collections::BTreeMap;

use super::super::text::{counted, one_line, paragraph};
use super::failures::kernels;
use crate::compare::loader_differences;
use crate::record::{LoaderChoice, LoaderRecord, ObjectRecord, RunRecord};

const TITLE: &str = "Differences between loaders";
/// What a reader is going to read; the rest is in `report.json`.
const MOST: usize = 24;

/// By what the objects were loaded, if not by libbpf.
pub fn notes(record: &RunRecord, width: usize) -> String {
    let mut loaders: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut changes = String::new();
    for (o, object) in record.objects.iter().enumerate() {
        let Some(loader) = &object.loader else { continue };
        loaders.entry(line(record, o, loader)).or_default().push(&object.name);
        changes += &paragraphs_of_changes(record, o, object, width);
    }
    let line = |(line, objects): (&String, &Vec<&str>)| {
        let objects = match objects.len() {
            0..=4 => objects.join(", "),
            count => counted(count, "object"),
        };
        paragraph(&format!("{objects}: {line}"), 2, width)
    };
    loaders.iter().map(line).collect::<String>() + &changes
}

/// `loaded by cilium/ebpf 0.22.0 (--loader)`.
fn line(record: &RunRecord, o: usize, loader: &LoaderRecord) -> String {
    let why = match &loader.chosen {
        LoaderChoice::Option => "`--loader`".to_owned(),
        LoaderChoice::Suite => "set in the suite".to_owned(),
        LoaderChoice::Recognised { how } => how.clone(),
    };
    let mut cells = (0..record.kernels.len()).filter_map(|k| record.cell(o, k).loader.as_ref());
    if loader.is_by_profile() {
        return format!(
            "loaded by libbpf with the known behaviour of {}, by profile ({why}); `make loaders` builds the real \
    loader",
            loader.name
        );
    }
    let library = cells.find_map(|known| known.words().into_iter().next()).unwrap_or_else(|| loader.name.clone());
    format!("loaded by {} ({why})", one_line(&library))
}

/// What the loader made another of, once for all kernels.
fn paragraphs_of_changes(record: &RunRecord, o: usize, object: &ObjectRecord, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    if object.loader.as_ref().is_some_and(LoaderRecord::is_by_profile) {
        let settings = object.loading.settings().into_iter().chain(object.loading.changes.clone());
        lines.extend(settings.map(|setting| format!("{}: {setting}", object.name)));
    }
    for k in 0..record.kernels.len() {
        for words in record.cell(o, k).loader.iter().flat_map(|known| known.words().into_iter().skip(1)) {
            let line = format!("{}: {words}", object.name);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines.iter().map(|line| paragraph(&one_line(line), 2, width)).collect()
}

/// What differs between loaders, on the kernels `shown`.
pub fn differences(record: &RunRecord, shown: &[usize], width: usize) -> String {
    let found = loader_differences(record);
    let mut block = String::new();
    for difference in found.iter().take(MOST) {
        let name = &record.objects[difference.object].name;
        let line = one_line(&format!("{name}: {}", difference.line()));
        block += &paragraph(&format!("{line}, {}", kernels(record, shown, &difference.kernels)), 2, width);
    }
    if found.len() > MOST {
        block += &format!("  ... {} in report.json\n", counted(found.len() - MOST, "more difference"));
    }
    if block.is_empty() { block } else { paragraph(TITLE, 0, width) + &block }
}
