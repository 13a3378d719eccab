use super::*;

use crate::object::btf::tests::section as raw;

/// The types of a fixture object that stands for a kernel.
fn kernel(file: &str) -> (Vec<u8>, Btf) {
    use ::object::{Object, ObjectSection};
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain");
    let bytes = std::fs::read(folder.join(file)).unwrap();
    let raw = ::object::File::parse(&*bytes).unwrap().section_by_name(".BTF").unwrap().data().unwrap().to_vec();
    let btf = Btf::parse(&raw).unwrap();
    (raw, btf)
}

/// What a query finds, one line each.
fn found(name: &str) -> Vec<String> {
    let (raw, btf) = kernel("kernel_a.o");
    let query = Query::parse(name).unwrap();
    let hits = query.hits(&btf, 0);
    assert!(hits.is_empty() || query.may_be_in(&raw), "{name} would not have been looked for");
    let line =
        |hit: &Hit| format!("{} {} {:?} {:?} {:?}", hit.kind, hit.type_name, hit.bit_offset, hit.bits, hit.value);
    hits.iter().map(line).collect()
}

#[test]
fn every_kind_of_thing_is_found_by_its_name() {
    assert_eq!(found("task_struct"), ["struct struct task_struct None Some(256) None"]);
    assert_eq!(found("struct task_struct"), found("task_struct"));
    assert_eq!(found("union task_struct"), [""; 0]);
    assert_eq!(found("time64_t"), ["typedef s64 None Some(64) None"]);
    assert_eq!(found("task_struct.state"), ["field volatile long Some(64) Some(64) None"]);
    assert_eq!(found("sock.sk_pacing"), ["field unsigned int Some(4) Some(8) None"]);
    assert_eq!(found("inode.i_ctime.tv_nsec"), ["field long Some(256) Some(64) None"]);
    assert_eq!(found("ITER_KVEC"), ["enumerator enum iter_type None None Some(8)"]);
    assert_eq!(found("iter_type::ITER_KVEC"), found("ITER_KVEC"));
    let function = found("blk_account_io_start");
    assert_eq!(function, ["function void (struct request *) None None None"]);
}

#[test]
fn pointers_and_arrays_are_followed() {
    assert_eq!(found("request.q->node"), ["field int Some(64) Some(32) None"]);
    assert_eq!(found("request.q.node"), found("request.q->node"));
    assert_eq!(found("mm_struct.rss_stat.count.counter"), ["field s64 Some(64) Some(64) None"]);
}

#[test]
fn names_that_cannot_be_are_refused() {
    for (text, reason) in [
        ("", "a name is empty"),
        ("task_struct.", "a name is empty"),
        ("a..b", "a name is empty"),
        ("a[3]", "`a[3]` is not a C identifier"),
        ("a::b::c", "`b::c` is not a C identifier"),
        ("a.b::c", "enumerators have no members"),
    ] {
        assert_eq!(Query::parse(text), Err(reason.to_owned()), "{text}");
    }
}

#[test]
fn what_was_meant_is_suggested() {
    let (_, btf) = kernel("kernel_a.o");
    let meant = |name: &str| suggestions(&Query::parse(name).unwrap(), &btf);
    assert_eq!(meant("tsk_struct"), ["task_struct", "mm_struct"]);
    assert_eq!(meant("task_struct.stat"), ["task_struct.state", "task_struct.stack"]);
    assert_eq!(meant("request.q->nodee"), ["request.q.node"]);
    assert_eq!(meant("tsk_struct.state"), ["task_struct", "mm_struct"]);
    assert_eq!(meant("ITER_KVECS"), ["ITER_KVEC", "ITER_IOVEC"]);
    assert_eq!(meant("nothing_of_the_kind_at_all"), [""; 0]);
}

#[test]
fn what_only_a_module_has_is_found_there() {
    let kernel = Btf::parse(&raw(&[1, 1 << 24, 4, 32], b"\0int\0net\0")).unwrap();
    // `struct nft_ctx { int net; }` and `struct net {}`: the kernel has the names `int` and `net` already.
    let module = raw(&[9, 4 << 24 | 1, 4, 5, 1, 0, 5, 4 << 24, 0], b"nft_ctx\0");
    let names = ["nf_tables", "nft_a", "nft_b", "nft_c", "nft_d"];
    let modules: Vec<(String, Vec<u8>)> = names.iter().map(|name| ((*name).to_owned(), module.clone())).collect();
    let found = |name: &str, modules: &[(String, Vec<u8>)]| -> Vec<String> {
        let hits = Query::parse(name).unwrap().hits_elsewhere(&kernel, || modules.to_vec());
        hits.iter().map(|hit| format!("{} {}: {}", hit.kind, hit.type_name, hit.module.as_ref().unwrap())).collect()
    };
    assert_eq!(found("nft_ctx", &modules[..1]), ["struct struct nft_ctx: nf_tables"]);
    assert_eq!(found("nft_ctx", &modules), ["struct struct nft_ctx: nf_tables, nft_a, nft_b and 2 more"]);
    assert_eq!(found("nft_ctx.net", &modules[..1]), ["field int: nf_tables"]);
    assert_eq!(found("struct net", &modules[..1]), ["struct struct net: nf_tables"]);
    assert_eq!(found("int", &modules), [""; 0], "the kernel has it");
    assert_eq!(found("nft_gone", &modules), [""; 0]);
}

#[test]
fn types_that_go_round_in_circles_have_no_fields() {
    // `struct s { p }`, where `p` is a pointer to itself, and an array of itself.
    for kind in [[0, 2 << 24, 2].as_slice(), &[0, 3 << 24, 0, 2, 2, 1]] {
        let btf = Btf::parse(&raw(&[[1, 4 << 24 | 1, 8, 3, 2, 0].as_slice(), kind].concat(), b"\0s\0p\0")).unwrap();
        assert!(Query::parse("s.p.x").unwrap().hits(&btf, 0).is_empty());
    }
}

#[test]
fn offset_beyond_all_numbers_is_no_place() {
    use crate::explain::LocalSpec;
    use crate::object::btf_ext::{BtfRelocation, RelocationKind};
    // `struct s { x }` of 4 GiB.
    let btf = Btf::parse(&raw(&[1, 4 << 24 | 1, u32::MAX, 3, 2, 0, 5, 1 << 24, 4, 32], b"\0s\0x\0int\0")).unwrap();
    let spec = |access: &str| {
        let relocation = BtfRelocation {
            section: "kprobe".into(),
            insn_offset: 0,
            type_id: 1,
            access: access.to_owned(),
            kind: RelocationKind::ByteOffset,
        };
        LocalSpec::of(&relocation, &btf)
    };
    assert!(spec("1:0").is_some());
    assert_eq!(spec("4294967295:0"), None);
}
