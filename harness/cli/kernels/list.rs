//! `corematrix kernels list`: the kernels of the manifest, what is pinned, and what the store has.

use std::io::IsTerminal;
use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;
use tabled::builder::Builder;
use tabled::settings::peaker::Priority;
use tabled::settings::{Style, Width};

use super::super::Common;
use super::super::answer::{KernelList, ListedKernel, Print};
use super::super::failure::Failure;
use super::super::failure::store_failure;
use super::super::run::width;
use crate::manifest::{KernelSpec, split_name};
use crate::matrix::Project;
use crate::store::{NO_BTF_GIVEN, StoredFolder};

#[derive(Debug, Args)]
pub(in super::super) struct ListArgs {
    /// Select kernels: a name (5.10, el:8), a range (">=6.1,<6.13"), a glob (6.*), `latest`, `all`, or builds of a
    /// kernel (el:8@last:5); may be repeated [default: all].
    #[arg(long, value_name = "SELECTOR")]
    kernel: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(in super::super) fn run(common: &Common, args: &ListArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let all = ["all".to_owned()];
    let chosen = project.select(if args.kernel.is_empty() { &all } else { &args.kernel }).map_err(|error| {
        let hint = error.hint();
        Failure::input(error, hint)
    })?;
    let folders = project.store.folders().map_err(store_failure)?;
    let chosen: Vec<KernelSpec> = chosen.iter().flat_map(|spec| project.each_build(spec)).collect();
    let rows: Vec<Row> = chosen.iter().map(|spec| Row::of(&project, spec, &folders)).collect();
    match args.json {
        true => KernelList { kernels: rows.iter().map(Row::listed).collect() }.print()?,
        false => println!("{}", table(&rows, std::io::stdout().is_terminal().then(width))),
    }
    Ok(ExitCode::SUCCESS)
}

struct Row<'a> {
    spec: &'a KernelSpec,
    is_default: bool,
    pinned: Option<String>,
    /// Versions in the store and their bytes.
    stored: (usize, u64),
    /// The state of its BTF, if it is in the store.
    btf: Option<&'static str>,
}

impl<'a> Row<'a> {
    fn of(project: &Project, spec: &'a KernelSpec, folders: &[StoredFolder]) -> Row<'a> {
        let own = folders.iter().filter(|folder| folder.kernel.as_ref() == Some(&spec.name));
        Row {
            spec,
            is_default: project.manifest.matrix.iter().any(|name| name == split_name(&spec.name).0),
            pinned: project.lock.release(&spec.name),
            stored: own.fold((0, 0), |(count, bytes), folder| (count + 1, bytes + folder.bytes())),
            btf: match project.stored(spec, folders) {
                Some(kernel) => Some(kernel.btf_state()),
                None if project.comes_without_btf(spec) && spec.btf_archive.is_none() => Some(NO_BTF_GIVEN),
                None => None,
            },
        }
    }

    fn sources(&self) -> String {
        let all = std::iter::once(&self.spec.source).chain(&self.spec.fallbacks);
        all.map(ToString::to_string).collect::<Vec<_>>().join(", or ")
    }

    fn listed(&self) -> ListedKernel {
        ListedKernel {
            name: self.spec.name.clone(),
            default: self.is_default,
            optional: self.spec.optional,
            source: self.spec.source.to_string(),
            fallbacks: self.spec.fallbacks.iter().map(ToString::to_string).collect(),
            pinned_release: self.pinned.clone(),
            stored_versions: self.stored.0,
            stored_bytes: self.stored.1,
            btf: self.btf,
        }
    }
}

/// The kernels, a line each; in a terminal, whose width it is, lines that are too long are wrapped.
fn table(rows: &[Row<'_>], width: Option<usize>) -> String {
    let mut table = Builder::default();
    table.push_record(["kernel", "matrix", "pinned release", "store", "BTF", "source"]);
    for row in rows {
        let member = match (row.is_default, row.spec.optional) {
            (true, true) => "optional",
            (true, false) => "yes",
            (false, _) => "",
        };
        let stored = match row.stored {
            (0, _) => "-".to_owned(),
            (1, bytes) => ByteSize(bytes).to_string(),
            (count, bytes) => format!("{}, {count} versions", ByteSize(bytes)),
        };
        let pinned = row.pinned.clone().unwrap_or_else(|| "-".to_owned());
        let btf = row.btf.unwrap_or("-").to_owned();
        table.push_record([row.spec.name.clone(), member.to_owned(), pinned, stored, btf, row.sources()]);
    }
    let mut table = table.build();
    table.with(Style::blank());
    if let Some(width) = width {
        table.with(Width::wrap(width).keep_words(true).priority(Priority::max(true)));
    }
    table.to_string()
}
