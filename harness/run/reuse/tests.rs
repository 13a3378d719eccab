use super::*;
use crate::object::{BpfObject, ObjectError, Origin};
use crate::plan::Plan;
use crate::record::{
    AttachOutcome, AttachRecord, Cause, KernelWarning, LeastPrivileges, MachineRecord, ObjectProgram, ProgramLoading,
    ProgramPrivileges, WarningKind,
};
use crate::suite::Settings;

fn planned() -> PlannedObject {
    let origin = Origin { path: "x.bpf.o".into(), embedded: None };
    let inventory = Err(ObjectError::Empty { path: "x.bpf.o".into() });
    let object = BpfObject { name: "x".into(), origin, bytes: [].into(), sha256: String::new(), inventory };
    let mut planned = Plan::new(Vec::new(), vec![object], &Settings::default()).objects.remove(0);
    planned.programs = ["a", "b"].map(|name| ObjectProgram { name: name.into(), section: "kprobe".into() }).to_vec();
    planned
}

fn ended(planned: &PlannedObject, verdicts: [Verdict; 2]) -> Vec<ProgramRecord> {
    let record = |(program, verdict)| ProgramRecord { verdict, ..ProgramRecord::not_run(program, "why") };
    planned.programs.iter().zip(verdicts).map(record).collect()
}

#[test]
fn only_answers_about_the_object_are_kept() {
    let planned = planned();
    let outcome = CellOutcome { machine: Some(MachineRecord::default()), ..CellOutcome::default() };
    let kept = |second| is_kept(&planned, &ended(&planned, [Verdict::Loaded, second]), &outcome, "tcg");
    let answers = [
        Verdict::Loaded,
        Verdict::FailedToOpen,
        Verdict::MissingBtf,
        Verdict::RelocationFailed,
        Verdict::MapCreationFailed,
        Verdict::AttachTargetMissing,
        Verdict::VerifierRejected,
        Verdict::UnsupportedType,
        Verdict::NotPermitted,
        Verdict::AttachFailed,
    ];
    for verdict in Verdict::ALL {
        assert_eq!(kept(verdict), answers.contains(&verdict), "{verdict}");
    }
}

#[test]
fn what_only_its_own_loader_can_set_is_kept_and_other_limits_are_not() {
    let planned = planned();
    let outcome = CellOutcome { machine: Some(MachineRecord::default()), ..CellOutcome::default() };
    let kept = |cause, attach: Option<AttachRecord>| {
        let mut programs = ended(&planned, [Verdict::Loaded, Verdict::HarnessLimit]);
        (programs[1].cause, programs[1].attach) = (Some(cause), attach);
        is_kept(&planned, &programs, &outcome, "tcg")
    };
    for cause in Cause::ALL {
        let is_own = matches!(cause, Cause::IncompleteMapDefinition | Cause::NeedsLoader);
        assert_eq!(kept(cause, None), is_own, "{cause}");
    }
    let attach =
        AttachRecord { outcome: AttachOutcome::Attached, to: "x".to_owned(), reason: None, errno: None, took_us: 0 };
    assert!(!kept(Cause::NeedsLoader, Some(attach)), "it was to run, and could not be triggered");
}

#[test]
fn trouble_of_the_kernel_and_what_was_not_found_out_is_not_kept() {
    let mut planned = planned();
    let programs = ended(&planned, [Verdict::Loaded; 2]);
    let sound = CellOutcome { machine: Some(MachineRecord::default()), ..CellOutcome::default() };
    let kept = |outcome: &CellOutcome| is_kept(&planned, &programs, outcome, "tcg");
    assert!(kept(&sound));
    assert!(!kept(&CellOutcome { machine: None, ..sound.clone() }), "no guest saw it");
    let warning =
        |kind| KernelWarning { kind, headline: "said".to_owned(), text: String::new(), program: None, count: 1 };
    assert!(!kept(&CellOutcome { kernel_log: vec![warning(WarningKind::Warning)], ..sound.clone() }));
    assert!(kept(&CellOutcome { kernel_log: vec![warning(WarningKind::Clock)], ..sound.clone() }));
    let least = |needs| LeastPrivileges { needs, token: None };
    let privileges = |needs: Need| PrivilegesRecord {
        object: least(Need::Root),
        programs: vec![ProgramPrivileges { program: "a".to_owned(), least: least(needs) }],
        no_token: None,
    };
    assert!(kept(&CellOutcome { privileges: Some(privileges(Need::Root)), ..sound.clone() }));
    let unknown = privileges(Need::Unknown("a guest was lost".to_owned()));
    assert!(!kept(&CellOutcome { privileges: Some(unknown), ..sound.clone() }));
    assert!(!is_kept(&planned, &programs[..1], &sound, "tcg"), "a program without a result");
    // What the suite leaves out is never run, and that is an answer.
    let programs = ended(&planned, [Verdict::Loaded, Verdict::NotRun]);
    assert!(!is_kept(&planned, &programs, &sound, "tcg"));
    let program = ProgramLoading { program: "b".to_owned(), autoload: Some(false), ..ProgramLoading::default() };
    planned.loading.programs.push(program);
    assert!(is_kept(&planned, &programs, &sound, "tcg"));
}
