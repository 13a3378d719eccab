use std::os::unix::fs::symlink;

use super::*;

fn find(path: &Path) -> Result<Executable, UnfitProgram> {
    Executable::find(path.to_str().unwrap(), &[], &View::Everything, None)
}

/// A file of this content that may be executed.
fn program(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn this_test() -> Vec<u8> {
    fs::read(std::env::current_exe().unwrap()).unwrap()
}

/// Another text instead of each that stands in the bytes, of the same length.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = memchr::memmem::find_iter(&bytes, from).collect();
    assert!(!places.is_empty(), "no `{from}`");
    places.into_iter().for_each(|place| bytes[place..place + to.len()].copy_from_slice(to.as_bytes()));
    bytes
}

#[test]
fn programs_of_this_machine_can_be_run() {
    let found = Executable::find("sh", &["/nowhere".into(), "/bin".into()], &View::Everything, None).unwrap();
    assert!(found.path.is_absolute() && !found.is_go);
    find(&std::env::current_exe().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    find(&program(folder.path(), "script", b"#! /bin/sh -e\ntrue\n")).unwrap();
    symlink(std::env::current_exe().unwrap(), folder.path().join("link")).unwrap();
    assert_eq!(
        find(&folder.path().join("link")).unwrap().path,
        std::env::current_exe().unwrap().canonicalize().unwrap()
    );
}

#[test]
fn what_cannot_run_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, content: &[u8]| find(&program(folder.path(), name, content)).unwrap_err();
    let mut bytes = this_test();
    let mut with = |place: usize, value: u8| {
        let before = std::mem::replace(&mut bytes[place], value);
        let error = at("changed", &bytes);
        bytes[place] = before;
        error
    };
    let (kind, machine) = (16, 18);
    let errors = [
        find(&folder.path().join("none")).unwrap_err(),
        find(folder.path()).unwrap_err(),
        with(machine, 183),
        with(machine, 247),
        with(kind, 1),
        at("cut", &this_test()[..100]),
        at("text", b"echo hello\n"),
        at("empty", b""),
        at("script", b"#!/no/such/interpreter -x\n"),
        at("bare", b"#!\n"),
        Executable::find("no-such-command", &["/bin".into()], &View::Everything, None).unwrap_err(),
    ];
    let plain = folder.path().join("plain");
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    let errors = errors.into_iter().chain([find(&plain).unwrap_err()]);
    let lines = errors.map(|error| {
        let text = error.to_string().replace(folder.path().to_str().unwrap(), "DIR");
        format!("{text}\n    hint: {}", error.hint().unwrap_or("none"))
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn what_the_dynamic_linker_will_miss_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let test = this_test();
    let unfit = |content: &[u8]| find(&program(folder.path(), "dynamic", content)).unwrap_err();
    let error = unfit(&replaced(&test, "/lib64/ld-linux-x86-64.so.2\0", "/lib64/ld-another-one.so.2\0\0"));
    assert!(
        matches!(&error, UnfitProgram::NoInterpreter { interpreter, .. } if interpreter.ends_with("ld-another-one.so.2")),
        "{error}"
    );
    let changed = replaced(&test, "libc.so.6\0", "libq.so.6\0");
    let error = unfit(&changed);
    assert!(matches!(&error, UnfitProgram::NoLibrary { library, .. } if library == "libq.so.6"), "{error}");
    // It is where `LD_LIBRARY_PATH` leads.
    fs::write(folder.path().join("libq.so.6"), "").unwrap();
    let path = OsString::from(folder.path());
    let dynamic = folder.path().join("dynamic");
    Executable::find(dynamic.to_str().unwrap(), &[], &View::Everything, Some(&path)).unwrap();
}

#[test]
fn what_a_guest_does_not_see_it_does_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let script = program(folder.path(), "script", b"#!/bin/sh\n");
    let seen =
        |given: &[PathBuf]| Executable::find(script.to_str().unwrap(), &[], &View::Programs(given.to_vec()), None);
    assert!(matches!(seen(&[]), Err(UnfitProgram::Hidden(_))), "{:?}", seen(&[]));
    seen(&[script.canonicalize().unwrap()]).unwrap();
}
