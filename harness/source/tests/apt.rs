//! Kernels and tools from a stand-in for apt.

use super::stand_in::{Repository, from_apt};
use super::*;

const OLD: &str = "6.1.0-47-amd64";
const NEW: &str = "6.1.0-50-amd64";

fn two_versions() -> Repository {
    let repository = Repository::new();
    repository.add_kernel(OLD, "6.1.99-1");
    repository.add_kernel(NEW, "6.1.176-1");
    repository
}

fn fetch(repository: &Repository) -> Result<StoredKernel, StoreError> {
    repository.store().kernel(&from_apt("linux-image-6.1.*"), &repository.lock(), false, &quiet)
}

#[test]
fn the_newest_is_fetched_once_and_pinned() {
    let repository = two_versions();
    let kernel = fetch(&repository).unwrap();
    assert_eq!(kernel.identity.release, NEW);
    assert_eq!(kernel.source, "apt: sid linux-image-6.1.0-50-amd64 6.1.176-1");
    assert_eq!(kernel.identity.image_sha256, checksum::of_bytes(&image(NEW)));
    assert!(fs::read(&kernel.boot_image).unwrap().starts_with(b"\x7fELF"));
    assert_eq!(fs::read(kernel.btf.as_ref().unwrap()).unwrap(), crate::store::image::tests::TYPES);
    assert!(fs::read_to_string(kernel.config.as_ref().unwrap()).unwrap().contains("CONFIG_BPF=y"));
    let names: Vec<_> = kernel.modules.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    // `helper` is no virtio driver, so it was only unpacked because `virtio_console` asked for it.
    assert_eq!(names, ["00-virtio.ko", "01-virtio_pci.ko", "02-helper.ko", "03-virtio_console.ko"]);
    assert_eq!(kernel.notes, Vec::<String>::new());

    let calls = repository.calls("apt-get");
    fs::write(repository.path("down"), "").unwrap();
    assert_eq!(fetch(&repository).unwrap(), kernel);
    let offline = repository.store().kernel(&from_apt("linux-image-6.1.*"), &repository.lock(), true, &quiet).unwrap();
    assert_eq!(offline, kernel);
    assert_eq!(repository.calls("apt-get"), calls, "the network is not touched again");
    let text = fs::read_to_string(repository.path("kernels.lock")).unwrap();
    assert!(!text.contains("example") && !text.contains(repository.path("").to_str().unwrap()), "{text}");
}

#[test]
fn a_new_lock_file_takes_what_the_store_has() {
    let repository = two_versions();
    fetch(&repository).unwrap();
    let text = fs::read_to_string(repository.path("kernels.lock")).unwrap();
    fs::remove_file(repository.path("kernels.lock")).unwrap();
    fetch(&repository).unwrap();
    assert_eq!(repository.calls("download"), 1);
    assert_eq!(fs::read_to_string(repository.path("kernels.lock")).unwrap(), text);
}

#[test]
fn a_package_whose_file_is_gone_gives_way_to_the_next() {
    let repository = two_versions();
    repository.lose(&format!("linux-image-{NEW}"), "6.1.176-1");
    let kernel = fetch(&repository).unwrap();
    assert_eq!(kernel.identity.release, OLD);
    assert_eq!(kernel.notes, ["listed but gone from the mirror: `linux-image-6.1.0-50-amd64` 6.1.176-1"]);

    repository.lose(&format!("linux-image-{OLD}"), "6.1.99-1");
    fs::remove_dir_all(repository.path("store")).unwrap();
    fs::remove_file(repository.path("kernels.lock")).unwrap();
    let error = fetch(&repository).unwrap_err();
    assert!(error.is_unavailable() && error.hint().is_some(), "{error}");
}

#[test]
fn what_is_pinned_is_taken_even_if_there_is_newer() {
    let repository = Repository::new();
    repository.add_kernel(OLD, "6.1.99-1");
    fetch(&repository).unwrap();
    repository.add_kernel(NEW, "6.1.176-1");
    fs::remove_dir_all(repository.path("store")).unwrap();
    assert_eq!(fetch(&repository).unwrap().identity.release, OLD);
}

#[test]
fn a_manifest_that_asks_for_something_else_is_followed() {
    let repository = two_versions();
    fetch(&repository).unwrap();
    let spec = from_apt("linux-image-6.1.0-47-*");
    let kernel = repository.store().kernel(&spec, &repository.lock(), false, &quiet).unwrap();
    assert_eq!(kernel.identity.release, OLD);
    assert_eq!(repository.lock().kernel("6.1").unwrap().release, OLD);
}

#[test]
fn a_pinned_version_that_is_gone_is_replaced_or_stops() {
    for listed in [true, false] {
        let repository = Repository::new();
        repository.add_kernel(OLD, "6.1.99-1");
        fetch(&repository).unwrap();
        repository.lose(&format!("linux-image-{OLD}"), "6.1.99-1");
        if !listed {
            fs::write(repository.path("Packages"), "").unwrap();
        }
        repository.add_kernel(NEW, "6.1.176-1");
        fs::remove_dir_all(repository.path("store")).unwrap();

        let before = fs::read_to_string(repository.path("kernels.lock")).unwrap();
        fs::write(repository.path("kernels.lock"), before.replace("\"newest\"\n\n", "\"stop\"\n\n")).unwrap();
        let error = fetch(&repository).unwrap_err();
        assert!(!error.is_unavailable());
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"kernel `6.1`: the pinned `linux-image-6.1.0-47-amd64` 6.1.99-1 is gone \
        from the mirror");
        }

        fs::write(repository.path("kernels.lock"), before).unwrap();
        let kernel = fetch(&repository).unwrap();
        assert_eq!(kernel.notes, ["pinned 6.1.99-1 is gone from the mirror; using 6.1.176-1"]);
        assert_eq!(repository.lock().kernel("6.1").unwrap().packages[0].version, "6.1.176-1");
    }
}

#[test]
fn stale_lists_are_updated_when_a_file_is_gone() {
    let repository = Repository::new();
    repository.add_kernel(OLD, "6.1.99-1");
    fetch(&repository).unwrap();
    fs::remove_file(repository.path("kernels.lock")).unwrap();
    fs::remove_dir_all(repository.path("store/kernels")).unwrap();
    // The mirror moved on: only an update shows what it has now.
    let stale = fs::read(repository.path("Packages")).unwrap();
    repository.lose(&format!("linux-image-{OLD}"), "6.1.99-1");
    fs::write(repository.path("Packages"), "").unwrap();
    repository.add_kernel(NEW, "6.1.176-1");
    fs::rename(repository.path("Packages"), repository.path("Packages.next")).unwrap();
    fs::write(repository.path("Packages"), stale).unwrap();
    assert!(fetch(&repository).unwrap_err().is_unavailable(), "lists of this minute are not fetched again");
    assert_eq!(repository.calls("update"), 1);
    let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    fs::File::open(repository.path("store/apt/sid/updated")).unwrap().set_modified(hour_ago).unwrap();
    assert_eq!(fetch(&repository).unwrap().identity.release, NEW);
    assert_eq!(repository.calls("update"), 2);
}

#[test]
fn another_package_under_the_pinned_version_is_refused() {
    let repository = two_versions();
    fetch(&repository).unwrap();
    fs::remove_dir_all(repository.path("store")).unwrap();
    fs::write(repository.path("Packages"), "").unwrap();
    repository.add("linux-image-6.1.0-50-amd64", "6.1.176-1", &[("./boot/vmlinuz-x", b"other")]);
    let error = fetch(&repository).unwrap_err();
    assert!(matches!(&error, StoreError::Mismatch { field, .. } if field.contains("sha256")), "{error}");
    assert!(!error.is_unavailable());
    assert!(error.to_string().starts_with("kernel `6.1`: `kernels.lock` expects"), "{error}");
    assert!(error.hint().unwrap().contains("kernels.lock"));
}

#[test]
fn another_release_or_image_than_the_pinned_is_refused() {
    let repository = two_versions();
    fetch(&repository).unwrap();
    let text = fs::read_to_string(repository.path("kernels.lock")).unwrap();
    for change in [("release = \"6.1.0-50", "release = \"6.1.0-51"), ("image-sha256 = \"", "image-sha256 = \"00")] {
        for stored in [true, false] {
            if !stored {
                fs::remove_dir_all(repository.path("store")).unwrap();
            }
            fs::write(repository.path("kernels.lock"), text.replace(change.0, change.1)).unwrap();
            let error = fetch(&repository).unwrap_err();
            assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
            if !stored {
                assert_eq!(repository.entries(), 0, "what was refused is not kept");
            }
            fs::write(repository.path("kernels.lock"), &text).unwrap();
            fetch(&repository).unwrap();
        }
    }
}

#[test]
fn a_split_kernel_of_which_only_the_image_is_left_says_what_that_costs() {
    let repository = Repository::new();
    let release = "7.0.13-amd64";
    repository.list("Packages", &format!("linux-image-{release}"), "7.0.13-1", "00");
    let path = format!("./boot/vmlinuz-{release}");
    repository.add(&format!("linux-binary-{release}"), "7.0.13-1", &[(&path, &image(release))]);
    let spec = from_apt("linux-image-7.0.*");
    let kernel = repository.store().kernel(&spec, &repository.lock(), false, &quiet).unwrap();
    insta::assert_snapshot!(kernel.notes.join("\n"), @r"
    the mirror has no `linux-base` package with the config of `linux-binary-7.0.13-amd64` 7.0.13-1
    no kernel config: objects with kconfig externs cannot be judged
    cannot determine whether `virtio_console`, `virtio_pci` are built in; assuming so
    ");

    // With its base package it is another, better entry.
    let builtin = b"kernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/char/virtio_console.ko\n";
    let folder = format!("./usr/lib/modules/{release}");
    let files: [(&str, &[u8]); 2] =
        [(&format!("{folder}/config"), b"CONFIG_BPF=y\n"), (&format!("{folder}/modules.builtin"), builtin)];
    repository.add(&format!("linux-base-{release}"), "7.0.13-1", &files);
    fs::remove_file(repository.path("kernels.lock")).unwrap();
    let kernel = repository.store().kernel(&spec, &repository.lock(), false, &quiet).unwrap();
    assert!(kernel.notes.is_empty() && kernel.config.is_some(), "{:?}", kernel.notes);
}

#[test]
fn an_unreachable_mirror_makes_the_kernel_unavailable_and_stays_unnamed() {
    let repository = two_versions();
    fs::write(repository.path("down"), "").unwrap();
    let error = fetch(&repository).unwrap_err();
    assert!(error.is_unavailable());
    insta::assert_snapshot!(error, @"kernel `6.1` is unavailable: updating the package lists of sid failed: the mirror cannot be reached");
    fs::remove_file(repository.path("etc/sources.list")).unwrap();
    let error = fetch(&repository).unwrap_err();
    assert!(error.is_unavailable());
    insta::assert_snapshot!(error, @"kernel `6.1` is unavailable: the apt sources of this machine name no Debian archive");
    fs::write(repository.path("etc/sources.list"), "deb http://apt.example/debian sid main\n").unwrap();
    fs::remove_file(repository.path("apt-get")).unwrap();
    let error = fetch(&repository).unwrap_err();
    assert!(error.is_unavailable());
    insta::assert_snapshot!(error, @"kernel `6.1` is unavailable: `apt-get` is not installed");
}

#[test]
fn offline_says_so() {
    let repository = two_versions();
    let spec = from_apt("linux-image-6.1.*");
    let error = repository.store().kernel(&spec, &repository.lock(), true, &quiet).unwrap_err();
    assert!(error.is_unavailable() && error.hint().unwrap().contains("--offline"), "{error}");
    assert_eq!(repository.calls("apt-get"), 0);
}

#[test]
fn a_damaged_package_or_image_is_no_kernel() {
    let repository = Repository::new();
    let whole = image(NEW);
    let path = format!("./boot/vmlinuz-{NEW}");
    repository.add(&format!("linux-image-{NEW}"), "6.1.176-1", &[(&path, &whole[..1700])]);
    let error = fetch(&repository).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }) && error.to_string().contains("truncated"), "{error}");
    assert_eq!(repository.entries(), 0);
    assert_eq!(fs::read_dir(repository.path("store/tmp")).unwrap().count(), 0);
    assert!(repository.lock().kernel("6.1").is_none());

    let repository = two_versions();
    let deb = repository.path(&format!("pool/linux-image-{NEW}=6.1.176-1.deb"));
    fs::write(&deb, &fs::read(&deb).unwrap()[..500]).unwrap();
    assert!(matches!(fetch(&repository).unwrap_err(), StoreError::Corrupt { .. }));
}

#[test]
fn tools_are_pinned_and_unpacked_like_kernels() {
    let repository = Repository::new();
    repository.add("libbpf-tools", "0.29-1", &[("./usr/sbin/opensnoop", b"tool")]);
    repository.add("libbpf-tools-doc", "0.31-1", &[]);
    let suites = ["sid".to_owned()];
    let fetch = || repository.store().debian_package("libbpf-tools", &suites, &repository.lock(), false, &quiet);
    let folder = fetch().unwrap();
    assert_eq!(fs::read(folder.join("usr/sbin/opensnoop")).unwrap(), b"tool");
    repository.add("libbpf-tools", "0.31-1", &[("./usr/sbin/opensnoop", b"newer")]);
    assert_eq!(fetch().unwrap(), folder, "the pinned version");
    assert_eq!(repository.calls("download"), 1);

    fs::remove_dir_all(repository.path("store")).unwrap();
    repository.lose("libbpf-tools", "0.29-1");
    let folder = fetch().unwrap();
    assert_eq!(fs::read(folder.join("usr/sbin/opensnoop")).unwrap(), b"newer");
    assert_eq!(repository.lock().package("libbpf-tools", &["sid".to_owned()]).unwrap().version, "0.31-1");
    let unknown = repository.store().debian_package("no-such-tools", &suites, &repository.lock(), false, &quiet);
    assert!(unknown.unwrap_err().is_unavailable());
}

#[test]
fn an_update_takes_the_newest_and_pins_it() {
    let repository = Repository::new();
    repository.add_kernel(OLD, "6.1.99-1");
    fetch(&repository).unwrap();
    let spec = from_apt("linux-image-6.1.*");
    let update = || repository.store().newest_kernel(&spec, &repository.lock(), &quiet);
    // Nothing newer: nothing is fetched again.
    let downloads = repository.calls("download");
    assert_eq!(update().unwrap().identity.release, OLD);
    assert_eq!(repository.calls("download"), downloads);
    repository.add_kernel(NEW, "6.1.176-1");
    assert_eq!(fetch(&repository).unwrap().identity.release, OLD);
    assert_eq!(update().unwrap().identity.release, NEW);
    assert_eq!(repository.lock().kernel("6.1").unwrap().release, NEW);
    // What cannot be updated stays as it is. Lists that are minutes old are not asked for again.
    let lists = fs::File::options().append(true).open(repository.path("store/apt/sid/updated")).unwrap();
    lists.set_modified(std::time::UNIX_EPOCH).unwrap();
    fs::write(repository.path("down"), "").unwrap();
    assert!(update().unwrap_err().is_unavailable());
    assert_eq!(fetch(&repository).unwrap().identity.release, NEW);
}
