//! What differs between two runs or kernels, as text: [`render`]; and where two verifiers part, [`render_parting`].

use std::fmt::Write as _;

use super::text::{counted, one_line, paragraph, printable};
use crate::compare::{Change, Difference};
use crate::verifier::{LoggedSource, Parting, Said};

/// Columns of a line of a log.
const LONGEST_STEP: usize = 160;

/// The differences, for a terminal of `width` columns; those that several kernels share are shown once.
pub fn render(differences: &[Difference], names: [&str; 2], width: usize) -> String {
    let count = |wanted: &dyn Fn(&Change) -> bool| differences.iter().filter(|found| wanted(&found.change)).count();
    let worse = count(
        &|change| matches!(change, Change::Verdict { before, after, .. } if before.is_pass() && !after.is_pass()),
    );
    let better = count(
        &|change| matches!(change, Change::Verdict { before, after, .. } if !before.is_pass() && after.is_pass()),
    );
    let [before, after] = names.map(one_line);
    let total = match differences.len() {
        0 => return format!("{before} -> {after}: no differences except times\n"),
        count => counted(count, "difference"),
    };
    let mut text = format!("{before} -> {after}: {total}; {worse} stopped loading, {better} now load\n");
    let mut object: Option<&str> = None;
    // Where two kernels are compared, the heading names them.
    let heading = names.join(" -> ");
    for (found, mut kernels) in grouped(differences) {
        kernels.retain(|kernel| *kernel != heading);
        if found.place.object.as_deref() != object {
            object = found.place.object.as_deref();
            let _ = writeln!(text, "\n{}", object.map_or("kernels".to_owned(), one_line));
        }
        let subject = match (&found.place.program, &found.place.object) {
            (Some(program), _) => format!("`{program}`"),
            (None, Some(_)) => "the object".to_owned(),
            (None, None) => String::new(),
        };
        let on = match (kernels.is_empty(), subject.is_empty()) {
            (true, _) => String::new(),
            (false, true) => kernels.join(", "),
            (false, false) => format!(" on {}", kernels.join(", ")),
        };
        let story = coverage_of_two(&found.change, &heading, names).unwrap_or_else(|| found.change.to_string());
        text += &paragraph(&format!("{subject}{on}: {story}"), 2, width);
    }
    text
}

/// A side of a guard that only one of two kernels proves. Where kernels are compared nothing is lost or gained.
fn coverage_of_two(change: &Change, heading: &str, names: [&str; 2]) -> Option<String> {
    let (guard, side, level, kernels, only) = match change {
        Change::CoverageLost { guard, side, level, kernels } => (guard, side, level, kernels, names[0]),
        Change::CoverageGained { guard, side, level, kernels } => (guard, side, level, kernels, names[1]),
        _ => return None,
    };
    (kernels[..] == [heading]).then(|| format!("`{side}` of {guard} is {} only on {only}", level.label()))
}

/// Differences that are the same but for the kernel, with their kernels, in the order of the first.
pub(super) fn grouped(differences: &[Difference]) -> Vec<(&Difference, Vec<&str>)> {
    let mut groups: Vec<(&Difference, Vec<&str>)> = Vec::new();
    for found in differences {
        let kernel = found.place.kernel.as_deref();
        let same = groups.iter_mut().find(|(known, _)| {
            (&known.place.object, &known.place.program, &known.change)
                == (&found.place.object, &found.place.program, &found.change)
        });
        match same {
            Some((_, kernels)) => kernels.extend(kernel),
            None => groups.push((found, kernel.into_iter().collect())),
        }
    }
    // What belongs to one object stands together.
    let mut order: Vec<&Option<String>> = Vec::new();
    for (found, _) in &groups {
        if !order.contains(&&found.place.object) {
            order.push(&found.place.object);
        }
    }
    groups.sort_by_key(|(found, _)| order.iter().position(|object| **object == found.place.object));
    groups
}

/// Where the verifiers of two kernels part on a program.
pub fn render_parting(parting: &Parting, names: [&str; 2]) -> String {
    let [a, b] = names.map(one_line);
    let alike = counted(parting.common, "instruction");
    let relocated = match parting.relocated {
        0 => String::new(),
        count => format!(" ({count} with other offsets or constants)"),
    };
    if parting.is_none() {
        return format!("the verifier logs of {a} and {b} are equal: {alike}{relocated}\n");
    }
    let mut text = format!("equal on {a} and {b}: {alike}{relocated}\n");
    if let Some(last) = &parting.last {
        let _ = writeln!(text, "they diverge after");
        source(&mut text, last.source.as_ref());
        let _ = writeln!(text, "    {}: {}", last.insn, cut(&last.text));
    }
    for (name, said) in [a, b].iter().zip(&parting.next) {
        let _ = writeln!(text, "\n{name}");
        if said.is_empty() {
            let _ = writeln!(text, "    log ends here");
        }
        let mut last_source = None;
        for line in said {
            match line {
                Said::Step(step) => {
                    if last_source != step.source.as_ref() {
                        last_source = step.source.as_ref();
                        source(&mut text, last_source);
                    }
                    let _ = writeln!(text, "    {}: {}", step.insn, cut(&step.text));
                }
                Said::Words(words) => {
                    let _ = writeln!(text, "  > {}", cut(words));
                }
            }
        }
    }
    text
}

fn source(text: &mut String, line: Option<&LoggedSource>) {
    let Some(line) = line else { return };
    let place = line.place.as_ref().map_or(String::new(), |(file, line)| format!("  ({}:{line})", one_line(file)));
    let _ = writeln!(text, "  ; {}{place}", cut(&line.text));
}

fn cut(text: &str) -> String {
    printable(text).chars().take(LONGEST_STEP).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{differences, one_kernel};
    use crate::record::sample;

    #[test]
    fn differences_are_told_once_for_all_kernels_that_share_them() {
        let mut record = sample::record();
        sample::cover(&mut record, 1, &[false, false, true, false]);
        let (a, b) = (one_kernel(&record, 2, "6.1 -> 6.12"), one_kernel(&record, 3, "6.1 -> 6.12"));
        let mut later = sample::large(12, 3);
        later.objects[1].name = "renamed".to_owned();
        for cell in 0..3 {
            let program = &mut later.cells[cell].programs[7];
            *program = sample::program(&program.name, &program.section, crate::record::Verdict::TimedOut, None);
        }
        let text = [
            render(&differences(&a, &b), ["6.1", "6.12"], 100),
            render(&differences(&sample::large(12, 3), &later), ["monday", "tuesday"], 100),
            render(&[], ["a", "b"], 100),
        ];
        insta::assert_snapshot!(text.join("---\n"), @r#"
        6.1 -> 6.12: 6 differences; 0 stopped loading, 1 now load

        execsnoop
          `probe`: verifier rejected -> loaded

        opensnoop
          the object: no longer loads as a whole: map `events`: type 27 is not supported
          the object: `exists` of `field_exists struct x.y` in `open_enter` is verified only on 6.1

        hostile <object>
          `it's "odd" & <new>`: relocation failed -> infrastructure failure: the guest's answer was cut off
          `slow`: timed out -> not run: the run was interrupted
          `deadly`: kernel crashed -> cannot be judged: an freplace program needs its target
        ---
        monday -> tuesday: 5 differences; 2 stopped loading, 0 now load

        memleak
          the object: was removed

        renamed
          the object: was added

        klockstat
          `return__vfs_write_7` on 5.4: missing BTF -> timed out
          `return__vfs_write_7` on 5.10, 5.15: loaded -> timed out
        ---
        a -> b: no differences except times
        "#);
    }

    #[test]
    fn a_parting_is_told_in_source_lines() {
        let old = "; a = b;\n0: (79) r1 = *(u64 *)(r1 +16)\n; bpf_loop();\n1: (85) call unknown#181\ninvalid func unknown#181\n";
        let new = "; a = b; @ x.c:3\n0: (79) r1 = *(u64 *)(r1 +24)\n; bpf_loop(); @ x.c:4\n1: (85) call bpf_loop#181\n2: (95) exit\n";
        insta::assert_snapshot!(render_parting(&Parting::of([old, new]), ["5.10", "6.12"]), @r"
        equal on 5.10 and 6.12: 1 instruction (1 with other offsets or constants)
        they diverge after
          ; a = b;  (x.c:3)
            0: (79) r1 = *(u64 *)(r1 +24)

        5.10
          ; bpf_loop();
            1: (85) call unknown#181
          > invalid func unknown#181

        6.12
          ; bpf_loop();  (x.c:4)
            1: (85) call bpf_loop#181
            2: (95) exit
        ");
        assert!(render_parting(&Parting::of([new, new]), ["6.12", "7.1"]).contains("are equal: 3 instructions"));
    }
}
