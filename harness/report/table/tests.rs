use console::measure_text_width;

use super::*;
use crate::record::Danger;
use crate::record::WholeLoad;
use crate::record::sample;

#[test]
fn everything_at_80_columns() {
    insta::assert_snapshot!(render(&sample::record(), 80));
}

#[test]
fn everything_at_120_columns() {
    insta::assert_snapshot!(render(&sample::record(), 120));
}

#[test]
fn thirty_programs_on_twelve_kernels_at_80_columns() {
    insta::assert_snapshot!(render(&sample::large(30, 12), 80));
}

#[test]
fn thirty_programs_on_twelve_kernels_at_120_columns() {
    insta::assert_snapshot!(render(&sample::large(30, 12), 120));
}

/// The part of the table from the line `title` to the next empty line.
fn block<'t>(table: &'t str, title: &str) -> &'t str {
    let start = table.find(&format!("\n{title}\n")).unwrap_or_else(|| panic!("no `{title}` in\n{table}")) + 1;
    table[start..].split("\n\n").next().unwrap()
}

#[test]
fn no_line_is_wider_than_asked() {
    for width in [40, 60, 80, 100, 120, 200] {
        for record in [sample::record(), sample::large(30, 12), sample::large(73, 13)] {
            for line in render(&record, width).lines() {
                assert!(measure_text_width(line) <= width, "{width}: {line}");
            }
        }
    }
    // Narrower is not possible, and must not be fatal.
    render(&sample::large(30, 12), 0);
}

#[test]
fn every_kernel_is_named_once_in_the_header_or_below() {
    let table = render(&sample::large(30, 12), 80);
    let headers: Vec<&str> = table.lines().filter(|line| line.starts_with("     ") && !line.contains('-')).collect();
    let named: Vec<&str> =
        headers.iter().flat_map(|line| line.split_whitespace()).filter(|w| w.contains('.')).collect();
    assert_eq!(
        named[..12],
        ["5.4", "5.10", "5.15", "6.1", "6.6", "6.8", "6.10", "6.12", "6.17", "6.18", "6.19", "7.1"]
    );
}

#[test]
fn many_rows_fold_what_loaded_everywhere() {
    let table = render(&sample::large(90, 4), 80);
    // Of memleak's ten, four fail somewhere.
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(table.lines().any(|line| words(line) == "(6 more) ok ok ok ok"), "{table}");
    assert!(!table.contains("return__do_sys_openat2_15 "), "{table}");
    let few = render(&sample::large(30, 4), 80);
    assert!(!few.contains("more)") && few.contains("return__do_sys_openat2_15 "), "{few}");
}

#[test]
fn what_was_not_proven_does_not_look_like_a_pass() {
    let kernels = vec![sample::kernel("6.1"), sample::kernel("6.12")];
    let mut broken = sample::object("broken", &[]);
    broken.broken = Some("no ELF header".to_owned());
    let objects = vec![sample::object("hollow", &[]), broken, sample::object("idle", &[("a", "x"), ("b", "x")])];
    let record = sample::assemble(kernels, objects, |_, _, _| (Verdict::NotRun, Some("interrupted".to_owned())));
    let table = render(&record, 80);
    for line in ["hollow  -     -\n", "broken  open  open\n", "idle    -     -\n"] {
        assert!(table.contains(line), "{line}{table}");
    }
    assert!(block(&table, "Failures").contains("cannot be read: no ELF header"), "{table}");
    assert!(block(&table, "Failures").contains("nothing was proven"), "{table}");
    assert_eq!(block(&table, "Not run"), "Not run\n  4 programs on 6.1, 6.12: interrupted");
    assert!(table.ends_with("2 programs x 2 kernels: nothing loaded, 4 not run, 1 object cannot be read\n"), "{table}");
}

#[test]
fn long_lists_of_failures_are_bounded_and_say_so() {
    let names: Vec<String> = (0..20).map(|p| format!("p{p}")).collect();
    let programs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "kprobe/x")).collect();
    let objects = (0..10).map(|o| sample::object(&format!("o{o}"), &programs)).collect();
    let record = sample::assemble(vec![sample::kernel("6.1")], objects, |_, p, _| {
        (Verdict::VerifierRejected, Some(format!("reason {p}")))
    });
    let table = render(&record, 80);
    let failed = block(&table, "Failures");
    assert_eq!(failed.lines().count(), 1 + 5 * (1 + 8 + 1) + 1, "{failed}");
    assert!(failed.contains("    ... 12 more in report.json\n"), "{failed}");
    assert!(failed.ends_with("  ... 100 more failures of other objects in report.json"), "{failed}");
}

#[test]
fn long_lists_of_dangers_are_bounded_and_say_so() {
    let mut record = sample::large(50, 2);
    for o in 0..5 {
        for p in 0..10 {
            record.objects[o].relocations.push(sample::relocation(&format!("f{p}")));
        }
        let relocations = record.objects[o].relocations.iter().enumerate();
        record.cells[o * 2].dangers = relocations.map(|(number, one)| sample::danger(number, one)).collect();
    }
    let table = render(&record, 200);
    let dangers = block(&table, "Silent dangers (program loads, but reads wrong data)");
    assert_eq!(dangers.lines().count(), 1 + 24 + 1, "{dangers}");
    assert!(dangers.ends_with("  ... 26 more dangers in report.json"), "{dangers}");
    let first = "klockstat/f0: `struct inode.i_ctime_nsec` has 4 bytes in the kernel, 8 bytes in the object \
    (src/execsnoop.bpf.c:41), on 5.4";
    assert!(dangers.contains(first), "{dangers}");
}

#[test]
fn what_loads_and_is_wrong_is_marked_though_nothing_fails() {
    let mut record = sample::large(2, 2);
    for program in record.cells.iter_mut().flat_map(|cell| &mut cell.programs) {
        program.verdict = Verdict::Loaded;
    }
    assert!(!render(&record, 120).contains(&record.objects[0].programs[0].name), "all is said by the counts");
    let name = record.objects[0].programs[0].name.clone();
    record.cells[1].dangers = vec![sample::unattachable(&name)];
    let table = render(&record, 120);
    let row = table.lines().find(|line| line.trim_start().starts_with(&name)).expect("a row");
    assert!(row.trim_end().ends_with(" ok   ok !"), "{row:?}");
    assert!(table.contains("ok ! = loads, but cannot attach"), "{table}");
}

#[test]
fn what_fails_elsewhere_is_left_to_what_failed() {
    let mut record = sample::record();
    for danger in record.cells.iter_mut().flat_map(|cell| &mut cell.dangers) {
        danger.difference = Danger::MissingElsewhere { kernels: vec!["7.3".to_owned()] };
    }
    assert!(!render(&record, 80).contains("Silent dangers"));
}

#[test]
fn a_kernel_that_failed_half_way_keeps_its_column_and_is_listed() {
    let mut record = sample::large(3, 2);
    record.kernels[1].state =
        KernelState::HarnessFailed { reason: "QEMU was killed".to_owned(), hint: None, console_tail: Vec::new() };
    let table = render(&record, 80);
    assert!(table.contains("5.4    5.10\n"), "{table}");
    let title = "Kernels that could not be used";
    assert_eq!(block(&table, title), format!("{title}\n  5.10: harness failed: QEMU was killed"));
}

#[test]
fn an_empty_run_says_so() {
    let table = render(&sample::large(0, 0), 80);
    assert!(table.contains("No program was run on any kernel."), "{table}");
    assert!(table.ends_with("0 programs x 0 kernels: nothing loaded\n"), "{table}");
}

#[test]
fn what_was_not_judged_for_one_cause_is_one_row() {
    use crate::record::{Cause, Evidence};
    let programs = [("a", "socket1"), ("b", "socket2"), ("c", "fentry/x")];
    let kernels = vec![sample::kernel("6.1"), sample::kernel("6.12")];
    let mut record = sample::assemble(kernels, vec![sample::object("o", &programs)], |_, p, _| {
        let name = programs[p].0;
        let reason = format!("prog '{name}': missing BPF prog type, check ELF section name '{}'", programs[p].1);
        (Verdict::HarnessLimit, Some(if p < 2 { reason } else { "x is in kernel module m".to_owned() }))
    });
    for cell in &mut record.cells {
        for (p, program) in cell.programs.iter_mut().enumerate() {
            program.cause = Some(if p < 2 { Cause::NeedsLoader } else { Cause::ModuleNotLoaded });
            program.evidence = Some(Evidence::line("line"));
        }
    }
    let table = render(&record, 120);
    let failed = block(&table, "Failures");
    assert_eq!(failed.lines().count(), 4, "{failed}");
    assert!(failed.contains("`a`, `b` on 6.1, 6.12: cannot be judged: needs its own loader\n"), "{failed}");
    assert!(failed.contains("`c` on 6.1, 6.12: cannot be judged: x is in kernel module m"), "{failed}");
    let findings = crate::report::finding::findings(&record);
    assert_eq!(findings.len(), 2, "{findings:?}");
}

#[test]
fn what_the_suite_allows_stands_apart() {
    let objects = vec![
        sample::object("both", &[("a", "kprobe/x"), ("b", "kprobe/y")]),
        sample::object("one", &[("c", "kprobe/z")]),
    ];
    let mut record = sample::assemble(vec![sample::kernel("6.1")], objects, |_, p, _| match p {
        0 => (Verdict::VerifierRejected, Some("too many".to_owned())),
        _ => (Verdict::Loaded, None),
    });
    record.cells[0].programs[0].expected = Some("it needs 6.6".to_owned());
    let table = render(&record, 80);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = table.lines().map(words).collect();
    for line in ["both (1/2)", "a (reject)", "b ok", "one 0/1", "c reject"] {
        assert!(lines.iter().any(|one| one == line), "{line}\n{table}");
    }
    let in_one_line = words(&table);
    assert!(in_one_line.contains("1/2 = 1 of 2 programs loaded, ok = loaded"), "{table}");
    assert!(table.contains("(…) = fails, but the suite allows it"), "{table}");
    assert_eq!(block(&table, "Failures"), "Failures\n  one\n    `c` on 6.1: verifier rejected: too many");
    assert_eq!(
        block(&table, "Failures that the suite allows"),
        "Failures that the suite allows\n  both\n    `a` on 6.1: verifier rejected: too many; expected: it needs 6.6"
    );
    assert!(in_one_line.contains("1 loaded, 1 failed (1 verifier rejected), 1 failed as the suite allows"), "{table}");
    let summary =
        crate::report::markdown::render(&record, &crate::report::SourceRoot::around(std::path::Path::new("/nowhere")));
    assert!(summary.contains("| both | ✅ 1/2, 1 allowed to fail |"), "{summary}");
    assert!(summary.contains("### Failures that the suite allows\n\n* **both**"), "{summary}");
    let annotations =
        crate::report::github::render(&record, &crate::report::SourceRoot::around(std::path::Path::new("/nowhere")));
    assert!(
        annotations.lines().any(|line| line.starts_with("::notice") && line.contains("it needs 6.6")),
        "{annotations}"
    );
    assert_eq!(annotations.matches("::error").count(), 1, "{annotations}");
}

#[test]
fn a_legend_explains_what_is_in_the_table_and_nothing_else() {
    let objects = vec![sample::object("o", &[("a", "kprobe/x"), ("b", "kprobe/y")])];
    let record = sample::assemble(vec![sample::kernel("6.1")], objects, |_, _, _| (Verdict::Loaded, None));
    let table = render(&record, 80);
    assert!(table.contains("\n2/2 = 2 of 2 programs loaded\n"), "{table}");
    assert!(!table.contains("ok = "), "{table}");
    let objects = vec![sample::object("o", &[("a", "kprobe/x")])];
    let record = sample::assemble(vec![sample::kernel("6.1")], objects, |_, _, _| {
        (Verdict::RelocationFailed, Some("gone".to_owned()))
    });
    let table = render(&record, 80);
    assert!(table.contains("\n0/1 = 0 of 1 program loaded, reloc = relocation failed\n"), "{table}");
}

#[test]
fn both_programs_are_not_all_2() {
    let objects = vec![sample::object("o", &[("a", "kprobe/x"), ("b", "kprobe/y")])];
    let record = sample::assemble(vec![sample::kernel("6.1")], objects, |_, _, _| {
        (Verdict::RelocationFailed, Some("gone".to_owned()))
    });
    assert!(block(&render(&record, 80), "Failures").contains("both programs on 6.1: relocation failed: gone"));
}

#[test]
fn who_saw_the_notices_of_a_run_gets_them_once() {
    let mut record = sample::record();
    record.tool.accel_reason = "no /dev/kvm".to_owned();
    let with_reason = render(&record, 200);
    assert_eq!(with_reason.matches("no /dev/kvm").count(), 1, "{with_reason}");
    record.notices = vec!["running under emulation: no /dev/kvm; load the module".to_owned()];
    let table = render(&record, 200);
    assert_eq!(table.matches("no /dev/kvm").count(), 1, "{table}");
    assert!(!after_run(&record, 200).contains("no /dev/kvm"));
}

#[test]
fn an_object_as_a_whole_that_may_fail_is_apart() {
    let objects = vec![sample::object("both", &[("a", "kprobe/x"), ("b", "kprobe/y")])];
    let kernels = vec![sample::kernel("6.1"), sample::kernel("6.12")];
    let mut record = sample::assemble(kernels, objects, |_, _, _| (Verdict::Loaded, None));
    let expected = Some("its map needs 6.6".to_owned());
    let reason = Some("map `m`: type 27 is not supported".to_owned());
    record.cells[0].whole = Some(WholeLoad { prepared: false, reason, left_out: Vec::new(), expected });
    let table = render(&record, 100);
    assert!(table.contains("(2/2*)"), "{table}");
    let allowed = block(&table, "Failures that the suite allows");
    assert!(allowed.contains("the object as a whole on 6.1: does not load: map `m`"), "{table}");
    assert!(allowed.contains("; expected: its") && !table.contains("\nFailures\n"), "{table}");
    let sources = crate::report::SourceRoot::around(std::path::Path::new("/nowhere"));
    let summary = crate::report::markdown::render(&record, &sources);
    assert!(summary.contains("✅ 2/2, allowed to fail as a whole"), "{summary}");
    assert!(summary.contains("### Failures that the suite allows\n\n* **both**"), "{summary}");
    assert!(summary.contains("1 object does not load as a whole where the suite allows it"), "{summary}");
    let annotations = crate::report::github::render(&record, &sources);
    assert!(annotations.contains("::notice") && !annotations.contains("::error"), "{annotations}");
}
