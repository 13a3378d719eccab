//! Packages of a distribution on a web server.

use std::fs;

use super::common::{Lab, need};
use super::service::{Service, command, done};
use super::{expect_whole, fetch, installed, lay_out, release};

/// The test kernel as a `.deb`, which `dpkg-deb` makes; its path.
fn debian_package(lab: &Lab) -> std::path::PathBuf {
    let (tree, deb) = (lab.path("tree"), lab.path("linux.deb"));
    lay_out(&tree, &installed());
    let control = format!(
        "Package: linux-image-{}\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\n\
         Description: a kernel\n",
        release()
    );
    lay_out(&tree, &[("DEBIAN/control".to_owned(), control.into_bytes())]);
    done(command("dpkg-deb").args(["--build", "--root-owner-group", "-Zxz", "-z0"]).arg(&tree).arg(&deb));
    deb
}

fn declare(lab: &Lab, address: &str, sha256: &str) {
    let text = format!("[kernel.web]\nsource = \"package\"\nfiles = [\"{address}\"]\nsha256 = [\"{sha256}\"]\n");
    lab.manifest(&text);
}

#[test]
fn a_package_on_a_web_server_is_verified_and_a_download_that_broke_off_goes_on() {
    need!("guests", "lighttpd", "dpkg-deb");
    let (lab, mut server) = (Lab::with_kernel(""), Service::web());
    let deb = debian_package(&lab);
    let sha256 = done(command("sha256sum").arg(&deb)).split_whitespace().next().unwrap().to_owned();
    fs::copy(&deb, server.files().join("linux.deb")).unwrap();
    let address = format!("http://{}/linux.deb", server.host());

    let wrong = "ab".repeat(32);
    declare(&lab, &address, &wrong);
    let error = fetch(&lab, "web").unwrap_err();
    assert!(!error.is_unavailable());
    let message = format!("kernel `web`: `{address}`: its sha256 is `{sha256}`, expected `{wrong}`");
    assert_eq!(error.to_string(), message);

    declare(&lab, &address, &sha256);
    let begun = lab.store().join("downloads").join(&sha256);
    let whole = fs::read(&deb).unwrap();
    fs::write(&begun, &whole[..whole.len() / 3]).unwrap();
    let kernel = fetch(&lab, "web").unwrap();
    expect_whole(&kernel);
    assert_eq!(server.requests("GET /linux.deb", " 206"), 1);
    assert!(!begun.exists());

    // It is in the store, so the server is not asked again; without the store it has to be.
    server.stop();
    assert_eq!(fetch(&lab, "web").unwrap(), kernel);
    fs::remove_dir_all(lab.store().join("kernels")).unwrap();
    let error = fetch(&lab, "web").unwrap_err();
    assert!(error.is_unavailable() && error.to_string().contains("the server cannot be reached"), "{error}");
}
