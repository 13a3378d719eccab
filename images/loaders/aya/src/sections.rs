//! [`Sections`]: the names of programs' sections, which name what a program is loaded for. The library leaves it to its user to know that.

use std::collections::HashMap;

use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

/// The section of each function by the function's name.
pub struct Sections(HashMap<String, String>);

impl Sections {
    /// Reads them from an object that the library has read. What is damaged is left out.
    pub fn of(data: &[u8]) -> Self {
        let Ok(file) = object::read::File::parse(data) else { return Self(HashMap::new()) };
        let section = |symbol: &object::Symbol<'_, '_>| {
            let section = file.section_by_index(symbol.section_index()?).ok()?;
            Some((symbol.name().ok()?.to_owned(), section.name().ok()?.to_owned()))
        };
        Self(
            file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text).filter_map(|one| section(&one)).collect(),
        )
    }

    pub fn of_program(&self, program: &str) -> &str {
        self.0.get(program).map(String::as_str).unwrap_or_default()
    }
}

/// What a section's name says that its programs are loaded for: `vfs_read` in `fentry/vfs_read`.
pub fn target(section: &str) -> Option<&str> {
    section.split_once('/').map(|(_, target)| target).filter(|target| !target.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_name_targets() {
        let named = [
            ("fentry/vfs_read", "vfs_read"),
            ("fexit.s/vfs_read", "vfs_read"),
            ("lsm.s/file_open", "file_open"),
            ("tp_btf/sched_switch", "sched_switch"),
            ("iter/bpf_map_elem", "bpf_map_elem"),
            ("lsm_cgroup/socket_bind", "socket_bind"),
        ];
        for (section, expected) in named {
            assert_eq!(target(section), Some(expected), "{section}");
        }
        assert_eq!(target("fentry"), None);
        assert_eq!(target("fentry/"), None);
    }

    #[test]
    fn what_is_no_object_has_no_sections() {
        assert_eq!(Sections::of(b"no object").of_program("p"), "");
    }
}
