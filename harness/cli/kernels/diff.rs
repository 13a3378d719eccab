//! `corematrix kernels diff`: what two kernels have different in their config and their types.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::super::answer::{ChangedOption, ConfigDifference, DiffedKernel, KernelDiff, Print, TypesDifference};
use super::super::btf::KnownKernels;
use super::super::failure::Failure;
use super::super::{Common, say};
use crate::btf::{PartChange, TypeChange, TypeDifference, TypePart};
use crate::explain::{LocalSpec, PathStep};
use crate::matrix::Project;
use crate::nearest::nearest;
use crate::object::ObjectTypes;
use crate::store::StoredKernel;

#[derive(Debug, Args)]
pub(in super::super) struct DiffArgs {
    /// First kernel.
    first: String,
    /// Second kernel.
    second: String,
    /// Show the differing fields of this struct, union or enum; may be repeated.
    #[arg(long = "type", value_name = "NAME")]
    types: Vec<String>,
    /// Show the differing fields among those that the relocations of this object use; may be repeated.
    #[arg(long = "object", value_name = "OBJECT|BINARY|DIR|ARCHIVE|IMAGE|SUITE.toml")]
    objects: Vec<PathBuf>,
    /// Show the differing config options.
    #[arg(long)]
    config: bool,
    /// Print JSON, including the names of all differing types.
    #[arg(long)]
    json: bool,
    /// Use no network: take only kernels that are stored.
    #[arg(long)]
    offline: bool,
}

/// Types that are shown: by bare name the fields of interest, or `None` for all.
pub(super) type Shown = BTreeMap<String, Option<BTreeSet<String>>>;

pub(in super::super) fn run(common: &Common, args: &DiffArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let first = one(&project, &args.first, args.offline)?;
    let second = one(&project, &args.second, args.offline)?;
    let mut shown = asked_by_objects(&project, &args.objects, args.offline)?;
    for name in &args.types {
        let bare = name.rsplit(' ').next().unwrap_or(name);
        shown.insert(bare.to_owned(), None);
    }
    if args.json {
        let mut answer = answer(&first, &second, &shown)?;
        if let Some(config) = answer.config.as_mut().filter(|_| !args.config) {
            config.options.clear();
        }
        answer.print()?;
        return Ok(ExitCode::SUCCESS);
    }
    let title = |(name, kernel): &(String, StoredKernel)| format!("{name} ({})", kernel.identity.release);
    println!("{} -> {}", title(&first), title(&second));
    let (text, difference) = between(&first, &second, &shown, args.config)?;
    print!("{text}");
    for name in args.types.iter().filter(|name| !is_known(&difference, name)) {
        let names = difference.changed.iter().map(|change| bare(&change.name));
        let meant = nearest(name, names, 1).first().map(|name| format!(", did you mean `{name}`?"));
        println!("`{name}` is the same on both kernels, or on neither{}", meant.unwrap_or_default());
    }
    Ok(ExitCode::SUCCESS)
}

/// What two kernels have different, as text; of types those that are to be shown.
pub(super) fn between(
    first: &(String, StoredKernel),
    second: &(String, StoredKernel),
    shown: &Shown,
    with_config: bool,
) -> Result<(String, TypeDifference), Failure> {
    let parsed = |one: &(String, StoredKernel)| KnownKernels::parsed(one, &KnownKernels::btf(one)?);
    let difference = TypeDifference::of(&parsed(first)?, &parsed(second)?);
    let config = config(&first.1, &second.1, with_config)?;
    Ok((format!("{config}{}\n{}", counts(&difference), types(&difference, shown)), difference))
}

fn one(project: &Project, name: &str, offline: bool) -> Result<(String, StoredKernel), Failure> {
    let mut kernels = KnownKernels::of(project, &[name.to_owned()], offline)?.kernels;
    match (kernels.pop(), kernels.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Failure::input(format!("`{name}` matches several kernels"), Some("name one".to_owned()))),
    }
}

/// The types and fields that relocations of the objects ask for.
pub(super) fn asked_by_objects(project: &Project, objects: &[PathBuf], offline: bool) -> Result<Shown, Failure> {
    let mut shown = Shown::new();
    if objects.is_empty() {
        return Ok(shown);
    }
    for object in project.inputs(objects, offline, &say)?.objects {
        let Some(types) = ObjectTypes::read(&object.bytes) else { continue };
        for spec in types.relocations.iter().filter_map(|relocation| LocalSpec::of(relocation, &types.btf)) {
            let name = crate::object::btf::essential_name(&spec.type_name).to_owned();
            let fields = shown.entry(name).or_insert_with(|| Some(BTreeSet::new()));
            let field = spec.path.iter().find_map(|step| match step {
                PathStep::Member(name) => Some(name.clone()),
                _ => None,
            });
            let asked = field.or_else(|| spec.enumerator.map(|(name, _)| name));
            if let (Some(fields), Some(asked)) = (fields, asked) {
                fields.insert(asked);
            }
        }
    }
    Ok(shown)
}

fn answer(
    first: &(String, StoredKernel),
    second: &(String, StoredKernel),
    shown: &Shown,
) -> Result<KernelDiff, Failure> {
    let parsed = |one: &(String, StoredKernel)| KnownKernels::parsed(one, &KnownKernels::btf(one)?);
    let difference = TypeDifference::of(&parsed(first)?, &parsed(second)?);
    let details = types(&difference, shown).lines().map(str::to_owned).collect();
    let TypeDifference { added, removed, changed, same, functions_added, functions_removed } = difference;
    let kernel = |(name, kernel): &(String, StoredKernel)| DiffedKernel {
        name: name.clone(),
        release: kernel.identity.release.clone(),
    };
    let changed = changed.into_iter().map(|change| change.name).collect();
    Ok(KernelDiff {
        first: kernel(first),
        second: kernel(second),
        config: options_between(&first.1, &second.1)?,
        types: TypesDifference { added, removed, changed, same, functions_added, functions_removed, details },
    })
}

/// What differs in the configs, with each option if `all`.
fn config(first: &StoredKernel, second: &StoredKernel, all: bool) -> Result<String, Failure> {
    let Some(difference) = options_between(first, second)? else {
        return Ok("config: not compared, because a config is missing\n".to_owned());
    };
    let ConfigDifference { added, removed, changed, options } = difference;
    let more = if all || options.is_empty() { "" } else { " (`--config` shows them)" };
    let head = format!("config: {added} options added, {removed} removed, {changed} changed{more}\n");
    let line = |ChangedOption { name, before, after }: &ChangedOption| match (before, after) {
        (None, after) => format!("  + {name}={}\n", after.as_deref().unwrap_or_default()),
        (Some(before), None) => format!("  - {name}={before}\n"),
        (Some(before), Some(after)) => format!("  ~ {name}={before} -> {after}\n"),
    };
    Ok(if all { head + &options.iter().map(line).collect::<String>() } else { head })
}

/// The options that differ; `None` if not both configs are known.
fn options_between(first: &StoredKernel, second: &StoredKernel) -> Result<Option<ConfigDifference>, Failure> {
    let (Some(first), Some(second)) = (&first.config, &second.config) else { return Ok(None) };
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path);
        text.map(|text| options(&text))
            .map_err(|error| Failure::infrastructure(format!("read `{}`: {error}", path.display()), None))
    };
    let (before, after) = (read(first)?, read(second)?);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut difference = ConfigDifference::default();
    for name in names {
        let (before, after) = (before.get(name), after.get(name));
        match (before, after) {
            (None, Some(_)) => difference.added += 1,
            (Some(_), None) => difference.removed += 1,
            (Some(old), Some(new)) if old != new => difference.changed += 1,
            _ => continue,
        }
        let (before, after) = (before.cloned(), after.cloned());
        difference.options.push(ChangedOption { name: name.clone(), before, after });
    }
    Ok(Some(difference))
}

/// The options that are set, `n` included where the config says so.
fn options(text: &str) -> BTreeMap<String, String> {
    let option = |line: &str| match line.strip_prefix("# ") {
        Some(unset) => Some((unset.strip_suffix(" is not set")?.to_owned(), "n".to_owned())),
        None => line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())),
    };
    text.lines().filter_map(option).collect()
}

fn counts(difference: &TypeDifference) -> String {
    let TypeDifference { added, removed, changed, same, functions_added, functions_removed } = difference;
    format!(
        "types: {} added, {} removed, {} changed, {same} the same\nfunctions: {functions_added} added, {functions_removed} removed",
        added.len(),
        removed.len(),
        changed.len(),
    )
}

fn bare(name: &str) -> &str {
    name.rsplit(' ').next().unwrap_or(name)
}

fn is_known(difference: &TypeDifference, name: &str) -> bool {
    let names = difference.added.iter().chain(&difference.removed);
    let all = names.chain(difference.changed.iter().map(|change| &change.name));
    all.into_iter().any(|known| bare(known) == bare(name))
}

/// The types that are shown, with what differs in them.
fn types(difference: &TypeDifference, shown: &Shown) -> String {
    let mut text = String::new();
    for (sign, word, names) in [("+", "added", &difference.added), ("-", "removed", &difference.removed)] {
        for name in names.iter().filter(|name| shown.contains_key(bare(name))) {
            let _ = writeln!(text, "{sign} {name} is {word}");
        }
    }
    for change in &difference.changed {
        let Some(fields) = shown.get(bare(&change.name)) else { continue };
        let wanted = |part: &&PartChange| fields.as_ref().is_none_or(|fields| fields.contains(&part.name));
        let mut parts: Vec<&PartChange> = change.parts.iter().filter(wanted).collect();
        // What CO-RE cannot make up for comes first.
        parts.sort_by_key(|part| is_move(part));
        // Of a type of which only some fields count, its size does not.
        if !parts.is_empty() || fields.is_none() {
            let _ = writeln!(text, "{}", head(change));
            parts.iter().for_each(|part| text.push_str(&line(part)));
        }
    }
    text
}

fn head(change: &TypeChange) -> String {
    match change.sizes {
        [before, after] if before == after => format!("{}: {before} bytes", change.name),
        [before, after] => format!("{}: {before} -> {after} bytes", change.name),
    }
}

/// Whether a field only lies elsewhere.
fn is_move(part: &PartChange) -> bool {
    let place = |part: &Option<TypePart>| match part {
        Some(TypePart::Field { type_name, bitfield_size, .. }) => Some((type_name.clone(), *bitfield_size)),
        _ => None,
    };
    place(&part.before).is_some() && place(&part.before) == place(&part.after)
}

/// A field or enumerator that differs, as a line.
fn line(part: &PartChange) -> String {
    let name = &part.name;
    match (&part.before, &part.after) {
        (Some(before), None) => format!("  - {}\n", described(name, before)),
        (None, Some(after)) => format!("  + {}\n", described(name, after)),
        (
            Some(TypePart::Field { bit_offset: from, type_name: old, bitfield_size: narrow }),
            Some(TypePart::Field { bit_offset: to, type_name: new, bitfield_size: wide }),
        ) => {
            let mut words = Vec::new();
            if old != new {
                words.push(format!("`{old}` -> `{new}`"));
            }
            if narrow != wide {
                words.push(format!("{narrow} -> {wide} bits"));
            }
            if from != to {
                words.push(format!("offset {} -> {}", offset(*from), offset(*to)));
            }
            format!("  ~ {name}: {}\n", words.join(", "))
        }
        (Some(TypePart::Value(from)), Some(TypePart::Value(to))) => format!("  ~ {name}: {from} -> {to}\n"),
        (Some(before), Some(after)) => format!("  ~ {} -> {}\n", described(name, before), described(name, after)),
        (None, None) => String::new(),
    }
}

fn described(name: &str, part: &TypePart) -> String {
    match part {
        TypePart::Field { bit_offset, type_name, .. } => {
            format!("{name}: `{type_name}`, offset {}", offset(*bit_offset))
        }
        TypePart::Value(value) => format!("{name} = {value}"),
    }
}

/// Bytes, and bits in the middle of one.
fn offset(bits: u64) -> String {
    match bits % 8 {
        0 => (bits / 8).to_string(),
        odd => format!("{}.{odd}", bits / 8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_are_not_set_count() {
        let text = "#\n# Automatically generated\n#\nCONFIG_BPF=y\n# CONFIG_BPF_LSM is not set\nCONFIG_HZ=250\n";
        let known = options(text);
        let of = |name: &str| known.get(name).map(String::as_str);
        assert_eq!((of("CONFIG_BPF"), of("CONFIG_BPF_LSM"), of("CONFIG_HZ")), (Some("y"), Some("n"), Some("250")));
        assert_eq!(known.len(), 3);
    }

    #[test]
    fn fields_are_told_in_a_line() {
        let field = |bit_offset, type_name: &str| {
            Some(TypePart::Field { bit_offset, type_name: type_name.to_owned(), bitfield_size: 0 })
        };
        let part = |before, after| line(&PartChange { name: "state".to_owned(), before, after });
        assert_eq!(part(field(64, "long"), None), "  - state: `long`, offset 8\n");
        assert_eq!(part(field(64, "long"), field(67, "int")), "  ~ state: `long` -> `int`, offset 8 -> 8.3\n");
        assert_eq!(part(Some(TypePart::Value(1)), Some(TypePart::Value(2))), "  ~ state: 1 -> 2\n");
    }
}
