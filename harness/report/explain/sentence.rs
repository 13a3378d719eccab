//! [`sentence`]: what happened to a program on a kernel and why, in one sentence for people who do not know BPF.

use crate::record::{Cause, DangerEffect, DangerRecord, Explanation, Presence, ProgramRecord, Verdict};

/// How a program ended on `kernel`, and why. `explanation` adds what the kernels' types show; `dangers` are those of a program that loads.
pub fn sentence(
    program: &ProgramRecord,
    kernel: &str,
    explanation: Option<&Explanation>,
    dangers: &[&DangerRecord],
) -> String {
    let start = format!("`{}` {}", program.name, fate(program.verdict, kernel));
    if program.verdict == Verdict::Loaded {
        let Some(danger) = dangers.first() else { return format!("{start}.") };
        let effect = match danger.difference.effect() {
            DangerEffect::CannotAttach => "cannot attach",
            DangerEffect::FailsElsewhere => "fails on other kernels",
            _ => "reads wrong data",
        };
        let more = match dangers.len() {
            1 => String::new(),
            2 => ", and 1 more danger".to_owned(),
            count => format!(", and {} more dangers", count - 1),
        };
        return format!("{start}, but {effect}: {danger}{more}.");
    }
    match program.cause {
        Some(cause) => format!("{start}: {}.", why(cause, program, explanation)),
        None => format!("{start}."),
    }
}

fn fate(verdict: Verdict, kernel: &str) -> String {
    let (before, behind) = match verdict {
        Verdict::Loaded => ("loads on", ""),
        Verdict::Succeeded => ("succeeds on", ""),
        Verdict::FailedToOpen
        | Verdict::MissingBtf
        | Verdict::RelocationFailed
        | Verdict::MapCreationFailed
        | Verdict::AttachTargetMissing
        | Verdict::VerifierRejected
        | Verdict::UnsupportedType => ("does not load on", ""),
        Verdict::NotPermitted => ("does not load on", " with the given privileges"),
        Verdict::AttachFailed => ("loads on", ", but cannot be attached"),
        Verdict::RunFailed => ("loads on", ", but does not run as expected"),
        Verdict::CommandFailed | Verdict::TestFailed => ("fails on", ""),
        Verdict::NoResult => ("has no result on", ""),
        Verdict::Skipped => ("is skipped on", ""),
        Verdict::KernelCrashed => ("crashes", ""),
        Verdict::TimedOut => ("does not finish in time on", ""),
        Verdict::NotRun => ("was not run on", ""),
        Verdict::HarnessLimit | Verdict::HarnessError => ("was not judged on", ""),
    };
    format!("{before} {kernel}{behind}")
}

/// The cause in words that need no manual.
fn why(cause: Cause, program: &ProgramRecord, explanation: Option<&Explanation>) -> String {
    let evidence = program.evidence.as_ref();
    // Helpers come with their numbers.
    let subject = evidence.and_then(|evidence| evidence.subject.as_deref());
    let subject = subject.map(|subject| subject.split('#').next().unwrap_or(subject));
    let named = |what: &str| match subject {
        Some(subject) => format!("{what} `{subject}`"),
        None => what.to_owned(),
    };
    let about = |what: &str| match subject {
        Some(subject) => format!("{what} (`{subject}`)"),
        None => what.to_owned(),
    };
    let here = explanation.and_then(|story| story.presence.iter().find(|on| on.kernel == story.kernel));
    let here = here.map(|on| &on.presence);
    match cause {
        Cause::MissingField => match here {
            Some(Presence::OtherKind { .. }) => named("the kernel has another kind of type at the place of the field"),
            Some(presence) if !presence.is_present() => named("the kernel has no field"),
            _ => named("the kernel has no matching field"),
        },
        Cause::MissingType => named("the kernel has no matching type"),
        Cause::MissingEnumValue => named("the kernel has no enumerator"),
        Cause::MissingKfunc => match here {
            Some(Presence::OtherPrototype { .. }) => named("the kernel has another prototype of the function"),
            Some(Presence::MissingSymbol { .. }) => named("the kernel has no function"),
            _ => named("the kernel has no matching function"),
        },
        Cause::MissingKsym => named("the kernel has no matching variable"),
        Cause::UnresolvedRelocation => "a CO-RE relocation cannot be resolved against this kernel".to_owned(),
        Cause::MissingBtf => "the kernel has no BTF, or cannot use that of the object".to_owned(),
        Cause::MissingMapType => about("the kernel lacks the type of a map that the program uses"),
        Cause::UnsupportedMapOption => about("the kernel lacks an option of a map that the program uses"),
        Cause::IncompleteMapDefinition => about("a map lacks values that its own loader sets"),
        Cause::InvalidMapDefinition => about("the definition of a map is invalid on every kernel"),
        Cause::MapTooLarge => about("a map is larger than the kernel allows"),
        Cause::ForbiddenMap => about("the kernel does not allow this kind of program to use a map"),
        Cause::MapWithoutBtf => about("the kernel needs BTF for the values of a map and gets none"),
        Cause::IncompatibleMap => about("a map that the program is to reuse has another definition"),
        Cause::GuestMemory => "its maps need more memory than the guest has".to_owned(),
        Cause::UnknownHelper => named("the kernel has no helper"),
        Cause::ForbiddenHelper => match subject {
            Some(subject) => format!("the kernel does not allow this kind of program to call `{subject}`"),
            None => "the kernel does not allow this kind of program to call a function that it calls".to_owned(),
        },
        Cause::Licence => about("the program uses something that requires a GPL-compatible licence, and has none"),
        Cause::MissingProgramType => "the kernel does not support this type of program".to_owned(),
        Cause::MissingAttachType => about("the kernel does not support the attach type or a load flag"),
        Cause::MissingAttachTarget => match subject {
            Some(subject) => format!("the kernel has no `{subject}` to attach to"),
            None => "the kernel does not have what the program attaches to".to_owned(),
        },
        Cause::ForbiddenAttachTarget => about("the kernel does not allow this program at its attach target"),
        Cause::MissingStructOpsMember => about("the program sets a struct_ops member that the kernel lacks"),
        Cause::ModuleNotLoaded => about("the program needs a kernel module that is not loaded in the guest"),
        Cause::MachineSetting => "a setting of the machine forbids it".to_owned(),
        Cause::MachineUnavailable => "the kernel does not support the requested machine setting".to_owned(),
        Cause::ContextArgumentChanged => argument(evidence.map_or("", |evidence| &evidence.line), here),
        Cause::ComplexityLimit => "the program exceeds a complexity limit of the verifier".to_owned(),
        Cause::MemoryUnbounded => "the verifier cannot prove the bounds of a memory access".to_owned(),
        Cause::MemoryNull => "the verifier finds a pointer that may be null".to_owned(),
        Cause::MemoryStack => "the verifier finds an invalid use of the stack".to_owned(),
        Cause::MemoryLeak => "the program does not release a reference or lock".to_owned(),
        Cause::MemoryOther => "the verifier finds a violation of its safety rules".to_owned(),
        Cause::ReturnValue => "the program can return a value that is not allowed for its type".to_owned(),
        Cause::UnsupportedInstruction => about("the program contains an instruction that the kernel does not support"),
        Cause::UnsupportedCallForm => about("the program contains a kind of call that the kernel does not support"),
        Cause::MissingCapability => about("the loader lacks a capability"),
        Cause::PrivilegesNotAvailable => "the kernel does not support the requested privileges".to_owned(),
        Cause::TargetNotLoaded => about("the program that it replaces or traces does not load"),
        Cause::ObjectTooNew => "the object uses a feature that the libbpf of corematrix does not support".to_owned(),
        Cause::ObjectWithoutBtf => "the object was built without BTF, but needs it".to_owned(),
        Cause::ObjectBroken => "the object is malformed".to_owned(),
        Cause::KernelConfigMissing => about("the kernel is built without an option that the program needs"),
        Cause::NeedsLoader => "only the object's own loader can load it".to_owned(),
        Cause::NeverRan => "nothing in the guest made the program run".to_owned(),
        Cause::WrongResult => "its result differs from the expected one".to_owned(),
        Cause::KernelCrashed => "the kernel crashed".to_owned(),
        Cause::TimedOut => "a time limit was exceeded".to_owned(),
        Cause::Harness => "corematrix, QEMU or this machine failed, and the object is not to blame".to_owned(),
        Cause::Unrecognised => "the reason is not one that corematrix recognises".to_owned(),
    }
}

/// What the verifier says of a context, `func 'x' doesn't have 2-th argument`, with what the kernel passes.
fn argument(line: &str, here: Option<&Presence>) -> String {
    let read = line.split_once("' doesn't have ").and_then(|(_, rest)| rest.split_once("-th argument")?.0.parse().ok());
    match (read, here) {
        (Some(read), Some(Presence::Function { parameters })) if parameters.len() < read => {
            let passed = parameters.len();
            let noun = if passed == 1 { "argument" } else { "arguments" };
            format!("the kernel passes {} {noun} where the program reads {}", number(passed), number(read))
        }
        (Some(read), _) => format!("the kernel does not pass the argument that the program reads, number {read}"),
        (None, _) => "the program reads its context in a way that this kernel does not allow".to_owned(),
    }
}

fn number(count: usize) -> String {
    const WORDS: [&str; 10] = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    WORDS.get(count).map_or_else(|| count.to_string(), |word| (*word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Evidence, OnKernel, Subject, sample};

    fn program(verdict: Verdict, cause: Option<Cause>, subject: Option<&str>, line: &str) -> ProgramRecord {
        let record = sample::record();
        let mut program = record.cell(0, 0).programs[0].clone();
        let evidence = Evidence { line: line.to_owned(), subject: subject.map(str::to_owned), source: None };
        (program.name, program.verdict, program.cause) = ("biosnoop".to_owned(), verdict, cause);
        program.evidence = Some(evidence);
        program
    }

    #[test]
    fn every_cause_has_a_sentence() {
        let of = |cause: Cause, subject: Option<&str>| {
            sentence(&program(Verdict::VerifierRejected, Some(cause), subject, ""), "5.10", None, &[])
        };
        let lines =
            Cause::ALL.map(|cause| format!("{cause}: {}\n{cause}: {}", of(cause, Some("NAME")), of(cause, None)));
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn every_verdict_has_a_sentence() {
        let lines = Verdict::ALL.map(|verdict| {
            let cause = Some(Cause::Unrecognised).filter(|_| verdict.is_failure());
            format!("{verdict}: {}", sentence(&program(verdict, cause, None, ""), "5.10", None, &[]))
        });
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn arguments_are_counted() {
        let failed = program(
            Verdict::VerifierRejected,
            Some(Cause::ContextArgumentChanged),
            Some("block_rq_insert"),
            "func 'block_rq_insert' doesn't have 2-th argument",
        );
        let mut story = Explanation::rule(Subject::Target, "block_rq_insert", "5.10", String::new());
        let unknown =
            "`biosnoop` does not load on 5.10: the kernel does not pass the argument that the program reads, number 2.";
        assert_eq!(sentence(&failed, "5.10", Some(&story), &[]), unknown);
        let presence = Presence::Function { parameters: vec!["struct request *".to_owned()] };
        story.presence = vec![OnKernel { kernel: "5.10".to_owned(), presence }];
        let known = "`biosnoop` does not load on 5.10: the kernel passes one argument where the program reads two.";
        assert_eq!(sentence(&failed, "5.10", Some(&story), &[]), known);
    }

    #[test]
    fn dangers_come_first_in_what_loads() {
        let danger = sample::danger(0, &sample::relocation("biosnoop"));
        let loaded = program(Verdict::Loaded, None, None, "");
        insta::assert_snapshot!(sentence(&loaded, "7.3", None, &[&danger, &danger]));
        insta::assert_snapshot!(sentence(&loaded, "7.3", None, &[&sample::unattachable("biosnoop")]));
        assert_eq!(sentence(&loaded, "7.3", None, &[]), "`biosnoop` loads on 7.3.");
    }
}
