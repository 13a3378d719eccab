//! `corematrix open`: the page of a run, in a browser.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use super::Common;
use super::explain::report_folder;
use super::failure::Failure;
use crate::report::Format;

/// A browser that cannot be started says so within this time.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct OpenArgs {
    /// Report directory, its `report.json`, or `latest`.
    #[arg(default_value = "latest")]
    run: PathBuf,
}

pub(super) fn run(common: &Common, args: &OpenArgs) -> Result<ExitCode, Failure> {
    let page = report_folder(common, &args.run).join(Format::Html.file_name());
    let page = page.canonicalize().map_err(|error| {
        let hint = format!("`corematrix report {} --format html --out DIR` writes it", args.run.display());
        Failure::input(format!("no page `{}`: {error}", page.display()), Some(hint))
    })?;
    println!("{}", page.display());
    let Some(mut command) = browser(&page, &|name| std::env::var_os(name).filter(|value| !value.is_empty())) else {
        eprintln!("no display and no $BROWSER here: open the file above in a browser elsewhere");
        return Ok(ExitCode::SUCCESS);
    };
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |why: String| {
        let hint = "open the file above by hand, or set $BROWSER".to_owned();
        Failure::infrastructure(format!("`{program}` cannot open the page: {why}"), Some(hint))
    };
    // The browser outlives this process, and what it says is of no interest.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break,
            Ok(Some(status)) => return Err(failed(status.to_string())),
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(failed(error.to_string())),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What opens the page: `$BROWSER`, a list of commands of which the first counts, or the desktop's own way; `None` without a display.
fn browser(page: &Path, variable: &dyn Fn(&str) -> Option<OsString>) -> Option<Command> {
    if let Some(own) = variable("BROWSER") {
        let own = own.to_string_lossy().into_owned();
        let words = shell_words::split(own.split(':').next().unwrap_or_default()).unwrap_or_default();
        if let Some((program, words)) = words.split_first() {
            let page = page.to_string_lossy();
            let mut command = Command::new(program);
            command.args(words.iter().map(|word| word.replace("%s", &page)));
            if !words.iter().any(|word| word.contains("%s")) {
                command.arg(page.as_ref());
            }
            return Some(command);
        }
    }
    variable("DISPLAY").or_else(|| variable("WAYLAND_DISPLAY"))?;
    let mut command = Command::new("xdg-open");
    command.arg(page);
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(set: &[(&str, &str)]) -> Option<String> {
        let variable =
            |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let command = browser(Path::new("/r/report.html"), &variable)?;
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        Some(words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_user_says_what_opens_pages() {
        assert_eq!(words(&[]), None);
        assert_eq!(words(&[("DISPLAY", ":0")]).as_deref(), Some("xdg-open /r/report.html"));
        let own = [("BROWSER", "w3m -T %s --quiet:firefox"), ("DISPLAY", ":0")];
        assert_eq!(words(&own).as_deref(), Some("w3m -T /r/report.html --quiet"));
        assert_eq!(words(&[("BROWSER", "firefox")]).as_deref(), Some("firefox /r/report.html"));
    }
}
