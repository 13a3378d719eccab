//! Kernels that lie on this machine: in the tree in which they were built, and the one that runs.

use std::fs;

use super::common::{Lab, kernel, need};
use super::{expect_whole, fetch, lay_out, modules};

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
