//! [`KernelFunction`]: a kfunc that an object calls by its name and prototype.

use object::LittleEndian;
use object::elf::SHT_SYMTAB;

use crate::core_relo::{Kind, Target, TypeTable, types_are_compatible};
use crate::object::btf::{Btf, TypeKind};
use crate::object::sections;

/// What libbpf keeps externs in.
const KSYMS: &str = ".ksyms";

/// A kfunc that an object refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KernelFunction {
    /// Its name in the object, with a flavour if it has one.
    pub name: String,
    /// Its prototype in the object's types.
    prototype: u32,
    /// Whether the object works without it.
    pub weak: bool,
}

impl KernelFunction {
    /// Those of a whole object.
    pub fn all(bytes: &[u8], types: &Btf) -> Vec<KernelFunction> {
        let ids = 1..u32::try_from(types.len()).unwrap_or(u32::MAX);
        let section = ids.filter_map(|id| types.get(id)).find_map(|found| match &found.kind {
            TypeKind::Section { variables } if types.text(found.name_offset).as_deref() == Some(KSYMS) => {
                Some(variables)
            }
            _ => None,
        });
        let weak = weak_symbols(bytes);
        let function = |id: &u32| {
            let found = types.get(*id)?;
            let TypeKind::Function(prototype) = found.kind else { return None };
            let name = types.string(found.name_offset)?;
            Some(KernelFunction { weak: weak.contains(&name), name, prototype })
        };
        section.into_iter().flatten().filter_map(function).collect()
    }

    /// Where libbpf finds it: `vmlinux`, or a module; or why it does not. `are_known` says that all modules that have it count.
    pub fn look_up(&self, local: &TypeTable, target: &Target, are_known: bool) -> Result<String, String> {
        let name = crate::object::btf::essential_name(&self.name);
        let modules = target.modules.iter().map(|(module, table)| (module.as_str(), table));
        for (place, table) in std::iter::once(("vmlinux", &target.kernel)).chain(modules) {
            let Some((_, found)) = table.exactly(name, Kind::Function) else { continue };
            return match types_are_compatible(local, self.prototype, table, found.size_or_type) {
                true => Ok(place.to_owned()),
                false => Err(format!("kfunc `{}` has another prototype", self.name)),
            };
        }
        let where_not = if are_known { "neither in the kernel nor in its modules" } else { "not in the kernel itself" };
        Err(format!("kfunc `{}` is {where_not}", self.name))
    }
}

fn weak_symbols(bytes: &[u8]) -> Vec<String> {
    let Ok(sections) = sections(bytes) else { return Vec::new() };
    let Ok(table) = sections.symbols(LittleEndian, bytes, SHT_SYMTAB) else { return Vec::new() };
    let weak = table.iter().filter(|symbol| object::read::elf::Sym::is_weak(*symbol));
    let name = |symbol| Some(String::from_utf8_lossy(table.symbol_name(LittleEndian, symbol).ok()?).into_owned());
    weak.filter_map(name).collect()
}
