//! `corematrix bisect`: a boundary that was planted, and a true one.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use common::{Lab, Run, kernel, need, object};
use serde_json::Value;

/// As many kernels as the planted matrix has, all of them the same kernel.
const KERNELS: usize = 6;

/// A lab with kernels of which the last ones crash at program `three`.
fn planted(first_bad: usize) -> Lab {
    let lab = Lab::with_kernel("");
    let (table, lock) = (kernel().table.clone(), fs::read_to_string(&kernel().lock).unwrap());
    let begin = lock.find("[kernel.\"5.10\"]").unwrap();
    let end = lock[begin..].find("\n[kernel.\"6").map_or(lock.len(), |end| begin + end);
    let (mut manifest, mut locked) = (String::new(), "version = 1\n".to_owned());
    let stored = fs::read_dir(lab.store().join("kernels")).unwrap().next().unwrap().unwrap().path();
    for number in 1..=KERNELS {
        let name = format!("5.10.{number}");
        manifest += &table.replace("\"5.10\"", &format!("\"{name}\""));
        if number >= first_bad {
            manifest += "append = [\"corematrix.fault=panic@three\"]\n";
        }
        locked += &lock[begin..end].replace("\"5.10\"", &format!("\"{name}\""));
        let folder = stored.file_name().unwrap().to_str().unwrap().replacen("5.10-", &format!("{name}-"), 1);
        symlink(&stored, stored.with_file_name(folder)).unwrap();
    }
    lab.manifest(&manifest);
    fs::write(lab.path("kernels.lock"), locked).unwrap();
    lab
}

fn bisect(mut command: Command, place: &Path, args: &[&str]) -> Value {
    command.args(args).args(["--offline", "--json"]);
    let ended = Run::start(command, place).wait();
    ended.expect(0);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn a_planted_boundary_is_found_with_the_fewest_guests() {
    need!("guests");
    let lab = planted(4);
    let five = object("five");
    let args = [five.as_str(), "three", "--good", "5.10.1", "--bad", "5.10.6"];
    let found = bisect(lab.tool("bisect"), &lab.path("bisect"), &args);
    assert_eq!(found["last_good"]["kernel"], "5.10.3");
    assert_eq!(found["first_bad"]["kernel"], "5.10.4");
    assert_eq!(found["first_bad"]["verdict"], "kernel_crashed");
    assert_eq!(found["kernels"], KERNELS);
    // Both ends, and five gaps halved until one is left.
    assert!(found["guests"].as_u64().unwrap() <= 2 + 3, "{found:#}");
    lab.expect_nothing_left();

    let mut command = lab.tool("bisect");
    command.args([five.as_str(), "one", "--good", "5.10.1", "--bad", "5.10.6", "--offline"]);
    let ended = Run::start(command, &lab.path("bisect")).wait();
    ended.expect(2).expect_said(&["`5.10.6` is not bad: loaded", "hint: choose another kernel"]);
    let mut command = lab.tool("bisect");
    command.args([five.as_str(), "--good", "5.10.1", "--bad", "5.11", "--offline"]);
    Run::start(command, &lab.path("bisect")).wait().expect(2).expect_said(&["a kernel `5.11`", "hint: "]);
}

/// A field of `struct inode` that was split: its story is in `programs/stories.toml`.
#[test]
fn a_true_boundary_is_predicted_by_types_and_proven_by_guests() {
    need!("guests", "programs");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let story = root.join("target/programs/inode-ctime.bpf.o");
    assert!(story.is_file(), "`{}` does not exist: run `make programs`", story.display());
    let lab = Lab::new();
    let kernels = ["5.10", "6.1", "6.12", "6.17"];
    // The store of the user, where other tests want these kernels as well.
    let tool = |verb: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corematrix"));
        command.current_dir(root).arg(verb);
        command
    };
    let mut fetch = tool("run");
    fetch.arg(object("five")).arg("--out").arg(lab.out());
    for kernel in kernels {
        fetch.args(["--kernel", kernel]);
    }
    Run::start(fetch, &lab.path("run")).wait().expect(0);

    let args = [story.to_str().unwrap(), "naive", "--good", "5.10", "--bad", "6.17"];
    let found = bisect(tool("bisect"), &lab.path("bisect"), &args);
    assert_eq!(found["last_good"]["kernel"], "6.1");
    assert_eq!(found["first_bad"]["kernel"], "6.12");
    assert_eq!(found["first_bad"]["cause"], "missing_field");
    assert_eq!(found["changes"].as_array().unwrap().len(), 1);
    // BTF shows where it is: both ends, and both sides of it.
    assert_eq!(found["guests"], 4, "{found:#}");
    let relocations = found["relocations"].as_array().unwrap();
    assert!(relocations.iter().any(|one| one["name"] == "struct inode___first.i_ctime.tv_sec"), "{found:#}");
}
