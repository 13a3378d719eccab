use super::*;

/// A `.BTF` section of these words of type records and these strings.
fn section(types: &[u32], strings: &[u8]) -> Vec<u8> {
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
    assert_eq!(parse(&[0, info(4, 2), 0, 0], b"\0"), "type 1 is cut short");
    assert_eq!(parse(&[], b"x\0"), "the string table does not begin and end with a NUL");
    assert_eq!(parse(&[], b""), "the string table does not begin and end with a NUL");
    let mut outside = section(&[], b"\0");
    outside[20] = 200;
    assert_eq!(Btf::parse(&outside), Err(BtfError::Outside { part: "string table" }));
}
