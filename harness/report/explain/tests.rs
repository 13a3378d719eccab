use super::*;
use crate::object::btf::Btf;
use crate::record::Danger;
use crate::record::DangerRecord;
use crate::record::sample;
use crate::record::{Candidate, RelocationOutcome, VerifierPlace};
use crate::record::{Cause, Evidence};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/explain/{name}.o", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

const LOG: &str = "0: (79) r1 = *(u64 *)(r1 +0)\n; READ(task->state);\n1: <invalid CO-RE relocation>\n\
                   failed to resolve CO-RE relocation <byte_off> [6] struct task_struct___old.state (0:0 @ offset 0)\n\
                   processed 2 insns (limit 1000000)\n";

/// A run of the fixture's object on the fixture's kernels, of which the second does not have `task_struct.state`.
fn render_with(program: impl Fn(&mut ProgramRecord), known: bool) -> String {
    render_with_danger(program, known, sample::danger(0, &sample::relocation("naive")))
}

fn render_with_danger(program: impl Fn(&mut ProgramRecord), known: bool, danger: DangerRecord) -> String {
    render_relocated(program, known, danger, None)
}

/// The same of an object that is relocated with BTF of its own.
fn render_relocated(
    program: impl Fn(&mut ProgramRecord),
    known: bool,
    danger: DangerRecord,
    btf: Option<&str>,
) -> String {
    let kernels = ["6.1", "6.12"].map(sample::kernel).to_vec();
    let bytes = fixture("object");
    let inventory = Inventory::read(&bytes).unwrap();
    let mut object = sample::object("object", &[("naive", "raw_tp/x")]);
    object.loading.btf = btf.map(str::to_owned);
    object.relocations = inventory.core_relocations.clone();
    let mut record = sample::assemble(kernels, vec![object], |_, _, _| (Verdict::Loaded, None));
    let target = "struct task_struct.state (0:1 @ offset 24)".to_owned();
    let record_of = |outcome, candidates| RelocationRecord {
        relocation: 0,
        local: "struct task_struct___old.state (0:0 @ offset 0)".to_owned(),
        candidates,
        outcome,
        verifier_insns: vec![VerifierPlace { program: "naive".to_owned(), insn: 1 }],
        predicted: None,
    };
    let matching = Candidate { spec: target, module: "vmlinux".to_owned(), matching: true };
    record.cells[0].relocations = vec![record_of(RelocationOutcome::Resolved { old: 0, new: 24 }, vec![matching])];
    record.cells[1].relocations = vec![record_of(RelocationOutcome::Poisoned, Vec::new())];
    program(&mut record.cells[1].programs[0]);
    if record.cells[1].programs[0].verdict == Verdict::Loaded {
        record.cells[1].dangers = vec![danger];
    }
    let [old, new, local] = ["kernel_a", "kernel_b", "object"].map(|name| ObjectTypes::read(&fixture(name)));
    let of = |types: &Option<ObjectTypes>| types.as_ref().map(|types| types.btf.clone());
    let kernel = |name, types: &Option<ObjectTypes>| of(types).unwrap_or_else(|| panic!("{name}"));
    let (old, new): (Btf, Btf) = (kernel("6.1", &old), kernel("6.12", &new));
    let matrix = [
        KernelTypes { name: "6.1", btf: &old, booted: true, modules: None },
        KernelTypes { name: "6.12", btf: &new, booted: true, modules: None },
    ];
    let facts = CellFacts {
        record: &record,
        object: 0,
        kernel: 1,
        matrix: if known { &matrix } else { &[] },
        known: &KnownTypes::default(),
        prove: &|_| None,
        probes: &HashMap::new(),
        types: local.as_ref().filter(|_| known),
        inventory: Some(&inventory),
        log: &|path| if path == "a.log" { Ok(LOG.to_owned()) } else { Err(io::ErrorKind::NotFound.into()) },
        elsewhere: &|_| None,
        missing: if known { &[] } else { &["the types of `6.1` are not in the store".to_owned()] },
    };
    render(&facts, &[0], 100)
}

/// The same, where the program loads on the second kernel with `danger`.
fn render_danger(relocation: Option<usize>, subject: &str, difference: Danger) -> String {
    let (words, subject) = (difference.to_string(), subject.to_owned());
    let whole =
        DangerRecord { relocation, subject, words, difference, ..sample::danger(0, &sample::relocation("naive")) };
    render_with_danger(|_| {}, true, whole)
}

fn missing_field(program: &mut ProgramRecord) {
    program.verdict = Verdict::RelocationFailed;
    program.cause = Some(Cause::MissingField);
    program.evidence = Some(Evidence {
        line: LOG.lines().nth(3).unwrap_or_default().to_owned(),
        subject: Some("struct task_struct___old.state".to_owned()),
        source: Some(Source { insn: 1, text: Some("READ(task->state);".to_owned()), place: None }),
    });
    program.log_file = Some("a.log".to_owned());
}

#[test]
fn headings_are_true_for_every_danger() {
    let heading = |danger: DangerRecord| {
        render_with_danger(|_| {}, true, danger)
            .lines()
            .find(|line| line.starts_with("object/naive"))
            .unwrap_or_default()
            .rsplit(": ")
            .next()
            .map(str::to_owned)
    };
    assert_eq!(heading(sample::unattachable("naive")).as_deref(), Some("loaded, but cannot attach"));
    let wrong = sample::danger(0, &sample::relocation("naive"));
    assert_eq!(heading(wrong).as_deref(), Some("loaded, but reads wrong data"));
}

#[test]
fn what_needs_its_own_loader_says_what_a_suite_can_say() {
    let text = render_with(
        |program| {
            let line = "prog 'p': bad map relo against 'events' in section 'maps/events'";
            program.verdict = Verdict::HarnessLimit;
            program.cause = Some(Cause::NeedsLoader);
            program.evidence = Some(Evidence { line: line.to_owned(), subject: None, source: None });
            program.reason = Some(format!("{line}; say `legacy-maps = true` in an `[[object]]` of a suite"));
        },
        true,
    );
    assert!(text.contains("  hint: say `legacy-maps = true` in an `[[object]]` of a suite\n"), "{text}");
}

#[test]
fn a_missing_field_is_explained_from_the_kernels_types() {
    insta::assert_snapshot!(render_with(missing_field, true));
}

#[test]
fn kernels_types_explain_nothing_of_an_object_with_btf_of_its_own() {
    let text = render_relocated(missing_field, true, sample::danger(0, &sample::relocation("naive")), Some("own.btf"));
    assert!(text.contains("were resolved against `own.btf`") && !text.contains("in this matrix"), "{text}");
}

#[test]
fn without_types_the_verifiers_words_are_told() {
    insta::assert_snapshot!(render_with(missing_field, false));
}

#[test]
fn a_log_that_is_gone_is_told_and_its_end_shown() {
    let text = render_with(
        |program| {
            missing_field(program);
            program.cause = Some(Cause::MemoryNull);
            program.log_file = Some("gone.log".to_owned());
            program.log_tail = vec!["3: (61) r0 = *(u32 *)(r0 +0)".to_owned(), "R0 \x1b[31minvalid".to_owned()];
        },
        true,
    );
    assert!(text.contains("`gone.log` cannot be read"), "{text}");
    assert!(text.contains("Verifier message:\n  3: (61) r0 = *(u32 *)(r0 +0)\n  R0 invalid\n"), "{text}");
    assert!(!text.contains("CO-RE relocation 0 of") && !text.contains('\x1b'), "{text}");
}

#[test]
fn a_program_that_loads_tells_its_dangers_only() {
    let text = render_with(|_| {}, true);
    assert!(text.contains("\nobject/naive on 6.12 (6.12.0-9-cloud-amd64): loaded, but reads wrong data\n"), "{text}");
    assert!(text.contains("`struct inode.i_ctime_nsec` has 4 bytes in the kernel, 8 bytes in the object"), "{text}");
    assert!(text.contains("> 6.12") && !text.contains("verifier"), "{text}");
}

#[test]
fn a_constant_is_told_with_its_values_and_what_to_write() {
    let text = render_danger(None, "enum iter_type::ITER_IOVEC", Danger::ValueChanged { local: 4, target: 1 });
    insta::assert_snapshot!(text);
}

#[test]
fn what_fails_elsewhere_is_told_with_its_guard() {
    let elsewhere = Danger::MissingElsewhere { kernels: vec!["6.12".to_owned()] };
    let text = render_danger(Some(0), "struct task_struct___old.state", elsewhere);
    assert!(text.contains("\nobject/naive on 6.12 (6.12.0-9-cloud-amd64): loaded, but fails elsewhere\n"), "{text}");
    assert!(text.contains("has no match on 6.12, where the program"), "{text}");
    assert!(text.contains("bpf_core_field_exists"), "{text}");
}

#[test]
fn a_program_that_was_not_run_says_why() {
    let text = render_with(
        |program| {
            program.verdict = Verdict::NotRun;
            program.reason = Some("the kernel did not boot".to_owned());
        },
        true,
    );
    assert_eq!(
        text,
        "`naive` was not run on 6.12.\n\nobject/naive on 6.12 (6.12.0-9-cloud-amd64): not run\n  the kernel did not boot\n"
    );
}

#[test]
fn a_program_that_is_too_complex_gets_its_line_and_advice() {
    let said = |line: &str| {
        let line = line.to_owned();
        let text = render_with(
            move |program| {
                program.verdict = Verdict::VerifierRejected;
                program.cause = Some(Cause::ComplexityLimit);
                program.evidence = Some(Evidence::line(&line));
                program.log_file = Some("a.log".to_owned());
            },
            true,
        );
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let large = said("BPF program is too large. Processed 1000001 insn");
    let hottest = "hint: most of the verifier's work in the log is at `READ(task->state);`: 1 of 2 instructions";
    assert!(large.contains(hottest), "{large}");
    assert!(large.contains("`bpf_loop` (Linux 5.17 or later), which the verifier checks once"), "{large}");
    assert!(said("infinite loop detected at insn 1").contains("give the loop a bound that the verifier sees"));
    assert!(said("the call stack of 9 frames is too deep !").contains("8 nested calls"));
    assert!(said("too many subprograms").contains("simplify the program"));
}
