//! [`KernelView`]: what is known about the kernel that judged a program, besides what the guest observed.

/// What is known about a kernel from its BTF, its modules' BTF and its config. `None` means that it is not known: a kernel without BTF
/// or config, or with BTF that cannot be read.
pub trait KernelView {
    /// Whether the kernel has a struct, union, enum, typedef or integer of this name, given without keyword and flavour.
    fn has_type(&self, name: &str) -> Option<bool>;

    /// Whether the kernel's `enum in_enum` has the enumerator `name`; an empty `in_enum` stands for all enums without a name, which
    /// hold the flags of the UAPI.
    fn has_enumerator(&self, in_enum: &str, name: &str) -> Option<bool>;

    /// Whether the kernel's `struct in_struct` has the member `member`.
    fn has_member(&self, in_struct: &str, member: &str) -> Option<bool>;

    /// Whether the kernel's own BTF, without modules, has a function of this name.
    fn has_function(&self, name: &str) -> Option<bool>;

    /// Whether the option, such as `CONFIG_FPROBE`, is built in or a module.
    fn config(&self, option: &str) -> Option<bool>;

    /// Whether the option is known to be a module.
    fn is_module(&self, _option: &str) -> bool {
        false
    }

    /// The release of Linux that it is, such as 6.12.
    fn release(&self) -> Option<(u32, u32)> {
        None
    }

    /// The modules whose BTF has a type or function of this name; none if the kernel itself has it or nothing is known about its modules.
    fn modules_with(&self, name: &str) -> Vec<String>;

    /// Whether the types of its modules are known, so that none of them having a name says something.
    fn knows_modules(&self) -> bool {
        false
    }

    /// Whether the functions of its modules are known: with their types, or by their symbols alone.
    fn knows_module_functions(&self) -> bool {
        self.knows_modules()
    }

    /// Whether a module that the guest has loaded has a type or function of this name.
    fn is_in_loaded_module(&self, _name: &str) -> bool {
        false
    }

    /// Why nothing is known about the kernel's modules, if more is known than that.
    fn why_modules_unknown(&self) -> Option<String> {
        None
    }

    /// Whether the guest has loaded a module.
    fn is_loaded(&self, _module: &str) -> bool {
        false
    }

    /// Why a module is not loaded, if more is known than that it is not.
    fn why_not_loaded(&self, _module: &str) -> Option<String> {
        None
    }

    /// Why the kernel refused the types of a module that is loaded; `None` if it did not.
    fn why_without_types(&self, _module: &str) -> Option<String> {
        None
    }

    /// Where another kernel has a type or function of this name in a module; `None` if this kernel itself has it.
    fn elsewhere(&self, _name: &str) -> Option<Elsewhere> {
        None
    }
}

/// A module of another kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The module.
    pub module: String,
    /// The kernel, as the store names it.
    pub kernel: String,
}

/// A kernel of which nothing is known.
#[derive(Debug, Clone, Copy)]
pub struct UnknownKernel;

impl KernelView for UnknownKernel {
    fn has_type(&self, _: &str) -> Option<bool> {
        None
    }

    fn has_enumerator(&self, _: &str, _: &str) -> Option<bool> {
        None
    }

    fn has_member(&self, _: &str, _: &str) -> Option<bool> {
        None
    }

    fn has_function(&self, _: &str) -> Option<bool> {
        None
    }

    fn config(&self, _: &str) -> Option<bool> {
        None
    }

    fn modules_with(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

/// A kernel of which a test says what is known.
#[cfg(test)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SampleKernel {
    /// Whether it has what is named: `type inode`, `bpf_prog_type.BPF_PROG_TYPE_LSM`, `bpf_prog_aux.sleepable`, `vfs_read()`,
    /// `CONFIG_BPF_LSM`, `CONFIG_XFRM=m`.
    pub(crate) has: &'static [(&'static str, bool)],
    /// Names, each with a module that has it.
    pub(crate) modules: &'static [(&'static str, &'static str)],
    /// Whether those are functions that are known by their symbols alone.
    pub(crate) only_symbols: bool,
    /// Names that another kernel has, each with the module and the kernel.
    pub(crate) elsewhere: &'static [(&'static str, &'static str, &'static str)],
    /// Its release.
    pub(crate) release: Option<(u32, u32)>,
}

#[cfg(test)]
impl SampleKernel {
    /// Of which nothing is known.
    pub(crate) const NOTHING: SampleKernel =
        SampleKernel { has: &[], modules: &[], release: None, only_symbols: false, elsewhere: &[] };

    fn answer(&self, asked: &str) -> Option<bool> {
        self.has.iter().find(|(known, _)| *known == asked).map(|(_, answer)| *answer)
    }
}

#[cfg(test)]
impl KernelView for SampleKernel {
    fn has_type(&self, name: &str) -> Option<bool> {
        self.answer(&format!("type {name}"))
    }

    fn has_enumerator(&self, in_enum: &str, name: &str) -> Option<bool> {
        self.answer(&format!("{in_enum}.{name}"))
    }

    fn has_member(&self, in_struct: &str, member: &str) -> Option<bool> {
        self.answer(&format!("{in_struct}.{member}"))
    }

    fn has_function(&self, name: &str) -> Option<bool> {
        self.answer(&format!("{name}()"))
    }

    fn config(&self, option: &str) -> Option<bool> {
        self.answer(option)
    }

    fn is_module(&self, option: &str) -> bool {
        self.answer(&format!("{option}=m")) == Some(true)
    }

    fn release(&self) -> Option<(u32, u32)> {
        self.release
    }

    fn modules_with(&self, name: &str) -> Vec<String> {
        self.modules.iter().filter(|(known, _)| *known == name).map(|(_, module)| (*module).to_owned()).collect()
    }

    fn knows_modules(&self) -> bool {
        !self.modules.is_empty() && !self.only_symbols
    }

    fn knows_module_functions(&self) -> bool {
        !self.modules.is_empty()
    }

    fn elsewhere(&self, name: &str) -> Option<Elsewhere> {
        let (_, module, kernel) = self.elsewhere.iter().find(|(known, ..)| *known == name)?;
        Some(Elsewhere { module: (*module).to_owned(), kernel: (*kernel).to_owned() })
    }
}
