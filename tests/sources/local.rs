//! Kernels that lie on this machine: in the tree in which they were built, and the one that runs.

use std::fs;

use corematrix::record::RelocationOutcome;

use super::common::{Lab, kernel, need};
use super::service::{command, done};
use super::{GOOD, expect_whole, fetch, installed, lay_out, modules, release, story};

#[test]
fn a_build_tree_gives_image_config_and_drivers() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let tree = lab.path("linux");
    let drivers =
        modules().into_iter().filter_map(|(name, bytes)| Some((name.strip_prefix("kernel/")?.to_owned(), bytes)));
    lay_out(&tree, &drivers.filter(|(name, _)| name.starts_with("drivers/")).collect::<Vec<_>>());
    lay_out(&tree, &[(".config".to_owned(), fs::read(kernel().stored.config.as_ref().unwrap()).unwrap())]);
    lab.manifest("[kernel.built]\nsource = \"tree\"\ntree = \"linux\"\n");
    let error = fetch(&lab, "built").unwrap_err();
    assert!(error.is_unavailable() && error.hint().unwrap().contains("make bzImage"), "{error}");

    lay_out(&tree, &[("arch/x86/boot/bzImage".to_owned(), fs::read(kernel().image()).unwrap())]);
    let built = fetch(&lab, "built").unwrap();
    expect_whole(&built);
    assert_eq!(fetch(&lab, "built").unwrap(), built);
}

#[test]
fn the_running_kernel_is_taken_or_it_is_told_where_it_is_not() {
    need!("guests");
    let lab = Lab::with_kernel("");
    lab.manifest("[kernel.here]\nsource = \"host\"\n");
    let running = rustix::system::uname().release().to_str().unwrap().to_owned();
    match fetch(&lab, "here") {
        Ok(found) => assert_eq!(found.identity.release, running),
        // In a container there is none, and others let only root read it.
        Err(error) => {
            assert!(error.is_unavailable(), "{error}");
            assert!(error.to_string().contains(&format!("vmlinuz-{running}`")), "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
    }
}

/// Debian's kernel as a distribution ships it that has no BTF. Two of the archive's are called by its release, and only one is of who built it.
#[test]
fn a_kernel_without_btf_gets_that_of_its_distribution_from_an_archive() {
    need!("guests", "programs", "objcopy", "tar", "xz");
    let (lab, release) = (Lab::with_kernel(""), release());
    lay_out(&lab.path(""), &installed());
    let own = fs::read(kernel().stored.btf.as_ref().unwrap()).unwrap();
    let removed = ["--rename-section", ".BTF=.removed"];
    done(command("objcopy").args(removed).arg(&kernel().stored.boot_image).arg(lab.path("vmlinux")));
    let table = format!(
        "[kernel.old]\nsource = \"path\"\nimage = \"vmlinux\"\nconfig = \"boot/config-{release}\"\n\
         modules = \"lib/modules/{release}\"\nappend = [\"corematrix.fault=no-btf\"]\n"
    );
    lab.manifest(&table);
    fetch(&lab, "old").unwrap();
    let listed = done(lab.tool("kernels").arg("list"));
    assert!(listed.contains("none"), "{listed}");
    let object = story("inode-ctime");
    let ended = lab.run(&[&object, "--cold"]);
    ended.expect(1).expect_said(&["kernel `old` has no BTF, and none is given"]);

    let name = format!("{release}.btf");
    for (folder, types) in [("debian/11", own.clone()), ("ubuntu/20.04", fs::read(fixture("kernel_a.o")).unwrap())] {
        let folder = lab.path(&format!("archive/{folder}/x86_64"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(&name), types).unwrap();
        done(
            command("tar")
                .arg("-C")
                .arg(&folder)
                .args(["--xz", "-cf"])
                .arg(folder.join(format!("{name}.tar.xz")))
                .arg(&name),
        );
        fs::remove_file(folder.join(&name)).unwrap();
    }
    lab.manifest(&format!("[defaults]\nbtf = \"archive\"\n{table}"));
    lab.run(&[&object, "--cold"]).expect(GOOD);
    let record = lab.report();
    let is_resolved = |outcome: &RelocationOutcome| matches!(outcome, RelocationOutcome::Resolved { .. });
    assert!(record.cells[0].relocations.iter().any(|relocation| is_resolved(&relocation.outcome)));
    let notes = record.kernels[0].notes.join("\n");
    assert!(notes.contains(&format!("archive/debian/11/x86_64/{name}.tar.xz")), "{notes}");
}

fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain").join(name)
}
