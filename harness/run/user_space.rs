//! [`files`]: what a guest is given of this machine where a program probes the C library: the guest's own executable is static.
//!
//! Nothing but the shell and the libraries that it runs on: an object chooses whether it gets them, and not which.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use object::Endianness;
use object::read::elf::{Dyn, ElfFile64, ProgramHeader};

use crate::plan::PlannedObject;
use crate::protocol::attach::{AttachTo, Reach};
use crate::protocol::user_space::{InBinary, LIBRARIES, SHELL};

/// More libraries than any shell needs.
const MOST_FILES: usize = 16;

/// A file of this machine that a guest is given.
#[derive(Debug)]
pub(super) struct UserFile {
    /// Where it lies, here and there.
    pub(super) path: PathBuf,
    pub(super) content: Vec<u8>,
}

/// What the guest needs for an object that is taken so far; nothing for most.
pub(super) fn files(planned: &PlannedObject, reach: Reach) -> &'static [UserFile] {
    static SHELL_FILES: OnceLock<Vec<UserFile>> = OnceLock::new();
    match binaries(planned, reach).any(is_library_of_c) {
        true => SHELL_FILES.get_or_init(|| closure(Path::new(SHELL))),
        false => &[],
    }
}

/// The binaries that programs of the object are attached to.
fn binaries(planned: &PlannedObject, reach: Reach) -> impl Iterator<Item = &str> {
    let by_suite = planned.programs_setup.iter().filter_map(|program| match &program.attach {
        Some(AttachTo::UserFunction { binary, .. }) => Some(binary.as_str()),
        _ => None,
    });
    let sections = planned.programs.iter().filter(move |_| reach >= Reach::Attach);
    by_suite.chain(sections.filter_map(|program| Some(InBinary::of(&program.section)?.binary)))
}

fn is_library_of_c(binary: &str) -> bool {
    let name = binary.rsplit('/').next().unwrap_or(binary);
    name.starts_with("libc.so")
}

/// An executable, its interpreter and all libraries that it names, as far as they are found.
fn closure(executable: &Path) -> Vec<UserFile> {
    let mut found: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let mut open = vec![executable.to_owned()];
    while let Some(path) = open.pop() {
        if found.contains_key(&path) || found.len() == MOST_FILES {
            continue;
        }
        let Ok(content) = fs::read(&path) else { continue };
        open.extend(needed(&content).unwrap_or_default());
        found.insert(path, content);
    }
    found.into_iter().map(|(path, content)| UserFile { path, content }).collect()
}

/// The interpreter of an ELF file, and the libraries that it names.
fn needed(content: &[u8]) -> object::Result<Vec<PathBuf>> {
    let elf = ElfFile64::<Endianness>::parse(content)?;
    let endian = elf.endian();
    let mut paths = Vec::new();
    for header in elf.elf_program_headers() {
        if let Some(interpreter) = header.interpreter(endian, content)? {
            paths.push(PathBuf::from(String::from_utf8_lossy(interpreter).into_owned()));
        }
    }
    if let Some((entries, strings)) = elf.elf_section_table().dynamic(endian, content)? {
        let strings = elf.elf_section_table().strings(endian, content, strings)?;
        for entry in entries.iter().filter(|entry| entry.tag(endian) == object::elf::DT_NEEDED) {
            let name = String::from_utf8_lossy(entry.string(endian, strings)?).into_owned();
            let mut folders = LIBRARIES.split(':').map(|folder| Path::new(folder).join(&name));
            paths.extend(folders.find(|path| path.exists()));
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_comes_with_its_interpreter_and_the_library_of_c() {
        let files = closure(Path::new(SHELL));
        let has = |name: &str| files.iter().any(|file| file.path.to_string_lossy().contains(name));
        assert!(has(SHELL) && has("ld-linux") && has("libc.so.6"), "{:?}", files.iter().map(|file| &file.path));
        assert!(files.iter().all(|file| file.content.starts_with(b"\x7fELF")));
        assert!(needed(b"no ELF file").is_err() && closure(Path::new("/no/such/file")).is_empty());
    }

    #[test]
    fn only_the_library_of_c_is_given() {
        for (binary, given) in
            [("libc.so.6", true), ("/lib/x86_64-linux-gnu/libc.so.6", true), ("/etc/shadow", false), ("bash", false)]
        {
            assert_eq!(is_library_of_c(binary), given, "{binary}");
        }
    }
}
