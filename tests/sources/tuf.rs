//! A disk image in a TUF repository, made by python-tuf's own metadata API and laid out as Bottlerocket's: looked up, verified, pinned, booted; and each way in which a
//! repository is not to be trusted.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use corematrix::manifest::Manifest;
use corematrix::record::Verdict;
use corematrix::source::LockFile;
use corematrix::store::{Store, StoreError, StoredKernel};

use super::common::{Lab, Run, need, verdicts};
use super::disk::ext4;
use super::served_image::forget;
use super::service::{Service, command, done};
use super::system_image::{Files, at, erofs, parts};
use super::{GOOD, expect_whole, story};

const OLD: &str = "1.53.0";
const NEW: &str = "1.54.0";

fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python3")
}

/// A server with the repository, of which one state at a time is to be seen.
struct Repository {
    lab: Lab,
    server: Service,
}

impl Repository {
    /// With a disk that has the test kernel as Bottlerocket has its own.
    fn with_kernel() -> Repository {
        let lab = Lab::with_kernel("");
        let lib = "x86_64-bottlerocket-linux-gnu/sys-root/usr/lib/modules";
        let (boot, root): (Files, Files) = at("vmlinuz", Some("config"), lib);
        let raw = parts(&lab, "system", &[ext4(&lab, "boot", &boot, 32), erofs(&lab, "root", &root)]);
        Repository::of(lab, &raw)
    }

    /// With a disk that has nothing.
    fn empty() -> Repository {
        let lab = Lab::new();
        let raw = lab.path("system.img");
        File::create(&raw).unwrap().set_len(1 << 20).unwrap();
        Repository::of(lab, &raw)
    }

    fn of(lab: Lab, raw: &Path) -> Repository {
        let server = Service::web();
        let mut images = Vec::new();
        for version in [OLD, NEW] {
            // Between the partition table and the first partition.
            File::options().write(true).open(raw).unwrap().write_all_at(version.as_bytes(), 600 << 10).unwrap();
            let packed = lab.path(&format!("{version}.img.lz4"));
            let mut encoder = lz4_flex::frame::FrameEncoder::new(File::create(&packed).unwrap());
            std::io::copy(&mut File::open(raw).unwrap(), &mut encoder).unwrap();
            encoder.finish().unwrap();
            images.push(format!("{version}={}", packed.display()));
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources/tuf_repository.py");
        done(command(python().to_str().unwrap()).arg("-I").arg(script).arg(server.files()).args(images));
        let repository = Repository { lab, server };
        repository.show("old");
        let sum = done(command("sha512sum").arg(repository.server.files().join("root.json")));
        repository.declare("-v{version}.img.lz4", sum.split_whitespace().next().unwrap());
        repository
    }

    fn show(&self, state: &str) {
        let shown = self.server.files().join("metadata");
        let _ = fs::remove_file(&shown);
        symlink(state, shown).unwrap();
    }

    fn declare(&self, name: &str, root_sum: &str) {
        let url = format!("http://{}", self.server.host());
        self.lab.manifest(&format!(
            "[kernel.system]\nsource = \"disk\"\ndisk = \"{url}/targets/bottlerocket-aws-k8s-1.35-x86_64{name}\"\n\
             tuf = \"{url}/metadata/\"\ntuf-root = \"{url}/root.json\"\ntuf-root-checksums = [\"{root_sum}\"]\n"
        ));
    }

    fn fetch(&self) -> Result<StoredKernel, StoreError> {
        let manifest = Manifest::load(&self.lab.path("kernels.toml")).unwrap();
        let spec = &manifest.select(&["system".to_owned()], &|_| None).unwrap()[0];
        let lock = LockFile::open(&self.lab.path("kernels.lock")).unwrap();
        let mut store = Store::open(&self.lab.store()).unwrap();
        store.look_up_with(vec![python()]);
        store.kernel(spec, &lock, false, &|step| println!("{step}"))
    }

    #[track_caller]
    fn expect_refused(&self, texts: &[&str]) -> StoreError {
        forget(&self.lab);
        let error = self.fetch().unwrap_err();
        assert!(texts.iter().all(|text| error.to_string().contains(text)), "{error}");
        error
    }

    fn lock(&self) -> String {
        fs::read_to_string(self.lab.path("kernels.lock")).unwrap()
    }

    fn tool(&self, args: &[&str]) -> String {
        let mut tool = self.lab.tool("kernels");
        tool.args(args);
        let done = Run::start(tool, &self.lab.path(args[0])).wait();
        done.expect(GOOD);
        done.stdout
    }
}

#[test]
fn an_image_of_a_tuf_repository_is_verified_pinned_and_boots() {
    need!("guests", "programs", "python-tuf", "curl", "lighttpd", "mkfs.erofs", "mkfs.ext4", "qemu-img");
    let repository = Repository::with_kernel();
    let Repository { lab, server } = &repository;
    lab.run(&[&story("inode-ctime"), "--cold"]).expect(GOOD);
    let programs = verdicts(&lab.report(), "system", "inode-ctime");
    assert!(!programs.is_empty() && programs.iter().all(|verdict| *verdict == Verdict::Loaded), "{programs:?}");
    expect_whole(&repository.fetch().unwrap());
    let pinned = |version: &str| {
        let name = format!("bottlerocket-aws-k8s-1.35-x86_64-v{version}.img.lz4");
        assert!(
            repository.lock().contains(&format!("name = \"{name}\"\nversion = \"{version}\"")),
            "{}",
            repository.lock()
        );
    };
    pinned(OLD);

    // A newer one, under a newer root, changes nothing until it is requested.
    repository.show("new");
    forget(lab);
    assert!(repository.fetch().unwrap().notes.is_empty());
    pinned(OLD);
    let outdated = repository.tool(&["outdated"]);
    assert!(outdated.contains(OLD) && outdated.contains(NEW), "{outdated}");
    repository.tool(&["update"]);
    pinned(NEW);

    // What was trusted once does not go back, and nothing old or forged is taken.
    repository.show("old");
    repository.expect_refused(&["it is not trusted: ", "version"]);
    repository.show("expired");
    repository.expect_refused(&["it is not trusted: timestamp.json is expired"]);
    repository.show("forged");
    repository.expect_refused(&["it is not trusted: timestamp was signed by 0/1 keys"]);
    // A target with another content, which its checksum gives away.
    repository.show("new");
    let lock = repository.lock();
    let package = lock.split("name = \"bottlerocket").nth(1).unwrap();
    let sha256 = package.split("sha256 = \"").nth(1).unwrap().split('"').next().unwrap();
    let target = server.files().join(format!("targets/{sha256}.bottlerocket-aws-k8s-1.35-x86_64-v{NEW}.img.lz4"));
    let good = fs::read(&target).unwrap();
    fs::write(&target, [&good[..good.len() - 1], b"x"].concat()).unwrap();
    repository.expect_refused(&["its sha256 is `"]);
    fs::write(&target, [&good[..], b"x"].concat()).unwrap();
    repository.expect_refused(&["it is larger than the limit"]);
    fs::write(&target, good).unwrap();

    // One that was withdrawn is gone, as `when-gone` says.
    repository.show("withdrawn");
    fs::write(lab.path("kernels.lock"), lock.replace("\"newest\"", "\"stop\"")).unwrap();
    repository.expect_refused(&[&format!("the pinned disk image {NEW} is gone")]);
    fs::write(lab.path("kernels.lock"), lock).unwrap();
    let kernel = repository.fetch().unwrap();
    assert!(kernel.notes.iter().any(|note| note.contains(&format!("{NEW} is no longer"))), "{:?}", kernel.notes);
    pinned(OLD);
    // One that changed under its version is not taken.
    repository.show("changed");
    repository.expect_refused(&["`kernels.lock` expects sha256 of the disk image"]);
    fs::remove_file(lab.path("kernels.lock")).unwrap();
    repository.show("weak");
    repository.expect_refused(&["it lists no SHA-256"]);
    lab.expect_nothing_left();
}

#[test]
fn a_tuf_repository_that_does_not_help_is_told_apart() {
    need!("python-tuf", "curl", "lighttpd");
    let mut repository = Repository::empty();
    fs::create_dir_all(repository.lab.store().join("kernels")).unwrap();
    let sum = done(command("sha256sum").arg(repository.server.files().join("root.json")));
    let sum = sum.split_whitespace().next().unwrap();
    repository.declare("-v9.9.9.img.lz4", sum);
    assert!(repository.expect_refused(&["lists no target `bottlerocket-aws-k8s-1.35-x86_64-v9.9.9"]).is_unavailable());
    repository.declare("-none-v{version}.img.lz4", sum);
    assert!(repository.expect_refused(&["lists no target `"]).is_unavailable());
    repository.declare("-v{version}.img.lz4", &"0".repeat(64));
    repository.expect_refused(&["root.json`: it is not a root of trust that `tuf-root-checksums` lists"]);
    repository.declare("-v{version}.img.lz4", sum);
    repository.show("nowhere");
    assert!(repository.expect_refused(&["does not give `timestamp.json` (status 404)"]).is_unavailable());
    repository.server.stop();
    assert!(repository.expect_refused(&["the server cannot be reached: ", "refused"]).is_unavailable());
}
