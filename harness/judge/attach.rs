//! [`judge`]: what it means that a program was attached, or was not.

use super::errno::words;
use crate::protocol::attach::{AttachFacts, AttachTry, TargetFacts, TargetKind};
use crate::record::{AttachOutcome, AttachRecord, Cause, Evidence, ProgramRecord, Verdict};

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
            let reason = format!("libbpf was killed by signal {signal} while attaching the program");
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
            "the kernel has no BPF cookies (Linux 5.15 or later); without them, a USDT probe of a library needs a PID, \
    which only the object's loader knows: {warning}"
        );
        return (Cause::MissingAttachType, reason);
    }
    match target {
        Some(target) if !target.exists => (Cause::MissingAttachTarget, missing(target)),
        // All that a kernel compares then is how much the program reads with how much there is.
        Some(TargetFacts { kind: TargetKind::RawTracepoint, name, .. }) if errno == libc::EINVAL => {
            let reason = format!(
                "the tracepoint `{name}` has fewer arguments on this kernel than the program reads: \
    {said}"
            );
            (Cause::ContextArgumentChanged, reason)
        }
        Some(TargetFacts { name, .. }) if errno == libc::EADDRNOTAVAIL => {
            (Cause::ForbiddenAttachTarget, format!("several functions of this kernel are named `{name}`: {said}"))
        }
        Some(TargetFacts { name, .. }) if errno == libc::EILSEQ => {
            let reason =
                format!("on this kernel, no instruction of `{name}` starts at the offset in the section name: {said}");
            (Cause::ForbiddenAttachTarget, reason)
        }
        // It must not be probed, or was declared `inline`, which makes it untraceable even where it was not inlined.
        Some(TargetFacts { kind: TargetKind::Function | TargetKind::SystemCall, name, .. })
            if [libc::EINVAL, libc::EBUSY].contains(&errno) =>
        {
            (Cause::ForbiddenAttachTarget, format!("the kernel has `{name}` but refuses to attach to it: {said}"))
        }
        _ => (Cause::Unrecognised, said),
    }
}

/// That an attach target is not there, and what is there instead.
fn missing(target: &TargetFacts) -> String {
    let TargetFacts { kind, name, copies, file, .. } = target;
    let file = format!("the guest's `{}`", file.as_deref().unwrap_or_default());
    match kind {
        TargetKind::Tracepoint | TargetKind::RawTracepoint => {
            format!("neither this kernel nor a loaded module has the tracepoint `{name}`")
        }
        TargetKind::SystemCall => format!("this kernel has no function for a system call `{name}`"),
        TargetKind::Functions => {
            format!("no function of this kernel or of a loaded module matches `{name}`")
        }
        TargetKind::UserFunction if name.contains(['*', '?']) => format!("no function of {file} matches `{name}`"),
        TargetKind::UserFunction => format!("{file} has no function `{name}`"),
        TargetKind::UserProbe => format!("{file} has no USDT probe `{name}`"),
        TargetKind::Function if copies.is_empty() => {
            format!("neither this kernel nor a loaded module has the symbol `{name}`")
        }
        TargetKind::Function => {
            let copies: Vec<String> = copies.iter().map(|copy| format!("`{copy}`")).collect();
            format!("this kernel has no symbol `{name}`, only {}", copies.join(", "))
        }
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
        assert!(record.reason.unwrap().starts_with("neither this kernel nor a loaded module has the symbol `gone`"));
        let copied = failed(libc::ENOENT, false, &["gone.isra.0"]).reason.unwrap();
        assert_eq!(copied, "this kernel has no symbol `gone`, only `gone.isra.0`");
    }

    #[test]
    fn target_that_is_there_and_refused_is_told_apart() {
        let reason_of = |errno| failed(errno, true, &[]).reason.unwrap();
        assert!(reason_of(libc::EINVAL).contains("refuses to attach"));
        assert!(reason_of(libc::EADDRNOTAVAIL).starts_with("several functions"));
        let target = facts(TargetKind::RawTracepoint, "tp", true);
        let fewer = AttachTry::Failed { errno: libc::EINVAL, warnings: Vec::new(), target: Some(target) };
        assert_eq!(judged(fewer).cause, Some(Cause::ContextArgumentChanged));
        assert!(reason_of(libc::EBUSY).contains("refuses to attach"));
        assert!(reason_of(libc::EILSEQ).contains("no instruction of `gone` starts"));
        assert_eq!(failed(libc::EINVAL, true, &[]).cause, Some(Cause::ForbiddenAttachTarget));
        let unknown = failed(libc::ENOMEM, true, &[]);
        assert_eq!((unknown.cause, unknown.reason.as_deref()), (Some(Cause::Unrecognised), Some("prog 'p': said")));
    }

    #[test]
    fn missing_targets_are_told_apart_by_their_kind() {
        let reason_of = |target| {
            let record = judged(AttachTry::Failed { errno: libc::ENOENT, warnings: Vec::new(), target: Some(target) });
            (record.cause, record.reason.unwrap_or_default())
        };
        let file = Some("/lib/libc.so.6".to_owned());
        let cases = [
            (facts(TargetKind::SystemCall, "gone", false), "this kernel has no function for a system call `gone`"),
            (
                facts(TargetKind::Functions, "gone_*", false),
                "no function of this kernel or of a loaded module matches `gone_*`",
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
            assert_eq!(reason_of(target), (Some(Cause::MissingAttachTarget), reason.to_owned()));
        }
        // A pattern that matches something is not missing, even if the kernel says so.
        assert_eq!(reason_of(facts(TargetKind::Functions, "vfs_*", true)).0, Some(Cause::Unrecognised));
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
