//! The BTF of modules, which goes on where that of their kernel ends: [`Btf::parse_split`], [`Btf::modules_with`].

use crate::bytes::u32_at;
use memchr::memmem;

use super::lookup::Want;
use super::{Btf, BtfError, extra_bytes, parse_types, parts};

impl Btf {
    /// Parses the BTF of a module, whose ids and strings go on where those of `base`, its kernel's, end. The types of both are in
    /// it; the module's own begin with id `base.len()`.
    ///
    /// # Errors
    /// As [`Btf::parse`].
    pub fn parse_split(data: &[u8], base: &Btf) -> Result<Btf, BtfError> {
        let (table, strings) = parts(data)?;
        // It need not begin with a NUL: that is at the start of the kernel's.
        if strings.last().is_some_and(|&last| last != 0) {
            return Err(BtfError::Strings);
        }
        let types = parse_types(table, base.types.clone())?;
        let mut btf = Btf::without_index([&base.strings, strings].concat(), types);
        btf.index = base.index.clone();
        btf.index.extend(btf.index_from(base.len()));
        btf.index.sort_unstable();
        Ok(btf)
    }

    /// Those of `modules`, given by name and raw BTF, that have a type or enumerator of this name, by their indexes. Costs a small
    /// part of [`Btf::parse_split`], as a kernel has hundreds of modules and a few have what is looked for.
    pub fn modules_with(&self, modules: &[(String, Vec<u8>)], name: &str) -> Vec<usize> {
        let kernels = memmem::find(&self.strings, format!("\0{name}\0").as_bytes()).map(|at| at + 1);
        let has = |data: &[u8]| {
            let (table, strings) = parts(data).ok()?;
            // The module has the name itself only where its kernel does not have it. Its first string has no NUL before it.
            let mut own = strings.split(|&byte| byte == 0);
            let offset = match kernels {
                Some(offset) => offset,
                None => {
                    let mut at = self.strings.len();
                    let found = own.by_ref().find(|text| {
                        let same = *text == name.as_bytes();
                        at += if same { 0 } else { text.len() + 1 };
                        same
                    });
                    found.map(|_| at)?
                }
            };
            Some(names(table, u32::try_from(offset).ok()?))
        };
        (0..modules.len()).filter(|&index| has(&modules[index].1).unwrap_or(false)).collect()
    }

    /// The names of the types and functions of a module, given by its raw BTF, that its kernel, which this is, does not have.
    pub fn names_of_module<'a>(&'a self, module: &'a [u8]) -> Vec<&'a str> {
        let Ok((table, strings)) = parts(module) else { return Vec::new() };
        let name = |offset: usize| {
            let (from, own) = match offset.checked_sub(self.strings.len()) {
                Some(own) => (strings.get(own..)?, true),
                None => (self.strings.get(offset..)?, false),
            };
            let name = from.split(|&byte| byte == 0).next().filter(|name| !name.is_empty())?;
            let name = std::str::from_utf8(name).ok()?;
            // The kernel's strings name members, too.
            let kernels = || NAMED.into_iter().any(|want| self.find(name, want).is_some());
            (own || !kernels()).then_some(name)
        };
        let mut names = Vec::new();
        let mut rest = table;
        while let (Some(offset), Some(info)) = (u32_at(rest, 0), u32_at(rest, 4)) {
            let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
            let Some((_, tail)) = extra_bytes(kind, count).and_then(|extra| rest.split_at_checked(12 + extra)) else {
                break;
            };
            // Struct, union, enum of either width, typedef, function.
            if matches!(kind, 4 | 5 | 6 | 8 | 12 | 19) {
                names.extend(name(offset as usize));
            }
            rest = tail;
        }
        names
    }
}

/// The kinds of what has a name that is looked up in modules.
const NAMED: [Want; 5] = [Want::Struct, Want::Union, Want::Enum, Want::Typedef, Want::Function];

/// Whether a type or enumerator of the type table has its name at this offset.
fn names(table: &[u8], offset: u32) -> bool {
    let mut rest = table;
    while let Some(info) = u32_at(rest, 4) {
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let Some((record, tail)) = extra_bytes(kind, count).and_then(|extra| rest.split_at_checked(12 + extra)) else {
            return false;
        };
        let width = if kind == 19 { 12 } else { 8 };
        let mut values = record[12..].chunks_exact(width).filter(|_| matches!(kind, 6 | 19));
        let named = |entry: &[u8]| u32_at(entry, 0) == Some(offset);
        if named(record) || values.any(named) {
            return true;
        }
        rest = tail;
    }
    false
}
