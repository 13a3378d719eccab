use super::*;

/// A log in which the verifier visited these instructions.
fn log(visits: &[u32]) -> String {
    visits.iter().map(|index| format!("{index}: (b7) r1 = {index}\n")).collect()
}

fn folded(visits: &[u32]) -> String {
    fold(&log(visits)).to_string().replace("(b7) ", "")
}

#[test]
fn straight_log_stays_as_it_is() {
    let text = "; int x;\n0: (b7) r0 = 0\n R0=inv0\n1: (95) exit\nprocessed 2 insns\n";
    assert_eq!(fold(text).to_string(), text);
    assert_eq!(fold("").to_string(), "");
}

#[test]
fn loop_is_shown_once() {
    let visits: Vec<u32> = [0, 1].into_iter().chain([2, 3, 4].repeat(4095)).chain([5]).collect();
    // The first turn is one walk with what stands before the loop, the last one with what stands behind it.
    insta::assert_snapshot!(folded(&visits), @r"
    0: r1 = 0
    1: r1 = 1
    2: r1 = 2
    3: r1 = 3
    4: r1 = 4
    … the next 3 instructions repeat 4093 times
    2: r1 = 2
    3: r1 = 3
    4: r1 = 4
    2: r1 = 2
    3: r1 = 3
    4: r1 = 4
    5: r1 = 5
    ");
}

#[test]
fn loop_in_a_loop_folds_also_where_its_turns_differ() {
    let mut visits = Vec::new();
    for turn in 0..50 {
        visits.extend([1]);
        visits.extend([2, 3].repeat(3 + turn % 2));
        visits.extend([9]);
    }
    let text = folded(&visits);
    assert!(text.contains("repeat 1 to 2 times"), "{text}");
    assert!(text.lines().count() < 20, "{text}");
}

#[test]
fn branch_inside_a_loop_folds() {
    let visits = [2, 3, 8, 2, 5, 6].repeat(100);
    insta::assert_snapshot!(folded(&visits), @r"
    … the next 6 instructions repeat 100 times
    2: r1 = 2
    3: r1 = 3
    8: r1 = 8
    2: r1 = 2
    5: r1 = 5
    6: r1 = 6
    ");
}

#[test]
fn words_are_never_folded_away() {
    let text = "4: (05) goto pc-1\nsome words\n".repeat(50) + "R0 !read_ok\n";
    let shown = fold(&text).to_string();
    assert_eq!(shown.matches("some words").count(), 50);
    assert!(shown.ends_with("R0 !read_ok\n"));
}

#[test]
fn backtracking_is_counted() {
    let text =
        format!("7: (a5) if r9 < 0x2328 goto pc-4\n{}8: (95) exit\n", "regs=200 stack=0 before 6: x\n".repeat(9));
    let shown = fold(&text).to_string();
    assert_eq!(shown, "7: (a5) if r9 < 0x2328 goto pc-4\n… 9 lines of backtracking\n8: (95) exit\n");
}

#[test]
fn source_line_goes_with_its_instruction() {
    let text = "0: (b7) r1 = 0\n; top of the loop\n1: (b7) r2 = 0\n; end\n2: (05) goto pc-2\n".to_owned()
        + &"; top of the loop\n1: (b7) r2 = 0\n; end\n2: (05) goto pc-2\n".repeat(9);
    let shown = fold(&text).to_string();
    assert!(shown.contains("… the next 2 instructions repeat 9 times\n; top of the loop\n1: "), "{shown}");
}

#[test]
fn what_does_not_repeat_is_bounded() {
    // Every walk is another one.
    let mut state = 1_u64;
    let mut text = String::new();
    for _ in 0..3 * MAX_KEPT {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(&format!("{}: (95) exit\n0: (95) exit\n", 1 + (state >> 40)));
    }
    text.push_str("the end\n");
    let folded = fold(&text);
    assert!(folded.first.len() + folded.last.len() <= 3 * MAX_KEPT);
    assert!(folded.left_out() > 0);
    let shown = folded.to_string();
    assert!(shown.ends_with("the end\n"));
    let lines = shown.lines().count() as u64 - 1 + folded.left_out();
    assert_eq!(lines, text.lines().count() as u64);
}
