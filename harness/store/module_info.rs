//! [`ModuleInfo`]: what a module says of itself in `.modinfo`.

use object::{Object, ObjectSection};
use serde::{Deserialize, Serialize};

/// What a module says of itself. Names have `_` for `-`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleInfo {
    /// Its name; older kernels do not write it.
    pub name: Option<String>,
    /// The kernel that it was built for: `6.1.0-50-cloud-amd64 SMP preempt mod_unload modversions`.
    pub vermagic: Option<String>,
    /// The modules whose symbols it uses.
    pub depends: Vec<String>,
    /// Modules or aliases that it works with and that have to be there first.
    pub before: Vec<String>,
    /// Other names of it. Those of devices are left out.
    pub aliases: Vec<String>,
}

impl ModuleInfo {
    /// Reads the ELF file of a module. `.modinfo` holds `key=value` strings with a NUL behind each.
    ///
    /// # Errors
    /// It is no ELF file, or a damaged one.
    pub fn read(module: &[u8]) -> Result<ModuleInfo, object::Error> {
        let elf = object::File::parse(module)?;
        let mut info = ModuleInfo::default();
        let Some(section) = elf.section_by_name(".modinfo") else { return Ok(info) };
        for pair in section.data()?.split(|&byte| byte == 0) {
            let pair = String::from_utf8_lossy(pair);
            let Some((key, value)) = pair.split_once('=') else { continue };
            match key {
                "name" => info.name = Some(plain(value)),
                "vermagic" => info.vermagic = Some(value.trim().to_owned()),
                "depends" => info.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(plain)),
                "softdep" => info.before.extend(soft(value)),
                // The patterns of devices, of which there are hundreds.
                "alias" if !value.contains([':', '*']) => info.aliases.push(plain(value)),
                _ => {}
            }
        }
        Ok(info)
    }

    /// The release that it was built for.
    pub fn release(&self) -> Option<&str> {
        self.vermagic.as_deref()?.split_whitespace().next()
    }
}

/// `pre: a b post: c` -> `a`, `b`.
fn soft(value: &str) -> Vec<String> {
    let mut before = Vec::new();
    let mut is_before = false;
    for word in value.split_whitespace() {
        match word {
            "pre:" => is_before = true,
            "post:" => is_before = false,
            name if is_before => before.push(plain(name)),
            _ => {}
        }
    }
    before
}

fn plain(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::kmod::tests::module_with;
    use super::*;

    #[test]
    fn module_tells_what_it_needs() {
        let module = module_with(
            "vermagic=6.1.0-50-amd64 SMP mod_unload \0name=my-module\0depends=a-b,c\0softdep=pre: crypto-x y post: z\0alias=pci:v1d*\0alias=fs-xfs",
        );
        let info = ModuleInfo::read(&module).unwrap();
        assert_eq!(info.release(), Some("6.1.0-50-amd64"));
        assert_eq!(info.name.as_deref(), Some("my_module"));
        assert_eq!(
            (&info.depends[..], &info.before[..]),
            (&["a_b", "c"].map(str::to_owned)[..], &["crypto_x", "y"].map(str::to_owned)[..])
        );
        assert_eq!(info.aliases, ["fs_xfs"]);
        assert_eq!(ModuleInfo::read(&module_with("")).unwrap(), ModuleInfo::default());
        assert!(ModuleInfo::read(b"no module").is_err());
    }
}
