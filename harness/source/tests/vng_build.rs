//! Kernels that are built, by a stand-in for virtme-ng.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;
use crate::need::{self, need};

/// Makes a `bzImage` of the tree's file `release` where `O=` says, as the build of a kernel does.
const BUILDS: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/calls"
for output; do :; done
output=${output#O=}
if [ -e broken ]; then
    echo "main.c:1:1: error: expected identifier" >&2
    exit 2
fi
mkdir -p "$output/arch/x86/boot"
cp "$here/image-$(cat release)" "$output/arch/x86/boot/bzImage"
printf 'CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\n' > "$output/.config"
"#;

impl Fixture {
    fn builds() -> Fixture {
        let fixture = Fixture::new();
        fs::create_dir(fixture.path("linux")).unwrap();
        let vng = fixture.write("vng", BUILDS.as_bytes());
        fs::set_permissions(&vng, fs::Permissions::from_mode(0o755)).unwrap();
        for release in ["6.6.0", "6.6.1"] {
            fixture.write(&format!("image-{release}"), &image(release));
        }
        fixture.git(&["init", "--quiet"]);
        for release in ["6.6.0", "6.6.1"] {
            fixture.commit("release", release);
            fixture.git(&["tag", &format!("v{release}")]);
        }
        fixture
    }

    fn git(&self, args: &[&str]) {
        let who = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
        let done = Command::new("git").arg("-C").arg(self.path("linux")).args(who).args(args).output().unwrap();
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn commit(&self, file: &str, content: &str) {
        fs::write(self.path("linux").join(file), content).unwrap();
        fs::write(self.path("linux/Makefile"), "all:\n").unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", file]);
    }

    fn build(&self, version: Option<&str>, config: Option<&str>) -> Result<StoredKernel, StoreError> {
        let mut store = self.store();
        store.download_with(self.path("vng"));
        let (version, config) = (version.map(str::to_owned), config.map(|name| self.path(name)));
        let source = Source::Build { tree: self.path("linux"), version, config };
        store.kernel(&spec("mine", source), &self.lock(), true, &quiet)
    }

    fn output(&self) -> String {
        self.path("store").canonicalize().unwrap().join("builds/mine/output").display().to_string()
    }

    fn calls(&self) -> usize {
        fs::read_to_string(self.path("calls")).unwrap_or_default().lines().count()
    }
}

#[test]
fn a_version_is_built_once_and_the_users_tree_is_left_alone() {
    need!("git");
    let fixture = Fixture::builds();
    let kernel = fixture.build(Some("v6.6.0"), None).unwrap();
    assert_eq!(kernel.identity.release, "6.6.0");
    assert!(kernel.source.starts_with("build: v6.6.0 ("), "{}", kernel.source);
    assert!(kernel.config.is_some());
    assert_eq!(fixture.build(Some("v6.6.0"), None).unwrap().boot_image, kernel.boot_image);
    assert_eq!(fixture.calls(), 1);
    assert_eq!(fs::read_to_string(fixture.path("linux/release")).unwrap(), "6.6.1", "what is checked out there stays");

    assert_eq!(fixture.build(Some("v6.6.1"), None).unwrap().identity.release, "6.6.1");
    fs::write(fixture.path("more.config"), "CONFIG_BPF_LSM=y\n").unwrap();
    fixture.build(Some("v6.6.1"), Some("more.config")).unwrap();
    assert_eq!(fixture.calls(), 3, "other options are another build");
    let calls = fs::read_to_string(fixture.path("calls")).unwrap();
    assert!(calls.lines().all(|line| line.starts_with("--build --skip-modules")), "{calls}");
    assert!(calls.ends_with(&format!("--config {} O={}\n", fixture.path("more.config").display(), fixture.output())));
}

#[test]
fn a_tree_as_it_is_is_left_to_make() {
    need!("git");
    let fixture = Fixture::builds();
    assert_eq!(fixture.build(None, None).unwrap().identity.release, "6.6.1");
    fs::write(fixture.path("linux/release"), "6.6.0").unwrap();
    assert_eq!(fixture.build(None, None).unwrap().identity.release, "6.6.0");
    assert_eq!(fixture.calls(), 2);
}

#[test]
fn a_build_that_fails_says_why() {
    need!("git");
    let fixture = Fixture::builds();
    fixture.commit("broken", "yes");
    let error = fixture.build(Some("HEAD"), None).unwrap_err();
    assert!(error.is_unavailable());
    let text = error.to_string();
    assert!(text.ends_with("`vng --build` failed: main.c:1:1: error: expected identifier"), "{text}");
    assert!(error.hint().is_some_and(|hint| hint.contains("output.log")));
    let error = fixture.build(Some("v9.9"), None).unwrap_err();
    assert!(error.to_string().ends_with("has no version `v9.9`"), "{error}");
    let error = fixture.build(Some("--upload-pack=x"), None).unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    assert_eq!(fixture.calls(), 1);
}
