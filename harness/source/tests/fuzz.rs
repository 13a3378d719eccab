//! Readers of packages, archives and BTF in files, on bytes that no one wrote.

use std::io::{Cursor, Read};

use super::site::{gzip, tar as tar_of};
use super::*;
use crate::fuzz::fuzz;
use crate::manifest::RepositoryFormat;
use crate::source::archive::elf_tree::{ElfTree, Whiteouts};
use crate::source::archive::{bounded::UnpackRoom, compression::unpacked, deb, rpm, rpm_header::RpmHeaders, tarball};

const FILES: [(&str, &[u8]); 3] =
    [("./boot/vmlinuz-1", b"\x7fELF kernel"), ("./boot/link", b"-> vmlinuz-1"), ("./a/b/c", &[7; 3000])];

/// The names in a directory and those below.
fn names(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        found.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            found.extend(names(&entry.path()));
        }
    }
    found
}

/// A file with the input, and a directory to unpack into, beside which nothing may appear.
fn unpack(name: &str, seeds: &[Vec<u8>], each: impl Fn(&Path, &Path)) {
    let fixture = Fixture::new();
    fuzz(name, seeds, |bytes| {
        let (packed, into) = (fixture.write("packed", bytes), fixture.path("into"));
        fs::create_dir(&into).unwrap();
        each(&packed, &into);
        fs::remove_dir_all(&into).unwrap();
        assert_eq!(names(fixture.folder.path()), [packed]);
    });
}

fn tar() -> Vec<u8> {
    let deb = deb::tests::deb("data.tar", &FILES);
    let mut archive = ar::Archive::new(&deb[..]);
    let mut last = Vec::new();
    while let Some(member) = archive.next_entry() {
        last.clear();
        member.unwrap().read_to_end(&mut last).unwrap();
    }
    last
}

#[test]
fn fuzz_deb() {
    let seeds: Vec<Vec<u8>> =
        ["data.tar", "data.tar.xz", "data.tar.zst", "data.tar.gz"].map(|member| deb::tests::deb(member, &FILES)).into();
    unpack("deb", &seeds, |packed, into| drop(deb::unpack(packed, into, &|_| true)));
}

#[test]
fn fuzz_rpm() {
    let seeds = [rpm::tests::rpm(&[("./lib/modules/1/vmlinuz", b"\x7fELF"), ("./x", &[3; 500])])];
    unpack("rpm", &seeds, |packed, into| {
        let _ = rpm::unpack(packed, into, &|_| true);
        let _ = RpmHeaders::read(packed);
    });
}

#[test]
fn fuzz_indexes_of_repositories() {
    let sum = "ab".repeat(32);
    let primary = format!(
        "<?xml version=\"1.0\"?><metadata><package type=\"rpm\"><name>k&amp;</name><arch>x</arch><version epoch=\"0\" ver=\"1\" rel=\"2\"/>\
         <checksum type=\"sha256\">{sum}</checksum><location href=\"x.rpm\"/><format><a:b><c/></a:b></format></package></metadata>"
    );
    let lines = b"C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:linux-virt\nV:1-r0\nA:x86_64\n\n";
    let apk = gzip(&tar_of(&[("DESCRIPTION", b"x"), ("APKINDEX", lines)], true));
    let desc = format!(
        "%NAME%\nlinux\n\n%VERSION%\n1\n\n%ARCH%\nx\n\n%FILENAME%\nx\n\n%SHA256SUM%\n{sum}\n\n%PGPSIG%\nAAAA\n"
    );
    let pacman = tar_of(&[("linux-1/desc", desc.as_bytes())], true);
    let fixture = Fixture::new();
    let seeds = [
        (RepositoryFormat::Rpm, primary.into_bytes()),
        (RepositoryFormat::Apk, apk),
        (RepositoryFormat::Pacman, pacman),
    ];
    for (format, seed) in seeds {
        assert_eq!(repository::read_index(format, &fixture.write("index", &seed)).unwrap(), 1, "{format:?}");
        fuzz(format.label(), &[seed], |bytes| drop(repository::read_index(format, &fixture.write("index", bytes))));
    }
}

#[test]
fn fuzz_tar() {
    unpack("tar", &[tar()], |packed, into| {
        let file = fs::File::open(packed).unwrap();
        let _ = tarball::unpack(file, into, &|_| true, &mut UnpackRoom::of(1 << 20, 1000));
    });
    unpack("elf-tree", &[tar()], |packed, into| {
        let Ok(mut tree) = ElfTree::new(into) else { return };
        let _ = tree.add(fs::File::open(packed).unwrap(), Whiteouts::Respected);
    });
}

#[test]
fn fuzz_compressed() {
    let mut seeds = vec![zstd::encode_all(&tar()[..], 1).unwrap()];
    let mut xz = Vec::new();
    liblzma::read::XzEncoder::new(&tar()[..], 1).read_to_end(&mut xz).unwrap();
    let mut gz = Vec::new();
    flate2::read::GzEncoder::new(&tar()[..], flate2::Compression::fast()).read_to_end(&mut gz).unwrap();
    seeds.extend([xz, gz]);
    fuzz("compressed", &seeds, |bytes| {
        if let Ok(content) = unpacked(Cursor::new(bytes)) {
            let _ = std::io::copy(&mut content.take(16 << 20), &mut std::io::sink());
        }
    });
}

#[test]
fn fuzz_given_btf() {
    let elf = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain/kernel_a.o")).unwrap();
    let fixture = Fixture::new();
    let read = |name: &str, bytes: &[u8]| drop(given_btf::read(&fixture.write(name, bytes)));
    fuzz("given-btf", std::slice::from_ref(&elf), |bytes| read("kernel", bytes));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(elf.len() as u64);
    builder.append_data(&mut header, "1.0.0.btf", &elf[..]).unwrap();
    let packed = |bytes: &[u8]| {
        let mut xz = Vec::new();
        liblzma::read::XzEncoder::new(bytes, 0).read_to_end(&mut xz).unwrap();
        xz
    };
    let archive = builder.into_inner().unwrap();
    fuzz("given-btf-packed", &[packed(&archive), packed(&elf)], |bytes| {
        read("kernel.btf.tar.xz", bytes);
        read("kernel.btf.xz", bytes);
    });
    fuzz("given-btf-archive", &[archive], |bytes| read("kernel.btf.tar.xz", &packed(bytes)));
}
