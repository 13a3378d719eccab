//! Each kind of trouble by itself, and what is no trouble.

use time::{Date, Month};

use super::*;
use crate::record::Cause;
use crate::record::Statistics;
use crate::record::Verdict;
use crate::record::exit_code;
use crate::record::sample;
use crate::record::{KernelState, RunRecord, WholeLoad};
use crate::record::{KernelWarning, WarningKind};

/// Two objects on three kernels; `a/second` fails on 5.10.
fn baseline() -> RunRecord {
    let kernels = ["5.10", "6.1", "6.12"].map(sample::kernel).to_vec();
    let objects = vec![
        sample::object("a", &[("first", "kprobe/x"), ("second", "fentry/y")]),
        sample::object("b", &[("third", "kprobe/z")]),
    ];
    let mut record = sample::assemble(kernels, objects, |o, p, k| match (o, p, k) {
        (0, 1, 0) => (Verdict::AttachTargetMissing, Some("no `y` here".to_owned())),
        _ => (Verdict::Loaded, None),
    });
    for program in record.cells.iter_mut().flat_map(|cell| &mut cell.programs) {
        program.statistics = Some(Statistics { insns_processed: Some(1000), ..Statistics::default() });
    }
    record
}

fn warning(program: Option<&str>, kind: WarningKind, headline: &str) -> KernelWarning {
    let program = program.map(str::to_owned);
    KernelWarning { program, kind, headline: headline.to_owned(), text: format!("cut here\n{headline}"), count: 1 }
}

fn limits() -> Limits {
    Limits { instructions_percent: 10.0, today: Date::from_calendar_date(2027, Month::March, 1).unwrap() }
}

fn expectations(text: &str) -> Expectations {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("suite.toml");
    std::fs::write(&path, text).unwrap();
    let mut read = Expectations::read(&path).unwrap();
    let scopes = read.failures.iter_mut().map(|known| &mut known.scope);
    for scope in scopes.chain(read.warnings.iter_mut().map(|known| &mut known.scope)) {
        scope.origin = scope.origin.rsplit('/').next().unwrap().to_owned();
    }
    read
}

/// The exit code, and what weighs, as text.
fn decided(report: &GateReport) -> (u8, String) {
    let lines: Vec<String> = report
        .decisions
        .iter()
        .map(|decision| format!("{:?} {}: {}", decision.weight, decision.rule.label(), decision.message))
        .collect();
    (report.exit_code(), lines.join("\n"))
}

fn with(change: impl FnOnce(&mut RunRecord)) -> (u8, String) {
    let mut record = baseline();
    change(&mut record);
    decided(&decide(&record, Some(&baseline()), &Expectations::default(), &limits()))
}

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
            "Red more instructions: `a/first` on 6.12: instructions processed: 1000 -> 1101 (+10.1 %), and 10 % is the limit",
        ),
        (
            "danger",
            Box::new(|record| record.cells[1].dangers = vec![sample::danger(0, &sample::relocation("first"))]),
            "Red new danger: `a` on 6.1: reads wrong data now: `struct inode.i_ctime_nsec` has 4 bytes here, 8 bytes in the object in `first`",
        ),
        (
            "kernel warning",
            Box::new(|record| {
                record.cells[1].kernel_log = vec![warning(Some("first"), WarningKind::Warning, "WARNING: at x.c:1 f")];
            }),
            "Red kernel warning: `a/first` on 6.1: WARNING: at x.c:1 f; not so in the baseline",
        ),
        (
            "kernel warning of no program",
            Box::new(|record| {
                record.tool.accel = "kvm".to_owned();
                record.cells[5].kernel_log = vec![warning(None, WarningKind::Stall, "rcu: INFO: stall")];
            }),
            "Red kernel warning: `b` on 6.12: rcu: INFO: stall; not so in the baseline",
        ),
        (
            "whole",
            Box::new(|record| {
                record.cells[5].whole =
                    Some(WholeLoad { prepared: false, reason: Some("map `m`".to_owned()), left_out: Vec::new() });
            }),
            "Red object not whole: `b` on 6.12: does not load as a whole, as its own loader would load it: map `m`; it did in the baseline",
        ),
        (
            "kernel gone",
            Box::new(|record| drop_kernel(record, 1)),
            "Red cell lost: kernel 6.1: is gone: the baseline has it, so the matrix has shrunk",
        ),
        (
            "object gone",
            Box::new(|record| {
                record.objects.pop();
                record.cells.truncate(3);
            }),
            "Red cell lost: `b`: is gone: the baseline has it, so the matrix has shrunk",
        ),
        (
            "program gone",
            Box::new(|record| {
                record.objects[0].programs.remove(0);
                record.cells[..3].iter_mut().for_each(|cell| drop(cell.programs.remove(0)));
            }),
            "Red cell lost: `a/first`: is gone: the baseline has it, so the matrix has shrunk",
        ),
        (
            "not run",
            Box::new(|record| {
                record.cells[4].programs[0] = sample::program("third", "kprobe/z", Verdict::NotRun, Some("forgotten"));
            }),
            "Red cell lost: `b/third` on 6.1: not run: forgotten; in the baseline: loaded",
        ),
        (
            "harness limit",
            Box::new(|record| {
                record.cells[4].programs[0] =
                    sample::program("third", "kprobe/z", Verdict::HarnessLimit, Some("its loader chooses"));
            }),
            "Red cell lost: `b/third` on 6.1: harness limit (needs its own loader): its loader chooses; in the baseline: loaded",
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
            "Red failure: `b/fourth` on 6.12: timed out: 10s; it is not in the baseline",
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
            "Red cell lost: kernel 6.12: is unavailable: no server; the baseline judged it, so the matrix has shrunk",
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
    let line = "Red coverage lost: `b`: no kernel proves `exists` of `field_exists struct x.y` in `third` any more (verified by 6.1, 6.12 before)";
    assert_eq!(text, line);
    assert_eq!(decide([false, false, true]), (exit_code::GOOD, String::new()));
    assert_eq!(decide([true, true, true]), (exit_code::GOOD, String::new()));
}

#[test]
fn every_rule_that_turns_it_red_has_its_case() {
    // A rule that is added has to be put into one of the lists, and into the tests above or below.
    let weight = |rule: Rule| match rule {
        Rule::Failure
        | Rule::VerdictWorse
        | Rule::CauseChanged
        | Rule::NotWhole
        | Rule::CellLost
        | Rule::CoverageLost
        | Rule::InstructionsGrew
        | Rule::NewDanger
        | Rule::KernelWarning
        | Rule::ExpectationExpired => Weight::Red,
        Rule::Infrastructure => Weight::Infrastructure,
        Rule::UnexpectedPass | Rule::ExpectationUnused | Rule::Flaky | Rule::Improved => Weight::Notice,
    };
    let cases = include_str!("tests.rs");
    for rule in [
        Rule::Failure,
        Rule::VerdictWorse,
        Rule::CauseChanged,
        Rule::NotWhole,
        Rule::CellLost,
        Rule::CoverageLost,
        Rule::InstructionsGrew,
        Rule::NewDanger,
        Rule::KernelWarning,
        Rule::ExpectationExpired,
        Rule::Infrastructure,
        Rule::UnexpectedPass,
        Rule::ExpectationUnused,
        Rule::Flaky,
        Rule::Improved,
    ] {
        let line = format!("{:?} {}: ", weight(rule), rule.label());
        assert!(cases.contains(&line), "no test says `{line}`");
    }
    let (code, text) = with(|record| record.cells[0].programs[1].verdict = Verdict::Loaded);
    assert_eq!(
        (code, text.as_str()),
        (exit_code::GOOD, "Notice improved: `a/second` on 5.10: loads; in the baseline: attach target missing")
    );
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
    assert!(text.contains("`b/third` on 5.10: harness error") && text.contains("QEMU died"), "{text}");
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
    assert!(text.ends_with("the run: nothing was judged, and silence is not success"), "{text}");
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
fn failures_are_red_unless_they_are_expected() {
    let decide = |text: &str| decided(&decide(&baseline(), None, &expectations(text), &limits()));
    let (code, text) = decide("");
    assert_eq!(code, exit_code::PROGRAM_FAILED);
    assert_eq!(text, "Red failure: `a/second` on 5.10: attach target missing (missing attach target): no `y` here");
    let green = (exit_code::GOOD, String::new());
    for expectation in [
        "object = \"a\"\nprogram = \"sec*\"\nkernel = \"<6.1\"\nverdict = \"attach_target_missing\"",
        "kernel = [\"5.10\"]\nprogram = \"second\"\ncause = \"missing_attach_target\"\nexpires = 2027-03-01",
    ] {
        assert_eq!(decide(&format!("[[expect]]\nreason = \"r\"\n{expectation}")), green, "{expectation}");
    }
    // Another failure than the expected one is none that is expected.
    let other = "[[expect]]\nreason = \"r\"\nprogram = \"second\"\nkernel = \"5.10\"\nverdict = \"missing_btf\"";
    assert_eq!(decide(other).0, exit_code::PROGRAM_FAILED);
    let narrow = "[[expect]]\nreason = \"r\"\nprogram = \"second\"\nkernel = \"latest\"";
    assert_eq!(decide(narrow).0, exit_code::PROGRAM_FAILED);
}

#[test]
fn expectations_that_are_out_of_date_are_told() {
    let decide = |text: &str| decided(&decide(&baseline(), None, &expectations(text), &limits()));
    let text = "[[expect]]\nreason = \"old\"\nprogram = \"second\"\nkernel = \"<=6.1\"\n[[expect]]\nreason = \"gone\"\nobject = \"c\"\n";
    let (code, decided) = decide(text);
    assert_eq!(code, exit_code::GOOD);
    insta::assert_snapshot!(decided, @r"
    Notice unexpected pass: `*/second` on 6.1: suite.toml:1 expects it to fail, and it loads: old
    Notice expectation unused: `c/*`: the expectation of suite.toml:5 is about nothing in this run: gone
    ");
    let (code, decided) = decide(
        "[[expect]]\nreason = \"old\"\nprogram = \"second\"\nkernel = \"5.10\"\nexpires = \"2027-02-28\"\nlink = \"l\"",
    );
    assert_eq!(code, exit_code::PROGRAM_FAILED);
    insta::assert_snapshot!(decided, @r"
    Red expectation expired: `*/second`: the expectation of suite.toml:1 expired on 2027-02-28: old
    Red failure: `a/second` on 5.10: attach target missing (missing attach target): no `y` here
    ");
}

#[test]
fn wrong_expectations_are_named() {
    let refusal = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.toml");
        std::fs::write(&path, text).unwrap();
        let error = Expectations::read(&path).unwrap_err();
        let message = error.to_string().rsplit("e.toml`, ").next().unwrap().to_owned();
        format!("{message}{}", error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default())
    };
    let all = [
        refusal("[[expect]]\nobject = \"a\""),
        refusal("name = \"n\"\n\n[[expect]]\nreason = \"r\"\nprogam = \"a\""),
        refusal("[[expect]]\nreason = \" \""),
        refusal("[[expect]]\nreason = \"r\"\nobject = \"a***\""),
        refusal("[[expect]]\nreason = \"r\"\nkernel = \">=x\""),
        refusal("[[expect]]\nreason = \"r\"\nverdict = \"loaded\""),
        refusal("[[expect]]\nreason = \"r\"\nverdict = \"bad\""),
        refusal("[[expect]]\nreason = \"r\"\nexpires = 2027-02-30"),
        refusal("[[expect]]\nreason = \"r\"\nexpires = \"soon\""),
        refusal("[[allow-warning]]\ncontains = \" \"\nreason = \"r\""),
        refusal("[[allow-warning]]\nreason = \"r\""),
        refusal("[[allow-warning]]\nverdict = \"missing_btf\"\ncontains = \"c\"\nreason = \"r\""),
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
        line 1: missing field `reason`
        line 5: unknown field `progam`, expected one of `object`, `program`, `kernel`, `verdict`, `cause`, `reason`, `link`, `expires`
        line 2: `reason` is empty (hint: say why it is put up with, for who reads it later)
        line 3: `object` `a***` is not a glob: Pattern syntax error near position 3: wildcards are either regular `*` or recursive `**`
        line 3: kernel selector `>=x` is malformed: `x` is not a kernel release such as `6.12` or `5.10.0-32-cloud-amd64`
        line 3: `verdict` is `loaded`, which is no failure (hint: name how it fails)
        line 3: unknown variant `bad`, expected one of `loaded`, `succeeded`, `failed_to_open`, `missing_btf`, `relocation_failed`, `map_creation_failed`, `attach_target_missing`, `verifier_rejected`, `unsupported_type`, `attach_failed`, `run_failed`, `command_failed`, `kernel_crashed`, `timed_out`, `not_run`, `harness_limit`, `harness_error`
        line 3: invalid date, expected day between 01 and 28
        line 1: `expires` is `soon`, which is no date (hint: write it as 2027-06-30)
        line 2: `contains` is empty (hint: name the function that warns, or words of the warning)
        line 1: missing field `contains`
        line 2: unknown field `verdict`, expected one of `object`, `program`, `kernel`, `contains`, `reason`, `link`, `expires`
        ");
    assert!(Expectations::read(std::path::Path::new("no/such.toml")).unwrap_err().hint().is_some());
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
        neither object nor kernel changed since the baseline; corematrix 0.1.0 and libbpf 1.7.0 judged then, 0.1.0 and 1.7.0 now
        since the baseline kernel 5.10 went from 5.10.0-9-cloud-amd64 to 5.10.0-99, and the object is the same
        since the baseline the object changed, and the kernel is the same
        since the baseline the object changed, and kernel 5.10 went from 5.10.0-9-cloud-amd64 to 5.10.0-99
        ");
}

#[test]
fn kernel_warnings_are_red_unless_they_are_allowed() {
    let loud = |record: &mut RunRecord| {
        for k in [0, 1] {
            record.cells[k].kernel_log = vec![warning(Some("first"), WarningKind::Warning, "WARNING: at x.c:1 f")];
        }
    };
    let mut record = baseline();
    record.cells[0].programs[1].verdict = Verdict::Loaded;
    loud(&mut record);
    let decide = |text: &str| decided(&decide(&record, None, &expectations(text), &limits()));
    let allow = |rest: &str| format!("[[allow-warning]]\nreason = \"r\"\n{rest}");
    let (code, text) = decide("");
    assert_eq!(code, exit_code::PROGRAM_FAILED);
    insta::assert_snapshot!(text, @r"
    Red kernel warning: `a/first` on 5.10: WARNING: at x.c:1 f
    Red kernel warning: `a/first` on 6.1: WARNING: at x.c:1 f
    ");
    assert_eq!(decide(&allow("contains = \"x.c\"")), (exit_code::GOOD, String::new()));
    // Part of the text is enough.
    assert_eq!(decide(&allow("contains = \"cut here\"\nobject = \"a\"\nprogram = \"f*\"")).0, exit_code::GOOD);
    for narrow in ["kernel = \"5.10\"", "kernel = \">=6.1\""] {
        let (code, text) = decide(&allow(&format!("contains = \"x.c\"\n{narrow}")));
        assert_eq!((code, text.lines().count()), (exit_code::PROGRAM_FAILED, 1), "{text}");
    }
    let (code, text) = decide(&allow("contains = \"y.c\""));
    assert_eq!(code, exit_code::PROGRAM_FAILED);
    let line = "Notice expectation unused: `*/*`: no kernel warning of this run is what the allowance of suite.toml:1 is about: r";
    assert_eq!(text.lines().last(), Some(line));
    let (code, text) = decide(&allow("contains = \"x.c\"\nexpires = 2027-02-28"));
    assert_eq!(code, exit_code::PROGRAM_FAILED);
    assert!(
        text.starts_with("Red expectation expired: `*/*`: the allowance of suite.toml:1 expired on 2027-02-28: r"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 3, "{text}");

    // What was there before is known, whatever its line by now.
    let mut before = baseline();
    loud(&mut before);
    let mut after = before.clone();
    after.cells[0].kernel_log[0].headline = "WARNING: at x.c:27 f".to_owned();
    let green = (exit_code::GOOD, String::new());
    assert_eq!(decided(&super::decide(&after, Some(&before), &Expectations::default(), &limits())), green);
}

#[test]
fn noise_of_the_machine_is_told_and_blames_nobody() {
    let (code, text) = with(|record| {
        record.cells[0].kernel_log = vec![
            warning(Some("first"), WarningKind::Stall, "watchdog: BUG: soft lockup"),
            warning(None, WarningKind::Clock, "clocksource: timekeeping watchdog"),
        ];
    });
    assert_eq!(code, exit_code::GOOD);
    insta::assert_snapshot!(text, @r"
    Notice kernel warning: `a/first` on 5.10: watchdog: BUG: soft lockup; a busy machine brings this about by itself
    Notice kernel warning: `a` on 5.10: clocksource: timekeeping watchdog; a busy machine brings this about by itself
    ");
}
