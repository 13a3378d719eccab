//! [`render`]: which features kernels have, as text.

use std::collections::{BTreeMap, BTreeSet};

use tabled::builder::Builder;
use tabled::settings::{Padding, Style};

use crate::protocol::feature_probe::{Answer, FeatureProbe};
use crate::record::Boundary;

/// With more rows than this, features are grouped by where they come or go.
const MANY_ROWS: usize = 40;

/// From this many rows on, rows that mostly say the same are grouped, too.
const SAME_ROWS: usize = 10;

/// Features of one kind, each with the answer of each kernel.
struct Section {
    title: String,
    rows: Vec<(String, Vec<Answer>)>,
}

/// The features of the kernels, given in matrix order, at most `width` columns wide.
pub fn render(kernels: &[(&str, &FeatureProbe)], width: usize) -> String {
    if kernels.is_empty() {
        return "No kernel was probed.\n".to_owned();
    }
    let names: Vec<&str> = kernels.iter().map(|(name, _)| *name).collect();
    let sections = sections(kernels);
    let texts: Vec<String> = sections.iter().map(|section| section.render(&names, width)).collect();
    texts.join("\n")
}

fn sections(kernels: &[(&str, &FeatureProbe)]) -> Vec<Section> {
    let plain = |title: &str, of: fn(&FeatureProbe) -> &BTreeMap<String, Answer>| {
        let names: BTreeSet<&String> = kernels.iter().flat_map(|(_, probe)| of(probe).keys()).collect();
        let answer = |probe: &FeatureProbe, name: &String| of(probe).get(name).copied().unwrap_or(Answer::Unknown);
        let row = |name: &String| (name.clone(), kernels.iter().map(|(_, probe)| answer(probe, name)).collect());
        Section { title: title.to_owned(), rows: names.into_iter().map(row).collect() }
    };
    let callers: BTreeSet<&str> =
        kernels.iter().flat_map(|(_, probe)| probe.helpers.keys().map(String::as_str)).collect();
    let helpers: BTreeSet<&str> = kernels
        .iter()
        .flat_map(|(_, probe)| probe.helpers.values().flat_map(|all| all.keys().map(String::as_str)))
        .collect();
    let one_helper = helpers.len() == 1;
    let mut sections = Vec::new();
    if !one_helper {
        sections.push(plain("map types", |probe| &probe.map_types));
        sections.push(plain("program types", |probe| &probe.program_types));
        sections.push(plain("attach types, checked at load", |probe| &probe.attach_types));
    } else {
        sections.push(plain("map types", |probe| &probe.map_types));
    }
    let answers = |answer: &dyn Fn(&FeatureProbe) -> Answer| kernels.iter().map(|(_, probe)| answer(probe)).collect();
    let callers: Vec<&str> = callers.into_iter().collect();
    sections.push(match (helpers.iter().next(), callers.as_slice()) {
        (Some(helper), _) if one_helper => Section {
            title: format!("helper bpf_{helper}, by program type"),
            rows: callers.iter().map(|of| (of.to_string(), answers(&|probe| probe.helper(of, helper)))).collect(),
        },
        (_, [only]) => Section {
            title: format!("helpers of {only} programs"),
            rows: helpers
                .iter()
                .map(|name| (format!("bpf_{name}"), answers(&|probe| probe.helper(only, name))))
                .collect(),
        },
        _ => Section {
            title: "helpers, of programs of any type".to_owned(),
            rows: helpers
                .iter()
                .map(|name| (format!("bpf_{name}"), answers(&|probe| probe.helper_anywhere(name))))
                .collect(),
        },
    });
    sections.retain(|section| !section.rows.is_empty());
    sections
}

impl Section {
    fn render(&self, kernels: &[&str], width: usize) -> String {
        let all = |wanted: Answer| {
            let same = self.rows.iter().filter(|(_, answers)| answers.iter().all(|answer| *answer == wanted));
            same.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
        };
        let mut text = format!("{}\n", self.title);
        let mut add = |words: &str, names: Vec<&str>| {
            if !names.is_empty() {
                text += &wrapped(&format!("{words}: {}", names.join(", ")), width);
            }
        };
        match kernels {
            [only] => {
                add(&format!("on {only}"), all(Answer::Yes));
                add(&format!("not on {only}"), all(Answer::No));
            }
            _ => {
                add("on every kernel", all(Answer::Yes));
                add("on no kernel", all(Answer::No));
            }
        }
        add("unknown", all(Answer::Unknown));
        let differ: Vec<_> =
            self.rows.iter().filter(|(_, answers)| answers.iter().any(|answer| *answer != answers[0])).collect();
        if differ.is_empty() {
            return text;
        }
        let grid = grid(kernels, &differ);
        let fits = grid.lines().all(|line| console::measure_text_width(line) <= width);
        let groups = groups(kernels, &differ);
        let repeats = differ.len() >= SAME_ROWS && groups.len() * 4 <= differ.len();
        match fits && differ.len() <= MANY_ROWS && !repeats {
            true => text += &grid,
            false => groups.into_iter().for_each(|(words, names)| add(&words, names)),
        }
        text
    }
}

/// An indented paragraph, however long: a feature that is left out looks like one that is not there.
fn wrapped(words: &str, width: usize) -> String {
    let options = textwrap::Options::new(width).initial_indent("  ").subsequent_indent("      ").break_words(false);
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(words, options).iter().map(|line| format!("{line}\n")).collect()
}

fn grid(kernels: &[&str], rows: &[&(String, Vec<Answer>)]) -> String {
    let mut builder = Builder::default();
    builder.push_record([""].iter().chain(kernels).map(|name| name.to_string()));
    for (name, answers) in rows {
        let word = |answer: &Answer| match answer {
            Answer::Yes => "yes",
            Answer::No => "-",
            Answer::Unknown => "?",
        };
        builder.push_record([name.as_str()].into_iter().chain(answers.iter().map(word)));
    }
    let mut table = builder.build();
    table.with(Style::empty()).with(Padding::new(2, 0, 0, 0));
    table.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Features that come or go with the same kernels, in the order of the first kernel that has them.
fn groups<'a>(kernels: &[&str], rows: &[&'a (String, Vec<Answer>)]) -> Vec<(String, Vec<&'a str>)> {
    let mut groups: BTreeMap<(Option<usize>, String), Vec<&str>> = BTreeMap::new();
    for (name, answers) in rows {
        let first = answers.iter().position(|answer| *answer == Answer::Yes);
        groups.entry((first, words(kernels, answers))).or_default().push(name);
    }
    groups.into_iter().map(|((_, words), names)| (words, names)).collect()
}

/// `from 6.1`, `up to 6.1`, or each kernel's answer.
fn words(kernels: &[&str], answers: &[Answer]) -> String {
    let with = |wanted: Answer| {
        let having = kernels.iter().zip(answers).filter(|(_, answer)| **answer == wanted);
        having.map(|(kernel, _)| *kernel).collect::<Vec<_>>().join(", ")
    };
    if answers.contains(&Answer::Unknown) {
        let yes = with(Answer::Yes);
        let yes = if yes.is_empty() { "on no kernel with certainty".to_owned() } else { format!("on {yes}") };
        return format!("{yes}; unknown on {}", with(Answer::Unknown));
    }
    let has = kernels.iter().zip(answers).map(|(kernel, answer)| (*kernel, *answer == Answer::Yes));
    match Boundary::of(has) {
        Boundary::Since { present, .. } => format!("from {present}"),
        Boundary::Until { present, .. } => format!("up to {present}"),
        _ => format!("only on {}", with(Answer::Yes)),
    }
}

#[cfg(test)]
mod tests;
