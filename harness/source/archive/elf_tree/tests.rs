use super::*;

/// An entry of an archive: its path, and an ELF file with this mark, a link, a directory, or bytes.
enum What<'a> {
    Elf(&'a str),
    Bytes(&'a [u8]),
    Link(&'a str),
    Symlink(&'a str),
    Folder,
}
use What::{Bytes, Elf, Folder, Link, Symlink};

/// A name as it stands in the archive: the builder of the crate would refuse some.
fn named(kind: tar::EntryType, name: &str, link: &str, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name.as_bytes());
    old.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn archive(entries: &[(&str, What<'_>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, what) in entries {
        let (kind, link, content) = match what {
            Elf(mark) => (tar::EntryType::Regular, "", [ELF, mark.as_bytes()].concat()),
            Bytes(bytes) => (tar::EntryType::Regular, "", bytes.to_vec()),
            Link(to) => (tar::EntryType::Link, *to, Vec::new()),
            Symlink(to) => (tar::EntryType::Symlink, *to, Vec::new()),
            Folder => (tar::EntryType::Directory, "", Vec::new()),
        };
        tar.append(&named(kind, name, link, content.len() as u64), &content[..]).unwrap();
    }
    tar.into_inner().unwrap()
}

/// The files below a directory with their marks.
fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let mark = String::from_utf8_lossy(&fs::read(&path).unwrap()[4..]).into_owned();
                    found.push(format!("{}={mark}", path.strip_prefix(root).unwrap().display()));
                }
            }
        }
    }
    found.sort();
    found
}

fn layered(layers: &[&[(&str, What<'_>)]]) -> io::Result<Vec<String>> {
    let work = tempfile::tempdir().unwrap();
    let mut tree = ElfTree::new(work.path()).unwrap();
    layers.iter().try_for_each(|layer| tree.add(&archive(layer)[..], Whiteouts::Respected))?;
    Ok(files(tree.folder()))
}

#[test]
fn only_elf_files_are_kept() {
    let found = layered(&[&[
        ("./usr", Folder),
        ("./usr/bin/a", Elf("1")),
        ("/opt/b.o", Elf("2")),
        ("etc/passwd", Bytes(b"root")),
        ("empty", Bytes(b"")),
        ("usr/bin/hard", Link("usr/bin/a")),
        ("usr/bin/soft", Symlink("a")),
    ]]);
    assert_eq!(found.unwrap(), ["opt/b.o=2", "usr/bin/a=1", "usr/bin/hard=1"]);
}

#[test]
fn what_a_layer_hides_is_gone() {
    let lower: &[_] = &[("a/x.o", Elf("1")), ("a/y.o", Elf("1")), ("b/z.o", Elf("1")), ("c.o", Elf("1"))];
    let all = |upper| layered(&[lower, upper]).unwrap();
    assert_eq!(all(&[("a/.wh.x.o", Bytes(b""))]), ["a/y.o=1", "b/z.o=1", "c.o=1"]);
    assert_eq!(all(&[(".wh.a", Bytes(b""))]), ["b/z.o=1", "c.o=1"]);
    // An opaque directory hides what lower layers have, and nothing of its own layer, wherever it stands there.
    let own = all(&[("a/new.o", Elf("2")), ("a/.wh..wh..opq", Bytes(b""))]);
    assert_eq!(own, ["a/new.o=2", "b/z.o=1", "c.o=1"]);
    // A file that is written again by the layer that takes it away.
    assert_eq!(all(&[("c.o", Elf("2")), (".wh.c.o", Bytes(b""))])[3], "c.o=2");
    // Replaced: by another one, by what is no ELF file, by a link, by a directory, and a directory by a file.
    assert_eq!(all(&[("c.o", Elf("2"))]), ["a/x.o=1", "a/y.o=1", "b/z.o=1", "c.o=2"]);
    assert_eq!(all(&[("c.o", Bytes(b"text"))]).len(), 3);
    assert_eq!(all(&[("c.o", Symlink("a/x.o"))]).len(), 3);
    assert_eq!(all(&[("c.o", Folder)]).len(), 3);
    assert_eq!(all(&[("c.o/d.o", Elf("2"))])[3], "c.o/d.o=2");
    assert_eq!(all(&[("a", Symlink("b"))]), ["b/z.o=1", "c.o=1"]);
    // A directory that is there again keeps what it has.
    assert_eq!(all(&[("a", Folder)]).len(), 4);
    assert_eq!(all(&[("hard.o", Link("c.o"))])[3..], ["c.o=1", "hard.o=1"]);
    assert_eq!(all(&[(".wh..wh.aufs", Bytes(b"")), (".wh.none", Bytes(b""))]).len(), 4);
}

#[test]
fn a_release_archive_has_no_whiteouts() {
    let work = tempfile::tempdir().unwrap();
    let mut tree = ElfTree::new(work.path()).unwrap();
    tree.add(&archive(&[("x.o", Elf("1")), (".wh.x.o", Elf("2"))])[..], Whiteouts::Unknown).unwrap();
    assert_eq!(files(tree.folder()), [".wh.x.o=2", "x.o=1"]);
}

#[test]
fn hostile_archives_stay_inside() {
    let long = format!("{}/x.o", "d".repeat(90));
    for entry in [
        ("../x.o", Elf("1")),
        ("a/../../x.o", Elf("1")),
        (".wh...", Bytes(b"")),
        ("a/.wh..", Bytes(b"")),
        (".wh.", Bytes(b"")),
        ("x.o", Link("../../etc/passwd")),
    ] {
        let name = entry.0;
        let error = layered(&[&[("keep.o", Elf("1"))], &[entry]]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{name}: {error}");
    }
    // A link is never made, so nothing goes where it leads.
    let outside = tempfile::tempdir().unwrap();
    let to = outside.path().to_str().unwrap();
    let found = layered(&[&[("d", Symlink(to))], &[("d/x.o", Elf("1")), (&long, Elf("2")), ("h.o", Link("d/none"))]]);
    assert_eq!(found.unwrap(), ["d/x.o=1", &format!("{long}=2")]);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn room_and_ends_are_checked() {
    let whole = archive(&[("a.o", Elf("12345678")), ("text", Bytes(&[7; 2000]))]);
    let add = |bytes: &[u8], room: UnpackRoom| {
        let work = tempfile::tempdir().unwrap();
        ElfTree::with_room(work.path(), room).unwrap().add(bytes, Whiteouts::Respected)
    };
    assert!(add(&whole, UnpackRoom::of(12, 1)).is_ok());
    for (bytes, count) in [(11, 1), (12, 0)] {
        let error = add(&whole, UnpackRoom::of(bytes, count)).unwrap_err();
        assert!(error.to_string().contains("it unpacks to more than"), "{error}");
    }
    for end in [100, 515, 1500, 2600] {
        assert!(add(&whole[..end], UnpackRoom::default()).is_err(), "cut at {end}");
    }
    assert!(add(b"not a tar archive at all".repeat(100).as_slice(), UnpackRoom::default()).is_err());
    let endless = io::Cursor::new(named(tar::EntryType::GNULongName, "x", "", 64 << 30).as_bytes().to_vec())
        .chain(io::repeat(b'x').take(64 << 30));
    let work = tempfile::tempdir().unwrap();
    let error = ElfTree::new(work.path()).unwrap().add(endless, Whiteouts::Unknown).unwrap_err();
    assert!(error.to_string().contains("a name of more than"), "{error}");
}

#[test]
fn a_file_of_its_own_takes_room_too() {
    let work = tempfile::tempdir().unwrap();
    let mut tree = ElfTree::with_room(work.path(), UnpackRoom::of(10, 5)).unwrap();
    tree.add_file(Path::new("program.o"), &[ELF, &b"123"[..]].concat()[..]).unwrap();
    assert_eq!(files(tree.folder()), ["program.o=123"]);
    assert!(tree.add_file(Path::new("more.o"), &b"1234"[..]).is_err());
    assert!(tree.add_file(Path::new("../out.o"), &b""[..]).is_err());
}
