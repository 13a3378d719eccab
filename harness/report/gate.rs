//! What the gate decided, as text: [`render`] for a terminal, [`markdown`] for a step summary, [`github`] as workflow commands.

use std::fmt::Write as _;
use std::io;

use clap::ValueEnum;

use super::github::{data, property};
use super::text::{counted, one_line, paragraph};
use super::{SourceRoot, junit, sarif};
use crate::answer::Answer;
use crate::gate::{Decision, GateReport, Weight};
use crate::record::RunRecord;

/// GitHub shows no more of each sort from one step, and drops the rest silently.
const MOST_OF_A_SORT: usize = 10;
/// Lines of a Markdown list, which has to fit into a comment.
const MOST_LISTED: usize = 100;

/// A rendering of what the gate decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum GateFormat {
    /// Text, for terminals.
    Table,
    /// The decisions as JSON.
    Json,
    /// Markdown, for pull requests and step summaries.
    Markdown,
    /// GitHub annotations, as workflow commands.
    Github,
    /// JUnit XML of the whole run, red where the gate is red.
    Junit,
    /// SARIF of the whole run; results that the gate excuses are suppressed.
    Sarif,
}

impl GateFormat {
    /// The decisions about a run in this format; a table is `width` columns wide, and annotations point into `sources`.
    ///
    /// # Errors
    /// None that comes from the report.
    pub fn render(
        self,
        report: &GateReport,
        record: &RunRecord,
        sources: &SourceRoot,
        width: usize,
    ) -> io::Result<Vec<u8>> {
        let text = match self {
            GateFormat::Table => render(report, width),
            GateFormat::Json => report.json()?,
            GateFormat::Markdown => markdown(report),
            GateFormat::Github => github(report),
            GateFormat::Junit => return junit::render(record, Some(report)),
            GateFormat::Sarif => return sarif::render(record, sources, Some(report)),
        };
        Ok(text.into_bytes())
    }
}

const WEIGHTS: [(Weight, &str, &str); 3] = [
    (Weight::Red, "Red", "error"),
    (Weight::Infrastructure, "Could not be judged", "warning"),
    (Weight::Notice, "Notes", "notice"),
];

/// `gate: red; 12 of 14 programs on kernels load, 1 fails as expected, 1 as in the baseline`.
fn heading(report: &GateReport) -> String {
    let mut text = format!(
        "gate: {}; {} of {} load",
        report.outcome.label(),
        report.passed,
        counted(report.judged, "judged result")
    );
    for (count, how) in [(report.expected, "as expected"), (report.known, "as in the baseline")] {
        if count > 0 {
            let _ = write!(text, ", {count} fail{} {how}", if count == 1 { "s" } else { "" });
        }
    }
    text
}

/// For a terminal of `width` columns.
pub fn render(report: &GateReport, width: usize) -> String {
    let mut text = paragraph(&heading(report), 0, width);
    for (weight, title, _) in WEIGHTS {
        let mut decisions = report.of_weight(weight).peekable();
        if decisions.peek().is_none() {
            continue;
        }
        let _ = write!(text, "\n{title}\n");
        // One hint often serves many.
        let mut last_hint: Option<&str> = None;
        for decision in decisions {
            text += &paragraph(&line(decision), 2, width);
            if let Some(hint) = decision.hint.as_deref().filter(|hint| last_hint != Some(hint)) {
                text += &paragraph(&format!("hint: {hint}"), 4, width);
                last_hint = Some(hint);
            }
        }
    }
    text
}

fn line(decision: &Decision) -> String {
    let link = decision.link.as_ref().map_or(String::new(), |link| format!(" ({link})"));
    format!("{}: {}{link}", decision.rule.label(), decision.message)
}

/// For a pull request or a step summary.
pub fn markdown(report: &GateReport) -> String {
    let mut text = format!("### {}\n", escaped(&heading(report)));
    for (weight, title, _) in WEIGHTS {
        let decisions: Vec<&Decision> = report.of_weight(weight).collect();
        if decisions.is_empty() {
            continue;
        }
        let _ = write!(text, "\n**{title}**\n\n");
        let mut last_hint: Option<&str> = None;
        for decision in decisions.iter().take(MOST_LISTED) {
            let _ = writeln!(text, "- {}", escaped(&line(decision)));
            if let Some(hint) = decision.hint.as_deref().filter(|hint| last_hint != Some(hint)) {
                let _ = writeln!(text, "  <br>hint: {}", escaped(hint));
                last_hint = Some(hint);
            }
        }
        if decisions.len() > MOST_LISTED {
            let _ = writeln!(text, "- … and {} more", decisions.len() - MOST_LISTED);
        }
    }
    text
}

/// One line in which what objects and kernels say is no markup.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in one_line(text).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '>' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '@' | '!' => safe.extend(['\\', c]),
            _ => safe.push(c),
        }
    }
    safe
}

/// A line for each decision, the last of each sort saying how many more there are.
pub fn github(report: &GateReport) -> String {
    let mut text = String::new();
    for (weight, _, command) in WEIGHTS {
        let mine: Vec<&Decision> = report.of_weight(weight).collect();
        let kept = if mine.len() > MOST_OF_A_SORT { MOST_OF_A_SORT - 1 } else { mine.len() };
        for decision in &mine[..kept] {
            let title = property(&format!("corematrix gate: {}", decision.rule.label()));
            let _ = writeln!(text, "::{command} title={title}::{}", data(&one_line(&decision.message)));
        }
        if kept < mine.len() {
            let more = format!("{} more of this kind", mine.len() - kept);
            let _ = writeln!(text, "::{command} title={}::{}", property("corematrix gate"), data(&more));
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::gate::{Expectations, GateLimits, decide};
    use crate::record::sample;

    #[test]
    fn decisions_are_shown_in_every_format() {
        let report = decide(&sample::record(), None, &Expectations::default(), &GateLimits::now());
        insta::assert_snapshot!(render(&report, 100), @r#"
        gate: red; 9 of 17 judged results load

        Red
          failure: `execsnoop/vfs_read_entry` on 6.1: attach target missing (missing attach target):
              `vfs_read` is not among the functions of this kernel's BTF
            hint: `corematrix explain RUN KERNEL OBJECT PROGRAM` explains why; an `[[expect]]` with a reason
                in the suite excuses it
          failure: `execsnoop/vfs_read_exit` on 6.1: attach target missing (missing attach target):
              `vfs_read` is not among the functions of this kernel's BTF
          failure: `execsnoop/probe` on 6.1: verifier rejected (context argument changed): invalid
              bpf_context access off=4096 size=4
          failure: `execsnoop/vfs_read_entry` on 6.12: attach target missing (missing attach target):
              `vfs_read` is not among the functions of this kernel's BTF
          failure: `execsnoop/vfs_read_exit` on 6.12: attach target missing (missing attach target):
              `vfs_read` is not among the functions of this kernel's BTF
          object fails as a whole: `opensnoop` on 6.12: does not load as a whole, as its own loader would
              load it: map `events`: type 27 is not supported
          failure: `hostile <object>/it's "odd" & <new>` on 6.1: relocation failed (missing field): R1 <&"'>
              ]]> ü 日本 `x`￾
          failure: `hostile <object>/slow` on 6.1: timed out: not loaded within 10s
          failure: `hostile <object>/deadly` on 6.1: kernel crashed: BUG: kernel NULL pointer dereference,
              address: 0

        Could not be judged
          infrastructure: kernel 5.10: did not boot: no hello within 20s; the console ends with a kernel
              panic
            hint: read the console in `logs/5.10/console.log`
          infrastructure: `hostile <object>/it's "odd" & <new>` on 6.12: infrastructure failure (corematrix
              or the machine failed): the guest's answer was cut off
            hint: the object is not to blame: run it again
          infrastructure: `hostile <object>/slow` on 6.12: not run: the run was interrupted
          infrastructure: `hostile <object>/deadly` on 6.12: cannot be judged (needs its own loader): an
              freplace program needs its target
            hint: an `[[expect]]` with a reason excuses results that can never be judged
        "#);
        insta::assert_snapshot!(markdown(&report), @r#"
        ### gate: red; 9 of 17 judged results load

        **Red**

        - failure: \`execsnoop/vfs\_read\_entry\` on 6.1: attach target missing (missing attach target): \`vfs\_read\` is not among the functions of this kernel's BTF
          <br>hint: \`corematrix explain RUN KERNEL OBJECT PROGRAM\` explains why; an \`\[\[expect\]\]\` with a reason in the suite excuses it
        - failure: \`execsnoop/vfs\_read\_exit\` on 6.1: attach target missing (missing attach target): \`vfs\_read\` is not among the functions of this kernel's BTF
        - failure: \`execsnoop/probe\` on 6.1: verifier rejected (context argument changed): invalid bpf\_context access off=4096 size=4
        - failure: \`execsnoop/vfs\_read\_entry\` on 6.12: attach target missing (missing attach target): \`vfs\_read\` is not among the functions of this kernel's BTF
        - failure: \`execsnoop/vfs\_read\_exit\` on 6.12: attach target missing (missing attach target): \`vfs\_read\` is not among the functions of this kernel's BTF
        - object fails as a whole: \`opensnoop\` on 6.12: does not load as a whole, as its own loader would load it: map \`events\`: type 27 is not supported
        - failure: \`hostile &lt;object\>/it's "odd" &amp; &lt;new\>\` on 6.1: relocation failed (missing field): R1 &lt;&amp;"'\> \]\]\> ü 日本 \`x\`￾
        - failure: \`hostile &lt;object\>/slow\` on 6.1: timed out: not loaded within 10s
        - failure: \`hostile &lt;object\>/deadly\` on 6.1: kernel crashed: BUG: kernel NULL pointer dereference, address: 0

        **Could not be judged**

        - infrastructure: kernel 5.10: did not boot: no hello within 20s; the console ends with a kernel panic
          <br>hint: read the console in \`logs/5.10/console.log\`
        - infrastructure: \`hostile &lt;object\>/it's "odd" &amp; &lt;new\>\` on 6.12: infrastructure failure (corematrix or the machine failed): the guest's answer was cut off
          <br>hint: the object is not to blame: run it again
        - infrastructure: \`hostile &lt;object\>/slow\` on 6.12: not run: the run was interrupted
        - infrastructure: \`hostile &lt;object\>/deadly\` on 6.12: cannot be judged (needs its own loader): an freplace program needs its target
          <br>hint: an \`\[\[expect\]\]\` with a reason excuses results that can never be judged
        "#);
        insta::assert_snapshot!(github(&report), @r#"
        ::error title=corematrix gate%3A failure::`execsnoop/vfs_read_entry` on 6.1: attach target missing (missing attach target): `vfs_read` is not among the functions of this kernel's BTF
        ::error title=corematrix gate%3A failure::`execsnoop/vfs_read_exit` on 6.1: attach target missing (missing attach target): `vfs_read` is not among the functions of this kernel's BTF
        ::error title=corematrix gate%3A failure::`execsnoop/probe` on 6.1: verifier rejected (context argument changed): invalid bpf_context access off=4096 size=4
        ::error title=corematrix gate%3A failure::`execsnoop/vfs_read_entry` on 6.12: attach target missing (missing attach target): `vfs_read` is not among the functions of this kernel's BTF
        ::error title=corematrix gate%3A failure::`execsnoop/vfs_read_exit` on 6.12: attach target missing (missing attach target): `vfs_read` is not among the functions of this kernel's BTF
        ::error title=corematrix gate%3A object fails as a whole::`opensnoop` on 6.12: does not load as a whole, as its own loader would load it: map `events`: type 27 is not supported
        ::error title=corematrix gate%3A failure::`hostile <object>/it's "odd" & <new>` on 6.1: relocation failed (missing field): R1 <&"'> ]]> ü 日本 `x`￾
        ::error title=corematrix gate%3A failure::`hostile <object>/slow` on 6.1: timed out: not loaded within 10s
        ::error title=corematrix gate%3A failure::`hostile <object>/deadly` on 6.1: kernel crashed: BUG: kernel NULL pointer dereference, address: 0
        ::warning title=corematrix gate%3A infrastructure::kernel 5.10: did not boot: no hello within 20s; the console ends with a kernel panic
        ::warning title=corematrix gate%3A infrastructure::`hostile <object>/it's "odd" & <new>` on 6.12: infrastructure failure (corematrix or the machine failed): the guest's answer was cut off
        ::warning title=corematrix gate%3A infrastructure::`hostile <object>/slow` on 6.12: not run: the run was interrupted
        ::warning title=corematrix gate%3A infrastructure::`hostile <object>/deadly` on 6.12: cannot be judged (needs its own loader): an freplace program needs its target
        "#);
        let sources = SourceRoot::around(std::path::Path::new("/nowhere"));
        let json = GateFormat::Json.render(&report, &sample::record(), &sources, 80).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!((&json["outcome"], &json["decisions"][0]["rule"]), (&"red".into(), &"failure".into()));
    }

    #[test]
    fn many_decisions_stay_within_the_platforms_limits() {
        let report = decide(&sample::large(90, 12), None, &Expectations::default(), &GateLimits::now());
        let annotations = github(&report);
        assert_eq!(annotations.matches("::error").count(), MOST_OF_A_SORT);
        assert!(annotations.contains(" more of this kind"), "{annotations}");
        assert!(markdown(&report).len() < 60_000);
    }
}
