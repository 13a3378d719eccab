//! [`StoredView`]: what the store knows of a kernel, read when a verdict asks for it.

use std::fs;
use std::sync::OnceLock;
use std::sync::mpsc::Sender;

use super::RunContext;
use crate::core_relo::Target;
use crate::event::Event;
use crate::judge::{Elsewhere, KernelView};
use crate::kernel_config::KernelConfig;
use crate::object::btf::{Btf, Want};
use crate::store::{ModuleIndex, Store, StoredKernel};

/// Fetches what is not known about a kernel's modules; `None` if it is unavailable now.
type Learn<'a> = dyn Fn(&StoredKernel) -> Option<StoredKernel> + Send + Sync + 'a;

/// What the store knows of a kernel. Everything is read once, when it is first asked for: most cells ask for nothing.
pub(super) struct StoredView<'a> {
    stored: StoredKernel,
    store: &'a Store,
    /// Fetches what is not known about the kernel's modules; `None` if it is unavailable now, and stays unknown.
    learn: Box<Learn<'a>>,
    /// Set once something was unavailable that may be available another time.
    unlearned: OnceLock<()>,
    /// What objects are relocated with.
    types: OnceLock<Option<Btf>>,
    /// The same, to resolve relocations with.
    target: OnceLock<Option<Target>>,
    /// The kernel's own BTF, where it was given another.
    own: OnceLock<Option<Btf>>,
    config: OnceLock<Option<KernelConfig>>,
    modules: OnceLock<(StoredKernel, ModuleIndex)>,
    /// What the store knows of the modules without fetching anything.
    known: OnceLock<ModuleIndex>,
}

impl<'a> StoredView<'a> {
    pub(super) fn new(
        stored: StoredKernel,
        store: &'a Store,
        learn: impl Fn(&StoredKernel) -> Option<StoredKernel> + Send + Sync + 'a,
    ) -> Self {
        let (types, target, own) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let (config, modules, known) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let (learn, unlearned) = (Box::new(learn), OnceLock::new());
        StoredView { stored, store, learn, unlearned, types, target, own, config, modules, known }
    }

    /// That of a kernel of a run, which fetches what is not known about its modules.
    pub(super) fn of_run(run: &'a RunContext<'a>, kernel: usize, stored: StoredKernel, events: Sender<Event>) -> Self {
        let spec = &run.plan.kernels[kernel];
        StoredView::new(stored, run.store, move |stored| {
            let step = |step: String| {
                let _ = events.send(Event::Fetching { kernel, step });
            };
            match run.store.learn_modules(spec, stored, run.lock, run.offline, &step) {
                Ok(stored) => Some(stored),
                Err(error) => {
                    step(format!("its modules are unknown: {}", error.reason()));
                    None
                }
            }
        })
    }

    /// The types that objects are relocated with; `None` if there are none or they cannot be read.
    pub(super) fn types(&self) -> Option<&Btf> {
        let read = || Btf::parse(&fs::read(self.stored.types()?).ok()?).ok();
        self.types.get_or_init(read).as_ref()
    }

    /// Whether something was unavailable that a verdict may rest on, and that another run may have.
    pub(super) fn is_unlearned(&self) -> bool {
        self.unlearned.get().is_some()
    }

    /// As `uname -r` prints it.
    pub(super) fn release_name(&self) -> &str {
        &self.stored.identity.release
    }

    /// The types that relocations are resolved with, those of modules left out; `None` if there are none or they cannot be read.
    pub(super) fn target(&self) -> Option<&Target> {
        let read = || {
            let kernel = self.store.type_table(self.stored.types()?).ok()?;
            Some(Target { kernel, modules: Vec::new() })
        };
        self.target.get_or_init(read).as_ref()
    }

    /// The kernel's own BTF.
    fn own(&self) -> Option<&Btf> {
        if self.stored.given_btf.is_none() {
            return self.types();
        }
        let read = || Btf::parse(&fs::read(self.stored.btf.as_ref()?).ok()?).ok();
        self.own.get_or_init(read).as_ref()
    }

    /// The kernel with what is known about its modules, which is fetched if need be. A package without modules, or one that cannot be read,
    /// has none.
    fn modules(&self) -> &(StoredKernel, ModuleIndex) {
        self.modules.get_or_init(|| {
            let stored = (self.learn)(&self.stored).unwrap_or_else(|| {
                let _ = self.unlearned.set(());
                self.stored.clone()
            });
            let index = match stored.has_modules() == self.stored.has_modules() {
                true => self.known().clone(),
                false => stored.module_index(),
            };
            (stored, index)
        })
    }

    fn known(&self) -> &ModuleIndex {
        self.known.get_or_init(|| self.stored.module_index())
    }

    /// The modules with a name that the kernel itself lacks. What they have is only fetched for what objects attach to or call, or if another
    /// kernel has the name in a module: of types there are always some that a kernel lacks.
    pub(super) fn owners(&self, name: &str, is_target: bool) -> Vec<String> {
        let may_fetch = || !self.has(name) && (is_target || self.store.in_module(name).is_some());
        let index = match self.stored.has_modules() || !may_fetch() {
            true => self.known(),
            false => &self.modules().1,
        };
        let found = index.modules_with(name);
        if found.is_empty() || self.has(name) { Vec::new() } else { found.into_iter().map(str::to_owned).collect() }
    }

    /// Whether the kernel itself has a type or function of this name; false if it is not known.
    fn has(&self, name: &str) -> bool {
        let kinds = [Want::Struct, Want::Union, Want::Enum, Want::Typedef, Want::Function];
        self.own().is_some_and(|btf| kinds.into_iter().any(|want| btf.find(name, want).is_some()))
    }

    fn options(&self) -> Option<&KernelConfig> {
        let read =
            || Some(KernelConfig::parse(&String::from_utf8_lossy(&fs::read(self.stored.config.as_ref()?).ok()?)));
        self.config.get_or_init(read).as_ref()
    }
}

impl KernelView for StoredView<'_> {
    fn has_type(&self, name: &str) -> Option<bool> {
        let btf = self.types()?;
        let kinds = [Want::Struct, Want::Union, Want::Enum, Want::Typedef, Want::Int];
        Some(kinds.into_iter().any(|want| btf.find(name, want).is_some()))
    }

    fn has_enumerator(&self, in_enum: &str, name: &str) -> Option<bool> {
        let btf = self.own()?;
        if in_enum.is_empty() {
            return Some(btf.has_nameless_enumerator(name));
        }
        let mut candidates = btf.candidates(in_enum, Want::Enum).peekable();
        candidates.peek()?;
        Some(candidates.any(|id| btf.enumerator(id, name).is_some()))
    }

    fn has_member(&self, in_struct: &str, member: &str) -> Option<bool> {
        let btf = self.own()?;
        let mut candidates = btf.candidates(in_struct, Want::Struct).peekable();
        candidates.peek()?;
        Some(candidates.any(|id| {
            let mut members = btf.members(id).into_iter();
            members.any(|place| btf.string(place.name_offset).as_deref() == Some(member))
        }))
    }

    fn has_function(&self, name: &str) -> Option<bool> {
        Some(self.own()?.find(name, Want::Function).is_some())
    }

    fn config(&self, option: &str) -> Option<bool> {
        self.options()?.is_on(bare(option))
    }

    fn is_module(&self, option: &str) -> bool {
        let is_on = self.config(option) == Some(true);
        is_on && self.options().is_some_and(|config| !config.has(bare(option)))
    }

    fn release(&self) -> Option<(u32, u32)> {
        let mut numbers = self.stored.identity.release.split(|byte: char| !byte.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    fn modules_with(&self, name: &str) -> Vec<String> {
        if self.has(name) {
            return Vec::new();
        }
        self.modules().1.modules_with(name).into_iter().map(str::to_owned).collect()
    }

    fn knows_modules(&self) -> bool {
        // A module without BTF among others that have some has no types.
        self.modules().0.module_btf.is_some()
    }

    fn why_modules_unknown(&self) -> Option<String> {
        let is_gone = self.modules().0.modules_are_gone();
        is_gone.then(|| "the archive no longer has their package".to_owned())
    }

    fn knows_module_functions(&self) -> bool {
        self.modules().0.has_modules()
    }

    fn elsewhere(&self, name: &str) -> Option<Elsewhere> {
        if self.has(name) {
            return None;
        }
        let (module, kernel) = self.store.in_module(name)?;
        Some(Elsewhere { module, kernel })
    }
}

/// The option without its prefix.
fn bare(option: &str) -> &str {
    option.strip_prefix("CONFIG_").unwrap_or(option)
}
