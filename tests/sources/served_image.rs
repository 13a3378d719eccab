//! Disk images on a web server: found by their newest version, verified, pinned, and read as packed as they come.

use std::fs;
use std::path::Path;

use corematrix::record::Verdict;

use super::common::{Lab, Run, need, verdicts};
use super::disk::{disk, ext4, write_gpt};
use super::repository::Key;
use super::service::{Service, command, done};
use super::{GOOD, expect_whole, fetch, installed, story};

/// A version of the system: the packed image, its signature, and the text that names the newest.
fn publish(server: &Service, key: &Key, raw: &Path, version: &str) {
    let folder = server.files().join(version);
    fs::create_dir_all(&folder).unwrap();
    fs::copy(raw, folder.join("system.bin")).unwrap();
    done(command("bzip2").arg("--fast").arg(folder.join("system.bin")));
    key.sign(&folder.join("system.bin.bz2"), ".sig");
    fs::create_dir_all(server.files().join("current")).unwrap();
    fs::write(server.files().join("current/version.txt"), format!("SYSTEM_ID=x\nSYSTEM_VERSION={version}\n")).unwrap();
}

/// The store forgets the kernel, and with it what it was unpacked from.
pub(super) fn forget(lab: &Lab) {
    for entry in fs::read_dir(lab.store().join("kernels")).unwrap().map(Result::unwrap) {
        if entry.file_name().to_str().unwrap().starts_with("system-") {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

#[test]
fn the_newest_image_is_verified_pinned_and_boots() {
    need!("guests", "programs", "bzip2", "curl", "gpg", "gpgv", "lighttpd", "mkfs.ext4", "qemu-img");
    let (lab, mut server, key) = (Lab::with_kernel(""), Service::web(), Key::new());
    let raw = lab.path("system.img");
    let places = disk(&raw, &[ext4(&lab, "root", &installed(), 48)]);
    write_gpt(&raw, &places);
    publish(&server, &key, &raw, "4230.2.1");
    key.export(&lab.path("keys.asc"));
    let url = format!("http://{}", server.host());
    lab.manifest(&format!(
        "[kernel.system]\nsource = \"disk\"\ndisk = \"{url}/{{version}}/system.bin.bz2\"\n\
         version-url = \"{url}/current/version.txt\"\nversion-after = \"SYSTEM_VERSION\"\nkeyring = \"keys.asc\"\n"
    ));
    lab.run(&[&story("inode-ctime"), "--cold"]).expect(GOOD);
    let programs = verdicts(&lab.report(), "system", "inode-ctime");
    assert!(!programs.is_empty() && programs.iter().all(|verdict| *verdict == Verdict::Loaded), "{programs:?}");
    expect_whole(&fetch(&lab, "system").unwrap());
    let lock = || fs::read_to_string(lab.path("kernels.lock")).unwrap();
    assert!(lock().contains("name = \"system.bin.bz2\"\nversion = \"4230.2.1\""), "{}", lock());

    // A newer one changes nothing until the pinned one is gone.
    publish(&server, &key, &raw, "4230.2.2");
    forget(&lab);
    let kernel = fetch(&lab, "system").unwrap();
    assert!(kernel.notes.is_empty() && lock().contains("version = \"4230.2.1\""), "{:?}", kernel.notes);
    let mut outdated = lab.tool("kernels");
    outdated.arg("outdated");
    let outdated = Run::start(outdated, &lab.path("outdated")).wait().stdout;
    assert!(outdated.contains("4230.2.1") && outdated.contains("4230.2.2"), "{outdated}");
    let pinned = lock();
    let mut update = lab.tool("kernels");
    update.args(["update", "system"]);
    let updated = Run::start(update, &lab.path("update")).wait();
    updated.expect(GOOD);
    assert!(updated.stdout.contains("1 updated") && lock().contains("version = \"4230.2.2\""), "{}", updated.stdout);
    fs::write(lab.path("kernels.lock"), &pinned).unwrap();
    forget(&lab);
    fs::remove_dir_all(server.files().join("4230.2.1")).unwrap();
    fs::write(lab.path("kernels.lock"), pinned.replace("\"newest\"", "\"stop\"")).unwrap();
    let error = fetch(&lab, "system").unwrap_err().to_string();
    assert!(error.contains("4230.2.1"), "{error}");
    fs::write(lab.path("kernels.lock"), &pinned).unwrap();
    let kernel = fetch(&lab, "system").unwrap();
    assert!(kernel.notes.iter().any(|note| note.contains("4230.2.1 is no longer on the server")), "{:?}", kernel.notes);
    assert!(lock().contains("version = \"4230.2.2\""), "{}", lock());

    // No one else's image is taken, and none whose server is down.
    forget(&lab);
    fs::remove_file(lab.path("kernels.lock")).unwrap();
    fs::copy(server.files().join("current/version.txt"), server.files().join("4230.2.2/system.bin.bz2.sig")).unwrap();
    let error = fetch(&lab, "system").unwrap_err().to_string();
    assert!(error.contains("it is not trusted: its signature is malformed"), "{error}");
    server.stop();
    let error = fetch(&lab, "system").unwrap_err();
    assert!(error.is_unavailable(), "{error}");
}

#[test]
fn a_list_of_checksums_proves_an_image() {
    need!("guests", "curl", "gpg", "gpgv", "lighttpd", "mkfs.ext4", "qemu-img", "zstd");
    let (lab, server, key) = (Lab::with_kernel(""), Service::web(), Key::new());
    let raw = lab.path("system.img");
    let places = disk(&raw, &[ext4(&lab, "root", &installed(), 48)]);
    write_gpt(&raw, &places);
    done(command("zstd").args(["-q", "-1"]).arg(&raw).arg("-o").arg(server.files().join("system.raw.zst")));
    let sums = done(command("sha256sum").arg("system.raw.zst").current_dir(server.files()));
    fs::write(server.files().join("SHA256SUMS"), &sums).unwrap();
    key.sign(&server.files().join("SHA256SUMS"), ".asc");
    key.export(&lab.path("keys.asc"));
    let url = format!("http://{}", server.host());
    let declare = |more: &str| {
        lab.manifest(&format!(
            "[kernel.system]\nsource = \"disk\"\ndisk = \"{url}/system.raw.zst\"\nchecksums = \"{url}/SHA256SUMS\"\n{more}\n"
        ));
    };
    declare(&format!("signature = \"{url}/SHA256SUMS.asc\"\nkeyring = \"keys.asc\""));
    let kernel = fetch(&lab, "system").unwrap();
    expect_whole(&kernel);
    assert!(kernel.notes.is_empty(), "{:?}", kernel.notes);
    // Without a signature it is said what that means.
    forget(&lab);
    fs::remove_file(lab.path("kernels.lock")).unwrap();
    declare("");
    let kernel = fetch(&lab, "system").unwrap();
    assert!(kernel.notes.iter().any(|note| note.contains("only https protects it")), "{:?}", kernel.notes);
    // An image that is not the one of the list.
    forget(&lab);
    fs::remove_file(lab.path("kernels.lock")).unwrap();
    fs::write(server.files().join("SHA256SUMS"), sums.replace(&sums[..4], "0000")).unwrap();
    let error = fetch(&lab, "system").unwrap_err().to_string();
    assert!(error.contains("its sha256 is `"), "{error}");
    fs::write(server.files().join("SHA256SUMS"), "").unwrap();
    let error = fetch(&lab, "system").unwrap_err().to_string();
    assert!(error.contains("has no SHA-256 of `system.raw.zst`"), "{error}");
}
