//! Mainline kernels through a stand-in for virtme-ng.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Puts an image where virtme-ng 1.42 does, and leaves a mark in the working folder.
const DOWNLOADS: &str = r#"#!/bin/sh
[ "$*" = "--run v6.6 --dry-run --skip-modules" ] || exit 9
[ "$(command -v vng)" = "$0" ] || exit 8
echo x >> "$(dirname "$0")/calls"
mkdir -p "$HOME/.cache/virtme-ng/v6.6/amd64/boot"
cp "$(dirname "$0")/image" "$HOME/.cache/virtme-ng/v6.6/amd64/boot/vmlinuz-6.6.0-060600-generic"
echo CONFIG_VIRTIO_PCI=y > "$HOME/.cache/virtme-ng/v6.6/amd64/boot/config-6.6.0-060600-generic"
"#;

impl Fixture {
    fn mainline(script: &str) -> Fixture {
        let fixture = Fixture::new();
        let vng = fixture.write("vng", script.as_bytes());
        fs::set_permissions(&vng, fs::Permissions::from_mode(0o755)).unwrap();
        fixture.write("image", &image("6.6.0-060600-generic"));
        fixture
    }

    fn download(&self, virtme_ng: Option<PathBuf>, offline: bool) -> Result<StoredKernel, StoreError> {
        let mut store = self.store();
        if let Some(vng) = virtme_ng {
            store.download_with(vng);
        }
        let source = Source::Mainline { version: "v6.6".to_owned() };
        store.kernel(&spec("6.6", source), &self.lock(), offline, &quiet)
    }

    fn fetch(&self) -> Result<StoredKernel, StoreError> {
        self.download(Some(self.path("vng")), false)
    }
}

#[test]
fn is_downloaded_once_pinned_and_checked() {
    let fixture = Fixture::mainline(DOWNLOADS);
    let kernel = fixture.fetch().unwrap();
    assert_eq!(kernel.identity.release, "6.6.0-060600-generic");
    assert!(kernel.config.is_some());
    assert_eq!(fixture.download(None, true).unwrap(), kernel);
    assert_eq!(fs::read_to_string(fixture.path("calls")).unwrap(), "x\n");

    fs::remove_dir_all(fixture.path("store")).unwrap();
    fs::write(fixture.path("image"), image("6.6.1-060600-generic")).unwrap();
    let error = fixture.fetch().unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
}

#[test]
fn what_keeps_it_away_is_told() {
    let said =
        |text: &str| Fixture::mainline(&format!("#!/bin/sh\necho \"{text}\" >&2\nexit 1\n")).fetch().unwrap_err();
    let mut all = vec![
        said("Traceback\nrequests.exceptions.ConnectionError: HTTPSConnectionPool(host='x', port=443)"),
        said("failed to retrieve content, error: 404"),
        said("dpkg is not available, unable to uncompress kernel deb"),
        Fixture::mainline("#!/bin/sh\n").fetch().unwrap_err(),
        Fixture::mainline("").download(None, false).unwrap_err(),
        Fixture::mainline("").download(Some("/nowhere/vng".into()), false).unwrap_err(),
        Fixture::mainline("").download(None, true).unwrap_err(),
    ];
    assert!(all.iter().all(StoreError::is_unavailable));
    let text: Vec<String> = all.drain(..).map(|error| error.to_string()).collect();
    insta::assert_snapshot!(text.join("\n"), @r"
    kernel `6.6` is unavailable: virtme-ng cannot reach the archive of mainline kernels
    kernel `6.6` is unavailable: the archive of mainline kernels has no `v6.6`
    kernel `6.6` is unavailable: virtme-ng cannot download `v6.6`: dpkg is not available, unable to uncompress kernel deb
    kernel `6.6` is unavailable: virtme-ng downloaded nothing
    kernel `6.6` is unavailable: virtme-ng, which downloads mainline kernels, is not installed
    kernel `6.6` is unavailable: `vng` is not installed
    kernel `6.6` is not in the store and the run is offline
    ");
}

#[test]
fn archive_that_cannot_be_reached_is_left_alone_for_a_while() {
    let fixture = Fixture::mainline(
        "#!/bin/sh\necho asked >> \"$(dirname \"$0\")/asked\"\necho 'x.ConnectionError: no' >&2\nexit 1\n",
    );
    let asked = || fs::read_to_string(fixture.path("asked")).unwrap().lines().count();
    fixture.fetch().unwrap_err();
    let second = fixture.fetch().unwrap_err();
    assert!(second.is_unavailable() && second.to_string().contains("kernels (asked just now)"), "{second}");
    assert!(second.hint().is_some_and(|hint| hint.contains("10 min")));
    assert_eq!(asked(), 1);
    let mark = fs::File::options().append(true).open(fixture.path("store/unreachable/mainline")).unwrap();
    mark.set_modified(std::time::SystemTime::now() - Duration::from_secs(3600)).unwrap();
    fixture.fetch().unwrap_err();
    assert_eq!(asked(), 2);
}
