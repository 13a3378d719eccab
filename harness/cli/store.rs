//! `corematrix store`: what is in the kernel store, and how to get room back.

use std::process::ExitCode;

use bytesize::ByteSize;
use clap::{Args, Subcommand};
use tabled::builder::Builder;
use tabled::settings::Style;

use super::Common;
use super::answer::{ListedFolder, ListedSnapshot, Print, StoreContents};
use super::failure::Failure;
use super::failure::store_failure;
use crate::matrix::Project;
use crate::store::{FolderKind, Store, StoredFolder, StoredSnapshot};

/// Sets how much room snapshots may take.
const BUDGET_VARIABLE: &str = "COREMATRIX_SNAPSHOT_BUDGET";
/// Room for some fifty kernels.
const DEFAULT_BUDGET: ByteSize = ByteSize::gib(4);

#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List kernels, packages, unpacked objects and snapshots with their sizes (default command).
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove the least recently used snapshots until the rest fits the budget. Runs do this automatically.
    Gc {
        /// Limit the disk space of snapshots, such as 2GiB or 500MB [default: $COREMATRIX_SNAPSHOT_BUDGET, else 4 GiB].
        #[arg(long, value_name = "SIZE")]
        budget: Option<String>,
    },
    /// Remove all snapshots; the next run boots its kernels again.
    Clear {
        /// Also remove kernels, packages, unpacked objects and kept results; the next run fetches and runs them again.
        #[arg(long)]
        all: bool,
    },
}

/// How many bytes of snapshots the store may keep.
pub(super) fn snapshot_budget() -> Result<u64, Failure> {
    let Some(text) = std::env::var_os(BUDGET_VARIABLE).filter(|text| !text.is_empty()) else {
        return Ok(DEFAULT_BUDGET.as_u64());
    };
    size(&text.to_string_lossy(), &format!("${BUDGET_VARIABLE}"))
}

/// Bytes, from what the user wrote at `place`.
fn size(text: &str, place: &str) -> Result<u64, Failure> {
    let hint = "write it like `2GiB` or `500MB`".to_owned();
    let size = text.parse::<ByteSize>().map(|size| size.as_u64());
    size.map_err(|_| Failure::input(format!("`{text}` in {place} is not a size"), Some(hint)))
}

pub(super) fn run(common: &Common, args: &StoreArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let store = &project.store;
    match &args.verb {
        Some(Verb::List { json: true }) => contents(store)?.print()?,
        None | Some(Verb::List { json: false }) => println!("{}", list(&contents(store)?)),
        Some(Verb::Gc { budget }) => {
            let budget = budget.as_ref().map_or_else(snapshot_budget, |budget| size(budget, "`--budget`"))?;
            let removed = store.shrink_snapshots(budget).map_err(store_failure)?;
            say_removed(removed.iter().map(|snapshot| (&snapshot.kernel, snapshot.bytes)), "snapshot of");
            say_kept(store, budget)?;
        }
        Some(Verb::Clear { all }) => {
            store.forget_failed_snapshots();
            let removed = store.shrink_snapshots(0).map_err(store_failure)?;
            say_removed(removed.iter().map(|snapshot| (&snapshot.kernel, snapshot.bytes)), "snapshot of");
            say_kept(store, 0)?;
            if *all {
                let folders = store.folders().map_err(store_failure)?;
                let sizes: Vec<u64> = folders.iter().map(StoredFolder::bytes).collect();
                folders.iter().try_for_each(|folder| store.remove_folder(folder)).map_err(store_failure)?;
                say_removed(folders.iter().map(|folder| &folder.name).zip(sizes), "");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn contents(store: &Store) -> Result<StoreContents, Failure> {
    let (folders, snapshots) = (store.folders().map_err(store_failure)?, store.snapshots().map_err(store_failure)?);
    let folder = |folder: &StoredFolder| ListedFolder {
        kind: match folder.kind {
            FolderKind::Kernel => "kernel",
            FolderKind::Package => "package",
            FolderKind::Unpacked => "objects",
            FolderKind::Types => "types",
            FolderKind::Cells => "results",
        }
        .to_owned(),
        name: folder.name.clone(),
        kernel: folder.kernel.clone(),
        bytes: folder.bytes(),
        source: folder.source.clone(),
    };
    let folders: Vec<ListedFolder> = folders.iter().map(folder).collect();
    let snapshot = |snapshot: StoredSnapshot| ListedSnapshot {
        idle_seconds: snapshot.used.elapsed().unwrap_or_default().as_secs(),
        kernel: snapshot.kernel,
        bytes: snapshot.bytes,
        in_use: snapshot.in_use,
    };
    let snapshots: Vec<ListedSnapshot> = snapshots.into_iter().map(snapshot).collect();
    let bytes = folders.iter().map(|folder| folder.bytes).chain(snapshots.iter().map(|one| one.bytes)).sum();
    Ok(StoreContents { store: store.root().display().to_string(), folders, snapshots, bytes })
}

fn list(contents: &StoreContents) -> String {
    let mut table = Builder::default();
    table.push_record(["what", "name", "size", "used", "source"]);
    for folder in &contents.folders {
        let size = ByteSize(folder.bytes).to_string();
        table.push_record([&folder.kind, &folder.name, &size, "", &folder.source]);
    }
    for snapshot in &contents.snapshots {
        let used = if snapshot.in_use { "now".to_owned() } else { ago(snapshot.idle_seconds) };
        let size = ByteSize(snapshot.bytes).to_string();
        table.push_record(["snapshot", &snapshot.kernel, &size, &used, ""]);
    }
    let table = table.build().with(Style::blank()).to_string();
    format!("{table}\n\n{} in `{}`", ByteSize(contents.bytes), contents.store)
}

fn say_removed<'a>(removed: impl Iterator<Item = (&'a String, u64)>, what: &str) {
    let (mut count, mut total) = (0, 0);
    for (name, bytes) in removed {
        println!("{}", format!("removed {what} {name}: {}", ByteSize(bytes)).replace("  ", " "));
        (count, total) = (count + 1, total + bytes);
    }
    println!("{count} removed, {} freed", ByteSize(total));
}

/// Says what is left against the user's will: what a run uses just now.
fn say_kept(store: &Store, budget: u64) -> Result<(), Failure> {
    let left = store.snapshots().map_err(store_failure)?;
    let total: u64 = left.iter().map(|snapshot| snapshot.bytes).sum();
    if total > budget {
        let busy = left.iter().filter(|snapshot| snapshot.in_use).count();
        println!("{} of snapshots remain: {busy} in use", ByteSize(total));
    }
    Ok(())
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}
