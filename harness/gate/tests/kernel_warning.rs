//! Complaints of the kernel.

use super::*;

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
    let line = "Notice expectation unused: `*/*`: no kernel warning of this run matches the `[[allow-warning]]` of \
    suite.toml:1: r";
    assert_eq!(text.lines().last(), Some(line));
    let (code, text) = decide(&allow("contains = \"x.c\"\nexpires = 2027-02-28"));
    assert_eq!(code, exit_code::PROGRAM_FAILED);
    assert!(
        text.starts_with("Red expectation expired: `*/*`: the allowance of suite.toml:1 expired on 2027-02-28: r"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 3, "{text}");

    // What was there before is known, even if its line has changed.
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
    Notice kernel warning: `a/first` on 5.10: watchdog: BUG: soft lockup; a busy machine can cause this
    Notice kernel warning: `a` on 5.10: clocksource: timekeeping watchdog; a busy machine can cause this
    ");
}
