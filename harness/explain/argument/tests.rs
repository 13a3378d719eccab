use std::path::Path;

use object::{Object, ObjectSection};

use super::*;

const MACROS: [&str; 2] = ["BPF_PROG(", "BPF_KPROBE("];

/// What replaces parameter `number`, from 0 on, of a program that is declared by a line.
fn changed(section: &str, line: &str, number: usize) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain/arguments.o");
    let bytes = std::fs::read(path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let kernel = Btf::parse(file.section_by_name(".BTF").unwrap().data().unwrap()).unwrap();
    let prototype = Prototype::of(section, &kernel).unwrap();
    differs(&Declared::read(line, &MACROS, "p").unwrap(), number, &prototype, &kernel)
}

const HOOK: &str = "lsm/rename";
const FLAGS: Option<&str> = Some("`unsigned int flags`");

#[test]
fn result_that_is_an_argument_now() {
    let line = "int BPF_PROG(p, struct inode *a, struct inode *b, int ret)";
    assert_eq!(changed(HOOK, line, 2).as_deref(), FLAGS);
    assert_eq!((changed(HOOK, line, 0), changed(HOOK, line, 1)), (None, None));
    let right = "int BPF_PROG(p, struct inode *a, struct inode *b, unsigned int mask, int ret)";
    assert_eq!((changed(HOOK, right, 2), changed(HOOK, right, 3)), (None, None));
    // Programs on entry see no result, so the name is a matter of taste.
    assert_eq!(changed("fentry/bpf_lsm_rename", line, 2), None);
    // The same by a shorter name.
    assert_eq!(changed("fexit/by_error", "int BPF_PROG(p, struct file *f, int err)", 1), None);
}

#[test]
fn argument_that_is_the_result_now() {
    // More parameters than there are, with the result.
    let line = "int BPF_PROG(p, struct inode *a, struct inode *b, unsigned f, int mode, int ret)";
    let returned = Some("the return value, `int`,");
    assert_eq!(changed(HOOK, line, 3).as_deref(), returned);
    // A pointer, and a name that the kernel has elsewhere.
    assert_eq!(changed(HOOK, "BPF_PROG(p, void *a, void *b, int c, struct file *d)", 3).as_deref(), returned);
    assert_eq!(changed(HOOK, "BPF_PROG(p, void *a, void *b, int c, int flags)", 3).as_deref(), returned);
    assert_eq!(changed(HOOK, "BPF_PROG(p, void *a, void *b, int c, int got)", 3), None);
}

#[test]
fn types_that_contradict_each_other() {
    let read = |line, number| changed("fentry/read_file", line, number);
    assert_eq!(read("BPF_PROG(p, struct inode *i)", 0).as_deref(), Some("`struct file *file`"));
    assert_eq!(read("BPF_PROG(p, int fd)", 0).as_deref(), Some("`struct file *file`"));
    assert_eq!(read("BPF_PROG(p, struct gone *g)", 0).as_deref(), Some("`struct file *file`"));
    for line in [
        "BPF_PROG(p, struct file *f)",
        "BPF_PROG(p, const struct file___old *f)",
        "BPF_PROG(p, void *f)",
        "BPF_PROG(p, u64 f)",
        "BPF_PROG(p, unsigned long f)",
        "BPF_PROG(p, my_type *f)",
        "BPF_PROG(p, int (*f)(int))",
    ] {
        assert_eq!(read(line, 0), None, "{line}");
    }
    // A number of another size or sign is one of another name.
    assert_eq!(read("BPF_PROG(p, struct file *f, char *b, int n)", 2), None);
    assert_eq!(changed("fentry/take", "BPF_PROG(p, char *text)", 0).as_deref(), Some("`int number`"));
    // Of a struct that is only named nothing is known.
    assert_eq!(changed("fentry/take", "BPF_PROG(p, int n, struct file *f)", 1), None);
}

#[test]
fn structs_that_begin_with_another_are_alike() {
    for own in ["sock", "tcp_sock", "sock_common"] {
        assert_eq!(changed("fentry/close_socket", &format!("BPF_PROG(p, struct {own} *s)"), 0), None, "{own}");
    }
    assert!(changed("fentry/close_socket", "BPF_PROG(p, struct file *s)", 0).is_some());
}

#[test]
fn name_in_another_place() {
    let line = "BPF_PROG(p, struct file *a, size_t count, char *b)";
    assert_eq!(changed("fentry/read_file", line, 1).as_deref(), Some("`char *buffer`"));
    assert_eq!(changed("fentry/read_file", line, 2), None);
}

#[test]
fn registers_and_tracepoints_have_their_own_places() {
    let probe = "int BPF_KPROBE(p, struct sock *sk, long timeout, int more)";
    assert_eq!(changed("kprobe/close_socket", probe, 0), None);
    assert_eq!(changed("kprobe/close_socket", probe, 2).as_deref(), Some("nothing"));
    let event = "int BPF_PROG(p, struct inode *i, struct file *f)";
    for section in ["tp_btf/moved", "raw_tp/moved"] {
        assert_eq!(changed(section, event, 0), None);
        assert_eq!(changed(section, event, 1).as_deref(), Some("`int count`"));
    }
    assert_eq!([ArgumentSource::Array.offset(4), ArgumentSource::Registers.offset(1)], [Some(32), Some(104)]);
    assert_eq!(ArgumentSource::Registers.offset(6), None);
}

#[test]
fn declarations_are_read_as_far_as_they_go() {
    let read = |line: &str| {
        let declared = Declared::read(line, &MACROS, "p")?;
        Some(declared.parameters.iter().map(Argument::text).collect::<Vec<_>>().join("; "))
    };
    let arguments = |line| read(line).unwrap();
    assert_eq!(
        arguments("int BPF_PROG(p, struct file *f, int (*cb)(int, int), char n[4]) {"),
        "struct file *f; int (*cb)(int, int); char n[4]"
    );
    assert_eq!(arguments("int BPF_PROG(p, struct file *f, unsigned int n,"), "struct file *f; unsigned int n");
    assert_eq!(arguments("int BPF_PROG(p,"), "");
    assert_eq!(arguments("int BPF_PROG(p)"), "");
    assert_eq!(read("int BPF_PROG(other, int a)"), None);
    assert_eq!(read("int p(void *ctx)"), None);
}
