//! A history as text: [`post`] is the last night in a few lines, [`page`] the trends of all of them as one file of HTML.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::comparison;
use super::summary::Summary;
use super::text::{counted, one_line, printable};
use crate::compare::Difference;
use crate::history::{NIGHTS, Night, NightResult};
use crate::record::RunRecord;
use crate::record::{Blame, Verdict};

/// Lines of a post about what changed.
const MOST_POSTED: usize = 20;
/// Columns of a post.
const POST_WIDTH: usize = 100;
/// Width of a night in a trend, and its height, in pixels.
const STEP: usize = 4;
const HEIGHT: usize = 11;

/// The last night in a few lines, to be posted. `differences` are those to the night before; `None` if there was none. `kernels` says
/// which of them moved on or could not.
pub fn post(record: &RunRecord, stamp: &str, differences: Option<(&str, &[Difference])>, kernels: &[String]) -> String {
    let summary = Summary::of(record);
    let mut text = format!("corematrix nightly {stamp}: {}\n", summary.sentence);
    summary.details.iter().for_each(|detail| {
        let _ = writeln!(text, "{detail}");
    });
    kernels.iter().for_each(|line| {
        let _ = writeln!(text, "{}", one_line(line));
    });
    match differences {
        None => text.push_str("the first night of this history\n"),
        Some((before, [])) => {
            let _ = writeln!(text, "nothing changed since {before}");
        }
        Some((before, differences)) => {
            let comparison = comparison::render(differences, [before, stamp], POST_WIDTH);
            let lines: Vec<&str> = comparison.lines().collect();
            for line in lines.iter().take(MOST_POSTED) {
                let _ = writeln!(text, "{line}");
            }
            if lines.len() > MOST_POSTED {
                let _ = writeln!(text, "… {} in total", counted(differences.len(), "difference"));
            }
        }
    }
    text
}

/// The trends of all nights, oldest first, with the post of the last.
pub fn page(nights: &[Night], post: &str) -> String {
    let style = include_str!("nightly/page.css");
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>corematrix nightly</title>\n\
         <style>\n{style}</style>\n</head>\n<body>\n<h1>corematrix nightly</h1>\n<pre>{}</pre>\n",
        escaped(post)
    );
    trends(&mut html, nights);
    html.push_str(
        "<h2>Nights</h2>\n<table>\n<thead><tr><th>night<th>programs that load<th>changes since the previous \
    night</tr></thead>\n<tbody>\n",
    );
    for night in nights.iter().rev() {
        let (passed, total) = night.score();
        let stamp = escaped(&night.stamp);
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\"><a href=\"{NIGHTS}/{stamp}/report.html\">{stamp}</a><td>{passed} of {total}<td>{}</tr>",
            night.differences
        );
    }
    html.push_str("</tbody>\n</table>\n</body>\n</html>\n");
    html
}

/// A table of the last night's programs and kernels, each with its past.
fn trends(html: &mut String, nights: &[Night]) {
    let Some(last) = nights.last() else { return };
    type Key<'a> = (&'a str, &'a str, &'a str);
    let key = |result: &'_ NightResult| -> (String, String, String) {
        (result.object.clone(), result.program.clone(), result.kernel.clone())
    };
    let mut past: HashMap<(String, String, String), Vec<Option<&NightResult>>> = HashMap::new();
    for (index, night) in nights.iter().enumerate() {
        for result in &night.results {
            past.entry(key(result)).or_insert_with(|| vec![None; nights.len()])[index] = Some(result);
        }
    }
    let mut rows: Vec<Key<'_>> = Vec::new();
    for result in &last.results {
        let row = (result.object.as_str(), result.program.as_str(), "");
        if rows.last() != Some(&row) && !rows.contains(&row) {
            rows.push(row);
        }
    }
    html.push_str("<h2>Trends</h2>\n<p class=\"quiet\">A bar is a night, the last one at the right.</p>\n<div class=\"wide\">\n<table>\n<thead><tr><th>program");
    for (kernel, release) in &last.kernels {
        let _ = write!(html, "<th scope=\"col\" title=\"{}\">{}", escaped(release), escaped(kernel));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    let mut object = None;
    for (name, program, _) in rows {
        if object != Some(name) {
            object = Some(name);
            let _ = writeln!(
                html,
                "<tr class=\"object\"><th scope=\"rowgroup\" colspan=\"{}\">{}</tr>",
                last.kernels.len() + 1,
                escaped(name)
            );
        }
        let _ = write!(html, "<tr><th scope=\"row\">{}", escaped(program));
        for (kernel, _) in &last.kernels {
            let seen = past.get(&(name.to_owned(), program.to_owned(), kernel.clone()));
            html.push_str("<td>");
            if let Some(seen) = seen {
                trend(html, nights, seen);
            }
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
}

fn class(verdict: Option<Verdict>) -> &'static str {
    match verdict.filter(|verdict| *verdict != Verdict::Skipped).map(Verdict::blame) {
        Some(Blame::Nobody) => "good",
        Some(Blame::Object | Blame::Kernel) => "bad",
        Some(Blame::Harness) | None => "none",
    }
}

/// One program on one kernel over the nights: a bar, the verdict of the last night, and since when.
fn trend(html: &mut String, nights: &[Night], seen: &[Option<&NightResult>]) {
    let verdict = |result: &Option<&NightResult>| result.map(|result| result.verdict);
    let now = seen.last().and_then(verdict);
    let since = seen.iter().rposition(|result| verdict(result) != now).map_or(0, |before| before + 1);
    let words = now.map_or("not in the matrix", Verdict::label);
    let since = match since {
        0 => String::new(),
        night => {
            format!(" since {}", nights.get(night).map_or("", |night| night.stamp.get(..10).unwrap_or(&night.stamp)))
        }
    };
    let width = seen.len() * STEP;
    let _ = write!(
        html,
        "<svg width=\"{width}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>",
        escaped(&format!("{words}{since}"))
    );
    // Nights that end alike are one bar: a history mostly stays as it is.
    let mut start = 0;
    while start < seen.len() {
        let class_here = class(verdict(&seen[start]));
        let run = seen[start..].iter().take_while(|result| class(verdict(result)) == class_here).count();
        let (x, width) = (start * STEP, run * STEP - 1);
        let _ = write!(html, "<rect class=\"{class_here}\" x=\"{x}\" width=\"{width}\" height=\"{HEIGHT}\"/>");
        start += run;
    }
    let _ = write!(html, "</svg>{}", escaped(now.map_or("", Verdict::short)));
    // A program that grows comes nearer to the verifier's limit, night by night.
    let counts = || seen.iter().flatten().filter_map(|result| result.instructions);
    if let (Some(first), Some(last)) = (counts().next(), counts().next_back())
        && first != last
    {
        let _ = write!(html, " <small>{first} to {last} instructions</small>");
    }
}

fn escaped(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{differences, moved_kernels};
    use crate::record::sample;

    #[test]
    fn the_post_says_what_changed() {
        let (before, mut after) = (sample::large(12, 3), sample::large(12, 3));
        let program = &mut after.cells[2].programs[0];
        *program = sample::program(&program.name, &program.section, Verdict::VerifierRejected, Some("R1 is bad"));
        let found = differences(&before, &after);
        after.kernels[1].identity.as_mut().unwrap().release = "5.10.0-10-cloud-amd64".to_owned();
        after.kernels[2].identity.as_mut().unwrap().image_sha256 = "77".repeat(32);
        let moved = moved_kernels(&before, &after);
        let all = [
            post(&before, "2026-11-22T020000Z", None, &[]),
            post(&after, "2026-11-22T020000Z", Some(("2026-11-21T020000Z", &found)), &moved),
            post(
                &before,
                "2026-11-22T020000Z",
                Some(("2026-11-21T020000Z", &[])),
                &["6.12: not updated: x".to_owned()],
            ),
        ];
        insta::assert_snapshot!(all.join("---\n"), @r"
        corematrix nightly 2026-11-22T020000Z: 12 of 12 programs fail on at least one of 3 kernels
        Why: missing BTF (10 programs), missing field (2), missing attach target (1)
        the first night of this history
        ---
        corematrix nightly 2026-11-22T020000Z: 12 of 12 programs fail on at least one of 3 kernels
        Why: missing BTF (10 programs), missing field (2), missing attach target (1), and 1 other
        Stopped loading: from 5.15 (1 program)
        5.10: 5.10.0-9-cloud-amd64 -> 5.10.0-10-cloud-amd64
        5.15: 5.15.0-9-cloud-amd64 was rebuilt
        2026-11-21T020000Z -> 2026-11-22T020000Z: 1 difference; 1 stopped loading, 0 now load

        klockstat
          `handle_entry__do_sys_openat2_0` on 5.15: loaded -> verifier rejected: R1 is bad
        ---
        corematrix nightly 2026-11-22T020000Z: 12 of 12 programs fail on at least one of 3 kernels
        Why: missing BTF (10 programs), missing field (2), missing attach target (1)
        6.12: not updated: x
        nothing changed since 2026-11-21T020000Z
        ");
    }

    #[test]
    fn the_page_shows_the_past_of_every_program() {
        let mut nights: Vec<Night> = ["2026-11-20T020000Z", "2026-11-21T020000Z", "2026-11-22T020000Z"]
            .map(|stamp| Night::of(&sample::large(3, 2), stamp, 0))
            .to_vec();
        nights[0].results[3].verdict = Verdict::TimedOut;
        nights[2].results[0].instructions = Some(1200);
        nights[0].results[0].instructions = Some(1000);
        nights[1].results.remove(5);
        nights[2].results[4].program = sample::NASTY.to_owned();
        let html = page(&nights, "a <b>\npost");
        let since = "aria-label=\"loaded since 2026-11-21\"";
        assert_eq!(html.matches(since).count(), 1, "{html}");
        assert!(html.contains("<pre>a &lt;b&gt;\npost</pre>"), "{html}");
        assert!(html.contains("<small>1000 to 1200 instructions</small>"), "{html}");
        assert!(html.contains(
            "<rect class=\"bad\" x=\"0\" width=\"3\" height=\"11\"/><rect class=\"good\" x=\"4\" width=\"7\""
        ));
        assert!(html.contains("href=\"nights/2026-11-22T020000Z/report.html\""));
        assert!(!html.contains('\u{1b}') && !html.contains("http"));
    }
}
