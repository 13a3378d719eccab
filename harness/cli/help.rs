//! The help of every command in one snapshot, so that each change of a word is reviewed. Manual pages, completions and
//! `docs/reference/commands.md` are made from the same texts.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use super::Cli;

/// Columns of the terminal.
const WIDTH: usize = 100;
/// The longest line of `-h`, in words, beside defaults.
const MOST_WORDS: usize = 45;

fn root() -> Command {
    let mut root = Cli::command().term_width(WIDTH);
    root.build();
    root
}

fn visit(command: &Command, name: &str, with: &mut dyn FnMut(&Command, &str)) {
    with(command, name);
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        visit(inner, &format!("{name} {}", inner.get_name()), with);
    }
}

#[test]
fn help_of_all_commands() {
    let mut text = String::new();
    visit(&root(), "corematrix", &mut |command, name| {
        let mut command = command.clone();
        let (short, long) = (command.render_help(), command.render_long_help());
        let _ = write!(text, "===== {name} -h\n\n{short}\n===== {name} --help\n\n{long}\n");
    });
    let text: String = text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn everything_has_a_help_line() {
    let mut wrong = Vec::new();
    visit(&root(), "corematrix", &mut |command, name| {
        let says = |arg: &&Arg| arg.get_help().is_some_and(|help| !help.to_string().trim().is_empty());
        wrong.extend(command.get_arguments().filter(|arg| !says(arg)).map(|arg| format!("{name}: {arg}")));
        wrong.extend(command.get_about().is_none().then(|| name.to_owned()));
        let texts = command.get_arguments().filter_map(|arg| Some((arg.to_string(), arg.get_help()?.to_string())));
        let long = |(_, text): &(String, String)| {
            text.split('[').next().unwrap_or_default().split_whitespace().count() > MOST_WORDS
        };
        wrong.extend(texts.filter(long).map(|(arg, text)| format!("{name}: {arg}: too long: {text}")));
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
