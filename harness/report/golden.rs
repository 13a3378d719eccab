//! Golden files of every format over the sample record, whose names are hostile on purpose.

use std::path::Path;

use super::*;
use crate::record::Verdict;
use crate::record::sample::{self, NASTY};
use crate::record::{Cause, Evidence, Source};

/// The sample with evidence, names that try to break out, and a source file in the repository.
fn hostile() -> RunRecord {
    let mut record = sample::record();
    let long = "very_long_name_".repeat(40);
    record.objects[2].name = format!("</script><!--\n::error::x|y\"',`😀`\u{fffd} {long}");
    for k in 0..4 {
        record.cells[2 * 4 + k].object = record.objects[2].name.clone();
    }
    let broken = &mut record.cells[2 * 4 + 2].programs[0];
    broken.evidence = Some(Evidence {
        line: NASTY.to_owned(),
        subject: Some("struct a|b.<c>".to_owned()),
        source: Some(Source {
            insn: 3,
            text: Some("x = a->b; // 100%".to_owned()),
            place: Some(("execsnoop.bpf.c".to_owned(), 41)),
        }),
    });
    let refused = &mut record.cells[2].programs[4];
    refused.cause = Some(Cause::ContextArgumentChanged);
    refused.evidence = Some(Evidence {
        line: "invalid bpf_context access off=4096 size=4".to_owned(),
        subject: Some("do_exit".to_owned()),
        source: Some(Source {
            insn: 7,
            text: Some("return *(int *)ctx;".to_owned()),
            place: Some(("execsnoop.bpf.c".to_owned(), 63)),
        }),
    });
    record
}

/// The format's text, in a repository that has the source of one object.
fn rendered(record: &RunRecord, format: Format) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join(".git")).unwrap();
    std::fs::create_dir_all(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("src/execsnoop.bpf.c"), "x").unwrap();
    let sources = SourceRoot::around(folder.path());
    let material = Material { record, folder: folder.path(), sources: &sources, baseline: None };
    String::from_utf8(format.render(&material).unwrap()).unwrap()
}

macro_rules! golden {
    ($name:ident, $format:expr) => {
        #[test]
        fn $name() {
            insta::assert_snapshot!(rendered(&hostile(), $format));
        }
    };
}

golden!(markdown_of_the_sample, Format::Markdown);
golden!(lines_of_the_sample, Format::Jsonl);
golden!(csv_of_the_sample, Format::Csv);
golden!(annotations_of_the_sample, Format::Github);
golden!(diagnostics_of_the_sample, Format::Compiler);
golden!(sarif_of_the_sample, Format::Sarif);
golden!(code_quality_of_the_sample, Format::Gitlab);

macro_rules! golden_prediction {
    ($name:ident, $format:expr) => {
        #[test]
        fn $name() {
            insta::assert_snapshot!(rendered(&sample::predicted(), $format));
        }
    };
}

golden_prediction!(table_with_predictions, Format::Table);
golden_prediction!(markdown_with_predictions, Format::Markdown);
golden_prediction!(csv_with_predictions, Format::Csv);
golden_prediction!(junit_with_predictions, Format::Junit);
golden_prediction!(annotations_with_predictions, Format::Github);

#[test]
fn what_is_predicted_counts_as_nothing() {
    let mut plain = sample::record();
    let mut record = sample::predicted();
    for with_failures in [true, false] {
        // The exit code is that without the kernel.
        assert_eq!(crate::record::exit_code::of(&record), crate::record::exit_code::of(&plain));
        let passed = |record: &RunRecord| record.count().get(&Verdict::Loaded).copied();
        assert_eq!(passed(&record), passed(&plain));
        for record in [&mut record, &mut plain].into_iter().filter(|_| with_failures) {
            record.cells.iter_mut().enumerate().filter(|(index, _)| index % 4 > 0).for_each(|(_, cell)| {
                cell.whole = None;
                cell.programs.iter_mut().for_each(|program| program.verdict = Verdict::Loaded);
            });
        }
    }
    // Nothing but predictions proves nothing.
    record.cells.iter_mut().flat_map(|cell| &mut cell.programs).for_each(|program| program.verdict = Verdict::NotRun);
    assert_eq!(crate::record::exit_code::of(&record), crate::record::exit_code::INFRASTRUCTURE);
}

/// A run that was stopped before its first guest answered.
fn interrupted() -> RunRecord {
    let mut record = sample::large(12, 3);
    for program in record.cells.iter_mut().flat_map(|cell| &mut cell.programs) {
        *program = sample::program(&program.name, &program.section, Verdict::NotRun, Some("not reached in the run"));
    }
    record.cells.iter_mut().for_each(|cell| cell.whole = None);
    record.kernels.iter_mut().for_each(|kernel| {
        kernel.state = crate::record::KernelState::Pending;
        kernel.identity = None;
    });
    record.finished = None;
    record.interrupted = true;
    record
}

#[test]
fn every_format_takes_every_record() {
    use clap::ValueEnum;
    for record in
        [interrupted(), sample::large(0, 0), sample::large(3, 0), sample::large(60, 30), hostile(), sample::predicted()]
    {
        for format in Format::value_variants() {
            assert!(
                !rendered(&record, *format).is_empty() || matches!(format, Format::Github | Format::Compiler),
                "{format:?}"
            );
        }
    }
}

#[test]
fn every_format_says_when_what_it_tells_was_observed() {
    use clap::ValueEnum;
    const WHEN: &str = "2026-11-21T10:00:00Z";
    for format in Format::value_variants() {
        // Coverage is lines and numbers, and has no room for words.
        if *format == Format::Lcov {
            continue;
        }
        let mut record = hostile();
        assert!(!rendered(&record, *format).contains(WHEN), "{format:?}");
        for cell in &mut record.cells {
            cell.observed = Some(WHEN.to_owned());
        }
        assert!(rendered(&record, *format).contains(WHEN), "{format:?}");
    }
}

#[test]
fn an_interrupted_run_does_not_look_like_a_success() {
    let markdown = rendered(&interrupted(), Format::Markdown);
    assert!(markdown.starts_with("## ⚠️ corematrix: Nothing failed, but not everything could be judged"), "{markdown}");
    assert!(markdown.contains("this report is partial") && !markdown.contains('✅'), "{markdown}");
    let sarif: serde_json::Value = serde_json::from_str(&rendered(&interrupted(), Format::Sarif)).unwrap();
    assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], false);
    let csv = rendered(&interrupted(), Format::Csv);
    assert!(!csv.contains("success") && !csv.contains("failure"), "{csv}");
}

/// A matrix in which everything fails everywhere, each for its own reason.
fn dreadful() -> RunRecord {
    let programs: Vec<String> = (0..20).map(|p| format!("program_{p}_{}", "x".repeat(60))).collect();
    let named: Vec<(&str, &str)> = programs.iter().map(|name| (name.as_str(), "kprobe/x")).collect();
    let objects = (0..40).map(|o| sample::object(&format!("object_{o}_{}", "y".repeat(60)), &named)).collect();
    let kernels = (0..10).map(|k| sample::kernel(&format!("6.{k}"))).collect();
    sample::assemble(kernels, objects, |o, p, k| {
        (Verdict::VerifierRejected, Some(format!("reason {o} {p} {k}: {}", "long ".repeat(40))))
    })
}

#[test]
fn markdown_stays_below_the_limit_and_says_what_it_leaves_out() {
    let text = rendered(&dreadful(), Format::Markdown);
    assert!(text.len() <= 60_000, "{}", text.len());
    assert!(text.contains("### Programs that load") && text.contains("### Kernels"), "{text}");
    let note = text.lines().find(|line| line.contains("omitted here")).unwrap();
    let left: usize = note.split_whitespace().nth(1).unwrap().parse().unwrap();
    let kept = text.lines().filter(|line| line.starts_with("* **object")).count();
    assert_eq!(left + kept, finding::findings(&dreadful()).len());
    assert!(text.trim_end().ends_with("finished 2026-11-22T18:04:11Z"));
}

#[test]
fn no_more_annotations_than_are_shown() {
    let text = rendered(&dreadful(), Format::Github);
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("::error ")).collect();
    assert_eq!(errors.len(), 10);
    assert!(errors[9].ends_with("more of this kind are in the report"), "{}", errors[9]);
    // Nothing in a record can begin a separate line.
    assert!(rendered(&hostile(), Format::Github).lines().all(|line| line.starts_with("::")));
}

#[test]
fn fingerprints_are_unique_and_survive_moved_lines() {
    let prints = |record: &RunRecord| -> Vec<String> {
        let issues: serde_json::Value = serde_json::from_str(&rendered(record, Format::Gitlab)).unwrap();
        issues.as_array().unwrap().iter().map(|issue| issue["fingerprint"].as_str().unwrap().to_owned()).collect()
    };
    let before = prints(&hostile());
    let mut unique = before.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), before.len());
    let mut moved = hostile();
    for program in moved.cells.iter_mut().flat_map(|cell| &mut cell.programs) {
        if let Some(place) = program.evidence.as_mut().and_then(|found| found.source.as_mut()?.place.as_mut()) {
            place.1 += 10;
        }
    }
    assert_eq!(prints(&moved), before);
}

#[test]
fn logs_are_read_in_the_report_only() {
    let folder = tempfile::tempdir().unwrap();
    let record = sample::large(0, 0);
    let sources = SourceRoot::around(folder.path());
    let material = Material { record: &record, folder: &folder.path().join("run"), sources: &sources, baseline: None };
    crate::verifier::log_file::save(&folder.path().join("run/logs/a.log.zst"), b"said").unwrap();
    crate::verifier::log_file::save(&folder.path().join("b.log.zst"), b"secret").unwrap();
    assert_eq!(material.log("logs/a.log.zst").unwrap(), "said");
    assert!(material.log("../b.log.zst").is_err());
    assert!(material.log(Path::new(folder.path()).join("b.log.zst").to_str().unwrap()).is_err());
}
