//! The command lines in documents: each is one that corematrix understands.

use clap::{Command, CommandFactory as _, Parser as _, error::ErrorKind};
use corematrix::cli::Cli;

use super::page::{Block, Page};

const NAME: &str = "corematrix";
/// What is shown and not typed.
const NOT_A_SHELL: [&str; 4] = ["text", "c", "rust", "toml"];
/// What ends a command in a shell.
const ENDS: [&str; 8] = ["|", "||", "&&", ";", ">", ">>", "&", "<"];

/// The command lines of `corematrix` in the code of a page, with their lines.
pub fn commands(page: &Page) -> Vec<(usize, Vec<String>)> {
    let blocks = page.blocks();
    let is_typed = |block: &&Block| block.info.first().is_none_or(|language| !NOT_A_SHELL.contains(&language.as_str()));
    let lines = blocks.iter().filter(is_typed).flat_map(|block| block.commands());
    lines.filter_map(|(line, text)| Some((line, words(&text)?))).collect()
}

/// The words of a command of corematrix; `None` for another line.
fn words(text: &str) -> Option<Vec<String>> {
    let words = shell_words::split(text).ok()?;
    let is_assignment = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let mut words: Vec<String> = words.into_iter().skip_while(is_assignment).collect();
    if words.first().is_none_or(|first| first != NAME) || words.len() < 2 {
        return None;
    }
    let end =
        words.iter().position(|word| ENDS.contains(&word.as_str()) || word.starts_with("2>") || word.starts_with('#'));
    words.truncate(end.unwrap_or(words.len()));
    if let Some(ended) = words.iter().position(|word| word.ends_with(';')) {
        words.truncate(ended + 1);
        words[ended].pop();
    }
    Some(words)
}

/// What corematrix does not understand.
pub fn unknown(page: &Page) -> Vec<String> {
    let mut wrong = Vec::new();
    for (line, words) in commands(page) {
        if let Err(error) = Cli::try_parse_from(&words)
            && !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
        {
            let why = error.to_string();
            let why = why.lines().next().unwrap_or_default();
            wrong.push(format!("{}:{line}: `{}`: {why}", page.path.display(), words.join(" ")));
        }
    }
    for (line, text) in page.prose() {
        let spans = text.split('`').skip(1).step_by(2);
        let problems = spans.filter_map(|span| misnamed(span.strip_prefix(NAME)?.strip_prefix(' ')?));
        wrong.extend(problems.map(|why| format!("{}:{line}: {why}", page.path.display())));
    }
    wrong
}

/// In prose a command may lack arguments: its name and its options have to be right.
fn misnamed(text: &str) -> Option<String> {
    let mut root = Cli::command();
    root.build();
    let mut command = &root;
    for word in text.split_whitespace() {
        if word == "--" {
            break;
        }
        if let Some(option) = word.strip_prefix("--") {
            let name = option.split(['=', '[', ']']).next().unwrap_or_default();
            if !matches!(name, "help" | "version")
                && !command.get_arguments().any(|known| known.get_long() == Some(name))
            {
                return Some(format!("`{NAME} {text}`: `{}` has no option `--{name}`", command.get_name()));
            }
        } else if let Some(known) = command.find_subcommand(word) {
            command = known;
        } else if takes_commands_only(command) && word.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Some(format!("`{NAME} {text}`: `{}` has no command `{word}`", command.get_name()));
        }
    }
    None
}

fn takes_commands_only(command: &Command) -> bool {
    command.has_subcommands() && command.get_positionals().next().is_none()
}

/// Options that have two meanings in one command, of which clap takes either.
pub fn ambiguous() -> Vec<String> {
    let mut root = Cli::command();
    root.build();
    let (mut commands, mut wrong) = (vec![&root], Vec::new());
    while let Some(command) = commands.pop() {
        let mut names: Vec<&str> = command.get_arguments().map(|arg| arg.get_id().as_str()).collect();
        names.sort_unstable();
        let twice = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        wrong.extend(twice.map(|name| format!("`{}`: `{name}` stands for two options", command.get_name())));
        commands.extend(command.get_subcommands());
    }
    wrong
}
