//! What is worse than in the baseline, and what is no worse.

use super::*;

/// Takes kernel `k` out of the matrix.
fn drop_kernel(record: &mut RunRecord, k: usize) {
    let kernels = record.kernels.len();
    record.kernels.remove(k);
    let mut index = 0;
    record.cells.retain(|_| {
        index += 1;
        (index - 1) % kernels != k
    });
}

#[test]
fn each_regression_alone_turns_it_red() {
    let cell = |record: &mut RunRecord, o: usize, k: usize| o * record.kernels.len() + k;
    type Case = (&'static str, Box<dyn Fn(&mut RunRecord)>, &'static str);
    let cases: Vec<Case> = vec![
        (
            "verdict",
            Box::new(move |record| {
                let at = cell(record, 1, 1);
                record.cells[at].programs[0] =
                    sample::program("third", "kprobe/z", Verdict::VerifierRejected, Some("R1 is bad"));
            }),
            "Red verdict worse: `b/third` on 6.1: verifier rejected (context argument changed): R1 is bad; in the baseline: loaded",
        ),
        (
            "another verdict",
            Box::new(|record| record.cells[0].programs[1].verdict = Verdict::KernelCrashed),
            "Red verdict worse: `a/second` on 5.10: kernel crashed (missing attach target): no `y` here; in the baseline: attach target missing",
        ),
        (
            "cause",
            Box::new(|record| record.cells[0].programs[1].cause = Some(Cause::MissingBtf)),
            "Red cause changed: `a/second` on 5.10: attach target missing (missing BTF): no `y` here; its cause in the baseline: missing attach target",
        ),
        (
            "instructions",
            Box::new(|record| {
                record.cells[2].programs[0].statistics.as_mut().unwrap().insns_processed = Some(1101);
            }),
            "Red more instructions: `a/first` on 6.12: instructions processed: 1000 -> 1101 (+10.1 %); the limit is 10 \
    %",
        ),
        (
            "danger",
            Box::new(|record| record.cells[1].dangers = vec![sample::danger(0, &sample::relocation("first"))]),
            "Red new danger: `a` on 6.1: new silent danger: `struct inode.i_ctime_nsec` has 4 bytes in the kernel, 8 \
    bytes in the object in `first`",
        ),
        (
            "kernel warning",
            Box::new(|record| {
                record.cells[1].kernel_log = vec![warning(Some("first"), WarningKind::Warning, "WARNING: at x.c:1 f")];
            }),
            "Red kernel warning: `a/first` on 6.1: WARNING: at x.c:1 f; not in the baseline",
        ),
        (
            "kernel warning of no program",
            Box::new(|record| {
                record.tool.accel = "kvm".to_owned();
                record.cells[5].kernel_log = vec![warning(None, WarningKind::Stall, "rcu: INFO: stall")];
            }),
            "Red kernel warning: `b` on 6.12: rcu: INFO: stall; not in the baseline",
        ),
        (
            "whole",
            Box::new(|record| {
                record.cells[5].whole = Some(WholeLoad {
                    prepared: false,
                    reason: Some("map `m`".to_owned()),
                    left_out: Vec::new(),
                    expected: None,
                });
            }),
            "Red object fails as a whole: `b` on 6.12: does not load as a whole, as its own loader would load it: map \
    `m`; in the baseline it did",
        ),
        (
            "kernel gone",
            Box::new(|record| drop_kernel(record, 1)),
            "Red cell lost: kernel 6.1: was removed, but is in the baseline: the matrix has shrunk",
        ),
        (
            "object gone",
            Box::new(|record| {
                record.objects.pop();
                record.cells.truncate(3);
            }),
            "Red cell lost: `b`: was removed, but is in the baseline: the matrix has shrunk",
        ),
        (
            "program gone",
            Box::new(|record| {
                record.objects[0].programs.remove(0);
                record.cells[..3].iter_mut().for_each(|cell| drop(cell.programs.remove(0)));
            }),
            "Red cell lost: `a/first`: was removed, but is in the baseline: the matrix has shrunk",
        ),
        (
            "not run",
            Box::new(|record| {
                record.cells[4].programs[0] = sample::program("third", "kprobe/z", Verdict::NotRun, Some("forgotten"));
            }),
            "Red cell lost: `b/third` on 6.1: not run: forgotten; in the baseline: loaded",
        ),
        (
            "cannot be judged",
            Box::new(|record| {
                record.cells[4].programs[0] =
                    sample::program("third", "kprobe/z", Verdict::HarnessLimit, Some("its loader chooses"));
            }),
            "Red cell lost: `b/third` on 6.1: cannot be judged (needs its own loader): its loader chooses; in the baseline: loaded",
        ),
        (
            "new program that fails",
            Box::new(|record| {
                let failed = sample::program("fourth", "kprobe/w", Verdict::TimedOut, Some("10s"));
                record.objects[1]
                    .programs
                    .push(crate::record::ObjectProgram { name: "fourth".to_owned(), section: "kprobe/w".to_owned() });
                record.cells[3..].iter_mut().for_each(|cell| {
                    cell.programs.push(sample::program("fourth", "kprobe/w", Verdict::Loaded, None));
                });
                record.cells[5].programs[1] = failed;
            }),
            "Red failure: `b/fourth` on 6.12: timed out: 10s; not in the baseline",
        ),
        (
            "optional kernel gone",
            Box::new(|record| {
                record.kernels[2].optional = true;
                record.kernels[2].state = KernelState::Unavailable { reason: "no server".to_owned(), hint: None };
                for cell in [2, 5] {
                    for program in &mut record.cells[cell].programs {
                        *program = sample::program(&program.name, &program.section, Verdict::NotRun, None);
                    }
                }
            }),
            "Red cell lost: kernel 6.12: is unavailable: no server, but was judged in the baseline: the matrix has \
    shrunk",
        ),
    ];
    for (name, change, line) in cases {
        assert_eq!(with(|record| change(record)), (exit_code::PROGRAM_FAILED, line.to_owned()), "{name}");
    }
}

#[test]
fn coverage_that_no_kernel_proves_any_more_is_red() {
    let covered = |verified: [bool; 3]| {
        let mut record = baseline();
        sample::cover(&mut record, 1, &verified);
        record
    };
    let decide =
        |now| decided(&decide(&covered(now), Some(&covered([false, true, true])), &Expectations::default(), &limits()));
    let (code, text) = decide([false, false, false]);
    assert_eq!(code, exit_code::PROGRAM_FAILED);
    let line = "Red coverage lost: `b`: `exists` of `field_exists struct x.y` in `third` is no longer proven on any \
    kernel (before: verified by 6.1, 6.12)";
    assert_eq!(text, line);
    assert_eq!(decide([false, false, true]), (exit_code::GOOD, String::new()));
    assert_eq!(decide([true, true, true]), (exit_code::GOOD, String::new()));
}

#[test]
fn infrastructure_is_kept_apart() {
    let lost = |record: &mut RunRecord| {
        record.kernels[1].state =
            KernelState::BootFailed { reason: "no hello".to_owned(), hint: None, console_tail: Vec::new() };
        for cell in [1, 4] {
            for program in &mut record.cells[cell].programs {
                *program = sample::program(&program.name, &program.section, Verdict::NotRun, None);
            }
        }
    };
    let line = "Infrastructure infrastructure: kernel 6.1: did not boot: no hello";
    assert_eq!(with(lost), (exit_code::INFRASTRUCTURE, line.to_owned()));
    let error = |record: &mut RunRecord| {
        record.cells[3].programs[0] = sample::program("third", "kprobe/z", Verdict::HarnessError, Some("QEMU died"));
    };
    let (code, text) = with(error);
    assert_eq!(code, exit_code::INFRASTRUCTURE);
    assert!(text.contains("`b/third` on 5.10: infrastructure failure") && text.contains("QEMU died"), "{text}");
    // What is proven outweighs what could not be judged.
    let both = |record: &mut RunRecord| {
        error(record);
        record.cells[0].programs[0].verdict = Verdict::TimedOut;
    };
    assert_eq!(with(both).0, exit_code::PROGRAM_FAILED);
    assert_eq!(with(|record| record.interrupted = true).0, exit_code::INTERRUPTED);
    let empty = sample::large(0, 0);
    let (code, text) = decided(&decide(&empty, None, &Expectations::default(), &limits()));
    assert_eq!(code, exit_code::INFRASTRUCTURE);
    assert!(text.ends_with("the run: nothing was judged, which does not count as success"), "{text}");
}

#[test]
fn noise_alone_is_green() {
    let noise = |record: &mut RunRecord| {
        record.kernels.reverse();
        record.cells.chunks_mut(3).for_each(<[_]>::reverse);
        record.objects.reverse();
        record.cells.rotate_left(3);
        record.started = "2029-01-01T00:00:00Z".to_owned();
        record.notices.clear();
        for kernel in &mut record.kernels {
            kernel.hello_ms = vec![9, 9];
            kernel.notes.push("runs cold".to_owned());
        }
        for program in record.cells.iter_mut().flat_map(|cell| &mut cell.programs) {
            program.load_ms += 1000;
            program.log_tail.push("a word".to_owned());
            let statistics = program.statistics.as_mut().unwrap();
            statistics.verification_time_us = Some(77);
            // Within the limit.
            statistics.insns_processed = Some(1100);
        }
    };
    assert_eq!(with(noise), (exit_code::GOOD, String::new()));
    // A retry is reported, and is no failure.
    let (code, text) = with(|record| record.cells[0].notes.push("guest lost at `first`: QEMU is gone".to_owned()));
    assert_eq!(code, exit_code::GOOD);
    assert_eq!(text, "Notice flaky: `a` on 5.10: judged only after a retry: guest lost at `first`: QEMU is gone");
}

#[test]
fn hints_tell_what_changed_since_the_baseline() {
    let fails = |record: &mut RunRecord| record.cells[0].programs[0].verdict = Verdict::TimedOut;
    let hint = |change: &dyn Fn(&mut RunRecord)| {
        let mut record = baseline();
        fails(&mut record);
        change(&mut record);
        decide(&record, Some(&baseline()), &Expectations::default(), &limits()).decisions[0].hint.clone().unwrap()
    };
    let kernel = |record: &mut RunRecord| {
        record.kernels[0].identity.as_mut().unwrap().release = "5.10.0-99".to_owned();
    };
    let object = |record: &mut RunRecord| record.objects[0].sha256 = "33".repeat(32);
    let both = |record: &mut RunRecord| {
        kernel(record);
        object(record);
    };
    insta::assert_snapshot!([hint(&|_| {}), hint(&kernel), hint(&object), hint(&both)].join("\n"), @r"
        neither object nor kernel changed since the baseline, but corematrix and libbpf: 0.1.0 and 1.7.0 then, 0.1.0 and 1.7.0 now
        since the baseline kernel 5.10 changed from 5.10.0-9-cloud-amd64 to 5.10.0-99, and the object is the same
        since the baseline the object changed, and the kernel is the same
        since the baseline the object changed, and kernel 5.10 changed from 5.10.0-9-cloud-amd64 to 5.10.0-99
        ");
}
