//! The logs of real kernels, and what is left of them when they are damaged.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/verifier")
}

/// The logs of one kernel, by name.
fn logs(kernel: &str) -> Vec<(String, String)> {
    let folder = std::fs::read_dir(fixtures().join(kernel)).expect("fixtures");
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).expect("a log"))).collect()
}

fn every_log() -> Vec<String> {
    let kernels = ["5.10", "6.1", "6.12", "7.3"];
    kernels.iter().flat_map(|kernel| logs(kernel)).map(|(_, log)| log).collect()
}

/// What was read from every log of a kernel, a few lines each.
fn table(kernel: &str) -> String {
    let mut text = String::new();
    for (name, log) in logs(kernel) {
        let statistics = statistics(&log);
        let _ = writeln!(text, "# {name}");
        let _ = writeln!(
            text,
            "{} insns, {} states, stack {:?}, max {:?}",
            statistics.insns_processed.expect("every log tells"),
            statistics.total_states.expect("every log tells"),
            statistics.stack_depth,
            statistics.stack_depth_max,
        );
        let Some(failure) = VerifierFailure::read(&log) else {
            let _ = writeln!(text, "no failure\n");
            continue;
        };
        for line in &failure.said {
            let _ = writeln!(text, "> {line}");
        }
        let insn = failure.insn.map_or("-".to_owned(), |insn| insn.to_string());
        let _ = writeln!(text, "at {insn}: {}", failure.insn_text.unwrap_or_default());
        if let Some(source) = failure.source_text {
            let place = failure.source_place.map(|(file, line)| format!(" @ {file}:{line}")).unwrap_or_default();
            let _ = writeln!(text, "; {source}{place}");
        }
        if let Some(explanation) = failure.explanation {
            let _ = writeln!(text, "{} | {:?} | {:?}", explanation.summary, explanation.reason, explanation.suggestion);
        }
        text.push('\n');
    }
    text
}

#[test]
fn logs_of_5_10() {
    insta::assert_snapshot!(table("5.10"));
}

#[test]
fn logs_of_6_1() {
    insta::assert_snapshot!(table("6.1"));
}

#[test]
fn logs_of_6_12() {
    insta::assert_snapshot!(table("6.12"));
}

#[test]
fn logs_of_7_3() {
    insta::assert_snapshot!(table("7.3"));
}

#[test]
fn loop_of_300_turns_folds() {
    for kernel in ["5.10", "7.3"] {
        let log = log_file::read(&fixtures().join(kernel).join("loop_then_null.log.zst")).expect("a log");
        let failure = VerifierFailure::read(&log).expect("a failure");
        assert_eq!(failure.message, "R0 invalid mem access 'map_value_or_null'", "{kernel}");
        let shown = fold(&log).to_string();
        assert!(log.lines().count() > 3000, "{kernel}");
        assert!(shown.lines().count() < 300, "{kernel}: {} lines", shown.lines().count());
        assert!(shown.contains(&failure.message), "{kernel}");
        insta::assert_snapshot!(format!("loop_folded_{kernel}"), shown);
    }
}

#[test]
fn statistics_of_the_largest_program() {
    let (_, log) = logs("5.10").into_iter().find(|(name, _)| name == "too_large").expect("the log");
    insta::assert_debug_snapshot!(statistics(&log));
}

/// Reads a log in every way there is; returns how long that took.
fn read_all(log: &str) -> Duration {
    let begin = Instant::now();
    let _ = (statistics(log), VerifierFailure::read(log), fold(log).to_string());
    begin.elapsed()
}

#[test]
fn logs_cut_off_anywhere_are_read() {
    for (count, log) in every_log().into_iter().enumerate() {
        // Every length of the shorter logs; of the longer ones every eleventh, beginning at another each time.
        let step = if log.len() < 600 { 1 } else { 11 };
        for end in (count % step..log.len()).step_by(step).filter(|end| log.is_char_boundary(*end)) {
            read_all(&log[..end]);
            // A buffer that was too small keeps the end of a log.
            read_all(&log[end..]);
        }
    }
}

/// A small generator of random numbers; the same ones each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

#[test]
fn damaged_logs_are_read() {
    let mut random = Random(0x5eed);
    let logs = every_log();
    for _ in 0..600 {
        let mut bytes = logs[random.below(logs.len())].clone().into_bytes();
        for _ in 0..1 + random.below(20) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, b"\n:;'#(\x1b\xe2"[random.below(8)]),
                _ => {
                    let end = (at + random.below(300)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    let to = random.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
        }
        read_all(&String::from_utf8_lossy(&bytes));
    }
    for _ in 0..300 {
        let bytes: Vec<u8> = (0..random.below(2000)).map(|_| random.below(256) as u8).collect();
        read_all(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn time_grows_with_length_only() {
    let whole = log_file::read(&fixtures().join("5.10/loop_then_null.log.zst")).expect("a log");
    let mut random = Random(7);
    let random_walk: String = (0..8000).map(|_| format!("{}: (95) exit\n", random.below(40))).collect();
    // One line without an end, a loop, a walk at random, words only.
    for piece in ["x".repeat(200_000), whole, random_walk, "R0 !read_ok\n".repeat(20_000)] {
        let once = read_all(&piece).max(Duration::from_millis(5));
        let long = read_all(&piece.repeat(8));
        // 8 times the length; the rest is for a machine that does other things as well.
        assert!(long < once * 40, "{:?} for one, {long:?} for eight: {:.40}", once, piece);
    }
}
