//! Readers of file systems on images that the tools of each made of one tree (`tests/fixtures/disks/README.md`).

use super::*;
use crate::fuzz::fuzz;

const LIMIT: u64 = 1 << 30;
const BLOCK: usize = 4096;

/// The bytes that the tree's maker takes for random.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let (mut state, mut out) = (seed, Vec::new());
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend(state.to_le_bytes());
    }
    out.truncate(length);
    out
}

fn text(length: usize) -> Vec<u8> {
    let lines = (0..).flat_map(|line| format!("line {line} of a file that compresses well\n").into_bytes());
    lines.take(length).collect()
}

fn sparse() -> Vec<u8> {
    let mut bytes = b"first".to_vec();
    bytes.resize(1 << 20, 0);
    bytes.extend(b"last");
    bytes
}

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/disks/{name}.img.zst"));
    zstd::decode_all(File::open(path).unwrap()).unwrap()
}

/// A volume of these bytes, without room for what is zero.
fn volume(bytes: &[u8]) -> Volume {
    use std::os::unix::fs::FileExt;
    let file = tempfile::tempfile().unwrap();
    for (at, block) in bytes.chunks(BLOCK).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            file.write_all_at(block, (at * BLOCK) as u64).unwrap();
        }
    }
    file.set_len(bytes.len() as u64).unwrap();
    Volume::new(Rc::new(file), 0, bytes.len() as u64)
}

fn content(system: &dyn FileSystem, path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    system.copy(path, LIMIT, &mut bytes).unwrap_or_else(|error| panic!("{path}: {error}")).then_some(bytes)
}

fn expect_content(name: &str, system: &dyn FileSystem, path: &str, expected: &[u8]) {
    let found = content(system, path).unwrap_or_else(|| panic!("{name} has no `{path}`"));
    let differ = found.iter().zip(expected).position(|(a, b)| a != b);
    assert!(found == expected, "{name}: {path}: {} of {} bytes, differs at {differ:?}", found.len(), expected.len());
}

/// Checks the files that every image has.
fn expect_files(name: &str, system: &dyn FileSystem) {
    let mixed = [noise(4500, 3), text(150_000), noise(300, 5)].concat();
    for (path, expected) in [
        ("data/text", text(300_000)),
        ("data/noise", noise(5000, 1)),
        ("data/mixed", mixed),
        ("data/empty", Vec::new()),
        ("data/small", b"a few bytes".to_vec()),
        ("data/sparse", sparse()),
        ("boot/vmlinuz-6.1.0", text(100)),
        ("/usr/lib/modules/6.1.0/kernel/../kernel/d.ko", noise(500, 7)),
    ] {
        expect_content(name, system, path, &expected);
    }
    let mut begin = Vec::new();
    assert!(system.copy("data/text", 70_000, &mut begin).unwrap());
    assert!(begin == text(70_000), "{name}: {}", begin.len());
    for path in ["data", "data/none", "data/small/x", "none/x"] {
        assert_eq!(content(system, path), None, "{name}: {path}");
    }
    let found = layout::images(system).unwrap();
    assert_eq!(found, [Found { release: "6.1.0".to_owned(), path: "boot/vmlinuz-6.1.0".to_owned() }], "{name}");
    assert_eq!(layout::modules(system, "6.1.0").unwrap().as_deref(), Some("usr/lib/modules/6.1.0"), "{name}");
    let mut files = Vec::new();
    let taken = system.each_file("usr/lib/modules/6.1.0", &mut |path, write| {
        let mut bytes = Vec::new();
        write(&mut bytes)?;
        files.push((path.to_owned(), bytes.len()));
        Ok(())
    });
    taken.unwrap();
    files.sort();
    let expected = [("kernel/a/b/c.ko", 5000), ("kernel/d.ko", 500), ("modules.builtin", 12)];
    assert_eq!(files, expected.map(|(path, length)| (path.to_owned(), length)), "{name}");
}

/// Checks links and a large directory, which FAT and small images lack.
fn expect_links(name: &str, system: &dyn FileSystem) {
    expect_content(name, system, "boot/vmlinuz", &text(100));
    expect_content(name, system, "lib/modules/6.1.0/kernel/a/b/c.ko", &text(5000));
    expect_content(name, system, "usr/lib/newest/modules.builtin", b"kernel/x.ko\n");
    let error = system.copy("loop/x", LIMIT, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "`loop/x` has too many links", "{name}");
    let many = system.names("many").unwrap();
    assert_eq!((many.len(), many[699].as_str()), (700, "file-with-a-long-name-0699"), "{name}");
}

#[test]
fn every_file_system_gives_the_same_files() {
    for name in [
        "ext4",
        "xfs-v4",
        "xfs-v5",
        "squashfs-gzip",
        "squashfs-lzma",
        "squashfs-lzo",
        "squashfs-xz",
        "squashfs-lz4",
        "squashfs-zstd",
        "erofs-plain",
        "erofs-chunks",
        "erofs-lz4",
        "erofs-lz4-all",
        "erofs-lzma",
        "erofs-deflate",
        "erofs-zstd",
        "btrfs-no",
        "btrfs-zlib",
        "btrfs-lzo",
        "btrfs-zstd",
    ] {
        let systems = open(&volume(&fixture(name))).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        assert_eq!(systems.len(), 1, "{name}");
        expect_files(name, &*systems[0]);
        expect_links(name, &*systems[0]);
    }
    let fat = open(&volume(&fixture("fat"))).unwrap();
    expect_files("fat", &*fat[0]);
}

/// No tool makes a file of many extents without a kernel, so that one is given a tree instead of its list.
#[test]
fn xfs_extents_in_a_tree_are_read() {
    let be64 = |bytes: &[u8], at: usize| u64::from_be_bytes(*bytes[at..].first_chunk().unwrap());
    let mut bytes = fixture("xfs-v5");
    let mut inodes = (0..bytes.len()).step_by(512).filter(|at| bytes[*at..].starts_with(b"IN"));
    let inode = inodes.find(|at| be64(&bytes, at + 56) == 300_000).unwrap();
    let fork = inode + 176;
    let (high, low) = (be64(&bytes, fork), be64(&bytes, fork + 8));
    let (address, count) = ((high & 0x1ff) << 43 | low >> 21, low & 0x1f_ffff);
    assert_eq!(count, 74, "one extent holds the file");
    // Two leaves, in blocks of the first group that no one uses.
    let mut free = (0..bytes.len() / BLOCK).filter(|at| bytes[at * BLOCK..][..BLOCK].iter().all(|byte| *byte == 0));
    let leaves = [free.next().unwrap(), free.next().unwrap()];
    for (leaf, (offset, count)) in leaves.iter().zip([(0, 30), (30, count - 30)]) {
        let block = &mut bytes[leaf * BLOCK..][..BLOCK];
        block[..8].copy_from_slice(b"BMA3\0\0\0\x01");
        let start = address + offset;
        block[72..80].copy_from_slice(&(offset << 9 | start >> 43).to_be_bytes());
        block[80..88].copy_from_slice(&(start << 21 | count).to_be_bytes());
    }
    bytes[inode + 5] = 3;
    let room = match usize::from(bytes[inode + 82]) * 8 {
        0 => 512 - 176,
        room => room,
    };
    bytes[fork..fork + room].fill(0);
    bytes[fork..fork + 4].copy_from_slice(&[0, 1, 0, 2]);
    for (at, leaf) in leaves.iter().enumerate() {
        bytes[fork + 4 + 8 * at..][..8].copy_from_slice(&(30 * at as u64).to_be_bytes());
        bytes[fork + 4 + (room - 4) / 16 * 8 + 8 * at..][..8].copy_from_slice(&(*leaf as u64).to_be_bytes());
    }
    expect_files("xfs-v5 with a tree", &*open(&volume(&bytes)).unwrap()[0]);
    // Levels have to fall.
    bytes[leaves[1] * BLOCK + 5] = 1;
    let error = open(&volume(&bytes)).unwrap()[0].copy("data/text", LIMIT, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "an extent tree is corrupt");
}

#[test]
fn what_no_reader_knows_is_said() {
    let systems = open(&volume(&fixture("erofs-legacy"))).unwrap();
    let error = systems[0].copy("data/text", LIMIT, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "it was made by a mkfs.erofs before 1.0, which is not supported");
    let mut bytes = fixture("btrfs-no");
    // A feature of the future.
    bytes[(64 << 10) + 188 + 6] = 1;
    assert_eq!(open(&volume(&bytes)).err().unwrap(), "btrfs: it uses unsupported features (0x1000000000000)");
}

#[test]
fn subvolume_that_is_mounted_comes_first() {
    let systems = open(&volume(&fixture("btrfs-subvol"))).unwrap();
    assert_eq!(systems.len(), 3, "`@`, the top, `home`");
    expect_files("btrfs-subvol", &*systems[0]);
    // The others are reached from above, as the kernel shows them.
    expect_content("btrfs-subvol", &*systems[1], "@/data/small", b"a few bytes");
}

/// Reads all that an image has.
fn read_all(volume: &Volume) {
    for system in open(volume).into_iter().flatten() {
        let _ = layout::images(&*system);
        let _ = layout::modules(&*system, "6.1.0");
        let mut left = 64 << 20;
        let _ = system.each_file("", &mut |_, write| {
            let mut out = Cut { left: &mut left };
            write(&mut out)
        });
    }
}

/// Takes so much and no more: a damaged image may claim any size.
struct Cut<'a> {
    left: &'a mut usize,
}

impl Write for Cut<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        *self.left = self.left.checked_sub(bytes.len()).ok_or(ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn fuzz_small_file_systems() {
    for name in ["squashfs-zstd", "squashfs-lzo", "erofs-plain", "erofs-lz4", "erofs-lz4-all", "erofs-lzma"] {
        fuzz(name, &[fixture(name)], |bytes| read_all(&volume(bytes)));
    }
}

#[test]
fn fuzz_large_file_systems() {
    // Those that are not by crates.
    for name in ["xfs-v5", "btrfs-zstd"] {
        let whole = fixture(name);
        // Of a disk that is empty for the most part, the blocks that are not.
        let mut places = Vec::new();
        let mut seed = Vec::new();
        for (at, block) in whole.chunks(BLOCK).enumerate() {
            if block.iter().any(|byte| *byte != 0) && seed.len() < 1 << 20 {
                places.push(at);
                seed.extend_from_slice(block);
            }
        }
        let length = whole.len() as u64;
        fuzz(name, &[seed], |bytes| {
            use std::os::unix::fs::FileExt;
            let file = tempfile::tempfile().unwrap();
            for (at, block) in places.iter().zip(bytes.chunks(BLOCK)) {
                file.write_all_at(block, (at * BLOCK) as u64).unwrap();
            }
            file.set_len(length).unwrap();
            read_all(&Volume::new(Rc::new(file), 0, length));
        });
    }
}
