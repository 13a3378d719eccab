//! [`ObjectError`]: why a file gave no usable BPF object.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Origin;
use super::btf::BtfError;

/// Why an input, or one object of it, cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// The input does not exist.
    #[error("`{}` does not exist", .path.display())]
    NotFound {
        /// As the user named it.
        path: PathBuf,
    },
    /// The input exists but cannot be read.
    #[error("`{}` cannot be read: {error}", .path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// The input is neither a file nor a directory.
    #[error("`{}` is neither a file nor a directory", .path.display())]
    NotAFile {
        /// As the user named it.
        path: PathBuf,
    },
    /// The input has no bytes.
    #[error("`{}` is an empty file", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Not an ELF file, and no object is embedded in it.
    #[error("`{}` is not an ELF file and contains no BPF object", .path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
    },
    /// The file stops before its ELF header shows what it is.
    #[error("`{}` is a truncated ELF file: it ends within its header", .path.display())]
    TruncatedElf {
        /// The file.
        path: PathBuf,
    },
    /// An ELF of another machine, without an embedded object.
    #[error("`{}` is an ELF file for {machine} and contains no BPF object", .path.display())]
    NoObject {
        /// The file.
        path: PathBuf,
        /// Such as `x86-64`.
        machine: String,
    },
    /// A directory without any object, at any depth.
    #[error("directory `{}` contains no BPF object", .path.display())]
    EmptyFolder {
        /// The directory.
        path: PathBuf,
    },
    /// An image or an archive without any object.
    #[error("`{}` contains no BPF object", .path.display())]
    EmptyArchive {
        /// The image, or the archive.
        path: PathBuf,
    },
    /// An object for big-endian machines, which no kernel of the matrix can load.
    #[error("`{place}` is a big-endian BPF object")]
    BigEndian {
        /// Where it is.
        place: Origin,
    },
    /// A BPF object whose structure libbpf would not accept.
    #[error("`{place}` is not a valid BPF object: {error}")]
    Broken {
        /// Where it is.
        place: Origin,
        /// What is wrong with it.
        error: FormatError,
    },
}

impl ObjectError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            ObjectError::NotFound { .. } => {
                "check the path; a shell passes on a pattern that matches nothing unchanged"
            }
            ObjectError::NotElf { .. } | ObjectError::EmptyFolder { .. } => {
                "name a BPF object (`clang -g -O2 -target bpf -c`), a directory of them, or an executable that embeds them; \
                 compressed objects are not found"
            }
            ObjectError::EmptyArchive { .. } => {
                "no file in it is a BPF object or an executable that embeds one; objects that are compressed, compiled at run \
                 time, or in another image that it fetches, are not found"
            }
            ObjectError::NoObject { .. } => {
                "it may load objects from separate files, or compile them at run time; name those objects instead"
            }
            ObjectError::TruncatedElf { .. } | ObjectError::Empty { .. } => {
                "check that the build or download was complete"
            }
            ObjectError::BigEndian { .. } => "build it with `-target bpfel`, or name the little-endian object",
            ObjectError::Unreadable { .. } | ObjectError::NotAFile { .. } | ObjectError::Broken { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// What is wrong with the structure of a BPF object. libbpf refuses to open each of these too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A header, table or section does not lie where the ELF says.
    #[error("its ELF structure is corrupt: {0}")]
    Elf(#[from] object::read::Error),
    /// A 32-bit ELF.
    #[error("it is not a 64-bit ELF")]
    NotElf64,
    /// Not a relocatable file (`ET_REL`).
    #[error("it is not a relocatable ELF")]
    NotRelocatable,
    /// No section header table.
    #[error("it has no sections")]
    NoSections,
    /// A section lies outside of the file.
    #[error("section {index} ends outside the file")]
    SectionOutside {
        /// Index in the section header table.
        index: usize,
    },
    /// No `.symtab`: the object was stripped of more than its debug information.
    #[error("it has no symbol table")]
    NoSymbolTable,
    /// More than one `.symtab`.
    #[error("it has more than one symbol table")]
    SeveralSymbolTables,
    /// A program that is not whole instructions.
    #[error("program `{name}` in section `{section}` is not a whole number of instructions")]
    ProgramNotInstructions {
        /// The function.
        name: String,
        /// Its section.
        section: String,
    },
    /// A program that does not fit into its section.
    #[error("program `{name}` crosses the end of its section `{section}`")]
    ProgramOutside {
        /// The function.
        name: String,
        /// Its section.
        section: String,
    },
    /// The BTF is corrupt and the object needs it.
    #[error("its `.BTF` is corrupt: {0}")]
    Btf(#[source] BtfError),
    /// The line info and CO-RE relocations are corrupt, and libbpf insists on them because the object needs BTF.
    #[error("its `.BTF.ext` is corrupt: {0}")]
    BtfExt(#[source] BtfError),
}
