//! What the exit codes mean.

use crate::{Blame, RunRecord, Service, Verdict};

/// Every program was proven to load on every kernel that the matrix needs.
pub const GOOD: u8 = 0;
/// At least one program failed, and the object or the kernel is to blame; or less of its guards is proven than was asked for.
pub const PROGRAM_FAILED: u8 = 1;
/// The command line, the manifest, a suite or an object file is wrong; nothing was run.
pub const BAD_CONFIGURATION: u8 = 2;
/// No program failed, but not everything could be judged: a kernel was unavailable or did not boot, or the harness failed.
pub const INFRASTRUCTURE: u8 = 3;
/// `corematrix repro`: a program did not end as it did in the run.
pub const NOT_REPRODUCED: u8 = 4;
/// The user stopped the run; the report is partial.
pub const INTERRUPTED: u8 = 130;

/// The codes, for `--help`.
pub const HELP: &str = "\
Exit codes:
  0    success
  1    a program failed, or fewer guard sides are proven than required
  2    invalid command line, manifest, suite or object; nothing was run
  3    infrastructure failure: a kernel was unavailable or did not boot, or a
       guest or the harness failed; the objects are not to blame
  4    a failure did not reproduce (`repro`)
  130  interrupted; the report is partial";

/// The code of a finished run. What was proven against an object outweighs what could not be judged.
pub fn of(record: &RunRecord) -> u8 {
    if record.interrupted {
        return INTERRUPTED;
    }
    if record.partition.is_some() && record.objects.is_empty() {
        // A part without objects has nothing to prove.
        return GOOD;
    }
    let mut proven = false;
    let mut failed = false;
    let mut unjudged = false;
    for (index, cell) in record.cells.iter().enumerate() {
        let (o, k) = (index / record.kernels.len(), index % record.kernels.len());
        let kernel = &record.kernels[k];
        failed |= record.fails_whole(o, k).is_some();
        unjudged |= cell.defective_records() > 0;
        for (p, program) in cell.programs.iter().enumerate() {
            match program.verdict.blame() {
                Blame::Nobody => proven |= program.verdict.is_pass(),
                Blame::Object | Blame::Kernel => {
                    failed |= record.fails(o, k, p);
                    // What was expected came about.
                    proven |= program.expected.is_some();
                }
                Blame::Harness if program.verdict == Verdict::NotRun => {
                    unjudged |= !kernel.is_done_without() && !record.objects[o].loading.leaves_out(&program.name);
                }
                Blame::Harness => unjudged |= program.verdict != Verdict::HarnessLimit || program.expected.is_none(),
            }
        }
    }
    // Also where each member may fail for a reason of its own.
    let declared = record.alternatives.iter().filter(|group| group.declared);
    failed |= declared
        .flat_map(|group| (0..record.kernels.len()).map(move |kernel| record.service(group, kernel)))
        .any(|service| service == Service::None);
    match (failed, unjudged, proven) {
        (true, _, _) => PROGRAM_FAILED,
        (false, false, true) => GOOD,
        // Nothing failed and nothing was proven either: silence is not success.
        _ => INFRASTRUCTURE,
    }
}
