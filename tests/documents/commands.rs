//! The reference of commands, from what the command line itself says.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};
use corematrix::cli::Cli;

/// Understood by every command, and described once.
const GLOBAL: [&str; 2] = ["named_manifest", "store"];

pub fn reference() -> String {
    let mut root = Cli::command();
    root.build();
    let mut text = String::from("Every command takes these options:\n\n");
    root.get_arguments().filter(|arg| GLOBAL.contains(&arg.get_id().as_str())).for_each(|arg| argument(&mut text, arg));
    for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
        section(&mut text, command, &format!("corematrix {}", command.get_name()), 2);
    }
    text
}

fn section(text: &mut String, command: &Command, name: &str, level: usize) {
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let _ = write!(text, "\n{} {name}\n\n{}.\n", "#".repeat(level), about.trim_end_matches('.'));
    let inner: Vec<&Command> = command.get_subcommands().filter(|inner| inner.get_name() != "help").collect();
    if inner.is_empty() || !command.is_subcommand_required_set() {
        let usage = command.clone().render_usage().to_string();
        let _ = write!(text, "\n```text\n{}\n```\n\n", usage.trim_start_matches("Usage: "));
        let is_own = |arg: &&Arg| {
            !GLOBAL.contains(&arg.get_id().as_str()) && !matches!(arg.get_id().as_str(), "help" | "version")
        };
        let (named, placed): (Vec<_>, Vec<_>) =
            command.get_arguments().filter(is_own).partition(|arg| !arg.is_positional());
        placed.into_iter().chain(named).for_each(|arg| argument(text, arg));
    }
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        let _ = write!(text, "\n```text\n{after}\n```\n");
    }
    for command in inner {
        section(text, command, &format!("{name} {}", command.get_name()), level + 1);
    }
}

fn argument(text: &mut String, arg: &Arg) {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let _ = write!(
        text,
        "* {short}`{arg}`: {}",
        help.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.')
    );
    let takes_value = arg.get_action().takes_values();
    let values = if takes_value { arg.get_possible_values() } else { Vec::new() };
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if takes_value && !defaults.is_empty() {
        let _ = write!(text, " [default: `{}`]", defaults.join(" "));
    }
    text.push('\n');
    for value in &values {
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "    * `{}`: {}", value.get_name(), help.trim_end_matches('.'));
    }
}
