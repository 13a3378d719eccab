//! [`render`]: the end of what commands said, and where the rest is.

use std::fmt::Write as _;

use console::truncate_str;

use super::super::text::{one_line, printable};
use super::{kernels, titled};
use crate::record::{ProgramRecord, RunRecord};

/// Lines of each output.
const LINES: usize = 8;

/// What each command said on the kernels `shown`; kernels on which it said the same together.
pub(super) fn render(record: &RunRecord, shown: &[usize], width: usize) -> String {
    let mut block = String::new();
    for (o, object) in record.objects.iter().enumerate().filter(|(_, object)| object.is_command()) {
        let mut said: Vec<(&ProgramRecord, Vec<usize>)> = Vec::new();
        for &k in shown {
            let Some(end) = record.cell(o, k).programs.first().filter(|end| end.log_file.is_some()) else { continue };
            match said.iter_mut().find(|(known, _)| known.log_tail == end.log_tail) {
                Some((_, kernels)) => kernels.push(k),
                None => said.push((end, vec![k])),
            }
        }
        for (end, on) in said {
            let whole = end.log_file.as_deref().unwrap_or_default();
            let (first, left_out) = match end.log_tail.len().checked_sub(LINES) {
                Some(first) => (first, end.log_omitted + first as u64),
                None => (0, end.log_omitted),
            };
            let words = match (end.log_tail.is_empty(), left_out) {
                (true, _) => "no output".to_owned(),
                (false, 0) => format!("output ({})", one_line(whole)),
                (false, left_out) => format!("output, {left_out} earlier lines omitted ({})", one_line(whole)),
            };
            let _ = writeln!(block, "  {} {} {words}", one_line(&object.name), kernels(record, shown, &on));
            for line in &end.log_tail[first..] {
                let _ = writeln!(block, "      | {}", truncate_str(&printable(line), width.saturating_sub(8), "…"));
            }
        }
    }
    titled("Output", &block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::COMMAND_SECTION;
    use crate::record::Verdict;
    use crate::record::sample;

    #[test]
    fn kernels_that_heard_the_same_stand_together() {
        let kernels = ["5.10", "6.1", "6.12"].map(sample::kernel).to_vec();
        let objects = vec![sample::object("loader", &[("loader --once", COMMAND_SECTION)])];
        let mut record = sample::assemble(kernels, objects, |_, _, _| (Verdict::Succeeded, None));
        for (cell, lines) in record.cells.iter_mut().zip([1, 1, 12]) {
            let end = &mut cell.programs[0];
            end.log_tail = (0..lines).map(|line| format!("line {line} \u{1b}[31mred\u{1b}[0m")).collect();
            end.log_file = Some(format!("output/{}/output.txt", cell.kernel));
        }
        insta::assert_snapshot!(render(&record, &[0, 1, 2], 60), @r"
        Output
          loader on 5.10, 6.1 output (output/5.10/output.txt)
              | line 0 red
          loader on 6.12 output, 4 earlier lines omitted (output/6.12/output.txt)
              | line 4 red
              | line 5 red
              | line 6 red
              | line 7 red
              | line 8 red
              | line 9 red
              | line 10 red
              | line 11 red
        ");
    }
}
