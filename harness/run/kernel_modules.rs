//! [`KernelModules`]: what modules a kernel has, and which of them an object needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::Sender;

use super::RunContext;
use super::kernel_view::StoredView;
use super::wanted_names::{WantedName, WantedNames};
use crate::checksum;
use crate::event::Event;
use crate::judge::KernelView;
use crate::manifest::{ModuleChoice, NamedModule};
use crate::object::btf::Btf;
use crate::protocol::ModuleLoad;
use crate::record::ModuleRecord;
use crate::source::NoModuleFiles;
use crate::store::module_lookup::MOST_OWNERS;
use crate::store::{ModuleFile, ModuleFiles, ModuleInfo, StoredKernel};

/// From this release on filters of traffic control are attached without a queueing discipline.
const LINKS_OF_FILTERS: (u32, u32) = (6, 6);
/// What is needed before, by the kernel's options.
const OF_FILTERS: [(&str, &str); 2] = [("CONFIG_NET_SCH_INGRESS", "sch_ingress"), ("CONFIG_NET_CLS_BPF", "cls_bpf")];

/// What modules a kernel has. Looked up when a cell asks.
pub(super) struct KernelModules<'a> {
    choice: ModuleChoice,
    files: OnceLock<Result<ModuleFiles, String>>,
    /// Gives the files, fetched if need be; or why there are none.
    fetch: Box<dyn Fn() -> Result<ModuleFiles, String> + Send + Sync + 'a>,
}

/// The modules of a cell: those that its guest loads, and what became of them.
#[derive(Debug, Clone, Default)]
pub(super) struct CellModules {
    /// To be loaded, in this order.
    pub(super) files: Vec<ModuleFile>,
    /// Why modules that are needed are not loaded.
    pub(super) reasons: BTreeMap<String, String>,
    /// Why the guest cannot be what the user asked for: nothing is judged then.
    pub(super) impossible: Option<String>,
    /// What else there is to say.
    pub(super) notes: Vec<String>,
    /// What became of those that were loaded.
    pub(super) loads: Vec<ModuleLoad>,
    /// The kernel's types with those of the modules that are loaded, once they were asked for.
    pub(super) types: OnceLock<Btf>,
}

impl<'a> KernelModules<'a> {
    pub(super) fn new(
        choice: Option<&ModuleChoice>,
        fetch: impl Fn() -> Result<ModuleFiles, String> + Send + Sync + 'a,
    ) -> Self {
        KernelModules { choice: choice.cloned().unwrap_or_default(), files: OnceLock::new(), fetch: Box::new(fetch) }
    }

    /// Those of a kernel of a run. What the command line says comes first, then what suites say, then the manifest.
    pub(super) fn of_run(run: &'a RunContext<'a>, kernel: usize, stored: StoredKernel, events: Sender<Event>) -> Self {
        let spec = &run.plan.kernels[kernel];
        let choice = run.plan.modules_of(spec, run.modules);
        KernelModules::new(choice, move || {
            let step = |step: String| {
                let _ = events.send(Event::Fetching { kernel, step });
            };
            let found = run.store.module_files(spec, &stored, run.lock, run.offline, &step);
            found.map_err(|NoModuleFiles(reason)| reason)
        })
    }

    fn files(&self) -> Result<&ModuleFiles, &str> {
        self.files.get_or_init(|| (self.fetch)()).as_ref().map_err(String::as_str)
    }

    /// The modules for an object that has these names.
    pub(super) fn of_cell(&self, names: &WantedNames, view: &StoredView<'_>) -> CellModules {
        let mut cell = CellModules::default();
        if !self.choice.automatic {
            for owner in self.owners(names, view).into_iter().flatten() {
                cell.reasons.insert(owner, "`modules` forbids it (`none`)".to_owned());
            }
            return cell;
        }
        let mut wanted = BTreeSet::new();
        for owners in self.owners(names, view) {
            if owners.len() > MOST_OWNERS {
                let reason = format!("{} modules have that name; choose one with `--modules`", owners.len());
                cell.reasons.extend(owners.into_iter().map(|owner| (owner, reason.clone())));
            } else {
                wanted.extend(owners);
            }
        }
        if names.attaches_filters && view.release() < Some(LINKS_OF_FILTERS) {
            let modules = OF_FILTERS.iter().filter(|(option, _)| view.is_module(option));
            wanted.extend(modules.map(|(_, module)| (*module).to_owned()));
        }
        self.add_named(&mut cell, view);
        for name in wanted {
            self.add_needed(&mut cell, name);
        }
        cell
    }

    /// The modules that have each name which the kernel itself lacks; none where no one knows.
    fn owners(&self, names: &WantedNames, view: &StoredView<'_>) -> Vec<Vec<String>> {
        let of = |wanted: &WantedName| {
            let found = wanted.any_of.iter().map(|name| view.owners(name, wanted.is_target));
            let mut owners = found.into_iter().find(|owners| !owners.is_empty()).unwrap_or_default();
            if let Some(module) = &wanted.module {
                owners = match owners.contains(module) || owners.is_empty() {
                    true => vec![module.clone()],
                    false => Vec::new(),
                };
            }
            owners
        };
        names.names.iter().map(of).filter(|owners| !owners.is_empty()).collect()
    }

    /// Adds a module that the object needs.
    fn add_needed(&self, cell: &mut CellModules, name: String) {
        let files = match self.files() {
            Ok(files) => files,
            Err(reason) => {
                cell.reasons.insert(name, reason.to_owned());
                return;
            }
        };
        let resolved = files.resolve(std::slice::from_ref(&name));
        match resolved.missing.first() {
            Some(missing) if *missing == name => {
                cell.reasons.insert(name, "its file is not among the modules of the kernel".to_owned());
            }
            Some(missing) => {
                cell.reasons
                    .insert(name, format!("it needs `{missing}`, which is not among the modules of the kernel"));
            }
            None => add(&mut cell.files, resolved.files),
        }
    }

    /// Adds what the user named.
    fn add_named(&self, cell: &mut CellModules, view: &StoredView<'_>) {
        for named in &self.choice.named {
            let added = match named {
                NamedModule::OfKernel(name) => self.named_of_kernel(cell, name),
                NamedModule::File(path) => self.file_of_user(cell, path, view.release_name()),
            };
            if let Err(reason) = added {
                cell.impossible.get_or_insert(reason);
            }
        }
    }

    fn named_of_kernel(&self, cell: &mut CellModules, name: &str) -> Result<(), String> {
        let files = self.files().map_err(|reason| format!("module `{name}` cannot be loaded: {reason}"))?;
        let resolved = files.resolve(&[name.to_owned()]);
        if let Some(built_in) = resolved.built_in.first() {
            cell.notes.push(format!("module `{built_in}` is built into the kernel"));
        }
        if let Some(missing) = resolved.missing.first() {
            return Err(if missing == name {
                let near: Vec<String> = files.like(name).into_iter().map(|one| format!("`{one}`")).collect();
                let hint = if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) };
                match files.knows_built_in() {
                    true => format!("the kernel has no module `{name}`, neither as a file nor built in{hint}"),
                    false => format!(
                        "the kernel has no file of a module `{name}`, and nothing lists what is built into it{hint}"
                    ),
                }
            } else {
                format!("module `{name}` needs `{missing}`, which is not among the modules of the kernel")
            });
        }
        add(&mut cell.files, resolved.files);
        Ok(())
    }

    /// A module that the user built: its own words say for which kernel.
    fn file_of_user(&self, cell: &mut CellModules, path: &Path, release: &str) -> Result<(), String> {
        let failed = |reason: String| format!("module `{}` cannot be loaded: {reason}", path.display());
        let sha256 = checksum::of_file(path).map_err(|error| failed(error.to_string()))?;
        let stem = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = stem.split(".ko").next().unwrap_or_default().replace('-', "_");
        let mut file = ModuleFile { name: stem, path: path.to_owned(), sha256, optional: false };
        let info = file.unpacked().map_err(|error| error.to_string());
        let info = info.and_then(|bytes| ModuleInfo::read(&bytes).map_err(|_| "it is not a kernel module".to_owned()));
        let info = info.map_err(failed)?;
        if let Some(built_for) = info.release().filter(|built_for| *built_for != release) {
            return Err(failed(format!("it is built for {built_for}, but this kernel is {release}")));
        }
        if let Some(name) = &info.name {
            file.name.clone_from(name);
        }
        if !info.depends.is_empty() {
            let files = self.files().map_err(|reason| failed(format!("it needs other modules, but {reason}")))?;
            let resolved = files.needed_by(&info);
            // Another of the user's modules may be what it needs.
            let given = |name: &String| cell.files.iter().any(|file| file.name == *name);
            if let Some(missing) = resolved.missing.iter().find(|name| !given(name)) {
                return Err(failed(format!("it needs `{missing}`, which is not among the modules of the kernel")));
            }
            add(&mut cell.files, resolved.files);
        }
        add(&mut cell.files, vec![file]);
        Ok(())
    }
}

/// Adds what is not there yet.
fn add(files: &mut Vec<ModuleFile>, more: Vec<ModuleFile>) {
    for file in more {
        match files.iter_mut().find(|known| known.name == file.name) {
            Some(known) => known.optional &= file.optional,
            None => files.push(file),
        }
    }
}

impl CellModules {
    /// Keeps what the guest says became of its modules. Without any although some were wanted, it is no such guest.
    pub(super) fn observe(&mut self, loads: &[ModuleLoad]) {
        self.loads = loads.to_vec();
        self.types = OnceLock::new();
        for file in &self.files {
            let reason = match loads.iter().find(|load| load.module == file.name) {
                Some(load) if is_whole(load) => continue,
                Some(load) => refusal(load),
                None => "no guest could be started with it".to_owned(),
            };
            self.reasons.insert(file.name.clone(), reason);
        }
    }

    /// Whether a module is loaded, and its types with it.
    pub(super) fn has(&self, module: &str) -> bool {
        self.loads.iter().any(|load| load.module == module && is_whole(load))
    }

    /// Why the kernel refused the types of a module that is loaded.
    pub(super) fn why_without_types(&self, module: &str) -> Option<String> {
        let load = self.loads.iter().find(|load| load.module == module && load.errno == 0)?;
        (!is_whole(load)).then(|| said_of_types(load).to_owned())
    }

    /// What became of them, for the record.
    pub(super) fn records(&self) -> Vec<ModuleRecord> {
        let optional = |name: &str| self.files.iter().any(|file| file.name == name && file.optional);
        // One of several ways to have something may be of no use on this processor.
        let said = self.loads.iter().filter(|load| load.errno == 0 || !optional(&load.module));
        said.map(|load| ModuleRecord {
            name: load.module.clone(),
            errno: (load.errno != 0).then_some(load.errno),
            refused: (!is_whole(load)).then(|| refusal(load)),
            kernel_log: load.words.clone(),
        })
        .collect()
    }

    /// The files of those that are loaded with their types, in order.
    pub(super) fn with_types(&self) -> impl Iterator<Item = (&str, &PathBuf)> {
        let shown = |file: &&ModuleFile| self.loads.iter().any(|load| load.module == file.name && load.has_types);
        self.files.iter().filter(shown).map(|file| (file.name.as_str(), &file.path))
    }
}

/// Whether the kernel took a module with all that it has. Of types that it does not take it says so in its log.
fn is_whole(load: &ModuleLoad) -> bool {
    load.errno == 0 && (load.has_types || load.words.is_empty())
}

/// What the kernel said of types that it does not take.
fn said_of_types(load: &ModuleLoad) -> &str {
    load.words.first().map_or("", String::as_str)
}

/// Why the kernel refused a module, in its own words if it has any.
fn refusal(load: &ModuleLoad) -> String {
    if load.errno == 0 {
        return format!("it loaded, but its types were refused: {}", said_of_types(load));
    }
    let errno = std::io::Error::from_raw_os_error(load.errno);
    // Of some refusals the kernel logs nothing, or nothing that a reader would understand.
    let meaning = match load.errno {
        // A kernel that takes only signed modules says why it rejects one; for a wrong signature it gives no reason.
        libc::EKEYREJECTED if load.words.is_empty() => "its signature is invalid, as if the module was changed: ",
        libc::EKEYREJECTED => "it accepts only modules signed with a trusted key: ",
        libc::ENOKEY => "it is not signed with a key that the kernel trusts: ",
        libc::ENOEXEC => "its format or version does not match: ",
        libc::ENOENT if load.words.is_empty() => "something that it needs at startup is missing: ",
        libc::ENODEV => "the guest has no such device or processor feature: ",
        _ => "",
    };
    match load.words.first() {
        Some(words) => format!("the kernel refuses it: {meaning}{words} ({errno})"),
        None => format!("the kernel refuses it: {meaning}{errno}"),
    }
}
