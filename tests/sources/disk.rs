//! Disk images with the partition tables and file systems that distributions use.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use corematrix::record::Verdict;

use super::common::{Lab, kernel, need, verdicts};
use super::service::{command, done};
use super::{GOOD, expect_whole, fetch, installed, lay_out, release, story};

const SECTOR: u64 = 512;
/// Where partitions begin, in sectors: at 1 MiB, as usual.
const FIRST: u64 = 2048;

/// An ext4 file system with these files.
pub(super) fn ext4(lab: &Lab, name: &str, files: &[(String, Vec<u8>)], mib: u64) -> PathBuf {
    let (folder, image) = (lab.path(name), lab.path(&format!("{name}.ext4")));
    lay_out(&folder, files);
    done(command("mkfs.ext4").args(["-q", "-F", "-d"]).arg(&folder).arg(&image).arg(format!("{mib}m")));
    image
}

/// A disk with these file systems one after the other, from sector [`FIRST`] on. Returns their first and last sectors.
pub(super) fn disk(path: &Path, parts: &[PathBuf]) -> Vec<(u64, u64)> {
    let disk = File::create(path).unwrap();
    let mut places = Vec::new();
    let mut at = FIRST;
    for part in parts {
        let bytes = fs::read(part).unwrap();
        disk.write_all_at(&bytes, at * SECTOR).unwrap();
        places.push((at, at + bytes.len() as u64 / SECTOR - 1));
        at = (at + bytes.len() as u64 / SECTOR).next_multiple_of(FIRST);
    }
    disk.set_len((at + FIRST) * SECTOR).unwrap();
    places
}

/// Writes a partition table as MBR; `kind` is that of the partitions.
fn write_mbr(path: &Path, places: &[(u64, u64)], kind: u8) {
    let mut sector = [0; SECTOR as usize];
    for (at, (first, last)) in places.iter().enumerate() {
        let entry = &mut sector[446 + 16 * at..][..16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&u32::try_from(*first).unwrap().to_le_bytes());
        entry[12..16].copy_from_slice(&u32::try_from(last - first + 1).unwrap().to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    File::options().write(true).open(path).unwrap().write_all_at(&sector, 0).unwrap();
}

/// Writes a partition table as GPT, with the MBR that protects it.
pub(super) fn write_gpt(path: &Path, places: &[(u64, u64)]) {
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let end = fs::metadata(path).unwrap().len() / SECTOR - 1;
    write_mbr(path, &[(1, end)], 0xee);
    let mut entries = vec![0; 128 * 128];
    for (at, (first, last)) in places.iter().enumerate() {
        let entry = &mut entries[128 * at..][..128];
        entry[..32].fill(at as u8 + 1);
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
    }
    let mut header = b"EFI PART\0\0\x01\0\x5c\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    for number in [1, end, 34, end - 34] {
        header.extend(number.to_le_bytes());
    }
    header.extend([7; 16]);
    header.extend(2u64.to_le_bytes());
    header.extend([128u32.to_le_bytes(), 128u32.to_le_bytes(), crc(&entries)].concat());
    let sum = crc(&header);
    header[16..20].copy_from_slice(&sum);
    let disk = File::options().write(true).open(path).unwrap();
    disk.write_all_at(&header, SECTOR).unwrap();
    disk.write_all_at(&entries, 2 * SECTOR).unwrap();
}

fn qcow2(raw: &Path, options: &[&str]) -> PathBuf {
    let image = raw.with_extension("qcow2");
    done(command("qemu-img").args(["convert", "-O", "qcow2"]).args(options).arg(raw).arg(&image));
    image
}

pub(super) fn declare(lab: &Lab, disk: &Path, more: &str) {
    lab.manifest(&format!("[kernel.disk]\nsource = \"disk\"\ndisk = \"{}\"\n{more}\n", disk.display()));
}

#[test]
fn the_kernel_of_a_disk_boots_and_another_is_taken_by_its_release() {
    need!("guests", "programs", "mkfs.ext4", "qemu-img");
    let lab = Lab::with_kernel("");
    let mut files = installed();
    files.push(("boot/vmlinuz-5.10.0-31-cloud-amd64".to_owned(), b"an older one".to_vec()));
    files.push(("boot/vmlinuz-0-rescue-ab12".to_owned(), b"no kernel to take".to_vec()));
    let raw = lab.path("disk one.img");
    let places = disk(&raw, &[ext4(&lab, "root", &files, 48)]);
    write_mbr(&raw, &places, 0x83);
    declare(&lab, &raw, "");
    lab.run(&[&story("inode-ctime"), "--cold"]).expect(GOOD);
    let programs = verdicts(&lab.report(), "disk", "inode-ctime");
    assert!(!programs.is_empty() && programs.iter().all(|verdict| *verdict == Verdict::Loaded), "{programs:?}");
    lab.expect_nothing_left();
    expect_whole(&fetch(&lab, "disk").unwrap());

    declare(&lab, &raw, "release = \"5.10.0-31-*\"");
    let error = fetch(&lab, "disk").unwrap_err();
    assert!(error.to_string().starts_with("kernel `disk`: image: "), "{error}");
    declare(&lab, &raw, "release = \"6.*\"");
    let error = fetch(&lab, "disk").unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    assert!(
        error.to_string().ends_with(&format!("has no kernel `6.*`, only 5.10.0-31-cloud-amd64, {}", release())),
        "{error}"
    );
}

#[test]
fn a_qcow2_with_a_boot_partition_is_read_and_one_that_goes_on_elsewhere_is_not() {
    need!("guests", "mkfs.ext4", "qemu-img");
    let lab = Lab::with_kernel("");
    let in_boot = |(name, bytes): (String, Vec<u8>)| Some((name.strip_prefix("boot/")?.to_owned(), bytes));
    let boot: Vec<_> = installed().into_iter().filter_map(in_boot).collect();
    let root: Vec<_> = installed().into_iter().filter(|(name, _)| name.starts_with("lib/")).collect();
    let raw = lab.path("disk.img");
    let places = disk(&raw, &[ext4(&lab, "boot", &boot, 24), ext4(&lab, "root", &root, 8)]);
    write_gpt(&raw, &places);
    let image = qcow2(&raw, &[]);
    declare(&lab, &image, "");
    expect_whole(&fetch(&lab, "disk").unwrap());

    // An image from elsewhere must not make files of this machine readable, in whichever way it names them.
    let overlay = lab.path("overlay.qcow2");
    done(command("qemu-img").args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]).arg(&image).arg(&overlay));
    let apart = lab.path("apart.qcow2");
    let options = format!("data_file={},data_file_raw=on", lab.path("apart.data").display());
    done(command("qemu-img").args(["create", "-q", "-f", "qcow2", "-o", &options]).arg(&apart).arg("8m"));
    let flat = lab.path("flat.vmdk");
    done(
        command("qemu-img").args(["create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat"]).arg(&flat).arg("8m"),
    );
    for (image, other) in [(&overlay, "disk.qcow2"), (&apart, "apart.data"), (&flat, "flat-flat.vmdk")] {
        declare(&lab, image, "");
        let error = fetch(&lab, "disk").unwrap_err().to_string();
        assert!(error.contains("it continues in another file, `") && error.contains(other), "{error}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    need!("guests", "mkfs.ext4", "qemu-img");
    let lab = Lab::with_kernel("");
    for (name, offset, magic, told) in [
        ("xfs", 0, &b"XFSB"[..], "partition 1 (XFS: its superblock is invalid)"),
        ("btrfs", 0x1_0040, b"_BHRfS_M", "partition 1 (btrfs: it spans 0 devices; only one is supported)"),
        ("squashfs", 0, b"hsqs", "partition 1 (squashfs: its superblock is invalid, or its version is older than 4)"),
        ("lvm", 536, b"LVM2 001", "partition 1 (LVM is not supported)"),
        ("luks", 0, b"LUKS", "partition 1 (LUKS is not supported)"),
    ] {
        let raw = lab.path(&format!("{name}.img"));
        let part = lab.path("part");
        let file = File::create(&part).unwrap();
        file.set_len(1 << 20).unwrap();
        file.write_all_at(magic, offset).unwrap();
        let places = disk(&raw, &[part]);
        write_mbr(&raw, &places, 0x83);
        declare(&lab, &raw, "");
        let error = fetch(&lab, "disk").unwrap_err();
        assert!(error.is_unavailable(), "{error}");
        assert!(
            error.to_string().contains("no kernel found in the readable parts of ")
                && error.to_string().ends_with(&format!("unreadable: {told}")),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("guestmount"), "{error}");
    }
    let empty = lab.path("empty.img");
    File::create(&empty).unwrap().set_len(1 << 20).unwrap();
    declare(&lab, &empty, "");
    let error = fetch(&lab, "disk").unwrap_err();
    assert!(error.to_string().ends_with("holds no kernel image"), "{error}");
    assert_eq!(fs::read_dir(lab.store().join("kernels")).unwrap().count(), 1, "only {} is there", kernel().name);
}
