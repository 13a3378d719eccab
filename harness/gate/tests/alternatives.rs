//! Groups of alternatives of which none serves.

use super::*;
use crate::record::{Alternative, AlternativeKind, AlternativesRecord, OptionalRecord};

fn member(object: &str, name: &str) -> Alternative {
    Alternative { object: object.to_owned(), name: Some(name.to_owned()) }
}

/// `a/second`, which fails on 5.10, and `b/third`, which loads there and cannot attach, are alternatives.
fn record() -> RunRecord {
    let mut record = baseline();
    let members = vec![member("a", "second"), member("b", "third")];
    let (name, kind, declared) = ("way".to_owned(), AlternativeKind::Programs, true);
    record.alternatives = vec![AlternativesRecord { name, kind, declared, members }];
    record.cells[3].dangers = vec![sample::unattachable("third")];
    record
}

#[test]
fn what_loads_and_cannot_attach_does_not_serve() {
    let mut record = record();
    record.optional.push(OptionalRecord { what: member("a", "second"), reason: "new".to_owned() });
    let report = decide(&record, None, &Expectations::default(), &limits());
    let words = "Red no alternative works: kernel 5.10: no alternative of `way` works: `a/second`: attach target missing; \
    `b/third` loads, but cannot attach on this kernel";
    assert_eq!(decided(&report), (exit_code::PROGRAM_FAILED, words.to_owned()));
    assert_eq!(report.exit_code(), exit_code::of(&record));
    record.cells[3].dangers.clear();
    assert_eq!(decide(&record, None, &Expectations::default(), &limits()).exit_code(), exit_code::GOOD);
}

#[test]
fn what_was_so_before_or_is_expected_passes() {
    let report = decide(&record(), Some(&record()), &Expectations::default(), &limits());
    assert_eq!(decided(&report), (exit_code::GOOD, String::new()));
    let one = "[[expect]]\nprogram = 'second'\nkernel = '5.10'\nreason = 'old'\n";
    let report = decide(&record(), None, &expectations(one), &limits());
    assert_eq!(report.exit_code(), exit_code::PROGRAM_FAILED);
    let both = format!("{one}[[expect]]\nprogram = 'third'\nkernel = '5.10'\nreason = 'no multi'\n");
    assert_eq!(decided(&decide(&record(), None, &expectations(&both), &limits())), (exit_code::GOOD, String::new()));
}
