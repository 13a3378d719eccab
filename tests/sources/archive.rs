//! An archive in Ubuntu's layout, made by `dpkg-scanpackages` and signed by `gpg`, on a web server.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use corematrix::source::LockFile;
use sha2::{Digest, Sha256};

use super::common::{Lab, need};
use super::service::{Service, command, done};
use super::{expect_whole, fetch, installed, lay_out, release};

const SUITE: &str = "noble-updates";

/// An archive with the test kernel, and who signs it.
struct Archive {
    server: Service,
    /// Packages before they are packed, and gpg's home; its path is short, since a socket lies in it.
    work: tempfile::TempDir,
}

impl Archive {
    fn new() -> Archive {
        let work = tempfile::Builder::new().prefix("cm").tempdir().unwrap();
        let archive = Archive { server: Service::web(), work };
        fs::create_dir(archive.home()).unwrap();
        rustix::fs::chmod(archive.home(), rustix::fs::Mode::from_raw_mode(0o700)).unwrap();
        let user = ["--quick-generate-key", "nobody@example.org", "ed25519", "sign", "never"];
        done(archive.gpg().args(["--passphrase", ""]).args(user));
        done(archive.gpg().arg("--export").arg("--output").arg(archive.keyring()));

        // Ubuntu has the image in one package, config and modules in another.
        let image = |name: &str| name.starts_with("boot/vmlinuz");
        let (images, others): (Vec<_>, Vec<_>) = installed().into_iter().partition(|(name, _)| image(name));
        archive.pack(&format!("linux-image-unsigned-{}", release()), &images);
        archive.pack(&format!("linux-modules-{}", release()), &others);
        archive.pack(&format!("linux-modules-extra-{}", release()), &[]);
        archive.index(&|packages| packages);
        archive
    }

    fn home(&self) -> PathBuf {
        self.work.path().join("g")
    }

    fn keyring(&self) -> PathBuf {
        self.work.path().join("keys.gpg")
    }

    fn gpg(&self) -> Command {
        let mut gpg = command("gpg");
        gpg.args(["--batch", "--quiet", "--yes", "--homedir"]).arg(self.home());
        gpg
    }

    fn pack(&self, name: &str, files: &[(String, Vec<u8>)]) {
        let tree = self.work.path().join(name);
        let pool = self.server.files().join("pool");
        fs::create_dir_all(&pool).unwrap();
        let control = format!(
            "Package: {name}\nVersion: 6.8.0-31.31\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\n\
             Description: a part of a kernel\n"
        );
        lay_out(&tree, files);
        lay_out(&tree, &[("DEBIAN/control".to_owned(), control.into_bytes())]);
        done(command("dpkg-deb").args(["--build", "--root-owner-group", "-Zzstd", "-z1"]).arg(&tree).arg(&pool));
    }

    /// Writes and signs the index, after `change` was made to it.
    fn index(&self, change: &dyn Fn(String) -> String) {
        let root = self.server.files();
        let dist = root.join("dists").join(SUITE);
        let folder = dist.join("main/binary-amd64");
        fs::create_dir_all(&folder).unwrap();
        let packages = done(command("dpkg-scanpackages").arg("pool").current_dir(&root));
        let packages = change(packages);
        let sum: String = Sha256::digest(&packages).iter().map(|byte| format!("{byte:02x}")).collect();
        let release = format!(
            "Suite: {SUITE}\nCodename: {SUITE}\nComponents: main\nArchitectures: amd64\nDate: Mon, 01 Jun 2026 00:00:00 UTC\n\
             SHA256:\n {sum} {} main/binary-amd64/Packages\n",
            packages.len()
        );
        fs::write(folder.join("Packages"), packages).unwrap();
        fs::write(dist.join("Release"), release).unwrap();
        done(self.gpg().arg("--clearsign").arg("--output").arg(dist.join("InRelease")).arg(dist.join("Release")));
    }

    /// A lab with a kernel from here.
    fn lab(&self, more: &str) -> Lab {
        let lab = Lab::with_kernel("");
        self.declare(&lab, more);
        lab
    }

    fn declare(&self, lab: &Lab, more: &str) {
        lab.manifest(&format!(
            "[kernel.ubuntu]\nsource = \"apt\"\nsuites = [\"{SUITE}\"]\npackages = [\"linux-image-unsigned-*\"]\n\
             mirror = \"http://{}\"\n{more}\n",
            self.server.host()
        ));
    }

    fn signed(&self) -> String {
        format!("keyring = \"{}\"", self.keyring().display())
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        // It left an agent behind.
        let _ = command("gpgconf").arg("--homedir").arg(self.home()).args(["--kill", "all"]).status();
    }
}

fn error(lab: &Lab) -> (String, String) {
    let error = fetch(lab, "ubuntu").unwrap_err();
    (error.to_string(), error.hint().unwrap_or_default())
}

fn lock(lab: &Lab) -> String {
    fs::read_to_string(lab.path("kernels.lock")).unwrap()
}

#[test]
fn a_kernel_in_ubuntus_layout_is_put_together_and_pinned_without_its_mirror() {
    need!("guests", "lighttpd", "gpg", "dpkg-deb", "dpkg-scanpackages");
    let archive = Archive::new();
    let lab = archive.lab(&archive.signed());
    let kernel = fetch(&lab, "ubuntu").unwrap();
    expect_whole(&kernel);
    let pinned = LockFile::open(&lab.path("kernels.lock")).unwrap().kernel("ubuntu").unwrap();
    let names: Vec<&str> = pinned.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, [format!("linux-image-unsigned-{}", release()), format!("linux-modules-{}", release())]);
    let (host, before) = (archive.server.host(), lock(&lab));
    assert!(!before.contains(&host) && !before.contains("http"), "{before}");
    assert_eq!(archive.server.requests("linux-modules-extra", "GET"), 0, "what is not needed is fetched");

    // The same packages, from another machine's store, and from the store alone with a new lock file.
    fs::remove_dir_all(lab.store().join("kernels")).unwrap();
    assert_eq!(fetch(&lab, "ubuntu").unwrap().identity, kernel.identity);
    assert_eq!(lock(&lab), before);
    let asked = archive.server.requests(".deb", "GET");
    fs::remove_file(lab.path("kernels.lock")).unwrap();
    assert_eq!(fetch(&lab, "ubuntu").unwrap().identity, kernel.identity);
    assert_eq!((archive.server.requests(".deb", "GET"), lock(&lab).matches("[[kernel").count()), (asked, 2));
}

#[test]
fn nothing_unsigned_is_taken_unless_that_is_asked_for() {
    need!("guests", "lighttpd", "gpg", "dpkg-deb", "dpkg-scanpackages");
    let archive = Archive::new();
    // Debian's keys, which are the ones that count without `keyring`, did not sign it.
    let lab = archive.lab("");
    let (message, hint) = error(&lab);
    assert!(message.ends_with("failed: apt does not trust the signature of the archive"), "{message}");
    assert!(hint.contains("`keyring`"), "{hint}");
    archive.declare(&lab, "keyring = \"nowhere.gpg\"");
    assert!(error(&lab).0.contains("nowhere.gpg` does not exist"));

    let dist = archive.server.files().join("dists").join(SUITE);
    fs::remove_file(dist.join("InRelease")).unwrap();
    archive.declare(&lab, &archive.signed());
    let (message, _) = error(&lab);
    assert!(message.ends_with("failed: apt does not trust the signature of the archive"), "{message}");
    archive.declare(&lab, "trusted = true");
    expect_whole(&fetch(&lab, "ubuntu").unwrap());
}

#[test]
fn a_mirror_that_lies_has_nothing_or_is_down_is_distinguished() {
    need!("guests", "lighttpd", "gpg", "dpkg-deb", "dpkg-scanpackages");
    let mut archive = Archive::new();
    let message = |lab: &Lab| error(lab).0;
    // Signed, and wrong: another checksum, or another size.
    for (field, value) in [("SHA256: ", "00".repeat(32)), ("Size: ", "12345".to_owned())] {
        archive.index(&|packages| replaced(&packages, field, &value));
        let message = message(&archive.lab(&archive.signed()));
        assert!(message.ends_with("31.31: the file on the mirror does not match its index"), "{message}");
    }
    // An index that is not the signed one.
    archive.index(&|packages| packages);
    let index = archive.server.files().join("dists").join(SUITE).join("main/binary-amd64/Packages");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, replaced(&text, "Version: ", "6.8.0-99.99")).unwrap();
    let lies = message(&archive.lab(&archive.signed()));
    assert!(lies.ends_with("failed: the files of the mirror do not match its signed index"), "{lies}");
    fs::write(&index, text).unwrap();

    let lab = archive.lab(&archive.signed());
    fs::remove_dir_all(archive.server.files().join("pool")).unwrap();
    let gone = message(&lab);
    assert!(gone.contains("listed but gone from the mirror: `linux-image-unsigned-"), "{gone}");
    archive.declare(&lab, &format!("{}\ncomponents = [\"universe\"]", archive.signed()));
    fs::remove_dir_all(archive.server.files().join("dists")).unwrap();
    assert!(message(&lab).ends_with("failed: the mirror does not have the file"), "{}", message(&lab));
    archive.server.stop();
    let lab = archive.lab(&archive.signed());
    let down = message(&lab);
    assert!(down.ends_with("failed: the mirror cannot be reached") && !down.contains("127.0.0.1"), "{down}");
}

/// The index with another value of a field, in all packages.
fn replaced(packages: &str, field: &str, value: &str) -> String {
    let line = |line: &str| if line.starts_with(field) { format!("{field}{value}\n") } else { format!("{line}\n") };
    packages.lines().map(line).collect()
}
