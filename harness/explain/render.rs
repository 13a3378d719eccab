//! [`render`]: an [`Explanation`] as text.

use super::history::spans_text;
use super::presence::runs;
use crate::record::{Explanation, First, InItsPlace, Presence, Replacement, SnippetPlace, SnippetProof, Subject, span};

/// Narrower than this nothing can be laid out.
const MIN_WIDTH: usize = 40;

/// The explanation as text of at most `width` columns, where code and names allow it. Ends with a newline; no colours.
pub fn render(explanation: &Explanation, width: usize) -> String {
    let width = width.max(MIN_WIDTH);
    let mut lines = Vec::new();
    lines.extend(wrapped(&headline(explanation), "", "  ", width));
    if let Some(boundary) = &explanation.boundary {
        lines.extend(wrapped(&format!("in this matrix: {boundary}"), "  ", "    ", width));
    }
    if let Some(First { kernel, by }) = &explanation.first {
        lines.push(format!("  first kernel that has it: {kernel}, {by}"));
    }

    let runs = runs(&explanation.presence);
    let column = runs.iter().map(|(kernels, _)| kernels.chars().count()).max().unwrap_or_default();
    for (kernels, presence) in runs {
        let first = format!("    {kernels:column$}  ");
        let indent = " ".repeat(first.chars().count());
        lines.extend(wrapped(&presence.to_string(), &first, &indent, width));
    }
    for InItsPlace { kernels, replacements } in &explanation.in_its_place {
        let kernels = kernel_list(explanation, kernels);
        match replacements.is_empty() {
            true => lines.push(format!("  replacement on {kernels}: none found")),
            false => lines.push(format!("  replacement on {kernels}:")),
        }
        for replacement in replacements {
            lines.extend(wrapped(&line(replacement), "    ", "      ", width));
        }
    }
    lines.extend(history(explanation, width));
    for note in &explanation.notes {
        lines.extend(wrapped(note, "  note: ", "    ", width));
    }
    for snippet in &explanation.snippets {
        lines.push(match snippet.place {
            SnippetPlace::Program => "  in the BPF program:".to_owned(),
            SnippetPlace::Loader => "  in the loader, between open and load:".to_owned(),
        });
        // Code is not wrapped: it is there to be copied.
        lines.extend(snippet.code.lines().map(|code| match code {
            "" => String::new(),
            code => format!("    {code}"),
        }));
    }
    lines.extend(explanation.proof.iter().flat_map(|proof| checked(proof, width)));
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// What was proven of the guard.
fn checked(proof: &SnippetProof, width: usize) -> Vec<String> {
    let SnippetProof { compiler, not_compiled, kernels, wrong } = proof;
    let kernels = format!("{kernels} kernel{}", if *kernels == 1 { "" } else { "s" });
    let mut lines = Vec::new();
    match compiler {
        Some(compiler) if wrong.is_empty() => lines.push(format!(
            "checked: {compiler} compiles it; against the BTF of {kernels}, it selects the right arm on each, and the \
    fields of that arm exist"
        )),
        Some(compiler) => {
            lines.push(format!("checked: {compiler} compiles it; of {kernels}, it is wrong on {}", wrong.len()))
        }
        None => lines.push(format!("checked: its conditions, against the BTF of {kernels}")),
    }
    lines.extend(not_compiled.iter().map(|reason| format!("not compiled: {reason}")));
    lines.extend(wrong.iter().map(|wrong| format!("wrong on {}: {}", wrong.kernel, wrong.reason)));
    lines.iter().flat_map(|line| wrapped(line, "  ", "    ", width)).collect()
}

/// Which kernels have which form, where more are known than those of the matrix.
fn history(explanation: &Explanation, width: usize) -> Vec<String> {
    let Some(history) = explanation.history.as_ref().filter(|history| history.beyond > 0) else { return Vec::new() };
    let kernels = if history.beyond == 1 { "kernel" } else { "kernels" };
    let mut lines = wrapped(&format!("with the BTF of {} more {kernels}:", history.beyond), "  ", "    ", width);
    for arm in &history.arms {
        let what = match (&arm.path, arm.type_name.as_str()) {
            (None, _) => "no equivalent".to_owned(),
            (Some(path), "") => format!("`{path}`"),
            (Some(path), type_name) => format!("`{path}` (`{type_name}`)"),
        };
        let booted = kernel_list(explanation, &arm.booted);
        let booted: Vec<String> = Some(booted).filter(|list| !list.is_empty()).into_iter().collect();
        let by_types: Vec<String> = arm.by_types.iter().map(|one| span(&one.first, &one.last)).collect();
        lines.extend(wrapped(&format!("{what}: {}", spans_text(&booted, &by_types)), "    ", "      ", width));
    }
    if history.left_out > 0 {
        let line = format!("not checked, because there are too many: {}", history.left_out);
        lines.extend(wrapped(&line, "    ", "      ", width));
    }
    lines
}

/// What is missing, where.
fn headline(explanation: &Explanation) -> String {
    let Explanation { subject, name, kernel, presence, .. } = explanation;
    if let Some(headline) = &explanation.headline {
        return headline.clone();
    }
    let here = presence.iter().find(|on| on.kernel == *kernel).map(|on| &on.presence);
    let what = match subject {
        Subject::Field => "field",
        Subject::Type => "type",
        Subject::Enumerator => "enumerator",
        Subject::Target => "attach target",
        Subject::Ksym => "kernel symbol",
        Subject::Helper => "helper",
        Subject::MapType => "map type",
        Subject::ProgramType => "program type",
        Subject::AttachType => "attach type",
        Subject::LoadFlag => "load flag",
        Subject::StructOpsMember => "struct_ops member",
        Subject::Rule => "",
    };
    match here {
        Some(Presence::Feature { present: true, by, .. }) => format!("{what} `{name}` exists on {kernel}, {by}"),
        Some(Presence::Feature { by, .. }) => format!("{what} `{name}` is missing on {kernel}, {by}"),
        Some(here @ (Presence::NotKnown { .. } | Presence::WithoutTypes { .. })) => {
            format!("{what} `{name}` on {kernel}: {here}")
        }
        Some(here @ Presence::OtherPrototype { .. }) => format!("{what} `{name}` exists on {kernel}: {here}"),
        Some(here) if here.is_present() => format!("{what} `{name}` exists on {kernel}: {here}"),
        Some(here @ Presence::MissingMember { .. } | here @ Presence::OtherKind { .. }) => {
            format!("{what} `{name}` is missing on {kernel}: {here}")
        }
        Some(here @ Presence::MissingElement { .. }) | Some(here @ Presence::MissingType { .. }) => {
            format!("{what} `{name}` is missing on {kernel}: {here}")
        }
        Some(_) => format!("{what} `{name}` is missing on {kernel}"),
        None if matches!(subject, Subject::Helper | Subject::MapType | Subject::ProgramType | Subject::AttachType) => {
            format!("{what} `{name}`, which {kernel} refused")
        }
        None => format!("{what} `{name}` on {kernel}, whose BTF is unknown"),
    }
}

/// One replacement with its reasons.
fn line(replacement: &Replacement) -> String {
    let Replacement { path, type_name, why, .. } = replacement;
    let kind = match (type_name.is_empty(), type_name.starts_with("value ")) {
        (true, _) => String::new(),
        (false, true) => format!(" ({type_name})"),
        (false, false) => format!(" (`{type_name}`)"),
    };
    let why = if why.is_empty() { String::new() } else { format!(", likely because: {}", why.join("; ")) };
    format!("`{path}`{kind}{why}")
}

/// Kernels as runs of the matrix: `6.1 to 6.12, 7.3`.
fn kernel_list(explanation: &Explanation, kernels: &[String]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let all: Vec<&str> = explanation.presence.iter().map(|on| on.kernel.as_str()).collect();
    for kernel in kernels {
        let Some(index) = all.iter().position(|name| name == kernel) else {
            continue;
        };
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => runs.push((index, index)),
        }
    }
    let texts: Vec<String> = runs.iter().map(|&(first, last)| span(all[first], all[last])).collect();
    texts.join(", ")
}

fn wrapped(text: &str, first: &str, rest: &str, width: usize) -> Vec<String> {
    let options = textwrap::Options::new(width)
        .initial_indent(first)
        .subsequent_indent(rest)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(|line| line.into_owned()).collect()
}
