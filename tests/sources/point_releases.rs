//! Several builds of a kernel in one repository, run and searched as separate kernels.

use std::fs;
use std::path::Path;

use corematrix::manifest::Manifest;
use corematrix::matrix::Places;
use corematrix::record::Verdict;
use corematrix::source::LockFile;
use corematrix::store::{Store, StoredKernel};
use serde_json::Value;

use super::common::{Lab, Run, need};
use super::repository::{Key, index, rpms};
use super::service::{Service, done};
use super::{BROKEN, kernel, story};

/// A kernel of the project's manifest, out of the user's store.
fn stored(name: &str) -> StoredKernel {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let spec = Manifest::load(&project.join("kernels.toml")).unwrap().kernel(name).unwrap();
    let lock = LockFile::open(&project.join("kernels.lock")).unwrap();
    let store = Store::open(&Places::from_environment(None).unwrap().store).unwrap();
    store.kernel(&spec, &lock, false, &drop).unwrap()
}

/// The first of the builds with another kernel is 6.1.0-52: there `task_struct.state` has gone.
#[test]
fn builds_of_a_kernel_are_run_and_searched_as_kernels_of_their_own() {
    need!("guests", "programs", "createrepo_c", "curl", "gpg", "gpgv", "lighttpd", "rpmbuild", "rpmsign");
    let (lab, mut server, key) = (Lab::with_kernel(""), Service::web(), Key::new());
    let (old, new) = (&kernel().stored, stored("6.1"));
    let folder = server.files().join("os");
    for build in ["50.el9", "51.el9"] {
        rpms(&lab, &key, &folder.join("Packages"), build, old);
    }
    rpms(&lab, &key, &folder.join("Packages"), "52.el9", &new);
    index(&key, &folder, "gz");
    key.export(&lab.path("keys.asc"));
    lab.manifest(&format!(
        "[kernel.el9]\nsource = \"rpm\"\nrepositories = [\"http://{}/os\"]\npackages = [\"kernel-core\"]\n\
         keyring = \"keys.asc\"\nbuilds = \"last:2\"\n",
        server.host()
    ));
    let object = story("task-state");
    let ran = lab.run(&[&object, "--kernel", "el9"]);
    ran.expect(BROKEN);
    let report = lab.report();
    let names: Vec<&str> = report.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
    assert_eq!(names, ["el9@6.1.0-51.el9", "el9@6.1.0-52.el9"]);
    let naive = |kernel: usize| {
        let programs = &report.cells[kernel].programs;
        programs.iter().find(|program| program.name == "naive").unwrap().verdict
    };
    assert_eq!((naive(0), naive(1)), (Verdict::Loaded, Verdict::RelocationFailed));
    assert!(
        ran.stdout.contains("loads up to el9@6.1.0-51.el9, relocation failed from el9@6.1.0-52.el9"),
        "{}",
        ran.stdout
    );
    // A failure of one build can be reproduced from its bundle.
    let bundle = fs::read_dir(lab.out().join("bundles")).unwrap().next().unwrap().unwrap().path();
    let mut repro = lab.tool("repro");
    repro.arg(&bundle);
    let reproduced = Run::start(repro, &lab.path("repro")).wait();
    assert!(reproduced.stdout.contains("reproduced: "), "{}{}", reproduced.stdout, reproduced.stderr);
    // Each is pinned, and so is which they are.
    let lock = fs::read_to_string(lab.path("kernels.lock")).unwrap();
    assert!(lock.contains("\"el9@last:2\" = ") && lock.contains("[kernel.\"el9@6.1.0-51.el9\"]"), "{lock}");

    // All of them, and the one before which it works: two guests, since their types are available.
    let bisect = |words: &[&str]| -> Value {
        let mut command = lab.tool("bisect");
        command.args([object.as_str(), "naive", "--json"]).args(words);
        let ended = Run::start(command, &lab.path("bisect")).wait();
        ended.expect(0);
        serde_json::from_str(&ended.stdout).unwrap()
    };
    let found = bisect(&["--kernel", "el9@all"]);
    assert_eq!(found["kernels"], 3);
    assert_eq!(found["last_good"]["kernel"], "el9@6.1.0-51.el9", "{found:#}");
    assert_eq!(found["first_bad"]["kernel"], "el9@6.1.0-52.el9", "{found:#}");

    // What is pinned needs no server; a build by name neither.
    server.stop();
    let listed = done(lab.tool("kernels").arg("list"));
    assert!(listed.contains("el9@6.1.0-52.el9") && !listed.contains("el9@6.1.0-50.el9"), "{listed}");
    let out = lab.path("again");
    let mut command = lab.command_to(&out, &[&object, "--kernel", "el9@6.1.0-51.el9", "--offline"]);
    assert!(command.output().unwrap().status.success());
}
