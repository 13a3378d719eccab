//! [`Build`]: how sources become the objects of a watch: by the user's own command, or by clang.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::stale;
use crate::cli::failure::Failure;
use crate::object::BpfObject;
use crate::process;

/// No build of BPF objects takes longer.
const LIMIT: Duration = Duration::from_secs(600);
/// What clang needs to know, as `programs/programs.mk` has it.
const FLAGS: [&str; 8] =
    ["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-D__TARGET_ARCH_x86", "-I/usr/include/x86_64-linux-gnu", "-MD"];
/// The header that most sources include and no package has.
const VMLINUX: &str = "generate `vmlinux.h` beside the source: `corematrix btf vmlinux-h latest -o vmlinux.h`; or set \
    your own build command with `--build`";

/// How sources become objects.
pub(super) struct Build {
    command: Option<String>,
    /// Sources that were named, each with its object.
    named: Vec<(PathBuf, PathBuf)>,
    /// Where clang's objects are.
    folder: TempDir,
}

impl Build {
    /// What is to be built of `inputs`; `None` if there is no source among them and no command.
    ///
    /// # Errors
    /// No room for objects.
    pub(super) fn of(inputs: &[PathBuf], command: Option<&String>) -> Result<Option<Build>, Failure> {
        let folder = tempfile::Builder::new().prefix("corematrix-build-").tempdir();
        let folder =
            folder.map_err(|error| Failure::infrastructure(format!("cannot create a directory: {error}"), None))?;
        let object = |source: &PathBuf| {
            let object = source.with_extension("o");
            match command {
                // Where every build puts it.
                Some(_) => object,
                None => folder.path().join(object.file_name().unwrap_or(object.as_os_str())),
            }
        };
        let sources = inputs.iter().filter(|input| is_source(input));
        let named: Vec<_> = sources.map(|source| (source.clone(), object(source))).collect();
        let command = command.cloned();
        Ok((command.is_some() || !named.is_empty()).then_some(Build { command, named, folder }))
    }

    /// The inputs with objects in the places of sources.
    pub(super) fn objects(&self, inputs: &[PathBuf]) -> Vec<PathBuf> {
        let built = |input: &PathBuf| self.named.iter().find(|(source, _)| source == input).map(|(_, object)| object);
        inputs.iter().map(|input| built(input).unwrap_or(input).clone()).collect()
    }

    /// The files that objects are built from, as far as that is known: what was named, what clang read for it, and what the objects
    /// report themselves.
    pub(super) fn sources(&self, objects: &[BpfObject]) -> BTreeSet<PathBuf> {
        let named = self.named.iter().map(|(source, _)| source.clone());
        let read = self.named.iter().flat_map(|(_, object)| dependencies(&object.with_extension("d")));
        let sources = objects.iter().flat_map(stale::sources);
        named.chain(read).chain(sources).filter(|path| path.is_file()).collect()
    }

    /// Builds. The objects there are stay as they are if that fails.
    ///
    /// # Errors
    /// What the compiler or the command said, and what to do about it.
    pub(super) fn run(&self) -> Result<(), String> {
        if let Some(command) = &self.command {
            return run(Command::new("sh").args(["-c", command]), command);
        }
        for (source, object) in &self.named {
            let fresh = self.folder.path().join("fresh");
            let mut clang = Command::new("clang");
            clang.args(FLAGS).arg("-MF").arg(object.with_extension("d")).arg("-c").arg(source).arg("-o").arg(&fresh);
            run(&mut clang, &format!("clang {}", source.display()))?;
            std::fs::rename(&fresh, object)
                .map_err(|error| format!("error: cannot write `{}`: {error}", object.display()))?;
        }
        Ok(())
    }
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "c")
}

fn run(command: &mut Command, name: &str) -> Result<(), String> {
    let done = process::finish(command, LIMIT).map_err(|error| format!("error: `{name}`: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let mut said = format!("{}{}", done.stdout, done.stderr);
    if !said.is_empty() && !said.ends_with('\n') {
        said.push('\n');
    }
    let hint = if said.contains("'vmlinux.h' file not found") { format!("\nhint: {VMLINUX}") } else { String::new() };
    Err(format!("{said}error: `{name}` failed: {}{hint}", done.status))
}

/// The files in a rule of make that clang wrote, but for those of the system.
fn dependencies(rule: &Path) -> Vec<PathBuf> {
    let rule = std::fs::read_to_string(rule).unwrap_or_default();
    let Some((_, files)) = rule.split_once(": ") else { return Vec::new() };
    let files = files.split_whitespace().filter(|file| *file != "\\" && !file.starts_with("/usr/"));
    files.map(PathBuf::from).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_fails_says_why_and_leaves_the_object() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("x.bpf.c");
        std::fs::write(&source, "first").unwrap();
        let inputs = [source.clone(), PathBuf::from("y.bpf.o")];
        let object = source.with_extension("o");
        let (from, to) = (source.display(), object.display());
        let command = format!("grep -q broken {from} && {{ echo x.c:1: no; exit 3; }}; cp {from} {to}");
        let build = Build::of(&inputs, Some(&command)).unwrap().unwrap();
        assert_eq!(build.objects(&inputs), [object.clone(), inputs[1].clone()]);
        build.run().unwrap();
        std::fs::write(&source, "broken").unwrap();
        let error = build.run().unwrap_err();
        assert!(error.starts_with("x.c:1: no\nerror: `grep") && error.contains("exit status: 3"), "{error}");
        assert_eq!(std::fs::read_to_string(&object).unwrap(), "first");
        assert_eq!(build.sources(&[]), BTreeSet::from([source]));
        assert!(Build::of(&inputs[1..], None).unwrap().is_none());
    }

    #[test]
    fn headers_are_sources_and_those_of_the_system_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let rule = folder.path().join("x.d");
        std::fs::write(&rule, "/tmp/x.o: a/x.bpf.c \\\n  /usr/include/bpf/bpf_helpers.h a/vmlinux.h \\\n  a/x.h\n")
            .unwrap();
        assert_eq!(dependencies(&rule), ["a/x.bpf.c", "a/vmlinux.h", "a/x.h"].map(PathBuf::from));
        assert!(dependencies(&folder.path().join("none")).is_empty());
    }
}
