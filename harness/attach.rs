//! [`AttachRecord`]: whether a program that was loaded can be attached, too. A function that moved or was inlined fails only there.
//!
//! The guest tells [`AttachFacts`], and [`judge`] makes of them what the record keeps.

use std::io;

use serde::{Deserialize, Serialize};

use crate::cause::{Cause, Evidence};
use crate::record::ProgramRecord;
use crate::verdict::Verdict;

/// How far programs are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// They are loaded.
    Load,
    /// They are attached as well, and detached again.
    Attach,
    /// They are made to run while they are attached.
    Exercise,
}

/// What a suite has a program attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachTo {
    /// A function of the kernel, by a probe.
    Function(String),
    /// A function of an executable or library of the guest, by a probe.
    UserFunction {
        /// An absolute path, or the name of a library.
        binary: String,
        /// A symbol of it.
        function: String,
    },
    /// A tracepoint, by its events.
    Tracepoint {
        /// Such as `sched`.
        category: String,
        /// Such as `sched_switch`.
        name: String,
    },
    /// A tracepoint, by its arguments.
    RawTracepoint(String),
    /// A network interface of the guest.
    Interface(String),
    /// A cgroup of the guest, below its root; it is made, and the guest goes into it.
    Cgroup(String),
}

impl std::fmt::Display for AttachTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AttachTo::Function(name) => write!(f, "`{name}`"),
            AttachTo::UserFunction { binary, function } => write!(f, "`{function}` of `{binary}`"),
            AttachTo::Tracepoint { category, name } => write!(f, "tracepoint `{category}/{name}`"),
            AttachTo::RawTracepoint(name) => write!(f, "tracepoint `{name}`"),
            AttachTo::Interface(name) => write!(f, "interface `{name}`"),
            AttachTo::Cgroup(path) => write!(f, "cgroup `{path}`"),
        }
    }
}

/// What a guest is about to do with a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Load it.
    Loading,
    /// Attach it.
    Attaching,
    /// Make it run.
    Exercising,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Step::Loading => "loading",
            Step::Attaching => "attaching",
            Step::Exercising => "exercising",
        })
    }
}

/// What a guest observed when it attached a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachFacts {
    /// To what, in words: `the target of its section`, `the loopback device`.
    pub to: String,
    /// What came of it.
    pub tried: AttachTry,
    /// Microseconds it took.
    pub took_us: u64,
}

/// What came of attaching a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tried", rename_all = "snake_case")]
pub enum AttachTry {
    /// It was attached.
    Attached,
    /// A call failed.
    Failed {
        /// Positive.
        errno: i32,
        /// libbpf's warnings.
        warnings: Vec<String>,
        /// What the kernel itself lists of the target; `None` if it lists no targets of this sort.
        target: Option<TargetFacts>,
    },
    /// There is nothing to attach it to.
    NotPossible {
        /// Why, as a lowercase fragment.
        reason: String,
    },
    /// libbpf died.
    Died {
        /// The signal.
        signal: i32,
    },
}

/// What sort of thing a program attaches to by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A function, by a probe.
    Function,
    /// All functions that a pattern matches.
    Functions,
    /// A system call.
    SystemCall,
    /// A function of an executable or library, or all that a pattern matches.
    UserFunction,
    /// A USDT probe of an executable or library, such as `libc:setjmp`.
    UserProbe,
    /// A tracepoint, by its events.
    Tracepoint,
    /// A tracepoint, by its arguments.
    RawTracepoint,
}

/// What the kernel, or a file, lists of an attach target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFacts {
    /// What sort of thing it is.
    pub kind: TargetKind,
    /// The function or tracepoint.
    pub name: String,
    /// Whether it is listed.
    pub exists: bool,
    /// Copies that the compiler made of a function, such as `name.isra.0`.
    pub copies: Vec<String>,
    /// The executable or library it would be in, for a target in user space.
    pub file: Option<String>,
}

/// How attaching a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttachOutcome {
    /// It was attached, and detached again.
    Attached,
    /// It could not be attached; the program's verdict says so.
    Failed,
    /// There was nothing to attach it to, so nothing is known.
    NotPossible,
}

impl AttachOutcome {
    /// The outcome in words.
    pub fn label(self) -> &'static str {
        match self {
            AttachOutcome::Attached => "attached",
            AttachOutcome::Failed => "failed",
            AttachOutcome::NotPossible => "not tried",
        }
    }
}

/// Whether a program that was loaded can be attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AttachRecord {
    /// How it ended.
    pub outcome: AttachOutcome,
    /// To what, in words.
    pub to: String,
    /// Why it was not attached; `None` if it was.
    pub reason: Option<String>,
    /// The errno of the failing call as a positive number.
    pub errno: Option<i32>,
    /// Microseconds it took in the guest.
    pub took_us: u64,
}

impl AttachRecord {
    /// How it ended, in a few words: `attached to the loopback device`.
    pub fn words(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason was recorded");
        match self.outcome {
            AttachOutcome::Attached => format!("attached to {}", self.to),
            AttachOutcome::Failed => format!("not attached to {}: {reason}", self.to),
            AttachOutcome::NotPossible => format!("could not be tried: {reason}"),
        }
    }
}

/// Puts what a guest observed into the record of a program that was loaded, and changes its verdict if it must.
pub fn judge(facts: &AttachFacts, record: &mut ProgramRecord) {
    let mut attach = AttachRecord {
        outcome: AttachOutcome::Attached,
        to: facts.to.clone(),
        reason: None,
        errno: None,
        took_us: facts.took_us,
    };
    match &facts.tried {
        AttachTry::Attached => {}
        AttachTry::NotPossible { reason } => {
            attach.outcome = AttachOutcome::NotPossible;
            attach.reason = Some(reason.clone());
        }
        AttachTry::Died { signal } => {
            let reason = format!("libbpf died of signal {signal} while it attached the program");
            attach.outcome = AttachOutcome::Failed;
            attach.reason = Some(reason.clone());
            record.verdict = Verdict::HarnessError;
            record.cause = Cause::of(Verdict::HarnessError);
            record.reason = Some(reason);
        }
        AttachTry::Failed { errno, warnings, target } => {
            let (cause, reason) = why(*errno, warnings, target.as_ref());
            attach.outcome = AttachOutcome::Failed;
            attach.reason = Some(reason.clone());
            attach.errno = (*errno != 0).then_some(*errno);
            record.verdict = Verdict::AttachFailed;
            record.cause = Some(cause);
            record.errno = attach.errno;
            let line = warnings.last().cloned().unwrap_or_else(|| words(*errno));
            let subject = target.as_ref().map(|target| target.name.clone());
            record.evidence = Some(Evidence { line, subject, source: None });
            record.reason = Some(reason);
        }
    }
    record.attach = Some(attach);
}

/// Why a program could not be attached. The errno alone proves little: what there is of the target decides.
fn why(errno: i32, warnings: &[String], target: Option<&TargetFacts>) -> (Cause, String) {
    let said = warnings.last().cloned().unwrap_or_else(|| words(errno));
    let of_library = "attaching to shared libraries without specific PID is not supported";
    if let Some(warning) = warnings.iter().find(|warning| warning.contains(of_library)) {
        let reason = format!(
            "the kernel has no cookies for probes, which Linux has from 5.15; without them a USDT probe of a library needs \
             a PID, which only the object's loader knows: {warning}"
        );
        return (Cause::MissingAttachType, reason);
    }
    match target {
        Some(target) if !target.exists => (Cause::MissingAttachTarget, missing(target)),
        // All that a kernel compares then is how much the program reads with how much there is.
        Some(TargetFacts { kind: TargetKind::RawTracepoint, name, .. }) if errno == libc::EINVAL => {
            let reason = format!("the tracepoint `{name}` has fewer arguments here than the program reads: {said}");
            (Cause::ContextArgumentChanged, reason)
        }
        Some(TargetFacts { name, .. }) if errno == libc::EADDRNOTAVAIL => {
            (Cause::ForbiddenAttachTarget, format!("several functions of this kernel are named `{name}`: {said}"))
        }
        Some(TargetFacts { name, .. }) if errno == libc::EILSEQ => {
            let reason =
                format!("no instruction of `{name}` begins at the offset of the section on this kernel: {said}");
            (Cause::ForbiddenAttachTarget, reason)
        }
        // It must not be probed, or was declared `inline`, which makes it untraceable even where it was not inlined.
        Some(TargetFacts { kind: TargetKind::Function | TargetKind::SystemCall, name, .. })
            if [libc::EINVAL, libc::EBUSY].contains(&errno) =>
        {
            (Cause::ForbiddenAttachTarget, format!("the kernel has `{name}` and refuses to attach to it: {said}"))
        }
        _ => (Cause::Unrecognised, said),
    }
}

/// That an attach target is not there, and what is there in its place.
fn missing(target: &TargetFacts) -> String {
    let TargetFacts { kind, name, copies, file, .. } = target;
    let file = format!("the guest's `{}`", file.as_deref().unwrap_or_default());
    match kind {
        TargetKind::Tracepoint | TargetKind::RawTracepoint => {
            format!("neither this kernel nor a module it has loaded has the tracepoint `{name}`")
        }
        TargetKind::SystemCall => format!("this kernel has no function of a system call `{name}`"),
        TargetKind::Functions => {
            format!("no function of this kernel and of the modules it has loaded matches `{name}`")
        }
        TargetKind::UserFunction if name.contains(['*', '?']) => format!("no function of {file} matches `{name}`"),
        TargetKind::UserFunction => format!("{file} has no function `{name}`"),
        TargetKind::UserProbe => format!("{file} has no USDT probe `{name}`"),
        TargetKind::Function if copies.is_empty() => {
            format!("`{name}` is not among the symbols of this kernel and of the modules it has loaded")
        }
        TargetKind::Function => {
            let copies: Vec<String> = copies.iter().map(|copy| format!("`{copy}`")).collect();
            format!("`{name}` is not a symbol of this kernel, only {} of it", copies.join(", "))
        }
    }
}

/// An errno in words.
pub(crate) fn words(errno: i32) -> String {
    match errno {
        // The kernel's own `ENOTSUPP`, which the C library has no words for.
        524 => "operation not supported (errno 524)".to_owned(),
        _ => io::Error::from_raw_os_error(errno).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ObjectProgram;

    fn judged(tried: AttachTry) -> ProgramRecord {
        let program = ObjectProgram { name: "p".into(), section: "kprobe/gone".into() };
        let mut record = ProgramRecord::not_run(&program, "");
        (record.verdict, record.reason) = (Verdict::Loaded, None);
        judge(&AttachFacts { to: "the target of its section".into(), tried, took_us: 7 }, &mut record);
        record
    }

    fn facts(kind: TargetKind, name: &str, exists: bool) -> TargetFacts {
        TargetFacts { kind, name: name.into(), exists, copies: Vec::new(), file: None }
    }

    fn failed(errno: i32, exists: bool, copies: &[&str]) -> ProgramRecord {
        let copies = copies.iter().map(|copy| (*copy).to_owned()).collect();
        let target = Some(TargetFacts { copies, ..facts(TargetKind::Function, "gone", exists) });
        judged(AttachTry::Failed { errno, warnings: vec!["prog 'p': said".into()], target })
    }

    #[test]
    fn target_that_is_not_listed_is_missing() {
        let record = failed(libc::ENOENT, false, &[]);
        assert_eq!((record.verdict, record.cause), (Verdict::AttachFailed, Some(Cause::MissingAttachTarget)));
        assert_eq!(record.errno, Some(libc::ENOENT));
        let evidence = record.evidence.unwrap();
        assert_eq!((evidence.line.as_str(), evidence.subject.as_deref()), ("prog 'p': said", Some("gone")));
        assert!(record.reason.unwrap().starts_with("`gone` is not among the symbols"));
        let copied = failed(libc::ENOENT, false, &["gone.isra.0"]).reason.unwrap();
        assert_eq!(copied, "`gone` is not a symbol of this kernel, only `gone.isra.0` of it");
    }

    #[test]
    fn target_that_is_there_and_refused_is_told_apart() {
        let told = |errno| failed(errno, true, &[]).reason.unwrap();
        assert!(told(libc::EINVAL).contains("refuses to attach"));
        assert!(told(libc::EADDRNOTAVAIL).starts_with("several functions"));
        let target = facts(TargetKind::RawTracepoint, "tp", true);
        let fewer = AttachTry::Failed { errno: libc::EINVAL, warnings: Vec::new(), target: Some(target) };
        assert_eq!(judged(fewer).cause, Some(Cause::ContextArgumentChanged));
        assert!(told(libc::EBUSY).contains("refuses to attach"));
        assert!(told(libc::EILSEQ).starts_with("no instruction of `gone` begins"));
        assert_eq!(failed(libc::EINVAL, true, &[]).cause, Some(Cause::ForbiddenAttachTarget));
        let unknown = failed(libc::ENOMEM, true, &[]);
        assert_eq!((unknown.cause, unknown.reason.as_deref()), (Some(Cause::Unrecognised), Some("prog 'p': said")));
    }

    #[test]
    fn missing_targets_are_told_apart_by_their_kind() {
        let told = |target| {
            let record = judged(AttachTry::Failed { errno: libc::ENOENT, warnings: Vec::new(), target: Some(target) });
            (record.cause, record.reason.unwrap_or_default())
        };
        let file = Some("/lib/libc.so.6".to_owned());
        let cases = [
            (facts(TargetKind::SystemCall, "gone", false), "this kernel has no function of a system call `gone`"),
            (
                facts(TargetKind::Functions, "gone_*", false),
                "no function of this kernel and of the modules it has loaded matches `gone_*`",
            ),
            (
                TargetFacts { file: file.clone(), ..facts(TargetKind::UserFunction, "gone", false) },
                "the guest's `/lib/libc.so.6` has no function `gone`",
            ),
            (
                TargetFacts { file: file.clone(), ..facts(TargetKind::UserFunction, "gone*", false) },
                "no function of the guest's `/lib/libc.so.6` matches `gone*`",
            ),
            (
                TargetFacts { file, ..facts(TargetKind::UserProbe, "libc:gone", false) },
                "the guest's `/lib/libc.so.6` has no USDT probe `libc:gone`",
            ),
        ];
        for (target, reason) in cases {
            assert_eq!(told(target), (Some(Cause::MissingAttachTarget), reason.to_owned()));
        }
        // A pattern that matches something is not missing, whatever the kernel says.
        assert_eq!(told(facts(TargetKind::Functions, "vfs_*", true)).0, Some(Cause::Unrecognised));
    }

    #[test]
    fn probe_of_a_library_that_needs_cookies_is_no_missing_target() {
        let said = "usdt: attaching to shared libraries without specific PID is not supported on current kernel";
        let target = Some(facts(TargetKind::UserProbe, "libc:setjmp", true));
        let record = judged(AttachTry::Failed { errno: libc::ENOTSUP, warnings: vec![said.to_owned()], target });
        assert_eq!(record.cause, Some(Cause::MissingAttachType));
        assert!(record.reason.is_some_and(|reason| reason.contains("5.15") && reason.ends_with(said)));
    }

    #[test]
    fn what_cannot_be_tried_is_no_failure() {
        let record = judged(AttachTry::NotPossible { reason: "its section names no target".into() });
        assert_eq!((record.verdict, record.reason), (Verdict::Loaded, None));
        assert_eq!(record.attach.unwrap().words(), "could not be tried: its section names no target");
        assert_eq!(judged(AttachTry::Attached).verdict, Verdict::Loaded);
        assert_eq!(judged(AttachTry::Died { signal: 11 }).verdict, Verdict::HarnessError);
    }
}
