//! Images of systems on XFS, btrfs, FAT, squashfs and EROFS, and kernels that are unified with their initial RAM disk: each made by the tools
//! of its own, and laid out as the systems that use it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use corematrix::record::Verdict;

use super::common::{Lab, kernel, need, verdicts};
use super::disk::{declare, disk, write_gpt};
use super::service::{command, done};
use super::{GOOD, expect_whole, fetch, installed, lay_out, modules, release, story};

pub(super) type Files = Vec<(String, Vec<u8>)>;

/// The parts of an installed kernel, at other paths.
pub(super) fn at(image: &str, config: Option<&str>, lib: &str) -> (Files, Files) {
    let mut boot = vec![(image.to_owned(), fs::read(kernel().image()).unwrap())];
    let text = fs::read(kernel().stored.config.as_ref().unwrap()).unwrap();
    boot.extend(config.map(|path| (path.to_owned(), text)));
    let root = modules().into_iter().map(|(name, bytes)| (format!("{lib}/{}/{name}", release()), bytes)).collect();
    (boot, root)
}

fn image(lab: &Lab, name: &str, mib: u64) -> PathBuf {
    let path = lab.path(name);
    File::create(&path).unwrap().set_len(mib << 20).unwrap();
    path
}

/// XFS with these files, by a prototype: directories, then what is in them, each ended by `$`.
fn xfs(lab: &Lab, name: &str, files: &Files) -> PathBuf {
    let (folder, path) = (lab.path(name), image(lab, &format!("{name}.xfs"), 320));
    lay_out(&folder, files);
    let mut lines = "/\n0 0\nd--755 0 0\n".to_owned();
    describe(&folder, &mut lines);
    lines += "$\n";
    let prototype = lab.path(&format!("{name}.prototype"));
    fs::write(&prototype, lines).unwrap();
    done(command("mkfs.xfs").args(["-q", "-p"]).arg(prototype).arg(&path));
    path
}

fn describe(folder: &Path, lines: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            *lines += &format!("{name} d--755 0 0\n");
            describe(&entry.path(), lines);
            *lines += "$\n";
        } else {
            *lines += &format!("{name} ---644 0 0 {}\n", entry.path().display());
        }
    }
}

fn btrfs(lab: &Lab, name: &str, files: &Files) -> PathBuf {
    let (folder, path) = (lab.path(name), image(lab, &format!("{name}.btrfs"), 128));
    lay_out(&folder, files);
    done(command("mkfs.btrfs").args(["-q", "-f", "--rootdir"]).arg(folder).arg(&path));
    path
}

fn squashfs(lab: &Lab, name: &str, files: &Files, packing: &str) -> PathBuf {
    let (folder, path) = (lab.path(name), lab.path(&format!("{name}.squashfs")));
    lay_out(&folder, files);
    let mut make = command("mksquashfs");
    done(make.arg(folder).arg(&path).args(["-comp", packing, "-noappend", "-quiet", "-no-progress"]));
    path
}

pub(super) fn erofs(lab: &Lab, name: &str, files: &Files) -> PathBuf {
    let (folder, path) = (lab.path(name), lab.path(&format!("{name}.erofs")));
    lay_out(&folder, files);
    done(command("mkfs.erofs").args(["--quiet", "-zlz4hc"]).arg(&path).arg(folder));
    path
}

fn fat(lab: &Lab, name: &str, files: &Files) -> PathBuf {
    let (folder, path) = (lab.path(name), image(lab, &format!("{name}.fat"), 64));
    lay_out(&folder, files);
    done(command("mkfs.vfat").args(["-F", "32"]).arg(&path));
    let mut copy = command("mcopy");
    copy.arg("-s").arg("-i").arg(&path);
    copy.args(fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()));
    done(copy.arg("::"));
    path
}

/// A disk with a partition for each.
pub(super) fn parts(lab: &Lab, name: &str, parts: &[PathBuf]) -> PathBuf {
    let raw = lab.path(&format!("{name}.img"));
    let places = disk(&raw, parts);
    write_gpt(&raw, &places);
    raw
}

/// Takes the kernel out and checks that it is whole.
#[track_caller]
fn expect_kernel(lab: &Lab, disk: &Path) {
    declare(lab, disk, "");
    expect_whole(&fetch(lab, "disk").unwrap());
}

/// Boots the kernel and loads an object in it.
#[track_caller]
fn expect_boots(lab: &Lab) {
    lab.run(&[&story("inode-ctime"), "--cold"]).expect(GOOD);
    let programs = verdicts(&lab.report(), "disk", "inode-ctime");
    assert!(!programs.is_empty() && programs.iter().all(|verdict| *verdict == Verdict::Loaded), "{programs:?}");
}

#[test]
fn kernels_on_xfs_and_btrfs_boot() {
    need!("guests", "programs", "qemu-img", "mkfs.xfs", "mkfs.btrfs");
    let lab = Lab::with_kernel("");
    let (boot, root) = at(&format!("vmlinuz-{}", release()), Some(&format!("config-{}", release())), "lib/modules");
    // EL has `/boot` on a separate partition, the rest on another.
    expect_kernel(&lab, &parts(&lab, "el", &[xfs(&lab, "boot", &boot), xfs(&lab, "root", &root)]));
    expect_boots(&lab);
    expect_kernel(&lab, &parts(&lab, "one", &[btrfs(&lab, "whole", &installed())]));
    expect_boots(&lab);
    // openSUSE and Fedora have kernels below `/usr` alone.
    let lib = format!("usr/lib/modules/{}", release());
    let (mut image, root) = at(&format!("{lib}/vmlinuz"), Some(&format!("{lib}/config")), "usr/lib/modules");
    image.extend(root);
    expect_kernel(&lab, &parts(&lab, "usr", &[btrfs(&lab, "merged", &image)]));
    lab.expect_nothing_left();
}

#[test]
fn kernels_of_systems_that_nobody_changes_are_found() {
    need!("guests", "qemu-img", "mkfs.ext4", "mkfs.vfat", "mcopy", "mksquashfs", "mkfs.erofs");
    let lab = Lab::with_kernel("");
    // Flatcar: the kernel in the EFI system partition, `/usr` a separate partition.
    let (esp, usr) = at("flatcar/vmlinuz-a", None, "lib/modules");
    let mut usr = usr;
    let config = fs::read(kernel().stored.config.as_ref().unwrap()).unwrap();
    usr.push((format!("boot/config-{}", release()), config.clone()));
    expect_kernel(&lab, &parts(&lab, "flatcar", &[fat(&lab, "esp", &esp), squashfs(&lab, "usr", &usr, "zstd")]));
    // Bottlerocket: names without a release in the boot partition, and the root on EROFS.
    let lib = "x86_64-bottlerocket-linux-gnu/sys-root/usr/lib/modules";
    let (boot, root) = at("vmlinuz", Some("config"), lib);
    expect_kernel(
        &lab,
        &parts(&lab, "bottlerocket", &[squashfs(&lab, "boot", &boot, "gzip"), erofs(&lab, "root", &root)]),
    );
}

/// An archive of one file, as an initial RAM disk is.
fn cpio(name: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = cpio::NewcBuilder::new(name).mode(0o100_644).write(Vec::new(), content.len() as u32);
    builder.write_all(content).unwrap();
    cpio::newc::trailer(builder.finish().unwrap()).unwrap()
}

#[test]
fn unified_kernel_boots_with_the_modules_of_its_initial_ram_disk() {
    need!("guests", "programs", "qemu-img", "mkfs.vfat", "mcopy", "mksquashfs", "objcopy");
    let lab = Lab::with_kernel("");
    let lib = format!("usr/lib/modules/{}", release());
    let (_, mut root) = at("", None, "usr/lib/modules");
    root.retain(|(name, _)| name.starts_with(&lib));
    let system = fs::read(squashfs(&lab, "rootfs", &root, "xz")).unwrap();
    // As Talos has it: microcode first, then a compressed archive with the root of the system.
    let mut initrd = cpio("kernel/x86/microcode/GenuineIntel.bin", b"microcode");
    initrd.resize(initrd.len().next_multiple_of(512), 0);
    initrd.extend(zstd::encode_all(&cpio("rootfs.sqsh", &system)[..], 1).unwrap());
    let initrd = write(&lab, "initrd", &initrd);
    let unified = lab.path("unified.efi");
    let stub = write(&lab, "stub.s", b".globl _start\n_start: ret\n");
    let object = lab.path("stub.o");
    done(command("as").arg("-o").arg(&object).arg(stub));
    let mut copy = command("objcopy");
    copy.args(["-O", "pei-x86-64", "--subsystem", "efi-app"]);
    let image = kernel().image();
    for (section, file, address) in [
        (".osrel", write(&lab, "osrel", b"ID=talos\n"), 0x20000),
        (".linux", image, 0x200_0000),
        (".initrd", initrd, 0x800_0000),
    ] {
        copy.arg("--add-section").arg(format!("{section}={}", file.display()));
        copy.arg("--set-section-flags").arg(format!("{section}=data,readonly"));
        copy.arg("--change-section-vma").arg(format!("{section}={address:#x}"));
    }
    done(copy.arg(object).arg(&unified));
    let files = vec![("EFI/Linux/Talos-v1.12.0.efi".to_owned(), fs::read(&unified).unwrap())];
    declare(&lab, &parts(&lab, "talos", &[fat(&lab, "efi", &files)]), "");
    let stored = fetch(&lab, "disk").unwrap();
    assert_eq!(stored.identity.image_sha256, kernel().stored.identity.image_sha256, "the kernel alone is kept");
    assert_eq!(stored.modules.len(), kernel().stored.modules.len());
    expect_boots(&lab);
    // The same file, named by its path.
    lab.manifest(&format!("[kernel.disk]\nsource = \"path\"\nimage = \"{}\"\n", unified.display()));
    assert_eq!(fetch(&lab, "disk").unwrap().identity.release, release());
}

fn write(lab: &Lab, name: &str, bytes: &[u8]) -> PathBuf {
    let path = lab.path(name);
    fs::write(&path, bytes).unwrap();
    path
}
