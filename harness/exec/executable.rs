//! [`Executable`]: a program of the host that a guest can run, or why it cannot, before a guest is started for it.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache, ReadRef};

use super::files::View;
use super::libraries::{GLIBC, Libraries};

/// The kernel reads no more of a script's first line.
const LONGEST_FIRST_LINE: u64 = 256;

/// A program that a guest can run, as far as that can be known without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    /// The file, without links.
    pub path: PathBuf,
    /// Whether Go's linker made it.
    pub is_go: bool,
}

/// Why a guest cannot run a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitProgram {
    /// There is none.
    #[error("executable `{0}` not found")]
    Missing(String),
    /// It is there, and no one may execute it.
    #[error("`{}` is not executable", .0.display())]
    NotExecutable(PathBuf),
    /// It is a directory or something else that is no file.
    #[error("`{}` is not a file", .0.display())]
    NoFile(PathBuf),
    /// It cannot be read.
    #[error("cannot read `{}`: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The guest has a separate directory there.
    #[error("`{}` is not visible in the guest", .0.display())]
    Hidden(PathBuf),
    /// It is for another kind of machine.
    #[error("`{}` is for {machine}, but guests are x86-64", .path.display())]
    OtherMachine {
        /// The file.
        path: PathBuf,
        /// The kind of machine.
        machine: String,
    },
    /// It is an ELF file that is not run, such as a BPF object or a library.
    #[error("`{}` is {what}, not an executable", .path.display())]
    NoProgram {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It is neither an ELF file nor a script.
    #[error("`{}` is neither an ELF executable nor a script that begins with `#!`", .0.display())]
    UnknownFormat(PathBuf),
    /// What runs it is not there: the dynamic linker of an executable, the interpreter of a script.
    #[error("`{}` needs the interpreter `{}`, which is not visible in the guest", .path.display(), .interpreter.display())]
    NoInterpreter {
        /// The file.
        path: PathBuf,
        /// What would run it.
        interpreter: PathBuf,
    },
    /// A library is not there.
    #[error("`{}` needs the library `{library}`, which is not visible in the guest", .needed_by.display())]
    NoLibrary {
        /// The library.
        library: String,
        /// The executable, or the library that needs it.
        needed_by: PathBuf,
    },
}

impl UnfitProgram {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            UnfitProgram::Missing(_) => {
                "guests see the files of this machine only: name an executable that is installed here, or its path"
            }
            UnfitProgram::NotExecutable(_) => "make it executable with `chmod +x`",
            UnfitProgram::Hidden(_) => {
                "guests have their own /proc, /sys, /dev, /run and /boot; with `--minimal` they see only executables \
    and libraries"
            }
            UnfitProgram::OtherMachine { .. } => "build it for `x86_64`",
            UnfitProgram::NoProgram { what: BPF_OBJECT, .. } => "`corematrix run` loads BPF objects",
            UnfitProgram::NoInterpreter { .. } | UnfitProgram::NoLibrary { .. } => {
                "guests see the files of this machine only: install it here, or link the executable statically"
            }
            _ => return None,
        })
    }

    /// Whether there is no such program at all, as opposed to one that cannot be run.
    pub fn is_missing(&self) -> bool {
        matches!(self, UnfitProgram::Missing(_))
    }
}

/// What a file for the BPF machine is.
const BPF_OBJECT: &str = "a BPF object";

impl Executable {
    /// Looks a program up as the guest will: by its path, or in the directories of `search`. `view` is what the guest sees, and
    /// `library_path` the value of `LD_LIBRARY_PATH` there.
    ///
    /// # Errors
    /// [`UnfitProgram`] if it certainly cannot run in a guest.
    pub fn find(
        name: &str,
        search: &[PathBuf],
        view: &View,
        library_path: Option<&OsString>,
    ) -> Result<Executable, UnfitProgram> {
        let path = match name.contains('/') {
            true => PathBuf::from(name),
            false => {
                let found = search.iter().map(|folder| folder.join(name)).find(|path| is_executable(path));
                found.ok_or_else(|| UnfitProgram::Missing(name.to_owned()))?
            }
        };
        let metadata = fs::metadata(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => UnfitProgram::Missing(name.to_owned()),
            _ => unreadable(&path, &error),
        })?;
        if !metadata.is_file() {
            return Err(UnfitProgram::NoFile(path));
        }
        if !is_executable(&path) {
            return Err(UnfitProgram::NotExecutable(path));
        }
        let found = path.canonicalize().map_err(|error| unreadable(&path, &error))?;
        if !view.has(&found) {
            return Err(UnfitProgram::Hidden(path));
        }
        let libraries = Libraries::new(view, library_path);
        let is_go = look_into(&found, view, &libraries, true)?;
        Ok(Executable { path: found, is_go })
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn unreadable(path: &Path, error: &std::io::Error) -> UnfitProgram {
    UnfitProgram::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

/// Whether it is Go's; `may_be_script` is false for what runs a script, which the kernel wants to be no script for ever.
fn look_into(path: &Path, view: &View, libraries: &Libraries<'_>, may_be_script: bool) -> Result<bool, UnfitProgram> {
    let open = || -> std::io::Result<(Vec<u8>, fs::File)> {
        let mut file = fs::File::open(path)?;
        let mut first = Vec::new();
        (&mut file).take(LONGEST_FIRST_LINE).read_to_end(&mut first)?;
        Ok((first, file))
    };
    let (first, file) = open().map_err(|error| unreadable(path, &error))?;
    if let Some(line) = first.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let Some(interpreter) = line.split_whitespace().next().map(PathBuf::from) else {
            return Err(UnfitProgram::UnknownFormat(path.to_owned()));
        };
        let missing = || UnfitProgram::NoInterpreter { path: path.to_owned(), interpreter: interpreter.clone() };
        if !is_executable(&interpreter) || !view.has(&interpreter) {
            return Err(missing());
        }
        return match may_be_script {
            true => look_into(&interpreter, view, libraries, false).map(|_| false),
            false => Ok(false),
        };
    }
    if !first.starts_with(&elf::ELFMAG) {
        return Err(UnfitProgram::UnknownFormat(path.to_owned()));
    }
    // Executables are large, and little of them is of interest here.
    let file = ReadCache::new(file);
    let elf = match first.get(4).map(|class| elf::FileClass(*class)) {
        Some(elf::ELFCLASS64) => ElfFacts::of::<FileHeader64<Endianness>>(&file),
        Some(elf::ELFCLASS32) => ElfFacts::of::<FileHeader32<Endianness>>(&file),
        _ => None,
    };
    let elf = elf.ok_or_else(|| UnfitProgram::NoProgram { path: path.to_owned(), what: "a broken ELF file" })?;
    let no_program = |what| Err(UnfitProgram::NoProgram { path: path.to_owned(), what });
    match elf.machine {
        elf::EM_X86_64 | elf::EM_386 => {}
        elf::EM_BPF => return no_program(BPF_OBJECT),
        machine => {
            return Err(UnfitProgram::OtherMachine { path: path.to_owned(), machine: machine_name(machine) });
        }
    }
    match elf.kind {
        elf::ET_REL => return no_program("an object file"),
        elf::ET_CORE => return no_program("a core dump"),
        // A library has no entry.
        elf::ET_DYN if elf.entry == 0 => return no_program("a shared library"),
        _ => {}
    }
    if let Some(interpreter) = elf.interpreter {
        if !interpreter.is_file() || !view.has(&interpreter) {
            return Err(UnfitProgram::NoInterpreter { path: path.to_owned(), interpreter });
        }
        // Only of this one it is known where it looks.
        if interpreter.file_name().is_some_and(|name| name == GLIBC)
            && let Some((library, needed_by)) = libraries.missing(path)
        {
            return Err(UnfitProgram::NoLibrary { library, needed_by });
        }
    }
    Ok(elf.is_go)
}

/// What an ELF file says of itself.
struct ElfFacts {
    machine: elf::Machine,
    kind: elf::FileType,
    entry: u64,
    interpreter: Option<PathBuf>,
    is_go: bool,
}

impl ElfFacts {
    fn of<'a, H: FileHeader<Endian = Endianness> + 'a>(data: impl ReadRef<'a>) -> Option<ElfFacts> {
        let header = H::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let interpreter = header.program_headers(endian, data).ok()?.iter().find_map(|segment| {
            let text = segment.interpreter(endian, data).ok()??;
            Some(PathBuf::from(String::from_utf8_lossy(text).into_owned()))
        });
        let is_go = header
            .sections(endian, data)
            .is_ok_and(|sections| sections.section_by_name(endian, b".go.buildinfo").is_some());
        Some(ElfFacts {
            machine: header.e_machine(endian),
            kind: header.e_type(endian),
            entry: header.e_entry(endian).into(),
            interpreter,
            is_go,
        })
    }
}

/// As `uname -m` calls it.
fn machine_name(machine: elf::Machine) -> String {
    match machine {
        elf::EM_AARCH64 => "aarch64".to_owned(),
        elf::EM_ARM => "arm".to_owned(),
        elf::EM_RISCV => "riscv".to_owned(),
        elf::EM_S390 => "s390x".to_owned(),
        elf::EM_PPC64 => "ppc64".to_owned(),
        elf::EM_LOONGARCH => "loongarch".to_owned(),
        elf::EM_MIPS => "mips".to_owned(),
        other => format!("machine type {}", other.0),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
