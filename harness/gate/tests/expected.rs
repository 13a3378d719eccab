//! Failures that are expected.

use super::*;

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
    Notice unexpected pass: `*/second` on 6.1: suite.toml:1 expects it to fail, but it loads: old
    Notice expectation unused: `c/*`: the expectation of suite.toml:5 matches nothing in this run: gone
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
        refusal("[[expect]]\nreason = \"r\"\nverdict = \"reloc\""),
        refusal("[[expect]]\nreason = \"r\"\nverdict = \"bad\""),
        refusal("[[expect]]\nreason = \"r\"\ncause = \"missing field\""),
        refusal("[[expect]]\nreason = \"r\"\nexpires = 2027-02-30"),
        refusal("[[expect]]\nreason = \"r\"\nexpires = \"soon\""),
        refusal("[[allow-warning]]\ncontains = \" \"\nreason = \"r\""),
        refusal("[[allow-warning]]\nreason = \"r\""),
        refusal("[[allow-warning]]\nverdict = \"missing_btf\"\ncontains = \"c\"\nreason = \"r\""),
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
        line 1: missing field `reason`
        line 5: unknown field `progam`, expected one of `object`, `program`, `kernel`, `verdict`, `cause`, `reason`, `link`, `expires`
        line 2: `reason` is empty (hint: state why the failure or warning is accepted)
        line 3: `object` `a***` is not a glob: Pattern syntax error near position 3: wildcards are either regular `*` or recursive `**`
        line 3: kernel selector `>=x` is malformed: `x` is not a kernel release such as `6.12` or `5.10.0-32-cloud-amd64`
        line 3: `verdict` is `loaded`, which is not a failure (hint: name the verdict of a failure)
        line 3: unknown verdict `reloc` (hint: did you mean `relocation_failed`?)
        line 3: unknown verdict `bad` (hint: the verdicts of failures are `failed_to_open`, `missing_btf`, `relocation_failed`, `map_creation_failed`, `attach_target_missing`, `verifier_rejected`, `unsupported_type`, `not_permitted`, `attach_failed`, `run_failed`, `command_failed`, `test_failed`, `no_result`, `kernel_crashed`, `timed_out`)
        line 3: unknown cause `missing field` (hint: did you mean `missing_field`?)
        line 3: invalid date, expected day between 01 and 28
        line 1: `expires` is `soon`, which is not a date (hint: write it as 2027-06-30)
        line 2: `contains` is empty (hint: name the function that warns, or words of the warning)
        line 1: missing field `contains`
        line 2: unknown field `verdict`, expected one of `object`, `program`, `kernel`, `contains`, `reason`, `link`, `expires`
        ");
    assert!(Expectations::read(std::path::Path::new("no/such.toml")).unwrap_err().hint().is_some());
}

#[test]
fn a_record_shows_which_failures_are_expected() {
    let marked = |text: &str| {
        let mut record = baseline();
        expectations(text).mark(&mut record, limits().today);
        record
    };
    let record = marked("[[expect]]\nreason = \"known\"\nprogram = \"second\"\nlink = \"l\"");
    assert_eq!(record.excuse(0, 0, 1).as_deref(), Some("expected: known (l)"));
    assert_eq!(record.cell(0, 1).programs[1].expected, None, "it loads there");
    assert_eq!((exit_code::of(&baseline()), exit_code::of(&record)), (exit_code::PROGRAM_FAILED, exit_code::GOOD));
    // The gate, too, without the file.
    let report = decide(&record, None, &Expectations::default(), &limits());
    assert_eq!((report.exit_code(), report.expected), (exit_code::GOOD, 1));
    // What is expected now takes the place of what was expected then; kernel warnings that are allowed do not.
    let mut saved = record.clone();
    expectations("[[allow-warning]]\nreason = \"w\"\ncontains = \"x\"").mark_saved(&mut saved, limits().today);
    assert_eq!(saved, record);
    expectations("[[expect]]\nreason = \"r\"\nprogram = \"first\"").mark_saved(&mut saved, limits().today);
    assert_eq!(saved.excuse(0, 0, 1), None);
    for other in ["verdict = \"missing_btf\"", "kernel = \"6.1\"", "expires = 2027-02-28"] {
        let record = marked(&format!("[[expect]]\nreason = \"known\"\nprogram = \"second\"\n{other}"));
        assert_eq!((record.excuse(0, 0, 1), exit_code::of(&record)), (None, exit_code::PROGRAM_FAILED), "{other}");
    }
    // A range includes what has no number in its name.
    let mut record = baseline();
    record.kernels[0].name = "acme".to_owned();
    for program in record.cells.iter_mut().filter(|cell| cell.kernel == "5.10") {
        program.kernel = "acme".to_owned();
    }
    expectations("[[expect]]\nreason = \"old\"\nkernel = \"<6.1\"").mark(&mut record, limits().today);
    assert_eq!(record.excuse(0, 0, 1).as_deref(), Some("expected: old"));
}

#[test]
fn the_infrastructure_is_never_expected_to_fail() {
    let mut record = baseline();
    record.cells[0].programs[1].verdict = Verdict::HarnessError;
    record.cells[0].programs[0].verdict = Verdict::HarnessLimit;
    expectations("[[expect]]\nreason = \"r\"").mark(&mut record, limits().today);
    assert_eq!(record.cells[0].programs[1].expected, None);
    assert_eq!(exit_code::of(&record), exit_code::INFRASTRUCTURE);
    record.cells[0].programs[1].verdict = Verdict::Loaded;
    assert_eq!(exit_code::of(&record), exit_code::GOOD, "what cannot be judged was expected");
}

#[test]
fn an_object_as_a_whole_is_expected_to_fail_by_run_and_by_gate() {
    let mut record = baseline();
    record.cells[0].programs[1].verdict = Verdict::Loaded;
    let reason = Some("map `m`: type 27 is not supported".to_owned());
    record.cells[0].whole = Some(WholeLoad { prepared: false, reason, left_out: Vec::new(), expected: None });
    let marked = |text: &str| {
        let mut record = record.clone();
        expectations(&format!("[[expect]]\nreason = \"known\"\nlink = \"l\"\n{text}"))
            .mark(&mut record, limits().today);
        record
    };
    assert_eq!(exit_code::of(&record), exit_code::PROGRAM_FAILED);
    for text in ["object = \"a\"\nkernel = \"5.10\"", "program = \"(object)\""] {
        let marked = marked(text);
        assert_eq!(exit_code::of(&marked), exit_code::GOOD, "{text}");
        assert_eq!(marked.whole_excuse(0, 0).as_deref(), Some("expected: known (l)"));
        assert_eq!(marked.whole_excuse(0, 1), None, "it loads there");
        // The gate agrees, with the file and without it.
        for known in [expectations(&format!("[[expect]]\nreason = \"known\"\n{text}")), Expectations::default()] {
            let report = decide(&marked, None, &known, &limits());
            assert_eq!(decided(&report), (exit_code::GOOD, String::new()), "{text}");
            assert_eq!(report.excused.len(), 1);
        }
    }
    // It is about a program, about another object, or about a verdict, which an object as a whole does not have.
    for text in ["program = \"first\"", "object = \"b\"", "verdict = \"map_creation_failed\"", "kernel = \">6.0\""] {
        assert_eq!(exit_code::of(&marked(text)), exit_code::PROGRAM_FAILED, "{text}");
    }
}
