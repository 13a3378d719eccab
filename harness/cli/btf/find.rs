//! `corematrix btf find`: which kernels have a type, field, enumerator, function or variable.

use std::process::ExitCode;

use clap::Args;
use rayon::prelude::*;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::super::Common;
use super::super::answer::{FoundName, KernelHit, KernelWithName, Print};
use super::super::failure::Failure;
use super::super::failure::store_failure;
use super::KnownKernels;
use crate::btf::{Hit, Query, suggestions};
use crate::matrix::Project;
use crate::record::exit_code;
use crate::store::{Store, StoredKernel};

#[derive(Debug, Args)]
pub(in super::super) struct FindArgs {
    /// Type (task_struct), field (task_struct.se.vruntime), enumerator (BPF_FUNC_loop), function or variable.
    #[arg(value_name = "NAME")]
    name: String,
    /// Select kernels, as for `corematrix run`; may be repeated [default: every declared kernel that is stored].
    #[arg(long, value_name = "SELECTOR")]
    kernel: Vec<String>,
    /// Use no network: take only kernels that are stored.
    #[arg(long)]
    offline: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What one kernel has.
struct Row {
    kernel: String,
    release: String,
    /// `None` if it has no BTF.
    hits: Option<Vec<Hit>>,
    /// Whether its modules' types are known.
    modules_known: bool,
    /// Why no one knows whether it is in a module of it; `None` where it is known.
    unknown: Option<String>,
}

pub(in super::super) fn run(common: &Common, args: &FindArgs) -> Result<ExitCode, Failure> {
    let query = Query::parse(&args.name).map_err(|reason| {
        let hint = "write `task_struct`, `task_struct.__state`, `BPF_FUNC_loop` or `vfs_read`".to_owned();
        Failure::input(format!("cannot search for `{}`: {reason}", args.name.escape_debug()), Some(hint))
    })?;
    let project = Project::load(&common.manifest, &common.places()?)?;
    let known = KnownKernels::of(&project, &args.kernel, args.offline)?;
    let rows = known.kernels.par_iter().map(|known| look(&query, known, &project.store));
    let rows = rows.collect::<Result<Vec<Row>, Failure>>()?;
    let found = rows.iter().any(|row| row.hits.as_ref().is_some_and(|hits| !hits.is_empty()));
    match args.json {
        true => answer(&args.name, &rows).print()?,
        false => print!("{}", table(&args.name, &rows)),
    }
    if !found {
        // The newest kernel has what people write about today.
        let newest = known.kernels.iter().rev().find(|(_, kernel)| kernel.types().is_some());
        let newest = newest.map(|known| KnownKernels::parsed(known, &KnownKernels::btf(known)?)).transpose()?;
        let meant = newest.map(|btf| suggestions(&query, &btf)).unwrap_or_default();
        if !meant.is_empty() {
            let meant: Vec<String> = meant.iter().map(|name| format!("`{name}`")).collect();
            eprintln!("hint: did you mean {}?", meant.join(", "));
        }
    }
    if !known.absent.is_empty() {
        eprintln!("not searched, because they are not stored: {}", known.absent.join(", "));
    }
    let unknown: Vec<&str> = rows.iter().filter(|row| !row.modules_known).map(|row| row.kernel.as_str()).collect();
    if !unknown.is_empty() && rows.iter().any(|row| row.hits.as_ref().is_some_and(Vec::is_empty)) {
        eprintln!("modules not searched, because their BTF is not stored: {}", unknown.join(", "));
    }
    Ok(ExitCode::from(if found { exit_code::GOOD } else { exit_code::PROGRAM_FAILED }))
}

fn look(query: &Query, known: &(String, StoredKernel), store: &Store) -> Result<Row, Failure> {
    let (name, kernel) = known;
    let mut row = Row {
        kernel: name.clone(),
        release: kernel.identity.release.clone(),
        hits: None,
        modules_known: kernel.module_btf.is_some(),
        unknown: None,
    };
    if kernel.types().is_some() {
        let raw = KnownKernels::btf(known)?;
        let mut hits = match query.may_be_in(&raw) {
            true => query.hits(&KnownKernels::parsed(known, &raw)?, 0),
            false => Vec::new(),
        };
        // As libbpf does: what the kernel itself has is not looked for in modules.
        if hits.is_empty()
            && let Some(own) = &kernel.btf
        {
            let modules = kernel.module_types().map_err(store_failure)?;
            let own = std::fs::read(own).unwrap_or_default();
            if !modules.is_empty() {
                hits = query.hits_in_modules(&KnownKernels::parsed(known, &own)?, &modules);
            }
        }
        if hits.is_empty() && !row.modules_known {
            row.unknown = store.in_module(query.root()).map(|(module, on)| format!("in module {module} on {on}"));
        }
        row.hits = Some(hits);
    }
    Ok(row)
}

/// Every kernel with what it has; columns that show nothing are left out.
fn table(name: &str, rows: &[Row]) -> String {
    let all: Vec<&Hit> = rows.iter().flat_map(|row| row.hits.iter().flatten()).collect();
    let having: Vec<&str> =
        rows.iter().filter(|row| row.hits.iter().flatten().next().is_some()).map(|row| row.kernel.as_str()).collect();
    let mut text = match having.len() {
        0 if rows.len() == 1 => format!("`{name}` does not exist on {}\n", rows[0].kernel),
        1 if rows.len() == 1 => format!("`{name}` exists on {}\n", rows[0].kernel),
        0 => format!("`{name}` exists on none of {} kernels\n", rows.len()),
        all if all == rows.len() => format!("`{name}` exists on all {all} kernels\n"),
        some => format!("`{name}` exists on {some} of {} kernels: {}\n", rows.len(), having.join(", ")),
    };
    if all.is_empty() && rows.iter().all(|row| row.unknown.is_none()) {
        return text;
    }
    let header = ["kernel", "has it", "in module", "offset", "size", "value", "", "type"];
    let mut lines: Vec<[String; 8]> = vec![header.map(str::to_owned)];
    let mut before: Option<&[Hit]> = None;
    for row in rows {
        let hits = row.hits.as_deref().unwrap_or_default();
        let answer = match &row.hits {
            None => "no BTF",
            Some(hits) if hits.is_empty() && row.unknown.is_some() => "unknown",
            Some(hits) if hits.is_empty() => "no",
            Some(_) => "yes",
        };
        let mut line = std::array::from_fn(|_| String::new());
        (line[0], line[1]) = (row.kernel.clone(), answer.to_owned());
        for (at, hit) in hits.iter().enumerate() {
            line[1] = format!("{answer}, {}", hit.kind);
            line[2] = hit.module.clone().unwrap_or_default();
            line[3] = hit.bit_offset.map_or_else(String::new, bytes_and_bits);
            line[4] = hit.bits.map_or_else(String::new, size);
            line[5] = hit.value.map_or_else(String::new, |value| value.to_string());
            line[6] = before.and_then(|before| before.get(at)).map_or_else(String::new, |before| changes(before, hit));
            line[7].clone_from(&hit.type_name);
            lines.push(std::mem::replace(&mut line, std::array::from_fn(|_| String::new())));
        }
        if hits.is_empty() {
            lines.push(line);
        } else {
            before = Some(hits);
        }
    }
    let said = |column: usize| lines[1..].iter().any(|line| !line[column].is_empty());
    let columns: Vec<usize> = (0..header.len()).filter(|&column| said(column)).collect();
    let mut builder = Builder::default();
    for line in &lines {
        builder.push_record(columns.iter().map(|&column| line[column].clone()));
    }
    for line in builder.build().with(Style::blank()).to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What is not as on the kernel before.
fn changes(before: &Hit, now: &Hit) -> String {
    let words = [
        (before.kind != now.kind, "other kind"),
        (before.bit_offset != now.bit_offset, "moved"),
        (before.bits != now.bits, "resized"),
        (before.value != now.value, "renumbered"),
        (before.type_name != now.type_name, "retyped"),
    ];
    words.iter().filter(|(differs, _)| *differs).map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
}

/// `24`, or `1324 bit 3` in the middle of a byte.
fn bytes_and_bits(bits: u64) -> String {
    match bits % 8 {
        0 => (bits / 8).to_string(),
        odd => format!("{} bit {odd}", bits / 8),
    }
}

/// `4`, or `3 bits` of a bitfield.
fn size(bits: u64) -> String {
    match bits % 8 {
        0 => (bits / 8).to_string(),
        _ => format!("{bits} bits"),
    }
}

fn answer(name: &str, rows: &[Row]) -> FoundName {
    let hit = |hit: &Hit| KernelHit {
        kind: hit.kind.to_owned(),
        type_name: hit.type_name.clone(),
        bit_offset: hit.bit_offset,
        bits: hit.bits,
        value: hit.value.map(|value| value.to_string()),
        module: hit.module.clone(),
    };
    let row = |row: &Row| KernelWithName {
        kernel: row.kernel.clone(),
        release: row.release.clone(),
        found: row.hits.as_ref().map(|hits| hits.iter().map(hit).collect()),
        unknown: row.unknown.clone(),
    };
    FoundName { name: name.to_owned(), kernels: rows.iter().map(row).collect() }
}
