//! [`Survey`]: which of the programs that corematrix needs this machine has.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::vm::{ToolPaths, Toolchain, VirtmeNg};

/// For a program to tell its version.
const LIMIT: Duration = Duration::from_secs(60);

/// A program that is missing or too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Qemu,
    VirtmeNg,
    Curl,
    Strings,
}

/// Which programs there are.
#[derive(Debug)]
pub(in crate::cli) struct Survey {
    /// With its version, as the next.
    pub qemu: Option<(PathBuf, String)>,
    pub virtme_ng: Option<(PathBuf, String)>,
    pub curl: Option<PathBuf>,
    /// Of binutils.
    pub strings: Option<PathBuf>,
    /// Whether the device of KVM can be opened: QEMU may be older then.
    pub kvm: bool,
}

impl Survey {
    /// Looks; `project` is the folder that may have a virtme-ng of its own.
    pub fn take(project: &Path) -> Survey {
        let paths = ToolPaths::from_environment();
        Survey {
            qemu: Toolchain::qemu(&paths, LIMIT),
            virtme_ng: Toolchain::virtme_ng(project, &paths, LIMIT),
            curl: on_path("curl"),
            strings: on_path("strings"),
            kvm: File::options().read(true).write(true).open("/dev/kvm").is_ok(),
        }
    }

    pub fn has_qemu(&self) -> bool {
        self.qemu.is_some()
    }

    /// Whether guests have to be emulated by a QEMU that is too old for that.
    pub fn old_qemu(&self) -> bool {
        !self.kvm && self.qemu.as_ref().is_some_and(|(_, version)| Toolchain::is_unsafe_for_emulation(version))
    }

    fn old_virtme_ng(&self) -> bool {
        self.virtme_ng.as_ref().is_some_and(|(_, version)| VirtmeNg::is_too_old(version))
    }

    /// What is missing or too old.
    pub(super) fn needs(&self) -> Vec<Need> {
        let needs = [
            (Need::Qemu, self.qemu.is_none() || self.old_qemu()),
            (Need::VirtmeNg, self.virtme_ng.is_none() || self.old_virtme_ng()),
            (Need::Curl, self.curl.is_none()),
            (Need::Strings, self.strings.is_none()),
        ];
        needs.into_iter().filter_map(|(need, wanting)| wanting.then_some(need)).collect()
    }

    /// What is missing or too old, in words.
    pub fn wanting(&self) -> Vec<String> {
        let name = |need: &Need| match need {
            Need::Qemu => "QEMU (`qemu-system-x86_64`)".to_owned(),
            Need::VirtmeNg => format!("virtme-ng {} or later (`virtme-run`)", VirtmeNg::oldest()),
            Need::Curl => "`curl`".to_owned(),
            Need::Strings => "`strings` of binutils".to_owned(),
        };
        self.needs().iter().map(name).collect()
    }

    /// The same without what works in spite of its age.
    pub fn missing(&self) -> Vec<String> {
        let mut wanting = self.wanting();
        if self.old_qemu() {
            wanting.remove(0);
        }
        wanting
    }

    /// Of each program that is missing or too old: its short name, what is wrong with it, and what installs it.
    pub fn problems(&self) -> Vec<[String; 3]> {
        let missing = |program: &str| format!("`{program}` is not installed");
        let installs = |what: &str| format!("`corematrix setup` installs {what}");
        let problem = |need: &Need| match (need, &self.qemu, &self.virtme_ng) {
            (Need::Qemu, Some((path, version)), _) => [
                "QEMU".to_owned(),
                format!("{version} ({}) corrupts some guests under emulation", path.display()),
                "install QEMU 10 or later; `corematrix setup` does where the system packages it".to_owned(),
            ],
            (Need::Qemu, None, _) => {
                ["QEMU".to_owned(), missing("qemu-system-x86_64"), installs("the package `qemu-system-x86`")]
            }
            (Need::VirtmeNg, _, Some((path, version))) => [
                "virtme-ng".to_owned(),
                format!("{version} ({}) is too old: {} or later is needed", path.display(), VirtmeNg::oldest()),
                installs("virtme-ng"),
            ],
            (Need::VirtmeNg, _, None) => ["virtme-ng".to_owned(), missing("virtme-run"), installs("virtme-ng")],
            (Need::Curl, ..) => ["curl".to_owned(), missing("curl"), installs("the package `curl`")],
            (Need::Strings, ..) => ["strings".to_owned(), missing("strings"), installs("the package `binutils`")],
        };
        self.needs().iter().map(problem).collect()
    }

    /// A line for each program.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |mark: &str, name: &str, found: &str| {
            let _ = writeln!(text, "{mark:>7}  {name:<10} {found}");
        };
        let versions = [("QEMU", &self.qemu, self.old_qemu()), ("virtme-ng", &self.virtme_ng, self.old_virtme_ng())];
        for (name, found, is_old) in versions {
            match found {
                None => line("missing", name, ""),
                Some((path, version)) => {
                    line(if is_old { "old" } else { "ok" }, name, &format!("{version} ({})", path.display()));
                }
            }
        }
        for (name, found) in [("curl", &self.curl), ("strings", &self.strings)] {
            match found {
                None => line("missing", name, ""),
                Some(path) => line("ok", name, &path.display().to_string()),
            }
        }
        // No blanks at the ends of lines.
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// An executable on the PATH.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_and_what_is_not_is_listed() {
        let survey = Survey {
            qemu: Some(("/usr/bin/qemu-system-x86_64".into(), "7.2.11".into())),
            virtme_ng: None,
            curl: Some("/usr/bin/curl".into()),
            strings: None,
            kvm: false,
        };
        assert_eq!(
            survey.text(),
            "    old  QEMU       7.2.11 (/usr/bin/qemu-system-x86_64)\n\
             missing  virtme-ng\n     \
             ok  curl       /usr/bin/curl\n\
             missing  strings\n"
        );
        assert_eq!(survey.needs(), [Need::Qemu, Need::VirtmeNg, Need::Strings]);
        assert_eq!(survey.missing(), ["virtme-ng 1.35 or later (`virtme-run`)", "`strings` of binutils"]);
        let problems = survey.problems();
        let words: Vec<String> = problems.iter().map(|[name, what, _]| format!("{name}: {what}")).collect();
        assert_eq!(
            words,
            [
                "QEMU: 7.2.11 (/usr/bin/qemu-system-x86_64) corrupts some guests under emulation",
                "virtme-ng: `virtme-run` is not installed",
                "strings: `strings` is not installed"
            ]
        );
        assert!(problems.iter().all(|[_, _, hint]| hint.contains("`corematrix setup`")), "{problems:?}");
    }
}
