//! The test kernel in repositories that the tools of other distributions make: `rpmbuild` and `createrepo_c`, `repo-add`.

use std::fs;
use std::path::Path;

use corematrix::manifest::Manifest;
use corematrix::store::StoredKernel;

use super::common::{Lab, Run, need};
use super::service::{Service, command, done};
use super::{BROKEN, GOOD, expect_whole, fetch, installed, kernel, lay_out, modules_of, release, story};

const ARCH: &str = std::env::consts::ARCH;

/// A key that signs, in a separate directory.
pub struct Key {
    home: tempfile::TempDir,
}

impl Key {
    pub fn new() -> Key {
        let key = Key { home: tempfile::Builder::new().prefix("cm").tempdir().unwrap() };
        let make = ["--quick-generate-key", "somebody@example.org", "rsa2048", "sign", "never"];
        done(command("gpg").args(key.options()).args(make));
        key
    }

    fn options(&self) -> Vec<&str> {
        let home = self.home.path().to_str().unwrap();
        vec!["--homedir", home, "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""]
    }

    /// Writes the public key to a file.
    pub fn export(&self, to: &Path) {
        fs::write(to, done(command("gpg").args(self.options()).args(["--armor", "--export"]))).unwrap();
    }

    /// Signs a file, apart from it.
    pub fn sign(&self, file: &Path, ending: &str) {
        let mut signature = file.to_owned().into_os_string();
        signature.push(ending);
        let armor = if ending == ".asc" { "--armor" } else { "--no-armor" };
        done(command("gpg").args(self.options()).args([armor, "--detach-sign", "-o"]).arg(signature).arg(file));
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let _ = command("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "gpg-agent"]).output();
    }
}

/// A kernel as all but Debian install it.
pub fn tree(folder: &Path, stored: &StoredKernel) {
    let path = |name: &str| format!("lib/modules/{}/{name}", stored.identity.release);
    let mut files = vec![
        (path("vmlinuz"), fs::read(stored.boot_image.with_file_name("image")).unwrap()),
        (path("config"), fs::read(stored.config.as_ref().unwrap()).unwrap()),
    ];
    files.extend(modules_of(stored).into_iter().map(|(name, bytes)| (path(&name), bytes)));
    lay_out(folder, &files);
}

/// Builds `kernel-core` and `kernel-modules-core`, signed, into `folder`.
pub fn rpms(lab: &Lab, key: &Key, folder: &Path, build: &str, stored: &StoredKernel) {
    let (top, files) = (lab.path("rpmbuild"), lab.path(&format!("tree-{build}")));
    tree(&files, stored);
    let release = &stored.identity.release;
    let spec = format!(
        "Name: kernel\nVersion: 6.1.0\nRelease: {build}\nSummary: a kernel\nLicense: GPL\n%description\n\
         %package core\nSummary: image\n%description core\n%package modules-core\nSummary: modules\n%description modules-core\n\
         %install\nmkdir -p %{{buildroot}}\ncp -a {} %{{buildroot}}/lib\n\
         %files core\n/lib/modules/{release}/vmlinuz\n/lib/modules/{release}/config\n/lib/modules/{release}/modules.builtin\n\
         %files modules-core\n/lib/modules/{release}/kernel\n",
        files.join("lib").display()
    );
    fs::write(lab.path("kernel.spec"), spec).unwrap();
    let define = |text: String| ["--define".to_owned(), text];
    let mut rpmbuild = command("rpmbuild");
    rpmbuild.arg("-bb").args(["--target", ARCH]).args(define(format!("_topdir {}", top.display())));
    for text in
        ["debug_package %{nil}", "__os_install_post %{nil}", "_build_id_links none", "_binary_payload w1.zstdio"]
    {
        rpmbuild.args(define(text.to_owned()));
    }
    done(rpmbuild.arg(lab.path("kernel.spec")));
    fs::create_dir_all(folder).unwrap();
    for name in ["kernel-core", "kernel-modules-core"] {
        let file = format!("{name}-6.1.0-{build}.{ARCH}.rpm");
        let target = folder.join(&file);
        fs::rename(top.join("RPMS").join(ARCH).join(&file), &target).unwrap();
        let mut sign = command("rpmsign");
        sign.args(["--addsign"]).args(define("_gpg_name somebody@example.org".to_owned()));
        done(sign.args(define("__gpg /usr/bin/gpg".to_owned())).arg(&target).env("GNUPGHOME", key.home.path()));
    }
}

/// Makes the index of a repository, and signs it.
pub fn index(key: &Key, folder: &Path, packing: &str) {
    done(command("createrepo_c").args(["--general-compress-type", packing]).arg(folder));
    key.sign(&folder.join("repodata/repomd.xml"), ".asc");
}

#[test]
fn packages_that_rpmbuild_makes_are_fetched_pinned_booted_and_judged() {
    need!("guests", "programs", "createrepo_c", "curl", "gpg", "gpgv", "lighttpd", "rpmbuild", "rpmsign");
    let (lab, server, key) = (Lab::with_kernel(""), Service::web(), Key::new());
    let stored = &kernel().stored;
    let folder = server.files().join("os");
    rpms(&lab, &key, &folder.join("Packages"), "50.el9", stored);
    index(&key, &folder, "xz");
    key.export(&lab.path("keys.asc"));
    fs::write(server.files().join("mirrors"), format!("# mirrors\nhttp://{}/os/\n", server.host())).unwrap();
    lab.manifest(&format!(
        "[kernel.el9]\nsource = \"rpm\"\nmirrorlist = [\"http://{}/mirrors\"]\npackages = [\"kernel-core\"]\n\
         keyring = \"keys.asc\"\n",
        server.host()
    ));
    let found = fetch(&lab, "el9").unwrap();
    expect_whole(&found);
    assert_eq!(found.source, "rpm: kernel-core 6.1.0-50.el9");
    let lock = fs::read_to_string(lab.path("kernels.lock")).unwrap();
    assert!(lock.contains("kernel-modules-core") && !lock.contains(&server.host()), "{lock}");

    lab.run(&[&story("inode-ctime"), "--cold"]).expect(GOOD);
    assert_eq!(lab.report().cells.len(), 1);

    // A newer build, and one whose signature is of other bytes.
    rpms(&lab, &key, &folder.join("Packages"), "51.el9", stored);
    index(&key, &folder, "gz");
    let store = lab.store().join("repositories");
    fs::remove_dir_all(&store).unwrap();
    let outdated = done(lab.tool("kernels").args(["outdated", "el9"]));
    assert!(outdated.contains("6.1.0-51.el9"), "{outdated}");
    let repomd = folder.join("repodata/repomd.xml");
    fs::write(&repomd, fs::read_to_string(&repomd).unwrap() + "\n").unwrap();
    fs::remove_dir_all(lab.store().join("kernels")).unwrap();
    fs::remove_dir_all(&store).unwrap();
    let error = fetch(&lab, "el9").unwrap_err();
    assert!(error.is_unavailable() && error.to_string().contains("not trusted"), "{error}");
}

#[test]
fn a_database_that_repo_add_makes_is_read() {
    need!(
        "guests", "programs", "bash", "bsdtar", "curl", "gpg", "gpgv", "lighttpd", "makepkg", "repo-add", "tar", "zstd"
    );
    let (lab, server, key) = (Lab::with_kernel(""), Service::web(), Key::new());
    let (files, core) = (lab.path("tree"), server.files().join("core"));
    fs::create_dir(&core).unwrap();
    tree(&files.join("usr"), &kernel().stored);
    let info = format!(
        "pkgname = linux\npkgbase = linux\npkgver = 6.1.0-1\npkgdesc = x\narch = {ARCH}\nsize = 1\nbuilddate = 1\n"
    );
    fs::write(files.join(".PKGINFO"), info).unwrap();
    let package = core.join(format!("linux-6.1.0-1-{ARCH}.pkg.tar.zst"));
    done(command("tar").arg("-C").arg(&files).args(["--zstd", "-cf"]).arg(&package).args([".PKGINFO", "usr"]));
    key.sign(&package, ".sig");
    done(command("repo-add").arg("-q").arg(core.join("core.db.tar.gz")).arg(&package));
    assert!(core.join("core.db").is_file());
    key.export(&lab.path("keys.asc"));
    lab.manifest(&format!(
        "[kernel.arch]\nsource = \"pacman\"\nrepositories = [\"http://{}/core/core.db\"]\npackages = [\"linux\"]\n\
         keyring = \"keys.asc\"\nunsigned-index = true\n",
        server.host()
    ));
    let found = fetch(&lab, "arch").unwrap();
    assert_eq!(found.identity, kernel().stored.identity);
    assert_eq!(found.source, "pacman: linux 6.1.0-1");
    expect_reproduced(&lab, "arch@6.1.0-1");
    assert_eq!(lab.report().kernels[0].identity.as_ref(), Some(&found.identity));
}

/// Runs an object that fails on a build, and repeats the failure from its bundle.
#[track_caller]
fn expect_reproduced(lab: &Lab, build: &str) {
    lab.run(&[&story("bpf-loop"), "--cold", "--kernel", build]).expect(BROKEN);
    let bundle = fs::read_dir(lab.out().join("bundles")).unwrap().next().unwrap().unwrap().path();
    let mut repro = lab.tool("repro");
    repro.arg(&bundle);
    let reproduced = Run::start(repro, &lab.path("repro")).wait();
    assert!(reproduced.stdout.contains("reproduced: "), "{}{}", reproduced.stdout, reproduced.stderr);
}

/// Packs a kernel and an index of it as `abuild` and `apk index` do: signature, control and data are separate archives, one behind the other.
const APK: &str = r#"
cd "$1"; release=$2; version=$3; out=$4
# One small file, without the end of an archive.
segment() { tar --format=ustar --owner=0 --group=0 -cf - "$1" | head -c 1024 | gzip -n; }
sign() { openssl dgst -sha1 -sign key.rsa -out .SIGN.RSA.test.rsa.pub "$1"; segment .SIGN.RSA.test.rsa.pub; }
openssl genrsa -out key.rsa 2048
openssl rsa -in key.rsa -pubout -out test.rsa.pub
tar --format=ustar -C tree -czf data.tar.gz boot lib
printf 'pkgname = linux-virt\npkgver = %s\ndatahash = %s\n' "$version" "$(sha256sum data.tar.gz | cut -d' ' -f1)" > .PKGINFO
segment .PKGINFO > control.tar.gz
{ sign control.tar.gz; cat control.tar.gz data.tar.gz; } > "$out/linux-virt-$version.apk"
printf 'C:Q1%s\nP:linux-virt\nV:%s\nA:x86_64\n\n' "$(openssl dgst -sha1 -binary control.tar.gz | base64)" "$version" > APKINDEX
echo test > DESCRIPTION
tar --format=ustar -czf index.tar.gz DESCRIPTION APKINDEX
{ sign index.tar.gz; cat index.tar.gz; } > "$out/APKINDEX.tar.gz"
"#;

#[test]
fn a_kernel_of_alpine_is_fetched_booted_and_judged() {
    need!("guests", "programs", "curl", "lighttpd", "openssl", "tar");
    let (lab, server) = (Lab::with_kernel(""), Service::web());
    let (release, folder) = (release(), server.files().join("main").join(ARCH));
    fs::create_dir_all(&folder).unwrap();
    let files = installed().into_iter().map(|(name, bytes)| match name.starts_with("boot/vmlinuz") {
        true => ("boot/vmlinuz-virt".to_owned(), bytes),
        false => (name, bytes),
    });
    lay_out(&lab.path("tree"), &files.collect::<Vec<_>>());
    let script =
        command("bash").args(["-euc", APK, "bash"]).arg(lab.path("")).args([release, "6.1.0-r0"]).arg(&folder).output();
    let output = script.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lab.manifest(&format!(
        "[kernel.alpine]\nsource = \"apk\"\nrepositories = [\"http://{}/main\"]\npackages = [\"linux-virt\"]\n\
         keyring = \"test.rsa.pub\"\n",
        server.host()
    ));
    let found = fetch(&lab, "alpine").unwrap();
    expect_whole(&found);
    assert_eq!(found.source, "apk: linux-virt 6.1.0-r0");
    expect_reproduced(&lab, "alpine@6.1.0-r0");
    assert_eq!(lab.report().kernels[0].identity.as_ref(), Some(&found.identity));
}

#[test]
fn kernels_of_the_catalogue_are_added_or_chosen_by_their_names() {
    need!("guests", "programs");
    let lab = Lab::with_kernel("");
    let added = done(lab.tool("kernels").args(["add", "ubuntu:22.04/hwe", "--optional"]));
    assert!(added.contains("[kernel.\"ubuntu-22.04-hwe\"]") && added.contains("jammy-updates"), "{added}");
    let manifest = Manifest::load(&lab.path("kernels.toml")).unwrap();
    let chosen = manifest.select(&["ubuntu:22.04/hwe".to_owned()], &|_| None).unwrap();
    assert!(chosen.len() == 1 && chosen[0].optional, "{chosen:?}");
    done(lab.tool("kernels").args(["add", "el:9", "--optional"]));
    assert_eq!(Manifest::load(&lab.path("kernels.toml")).unwrap().kernel("el-9").unwrap().fallbacks.len(), 1);
    let refused = lab.tool("kernels").args(["add", "ubunto:22.04"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("the nearest are `ubuntu:22.04`"), "{said}");

    // A kernel of the user's own catalogue is taken without being declared.
    let image = kernel().image();
    let stored = &kernel().stored;
    let entry = format!(
        "[\"fleet:7\"]\nabout = \"what our machines run\"\nseries = \"5.10\"\nsource = \"path\"\nimage = {:?}\nconfig = {:?}\n",
        image,
        stored.config.as_ref().unwrap()
    );
    fs::write(lab.path("catalogue.toml"), entry).unwrap();
    let listed = done(lab.tool("kernels").args(["catalogue", "fleet"]));
    assert!(listed.contains("what our machines run (yours)"), "{listed}");
    lab.run(&[&story("inode-ctime"), "--cold", "--kernel", "fleet:7"]).expect(GOOD);
    assert_eq!(lab.report().kernels[0].name, "fleet-7");
}
