//! [`load`]: loads one program of an object.

use aya::Btf;
use aya::programs::{Program, ProgramError};

use crate::failure::guarded;
use crate::message::Answer;

/// What programs are loaded with that are checked against a type of the kernel's.
pub struct Against<'a> {
    /// The function, tracepoint, hook or iterator; `None` if nothing names one.
    pub target: Option<&'a str>,
    /// The section, for a program without a target.
    pub section: &'a str,
    /// The kernel's types; the error is the library's.
    pub types: &'a dyn Fn() -> Result<&'a Btf, String>,
}

/// Loads it as a program that uses the library does, and answers with the kernel's id of it.
pub fn load(program: &mut Program, against: &Against<'_>) -> Answer {
    let failed = |error| Answer::Failed { library: None, error };
    let unsupported = |error| Answer::Unsupported { library: None, error };
    if let Program::Extension(_) = program {
        return unsupported("aya loads an extension only for a program that is loaded".to_owned());
    }
    let result = if takes_target(program) {
        let Some(target) = against.target else {
            return unsupported(format!("section `{}` does not say what to load the program for", against.section));
        };
        match (against.types)() {
            Ok(types) => guarded(|| load_for(program, target, types)),
            Err(error) => return failed(error),
        }
    } else {
        guarded(|| load_alone(program))
    };
    match result.and_then(|()| guarded(|| program.info())) {
        Ok(info) => Answer::Loaded { id: info.id() },
        Err(error) => failed(error),
    }
}

/// Whether the library loads it for a function, tracepoint, hook or iterator.
pub fn takes_target(program: &Program) -> bool {
    use Program::{BtfTracePoint, FEntry, FExit, Iter, Lsm, LsmCgroup};
    matches!(program, BtfTracePoint(_) | FEntry(_) | FExit(_) | Iter(_) | Lsm(_) | LsmCgroup(_))
}

fn load_for(program: &mut Program, target: &str, types: &Btf) -> Result<(), ProgramError> {
    match program {
        Program::FEntry(program) => program.load(target, types),
        Program::FExit(program) => program.load(target, types),
        Program::BtfTracePoint(program) => program.load(target, types),
        Program::Lsm(program) => program.load(target, types),
        Program::LsmCgroup(program) => program.load(target, types),
        Program::Iter(program) => program.load(target, types),
        _ => load_alone(program),
    }
}

fn load_alone(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::KProbe(program) => program.load(),
        Program::UProbe(program) => program.load(),
        Program::TracePoint(program) => program.load(),
        Program::SocketFilter(program) => program.load(),
        Program::ReusePortSocketFilter(program) => program.load(),
        Program::Xdp(program) => program.load(),
        Program::SkMsg(program) => program.load(),
        Program::SkSkb(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::SockOps(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        Program::CgroupSkb(program) => program.load(),
        Program::CgroupSysctl(program) => program.load(),
        Program::CgroupSockopt(program) => program.load(),
        Program::LircMode2(program) => program.load(),
        Program::PerfEvent(program) => program.load(),
        Program::RawTracePoint(program) => program.load(),
        Program::FlowDissector(program) => program.load(),
        Program::SkLookup(program) => program.load(),
        Program::SkReuseport(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::CgroupDevice(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
