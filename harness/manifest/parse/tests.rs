use std::path::PathBuf;
use std::time::Duration;

use super::super::{BtfArchive, BtfPlace, ManifestError, Source};
use super::*;

const PATH: &str = "/matrix/kernels.toml";

fn good(text: &str) -> Manifest {
    parse(text, Path::new(PATH)).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The problems as a user sees them.
fn shown_problems(text: &str) -> String {
    let problems = parse(text, Path::new(PATH)).unwrap_err();
    ManifestError::Invalid { path: "kernels.toml".into(), problems }.to_string()
}

#[test]
fn the_manifest_of_the_project_is_right() {
    let manifest = Manifest::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels.toml")).unwrap();
    let names: Vec<&str> = manifest.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
    let all = "5.4 5.10 5.15 6.1 6.6 6.8 6.10 6.12 6.16 6.17 6.18 6.19 7.0 7.1 7.2 7.3";
    assert_eq!(names.join(" "), all);
    assert_eq!(manifest.matrix.join(" "), "5.4 5.10 5.15 6.1 6.6 6.8 6.10 6.12 6.17 6.18 6.19 7.1 7.3");
    for kernel in &manifest.kernels {
        // What needs the internet must not fail a run, and what Debian has must not be skipped silently.
        let from = |label: &str| kernel.sources().any(|source| source.label() == label);
        assert_eq!((kernel.optional, kernel.optional), (from("oci"), from("mainline")), "{}", kernel.name);
        // Of 5.4 the mainline builds have no BTF.
        assert_eq!(kernel.source.label() == "oci", kernel.name == "5.4", "{}", kernel.name);
        if let Source::Apt { packages, .. } = &kernel.source {
            let series = format!("-{}.", kernel.name);
            assert!(packages.iter().all(|package| package.contains(&series)), "{}", kernel.name);
        }
    }
}

#[test]
fn the_globs_of_the_project_take_one_flavour_each() {
    let manifest = Manifest::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels.toml")).unwrap();
    let table = [
        ("5.10", "linux-image-5.10.0-32-cloud-amd64", "linux-image-5.10.0-32-amd64", "linux-image-5.10.0-32-rt-amd64"),
        ("6.1", "linux-image-6.1.0-50-cloud-amd64", "linux-image-6.1.0-50-amd64", "linux-image-6.12.0-50-amd64"),
        (
            "7.2",
            "linux-binary-7.2.12+deb13-cloud-amd64",
            "linux-binary-7.2.12+deb13-amd64",
            "linux-binary-unsigned-7.2.12+deb13-amd64",
        ),
    ];
    for (name, cloud, plain, neither) in table {
        let kernel = manifest.kernels.iter().find(|kernel| kernel.name == name).unwrap();
        let Source::Apt { packages, .. } = &kernel.source else { panic!("{name} is not from apt") };
        let globs: Vec<glob::Pattern> = packages.iter().map(|package| glob::Pattern::new(package).unwrap()).collect();
        let hits = |package: &str| globs.iter().map(|glob| glob.matches(package)).collect::<Vec<_>>();
        assert_eq!(hits(cloud), [true, false], "{cloud}");
        assert_eq!(hits(plain), [false, true], "{plain}");
        assert_eq!(hits(neither), [false, false], "{neither}");
    }
}

#[test]
fn defaults_fill_in_and_kernels_override() {
    let manifest = good(
        r#"
        [defaults]
        memory = "512MiB"
        program-timeout = "5s"
        [kernel."6.1"]
        source = "apt"
        suites = ["bookworm", "sid"]
        packages = ["linux-image-6.1.*-amd64"]
        append = ["nokaslr", "lsm=bpf"]
        [kernel."5.4"]
        source = "mainline"
        version = "v5.4"
        optional = true
        memory = "2GiB"
        boot-timeout = "1m 30s"
        "#,
    );
    let [old, new] = manifest.kernels.as_slice() else { panic!("{:?}", manifest.kernels) };
    assert_eq!((old.name.as_str(), old.memory_mib, old.optional), ("5.4", 2048, true));
    assert_eq!(old.boot_timeout, Duration::from_secs(90));
    assert_eq!(old.program_timeout, Duration::from_secs(5));
    assert_eq!(old.source, Source::Mainline { version: "v5.4".to_owned(), mirror: None, keys: None });
    assert_eq!((new.name.as_str(), new.memory_mib, new.optional), ("6.1", 512, false));
    assert_eq!(new.boot_timeout, GuestLimits::BUILT_IN.boot_timeout);
    assert_eq!(new.append, ["nokaslr", "lsm=bpf"]);
    let suites = vec!["bookworm".to_owned(), "sid".to_owned()];
    assert_eq!(new.source, Source::Apt { suites, packages: vec!["linux-image-6.1.*-amd64".to_owned()], archive: None });
    // No `[matrix]`: all of them.
    assert_eq!(manifest.matrix, ["5.4", "6.1"]);
    assert_eq!(manifest.path, Path::new(PATH));
}

#[test]
fn paths_start_at_the_folder_of_the_file() {
    let manifest = good(
        r#"
        [kernel.mine]
        source = "path"
        image = "../linux/bzImage"
        modules = "/lib/modules/6.1.0"
        "#,
    );
    let image = PathBuf::from("/matrix/../linux/bzImage");
    let modules = Some(PathBuf::from("/lib/modules/6.1.0"));
    assert_eq!(manifest.kernels[0].source, Source::Path { image, modules, config: None });
}

#[test]
fn types_alone_are_a_source_from_a_file_an_archive_or_a_package() {
    let manifest = good(
        r#"
        [kernel.focal]
        source = "btf"
        btf = "archive/ubuntu/20.04/x86_64/*"
        [kernel."5.4"]
        source = "path"
        image = "bzImage"
        btf = "for-relocations.btf"
        [[kernel."5.4".fallback]]
        source = "btf"
        package = "some-data"
        suites = ["bullseye"]
        file = "usr/share/vmlinux.btf.gz"
        release = "5.4"
        "#,
    );
    let [old, focal] = &manifest.kernels[..] else { panic!() };
    let path = BtfPlace::Path(PathBuf::from("/matrix/archive/ubuntu/20.04/x86_64/*"));
    assert_eq!((&focal.source, &focal.btf), (&Source::Btf { place: path, release: None }, &None));
    assert_eq!(old.btf, Some(PathBuf::from("/matrix/for-relocations.btf")));
    let place = BtfPlace::Package {
        package: "some-data".to_owned(),
        suites: vec!["bullseye".to_owned()],
        file: "usr/share/vmlinux.btf.gz".to_owned(),
    };
    assert_eq!(old.fallbacks, [Source::Btf { place, release: Some("5.4".to_owned()) }]);
    let url = "https://a.example/1/vmlinux";
    let sum = "AB".repeat(32);
    for (line, sha256) in [(String::new(), None), (format!("sha256 = [\"{sum}\"]"), Some(sum.to_lowercase()))] {
        let manifest = good(&format!("[kernel.cos]\nsource = \"btf\"\nbtf = \"{url}\"\n{line}"));
        let place = BtfPlace::Server { url: url.to_owned(), sha256 };
        assert_eq!(manifest.kernels[0].source, Source::Btf { place, release: None });
    }
    let problems = shown_problems("[kernel.a]\nsource = \"btf\"\nbtf = \"x\"\nsha256 = [\"00\"]\n");
    assert!(problems.contains("`00` is not a SHA-256") && problems.contains("`sha256` needs a `btf` that is a URL"));
    insta::assert_snapshot!(shown_problems(
        "[kernel.a]\nsource = \"btf\"\n[kernel.b]\nsource = \"btf\"\npackage = \"a b\"\nfile = \"../x\"\nsuites = [\"sid\"]\n[kernel.c]\nsource = \"btf\"\nbtf = \"x\"\nfile = \"y\"\n[kernel.d]\nsource = \"btf\"\npackage = \"x\"\n"
    ));
}

#[test]
fn point_releases_mirrors_and_an_archive_of_types_are_read() {
    let manifest = good(
        r#"
        [defaults]
        btf = "btfhub-archive"
        [kernel."6.6"]
        source = "mainline"
        version = "v6.6.*"
        mirror = "http://mirror.example.org/mainline"
        "#,
    );
    let [kernel] = manifest.kernels.as_slice() else { panic!("{:?}", manifest.kernels) };
    let mirror = Some("http://mirror.example.org/mainline".to_owned());
    assert_eq!(kernel.source, Source::Mainline { version: "v6.6.*".to_owned(), mirror, keys: None });
    let folder = Path::new(PATH).parent().unwrap();
    assert_eq!(kernel.btf_archive, Some(BtfArchive::Folder(folder.join("btfhub-archive"))));
    for wrong in ["version = \"6.6.*\"", "version = \"v6.6.1.*\"", "version = \"v6.*\"", "version = \"v6.6-/../x\""] {
        let text = format!("[kernel.x]\nsource = \"mainline\"\n{wrong}\n");
        assert!(shown_problems(&text).contains("which is not an upstream version"), "{wrong}");
    }
    let text = "[kernel.x]\nsource = \"mainline\"\nversion = \"v6.6\"\nmirror = \"ftp://x\"\n";
    assert!(shown_problems(text).contains("`mirror` is not an `http` or `https` URL"));
}

#[test]
fn fallbacks_stand_in_their_order() {
    let manifest = good(
        r#"
        [kernel."6.6"]
        source = "mainline"
        version = "v6.6"
        [[kernel."6.6".fallback]]
        source = "path"
        image = "bzImage"
        [[kernel."6.6".fallback]]
        source = "mainline"
        version = "v6.6.1"
        "#,
    );
    let path = Source::Path { image: PathBuf::from("/matrix/bzImage"), modules: None, config: None };
    assert_eq!(
        manifest.kernels[0].fallbacks,
        [path, Source::Mainline { version: "v6.6.1".to_owned(), mirror: None, keys: None }]
    );
}

#[test]
fn an_archive_is_named_whole_or_refused() {
    let apt =
        |more: &str| format!("[kernel.x]\nsource = \"apt\"\nsuites = [\"noble\"]\npackages = [\"linux-*\"]\n{more}\n");
    let archive = |more: &str| match &good(&apt(more)).kernels[0].source {
        Source::Apt { archive, .. } => archive.clone(),
        other => panic!("{other}"),
    };
    assert_eq!(archive(""), None);
    let plain = archive("mirror = \"http://example.org/ubuntu\"").unwrap();
    assert_eq!((plain.components, plain.keyring, plain.trusted), (vec!["main".to_owned()], None, false));
    let full = "mirror = \"https://example.org/u\"\nkeyring = \"k.gpg\"\ncomponents = [\"main\", \"universe\"]";
    let full = archive(full).unwrap();
    assert_eq!((full.components.len(), full.keyring.unwrap()), (2, PathBuf::from("/matrix/k.gpg")));
    let problems = [
        "keyring = \"k.gpg\"",
        "mirror = \"example.org\"",
        "mirror = \"http://\"\ncomponents = [\"-o\"]",
        "mirror = \"http://x\"\nkeyring = \"k\"\ntrusted = true",
    ];
    let messages: Vec<String> = problems.iter().map(|more| shown_problems(&apt(more))).collect();
    insta::assert_snapshot!(messages.join("\n"), @r#"
    kernels.toml:5: kernel `x`: `keyring` needs a `mirror`; without one, the settings of apt apply
      hint: remove it, or write `mirror = "http://archive.example.org/ubuntu"`
    kernels.toml:5: kernel `x`: `mirror` is not an `http` or `https` URL
      hint: write `mirror = "http://archive.example.org/ubuntu"`
    kernels.toml:5: kernel `x`: `mirror` is not an `http` or `https` URL
      hint: write `mirror = "http://archive.example.org/ubuntu"`
    kernels.toml:6: kernel `x`: `-o` is not a component
      hint: a component is a word like `main`
    kernels.toml:5: kernel `x`: `trusted` (accept unsigned packages) and `keyring` (require signatures) exclude each other
      hint: remove one of them
    "#);
}

#[test]
fn kernels_stand_oldest_first_and_unversioned_last_in_file_order() {
    let declare = |name: &str| format!("[kernel.\"{name}\"]\nsource = \"path\"\nimage = \"x\"\n");
    let text: String = ["zoo", "6.12", "6.12-rc3", "5.10", "5.4", "ark"].map(declare).concat();
    let manifest = good(&text);
    let names: Vec<&str> = manifest.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
    assert_eq!(names, ["5.4", "5.10", "6.12-rc3", "6.12", "zoo", "ark"]);
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/manifest/every-problem.toml"));
    insta::assert_snapshot!(shown_problems(text));
}

#[test]
fn all_syntax_errors_are_told_with_their_lines() {
    insta::assert_snapshot!(shown_problems(
        "[kernel.\"6.1\"]\nsource = apt\nsuites = [\"x\"\n\nsource = \"apt\"\n[oops\n"
    ));
    insta::assert_snapshot!(shown_problems(
        "[kernel.a]\nsource = \"path\"\nimage = \"x\"\n[kernel.a]\nsource = \"path\"\n"
    ));
}

#[test]
fn a_file_without_kernels_says_so() {
    for text in ["", "# nothing\n", "[kernel]\n"] {
        assert!(shown_problems(text).contains("no kernel is declared"), "{text}");
    }
    assert!(shown_problems("kernel = 3\n").contains("`kernel` must be a table, found integer"));
}

#[test]
fn a_missing_file_has_a_hint() {
    let error = Manifest::load(Path::new("no/such/kernels.toml")).unwrap_err();
    assert!(error.to_string().starts_with("cannot read `no/such/kernels.toml`: "));
    assert!(error.hint().is_some());
}

#[test]
fn no_text_makes_it_panic() {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/manifest/every-problem.toml"));
    for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
        let _ = parse(&text[..end], Path::new(PATH));
        let _ = parse(&text[end..], Path::new(PATH));
    }
}
