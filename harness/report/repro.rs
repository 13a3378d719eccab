//! What `corematrix repro` shows besides the explanation: [`moment`], where the verifier stood, and [`conclusion`], whether the failure
//! is that of the run.

use super::text::{one_line, paragraph, printable};
use crate::record::Verdict;
use crate::repro::{InputDifference, ReproComparison, ReproOutcome};
use crate::verifier::{Moment, Visit};

/// Source lines on the way to a failure.
const WAY: usize = 8;
/// Stack slots that are shown.
const SLOTS: usize = 8;

/// The registers at the point of failure, if they are known exactly, and the way there.
pub fn moment(moment: &Moment, exact: bool, width: usize) -> String {
    let mut text = String::new();
    let (registers, slots): (Vec<_>, Vec<_>) =
        moment.registers.iter().partition(|register| register.name.starts_with('R'));
    if exact && !moment.registers.is_empty() {
        text += &paragraph(&format!("Registers before instruction {}: {}", moment.insn, moment.text), 0, width);
        for register in registers.iter().chain(slots.iter().take(SLOTS)) {
            let mark = if register.used { '>' } else { ' ' };
            let line = format!("{mark} {} = {}", register.name, register.value);
            text += &format!("  {}\n", printable(&line));
        }
        if slots.len() > SLOTS {
            text += &format!("    ... {} more stack slots\n", slots.len() - SLOTS);
        }
    }
    if !moment.path.is_empty() {
        text += "Path to the failure:\n";
        let skipped = moment.path.len().saturating_sub(WAY);
        if skipped > 0 {
            text += &format!("    ... {skipped} lines before\n");
        }
        let places: Vec<String> = moment.path[skipped..].iter().map(place).collect();
        let wide = places.iter().map(String::len).max().unwrap_or_default();
        for (visit, place) in moment.path[skipped..].iter().zip(&places) {
            let gap = if wide > 0 { "  " } else { "" };
            let line = format!("    {:>5}: {place:wide$}{gap}{}", visit.insn, printable(visit.text.trim()));
            text += line.trim_end();
            text.push('\n');
        }
    }
    text
}

/// `biosnoop.bpf.c:141`, without its directory.
fn place(visit: &Visit) -> String {
    let Some((file, line)) = &visit.place else { return String::new() };
    let file = file.rsplit('/').next().unwrap_or(file);
    one_line(&format!("{file}:{line}"))
}

/// Whether the programs ended as in the run that `run` names, and what is different here. Without a run, how they ended.
pub fn conclusion(
    found: &[ReproComparison],
    differences: &[InputDifference],
    run: Option<&str>,
    width: usize,
) -> String {
    let outcome = found.iter().map(ReproComparison::outcome).max().unwrap_or(ReproOutcome::Unjudged);
    let mut text = match (outcome, run) {
        (ReproOutcome::Unjudged, _) => "COULD NOT BE JUDGED here: the object is not to blame\n".to_owned(),
        (ReproOutcome::Same, Some(run)) => {
            paragraph(&format!("reproduced: same verdict and cause as in {run}"), 0, width)
        }
        (ReproOutcome::Differs, Some(run)) => {
            paragraph(&format!("DOES NOT REPRODUCE: result differs from {run}"), 0, width)
        }
        (_, None) => String::new(),
    };
    for ReproComparison { program, recorded, here } in found {
        let line = match recorded {
            Some(recorded) if (recorded.verdict, recorded.cause) != (here.verdict, here.cause) => {
                format!("`{program}`: {recorded} then, {here} here")
            }
            _ => format!("`{program}`: {here}"),
        };
        text += &paragraph(&line, 2, width);
    }
    let differs = outcome != ReproOutcome::Same;
    match differences {
        [] if outcome == ReproOutcome::Differs => {
            text += "no recorded differences: object, kernel, libbpf, virtme-ng, QEMU and accelerator are the same\n";
        }
        [] => {}
        _ => {
            text += if differs { "differences:\n" } else { "despite these differences:\n" };
            for InputDifference { what, recorded, here } in differences {
                text += &paragraph(&format!("{what}: {} then, {} here", short(recorded), short(here)), 2, width);
            }
        }
    }
    text
}

/// A checksum by its beginning.
fn short(value: &str) -> &str {
    match value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => &value[..16],
        false => value,
    }
}

/// Whether a verdict comes with a log of the verifier that is worth a closer look.
pub fn has_moment(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::VerifierRejected | Verdict::RelocationFailed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::Cause;
    use crate::repro::Fate;

    #[test]
    fn the_moment_shows_what_is_used_and_how_one_comes_there() {
        let log = "0: R1=ctx() R10=fp0\n; struct request *rq = ctx[0]; @ a/biosnoop.bpf.c:9\n0: (79) r1 = *(u64 *)(r1 +0)    ; \
                   R1_w=scalar()\n; return rq->q; @ a/biosnoop.bpf.c:10\n1: (79) r0 = *(u64 *)(r1 +0)\nR1 invalid mem access\n";
        let found = Moment::read(log).unwrap();
        insta::assert_snapshot!(moment(&found, true, 80), @r"
        Registers before instruction 1: (79) r0 = *(u64 *)(r1 +0)
          > R1 = scalar()
            R10 = fp0
        Path to the failure:
                0: biosnoop.bpf.c:9   struct request *rq = ctx[0];
                1: biosnoop.bpf.c:10  return rq->q;
        ");
        assert!(moment(&found, false, 80).starts_with("Path to the failure:"));
    }

    #[test]
    fn what_is_not_as_it_was_is_told_with_what_differs() {
        let fate = |verdict, cause| Fate { verdict, cause, subject: None };
        let rejected = fate(Verdict::VerifierRejected, Some(Cause::MemoryNull));
        let one = |here| ReproComparison { program: "p".to_owned(), recorded: Some(rejected.clone()), here };
        let differs = [InputDifference { what: "libbpf", recorded: "1.7.0".to_owned(), here: "1.6.0".to_owned() }];
        let run = Some("the run of then");
        insta::assert_snapshot!(conclusion(&[one(rejected.clone())], &[], run, 80), @r"
        reproduced: same verdict and cause as in the run of then
          `p`: verifier rejected (possible null pointer)
        ");
        let loaded = || one(fate(Verdict::Loaded, None));
        insta::assert_snapshot!(conclusion(&[loaded()], &differs, run, 80), @"
        DOES NOT REPRODUCE: result differs from the run of then
          `p`: verifier rejected (possible null pointer) then, loaded here
        differences:
          libbpf: 1.7.0 then, 1.6.0 here
        ");
        assert!(conclusion(&[loaded()], &[], run, 80).contains("no recorded differences"));
        let lost = one(fate(Verdict::NotRun, None));
        assert!(conclusion(&[loaded(), lost], &[], run, 80).starts_with("COULD NOT BE JUDGED"));
    }
}
