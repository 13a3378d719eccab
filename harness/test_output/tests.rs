use std::fmt::Write as _;

use super::*;

/// All that is read of an output, a line for each test; in pieces of any size it is the same.
fn read(harness: TestHarness, output: &str) -> String {
    let mut whole = TestReader::new(harness);
    whole.push(output.as_bytes());
    let whole = whole.finish();
    let mut pieces = TestReader::new(harness);
    output.as_bytes().chunks(7).for_each(|piece| pieces.push(piece));
    assert_eq!(pieces.finish(), whole);
    let Some(output) = whole else { return "no output of this harness".to_owned() };
    let mut text = String::new();
    for test in &output.tests {
        let took = test.took_ms.map(|took| format!(" {took} ms")).unwrap_or_default();
        let reason = test.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        writeln!(text, "{:?} {}{took}{reason} [{}]", test.outcome, test.name, test.said.len()).unwrap();
    }
    output.troubles.iter().for_each(|trouble| writeln!(text, "trouble: {trouble}").unwrap());
    text + if output.is_complete { "complete" } else { "not complete" }
}

#[test]
fn libtest_tells_results_reasons_and_counts() {
    let output = "\nrunning 5 tests\ntest a::passes ... ok\ntest a::panics - should panic ... \x1b[32mok\x1b(B\x1b[m\n\
        test b::slow has been running for over 60 seconds\ntest b::ignored ... ignored, needs a network\n\
        test b::slow ... ok <61.002s>\ntest fails ... FAILED\n\nfailures:\n\n---- fails stdout ----\n\n\
        thread 'fails' panicked at tests/a.rs:5:9:\nassertion `left == right` failed\n  left: 1\n right: 2\n\
        note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n\n\nfailures:\n    fails\n\n\
        test result: FAILED. 3 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
    let output = output.replace("\x1b(B", "");
    insta::assert_snapshot!(read(TestHarness::Libtest, &output));
}

#[test]
fn one_thread_prints_between_a_name_and_its_result() {
    let output = "running 4 tests\ntest one ... hello ... from it\nok\ntest two ... ok\ntest three ... half a line";
    let summary = "ok\ntest four ... no end\nFAILED\n\nfailures:\n\nfailures:\n    four\n\n\
        test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
    insta::assert_snapshot!(read(TestHarness::Libtest, &format!("{output}{summary}")));
    insta::assert_snapshot!(read(TestHarness::Libtest, output));
}

#[test]
fn what_contradicts_the_summary_is_trouble() {
    let forged = "running 1 test\ntest fails ... FAILED\ntest made_up ... ok\ntest fails ... ok\n\
        test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
    insta::assert_snapshot!(read(TestHarness::Libtest, forged));
    let quiet = "running 2 tests\n..\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
    insta::assert_snapshot!(read(TestHarness::Libtest, quiet));
}

#[test]
fn no_tests_are_something_else_than_no_harness() {
    let none = "\nrunning 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out\n";
    assert_eq!(read(TestHarness::Libtest, none), "complete");
    assert_eq!(read(TestHarness::Go, "testing: warning: no tests to run\nPASS\n"), "complete");
    for harness in [TestHarness::Libtest, TestHarness::Go] {
        assert_eq!(read(harness, "hello\ntest x ... ok\n    --- x: y\n"), "no output of this harness");
        assert_eq!(read(harness, ""), "no output of this harness");
    }
}

#[test]
fn go_tells_subtests_skips_and_what_failed() {
    let output = "=== RUN   TestMap\n=== RUN   TestMap/hash\n    map_test.go:20: hello\n=== RUN   TestMap/arena\n\
        \x20   map_test.go:31: not supported: arena\n--- FAIL: TestMap (1.25s)\n    --- PASS: TestMap/hash (0.25s)\n\
        \x20   --- FAIL: TestMap/arena (0.00s)\n=== RUN   TestOld\n    old_test.go:7: needs Linux 5.15\n\
        --- SKIP: TestOld (0.00s)\n=== RUN   TestPart\n=== PAUSE TestPart\n=== CONT  TestPart\nno end--- PASS: TestPart (0.00s)\nFAIL\n";
    insta::assert_snapshot!(read(TestHarness::Go, output));
    let short = "--- FAIL: TestX (0.00s)\n    x_test.go:5: boom\nFAIL\n";
    insta::assert_snapshot!(read(TestHarness::Go, short));
}

#[test]
fn go_marks_its_lines_for_test2json() {
    let output = "\u{16}=== RUN   TestA\nhalf a line\u{16}=== NAME  TestA\n\u{16}--- PASS: TestA (0.00s)\n\
        \u{16}=== RUN   TestB\n\u{16}--- PASS: TestC (0.00s)\nPASS\n";
    insta::assert_snapshot!(read(TestHarness::Go, output));
    // It died: what began has no end.
    insta::assert_snapshot!(read(TestHarness::Go, "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\nx"));
}

#[test]
fn much_of_anything_is_bounded() {
    let mut reader = TestReader::new(TestHarness::Libtest);
    reader.push(b"running 1 test\n");
    for number in 0..MOST_TESTS + 5 {
        reader.push(format!("test t{number} ... ok\n").as_bytes());
    }
    reader.push(&vec![b'x'; 1 << 20]);
    reader.push(format!("\ntest {} ... ok\n", "y".repeat(LONGEST_NAME + 1)).as_bytes());
    let output = reader.finish().unwrap();
    assert_eq!(output.tests.len(), MOST_TESTS);
    assert!(
        output.troubles[0].contains("5 results are left out") || output.troubles.len() > 1,
        "{:?}",
        output.troubles
    );
}

#[test]
fn fuzz_test_outputs_end_in_no_panic() {
    let seed = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n---- b stdout ----\nwhy\nfailures:\n    b\n\
        test result: FAILED. 1 passed; 1 failed\n=== RUN   TestA\n    --- PASS: TestA/b (0.00s)\n--- FAIL: TestA (1.0s)\n\u{16}\x1b[31m";
    crate::fuzz::fuzz("test-outputs", &[seed.as_bytes().to_vec()], |bytes| {
        for harness in [TestHarness::Libtest, TestHarness::Go] {
            let mut reader = TestReader::new(harness);
            reader.push(bytes);
            reader.finish();
        }
    });
}
