//! Types of kernels: given BTF, minimal BTF, and what `corematrix btf` prints, on a real kernel.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{Ended, Lab, kernel, need, object, state, verdicts};
use corematrix::record::RelocationOutcome;
use corematrix::record::Verdict;
use corematrix::record::{KernelState, RunRecord};

/// Hides the kernel's BTF from libbpf.
const HIDDEN: &str = "append = [\"corematrix.fault=no-btf\"]\n";

/// What became of the relocations of `dangers`.
fn outcomes(record: &RunRecord) -> Vec<RelocationOutcome> {
    let cell = record.cells.iter().find(|cell| cell.object == "dangers").unwrap();
    cell.relocations.iter().map(|relocation| relocation.outcome.clone()).collect()
}

/// An object with relocations whose programs attach without BTF.
fn dangers() -> String {
    format!("{}/tests/fixtures/explain/dangers.o", env!("CARGO_MANIFEST_DIR"))
}

/// A run of it, and of one that has programs of both sorts, on the test kernel with these lines in its table.
fn run(lab: &Lab, lines: &str) -> Ended {
    lab.manifest(&format!("{}{lines}", kernel().table));
    lab.run(&[&dangers(), &object("guards")])
}

#[test]
fn a_kernel_without_btf_loads_with_what_is_given() {
    need!("guests");
    let lab = Lab::with_kernel("");
    run(&lab, "");
    let own = lab.report();
    assert!(outcomes(&own).iter().any(|outcome| matches!(outcome, RelocationOutcome::Resolved { .. })), "{own:?}");

    run(&lab, HIDDEN).expect(1);
    let hidden = verdicts(&lab.report(), kernel().name, "dangers");
    assert!(hidden.iter().all(|verdict| *verdict == Verdict::MissingBtf), "{hidden:?}");

    fs::copy(kernel().stored.btf.as_ref().unwrap(), lab.path("whole.btf")).unwrap();
    run(&lab, &format!("{HIDDEN}btf = \"whole.btf\"\n"));
    let whole = lab.report();
    assert_eq!(outcomes(&whole), outcomes(&own));
    assert_eq!(verdicts(&whole, kernel().name, "dangers"), verdicts(&own, kernel().name, "dangers"));
    // Only programs that attach by the kernel's own BTF go without.
    let [first, zebra, ..] = verdicts(&whole, kernel().name, "guards")[..] else { panic!("too few programs") };
    assert_eq!([first, zebra], [Verdict::Loaded, Verdict::MissingBtf]);
    let identity = whole.kernels[0].identity.as_ref().unwrap();
    assert_eq!(identity.given_btf_sha256, identity.btf_sha256);
    assert!(whole.kernels[0].notes.iter().any(|note| note.contains("whole.btf")), "{:?}", whole.kernels[0].notes);

    // Laid out as an archive of many kernels'.
    let archive = lab.path("archive/debian/11/x86_64");
    lab.manifest(&kernel().table);
    let made = lab.tool("btf").args(["min", &dangers(), &object("guards"), "-o"]).arg(&archive).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let small = fs::read_dir(&archive).unwrap().next().unwrap().unwrap().metadata().unwrap().len();
    assert!(small < 10_000, "minimal BTF of {small} bytes");
    run(&lab, &format!("{HIDDEN}btf = \"archive\"\n"));
    assert_eq!(outcomes(&lab.report()), outcomes(&own));
    assert_eq!(verdicts(&lab.report(), kernel().name, "dangers"), verdicts(&own, kernel().name, "dangers"));

    run(&lab, "btf = \"gone.btf\"\n").expect(3);
    let KernelState::HarnessFailed { reason, .. } = state(&lab.report(), kernel().name).clone() else {
        panic!("{:?}", lab.report().kernels[0].state)
    };
    assert!(reason.starts_with("the BTF given in `") && reason.contains("gone.btf"), "{reason}");
    lab.expect_nothing_left();
}

#[test]
fn a_guest_that_shows_other_btf_than_its_image_is_not_believed() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let entry = fs::read_dir(lab.store().join("kernels")).unwrap().next().unwrap().unwrap().path();
    let mut raw = fs::read(entry.join("btf")).unwrap();
    *raw.last_mut().unwrap() ^= 1;
    fs::remove_file(entry.join("btf")).unwrap();
    fs::write(entry.join("btf"), &raw).unwrap();
    let description = fs::read_to_string(entry.join("entry.json")).unwrap();
    let right = kernel().stored.identity.btf_sha256.clone().unwrap();
    assert!(description.contains(&right));
    let wrong = sha256(&raw);
    fs::write(entry.join("entry.json"), description.replace(&right, &wrong)).unwrap();

    lab.run(&[&object("plain")]).expect(3);
    let KernelState::HarnessFailed { reason, .. } = state(&lab.report(), kernel().name).clone() else {
        panic!("{:?}", lab.report().kernels[0].state)
    };
    assert_eq!(reason, "the BTF in the guest differs from the BTF in its image");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn types_of_a_kernel_are_told_without_booting_it() {
    need!("guests");
    let lab = Lab::with_kernel("");
    let btf = |args: &[&str]| {
        let output = lab.tool("btf").args(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, found, _) = btf(&["find", "task_struct.state"]);
    assert_eq!(code, Some(0), "{found}");
    assert!(found.starts_with("`task_struct.state` exists on 5.10"), "{found}");
    assert!(found.contains("5.10     yes, field   16       8      volatile long"), "{found}");
    let (code, none, hint) = btf(&["find", "task_struct.stat"]);
    assert_eq!(code, Some(1));
    assert!(
        none.contains("does not exist on 5.10") && hint.contains("did you mean `task_struct.state`"),
        "{none}{hint}"
    );
    assert_eq!(btf(&["find", "a..b"]).0, Some(2));

    let (code, header, _) = btf(&["vmlinux-h", "5.10"]);
    assert_eq!(code, Some(0));
    assert!(header.contains("struct task_struct {") && header.ends_with("#endif /* __VMLINUX_H__ */\n"));
    assert!(btf(&["vmlinux-h", "6.1"]).2.contains("`6.1` matches no declared kernel"));
}
