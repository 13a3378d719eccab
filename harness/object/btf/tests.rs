use super::*;

/// A `.BTF` section of these words of type records and these strings.
pub(crate) fn section(types: &[u32], strings: &[u8]) -> Vec<u8> {
    let length = types.len() as u32 * 4;
    let header = [0x0001_eb9f, 24, 0, length, length, strings.len() as u32];
    let words = header.iter().chain(types).flat_map(|word| word.to_le_bytes());
    words.chain(strings.iter().copied()).collect()
}

const fn info(kind: u32, count: u32) -> u32 {
    kind << 24 | count
}

#[test]
fn sizes_see_through_names_and_arrays() {
    let types = [
        [1, info(1, 0), 4].as_slice(), // 1: int
        &[32],
        &[0, info(8, 0), 1],          // 2: typedef of 1
        &[0, info(3, 0), 0, 2, 1, 6], // 3: six of 2
        &[0, info(3, 0), 0, 3, 1, 2], // 4: two of 3
        &[0, info(2, 0), 4],          // 5: pointer to 4
    ]
    .concat();
    let btf = Btf::parse(&section(&types, b"\0int\0")).unwrap();
    assert_eq!([1, 2, 3, 4, 5].map(|id| btf.size_of(id)), [4, 4, 24, 48, 8].map(Some));
    assert_eq!(btf.string(1).as_deref(), Some("int"));
    assert_eq!((btf.size_of(0), btf.size_of(6), btf.string(5)), (None, None, None));
}

#[test]
fn cycles_end() {
    let types = [
        [0, info(8, 0), 2].as_slice(),      // 1: typedef of 2
        &[0, info(10, 0), 1],               // 2: const of 1
        &[0, info(3, 0), 0, 3, 1, 1],       // 3: array of itself
        &[0, info(3, 0), 0, 3, 1, 1 << 31], // 4: array that is too large
    ]
    .concat();
    let btf = Btf::parse(&section(&types, b"\0")).unwrap();
    assert_eq!(btf.resolve(1), None);
    assert_eq!([1, 3, 4].map(|id| btf.size_of(id)), [None; 3]);
}

#[test]
fn damage_is_named() {
    let parse = |types: &[u32], strings: &[u8]| Btf::parse(&section(types, strings)).unwrap_err().to_string();
    assert_eq!(parse(&[0, info(20, 0), 0], b"\0"), "type 1 is of unknown kind 20");
    assert_eq!(parse(&[0, info(4, 2), 0, 0], b"\0"), "type 1 is truncated");
    assert_eq!(parse(&[], b"x\0"), "the string table does not begin and end with a NUL");
    assert_eq!(parse(&[], b""), "the string table does not begin and end with a NUL");
    let mut outside = section(&[], b"\0");
    outside[20] = 200;
    assert_eq!(Btf::parse(&outside), Err(BtfError::Outside { part: "string table" }));
}

/// The `.BTF` of a fixture object that stands for a kernel.
fn fixture(file: &str) -> Btf {
    use ::object::{Object, ObjectSection};
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain");
    let bytes = std::fs::read(folder.join(file)).unwrap();
    let elf = ::object::File::parse(&*bytes).unwrap();
    Btf::parse(elf.section_by_name(".BTF").unwrap().data().unwrap()).unwrap()
}

#[test]
fn anonymous_members_are_transparent() {
    let btf = fixture("kernel_a.o");
    let mm = btf.find("mm_struct___flavour", Want::Struct).unwrap();
    let names: Vec<String> = btf.members(mm).iter().map(|place| btf.string(place.name_offset).unwrap()).collect();
    assert_eq!(names, ["map_count", "hiwater", "rss_stat"]);
    assert_eq!(btf.member(mm, "rss_stat").unwrap().bit_offset, 64);
    assert_eq!(btf.find("mm_struct", Want::Union), None);
    let sock = btf.find("sock", Want::Struct).unwrap();
    let pacing = btf.member(sock, "sk_pacing").unwrap();
    assert_eq!((pacing.bit_offset, pacing.bitfield_size), (4, 8));
}

#[test]
fn enums_of_both_widths_have_their_values() {
    let btf = fixture("kernel_b.o");
    let helpers = btf.find("bpf_func_id", Want::Enum).unwrap();
    assert_eq!(btf.enumerator(helpers, "BPF_FUNC_loop___guard").unwrap().value, 181);
    assert_eq!(btf.enumerator(helpers, "BPF_FUNC_no_such"), None);
    let types = [
        [1, info(19, 1) | 1 << 31, 8].as_slice(), // 1: enum64, signed
        &[1, 0xffff_fffe, 0xffff_ffff],
        &[1, info(6, 1), 4], // 2: enum, unsigned
        &[1, 0xffff_fffe],
    ]
    .concat();
    let btf = Btf::parse(&section(&types, b"\0e\0")).unwrap();
    assert_eq!([1, 2].map(|id| btf.enumerators(id)[0].value), [-2, 0xffff_fffe]);
    assert_eq!([1, 2].map(|id| (btf.size_of(id), btf.is_signed(id))), [(Some(8), true), (Some(4), false)]);
}

#[test]
fn types_are_named_as_in_c() {
    let btf = fixture("kernel_a.o");
    let member = |of: &str, name: &str| {
        let id = btf.find(of, Want::Struct).unwrap();
        btf.type_name(btf.member(id, name).unwrap().type_id)
    };
    assert_eq!(member("task_struct", "state"), "volatile long");
    assert_eq!(member("bio", "bi_disk"), "struct gendisk *");
    assert_eq!(member("mm_rss_stat", "count"), "atomic_long_t[4]");
    let tracepoint = btf.find("btf_trace_block_rq_issue", Want::Typedef).unwrap();
    let TypeKind::Typedef(pointer) = btf.get(tracepoint).unwrap().kind else { panic!() };
    assert_eq!(btf.type_name(pointer), "void (*)(void *, struct request_queue *, struct request *)");
    assert_eq!(btf.declaration(pointer, "probe"), "void (*probe)(void *, struct request_queue *, struct request *)");
    assert_eq!(btf.type_name(1 << 20), "?");
}

#[test]
fn a_crafted_prototype_has_a_bounded_name() {
    // Each prototype takes the one before it twice: written out, the last name would have 2^40 parts.
    let mut types = vec![0, info(13, 0), 0];
    for id in 2..42 {
        types.extend([0, info(13, 2), 0, 0, id - 1, 0, id - 1]);
    }
    let btf = Btf::parse(&section(&types, b"\0")).unwrap();
    assert!(btf.type_name(41).len() < 4096);
}

#[test]
fn flavours_are_cut_off_as_libbpf_does() {
    for (name, essential) in [
        ("task_struct___old", "task_struct"),
        ("a___b___c", "a___b"),
        ("a____b", "a____b"),
        ("___b", "___b"),
        ("a___", "a___"),
        ("a__b", "a__b"),
        ("", ""),
    ] {
        assert_eq!(essential_name(name), essential, "{name}");
    }
}

#[test]
fn a_struct_nested_in_itself_ends() {
    let types = [[0, info(4, 3), 8].as_slice(), &[0, 1, 0, 0, 1, 0, 1, 1, 0]].concat();
    let btf = Btf::parse(&section(&types, b"\0x\0")).unwrap();
    assert!(btf.members(1).len() < 20_000);
    assert_eq!(btf.member(1, "y"), None);
}
