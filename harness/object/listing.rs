//! [`describe`]: the tables of `corematrix list objects` and `corematrix list programs`.

use std::fmt::Write as _;

use tabled::builder::Builder;
use tabled::settings::Style;

use super::{BpfObject, Inventory};

/// One table of all objects, or with `programs` a section for each object with its programs and maps.
pub fn describe(objects: &[BpfObject], programs: bool) -> String {
    match programs {
        false => overview(objects),
        true => objects.iter().map(detail).collect::<Vec<_>>().join("\n"),
    }
}

fn overview(objects: &[BpfObject]) -> String {
    let mut table = Builder::default();
    table.push_record(["object", "programs", "maps", "CO-RE relocations", "BTF", "origin"]);
    for object in objects {
        let cells = match &object.inventory {
            Ok(inventory) => [
                inventory.programs.len().to_string(),
                inventory.maps.len().to_string(),
                inventory.core_relocations.len().to_string(),
                btf(inventory).to_owned(),
            ],
            Err(_) => ["-".to_owned(), "-".to_owned(), "-".to_owned(), "-".to_owned()],
        };
        table.push_record([object.name.clone()].into_iter().chain(cells).chain([object.origin.to_string()]));
    }
    let mut text = render(table);
    for object in objects {
        match &object.inventory {
            Ok(inventory) => inventory.notes.iter().for_each(|note| push_line(&mut text, &object.name, note)),
            Err(error) => push_line(&mut text, &object.name, &error.to_string()),
        }
    }
    text
}

fn detail(object: &BpfObject) -> String {
    let mut text = format!("{} ({})\n", object.name, object.origin);
    let inventory = match &object.inventory {
        Ok(inventory) => inventory,
        Err(error) => {
            push_line(&mut text, &object.name, &error.to_string());
            return text;
        }
    };
    inventory.notes.iter().for_each(|note| push_line(&mut text, &object.name, note));
    let license = inventory.license.as_deref().unwrap_or("none");
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "license {license}, {}, {} CO-RE relocations",
        match btf(inventory) {
            "-" => "no BTF",
            "BTF" => "BTF without line info",
            _ => "BTF with line info",
        },
        inventory.core_relocations.len(),
    );

    if inventory.programs.is_empty() {
        return text + "no programs\n" + &maps(inventory);
    }
    let mut programs = Builder::default();
    programs.push_record(["program", "section", "type", "insns", "CO-RE relocations"]);
    for program in &inventory.programs {
        let optional = if program.optional { " (optional)" } else { "" };
        let prog_type = match (&program.prog_type, &program.attach_type) {
            (None, _) => "unknown to libbpf".to_owned(),
            (Some(prog_type), None) => prog_type.clone(),
            (Some(prog_type), Some(attach_type)) => format!("{prog_type}, {attach_type}"),
        };
        programs.push_record([
            program.name.clone(),
            format!("{}{optional}", program.section),
            prog_type,
            program.insns.to_string(),
            program.core_relocations.to_string(),
        ]);
    }
    text + &render(programs) + &maps(inventory)
}

/// The table of the maps; empty without any.
fn maps(inventory: &Inventory) -> String {
    if inventory.maps.is_empty() {
        return String::new();
    }
    let number = |value: Option<u32>| value.map_or("-".to_owned(), |value| value.to_string());
    let mut maps = Builder::default();
    maps.push_record(["map", "type", "key bytes", "value bytes", "entries"]);
    for map in &inventory.maps {
        maps.push_record([
            map.name.clone(),
            map.map_type.clone().unwrap_or("unknown to libbpf".to_owned()),
            number(map.key_size),
            number(map.value_size),
            number(map.max_entries),
        ]);
    }
    render(maps)
}

fn btf(inventory: &Inventory) -> &'static str {
    match (inventory.has_btf, inventory.has_line_info) {
        (true, true) => "BTF, lines",
        (true, false) => "BTF",
        (false, _) => "-",
    }
}

fn render(table: Builder) -> String {
    format!("{}\n", table.build().with(Style::rounded()))
}

fn push_line(text: &mut String, name: &str, note: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name}: {note}");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
