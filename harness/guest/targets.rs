//! [`Targets`]: programs that are loaded first, since programs of an object replace or trace functions of them.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use corematrix_protocol::libbpf_log;
use corematrix_protocol::{ObjectSetup, TargetProgram};
use libbpf_rs::libbpf_sys as sys;
use libbpf_rs::{AsRawLibbpf, OpenObject};

use super::loader::Request;
use super::prepared::{Which, prepare};
use super::transcript;

/// The targets of an object's programs.
#[derive(Default)]
pub struct Targets {
    /// The program, its target, and the function of it.
    loaded: Vec<(String, OwnedFd, String)>,
    failed: Vec<NoTarget>,
}

/// Why a program has no target.
#[derive(Clone)]
pub struct NoTarget {
    program: String,
    /// What to say of it, in libbpf's words.
    pub warnings: Vec<String>,
    /// Positive.
    pub errno: i32,
    /// The verifier's log of the target; empty if it said nothing.
    pub log: String,
}

impl Targets {
    /// Loads them. Those that fail are reported where their programs are loaded.
    pub fn load(request: &Request<'_>, again: &mut dyn FnMut()) -> Targets {
        let mut targets = Targets::default();
        for one in &request.setup.targets {
            match load(one, request, again) {
                Ok(descriptor) => targets.loaded.push((one.program.clone(), descriptor, one.function.clone())),
                Err((why, errno, log)) => {
                    let words = format!("target program `{}` does not load: {why}", one.name);
                    targets.failed.push(NoTarget { program: one.program.clone(), warnings: vec![words], errno, log });
                }
            }
        }
        targets
    }

    /// Gives them to an object that was prepared and is not loaded yet.
    pub fn give(&mut self, open: &mut OpenObject) {
        for (name, descriptor, function) in &self.loaded {
            let Some(program) = open.progs_mut().find(|program| program.name() == name.as_str()) else { continue };
            transcript::take();
            let result = match CString::new(function.as_str()) {
                // SAFETY: the pointer is that of a program whose object is open; the string lives for the call, which copies nothing of it.
                Ok(function) => unsafe {
                    sys::bpf_program__set_attach_target(
                        program.as_libbpf_object().as_ptr(),
                        descriptor.as_raw_fd(),
                        function.as_ptr(),
                    )
                },
                Err(_) => -libc::EINVAL,
            };
            if result != 0 && self.of(name).is_none() {
                let warnings = libbpf_log::warnings(&transcript::take());
                self.failed.push(NoTarget { program: name.clone(), warnings, errno: -result, log: String::new() });
            }
        }
    }

    /// Notes programs for which the kernel does not have the function that their loader names.
    pub fn lack(&mut self, missing: &[(String, String)]) {
        for (program, target) in missing {
            if self.of(program).is_none() {
                // libbpf searches as it does for a target of a section, but logs nothing when a loader sets one. These are its words there.
                let words = format!("prog '{program}': failed to find kernel BTF type ID of '{target}': -ESRCH");
                let (program, warnings) = (program.clone(), vec![words]);
                self.failed.push(NoTarget { program, warnings, errno: libc::ESRCH, log: String::new() });
            }
        }
    }

    /// Why a program has no target, if it was to have one.
    pub fn of(&self, program: &str) -> Option<&NoTarget> {
        self.failed.iter().find(|one| one.program == program)
    }
}

/// Loads one program of the object that has it, and nothing else of that. `Err` is why not, the errno, and the verifier's log.
fn load(one: &TargetProgram, request: &Request<'_>, again: &mut dyn FnMut()) -> Result<OwnedFd, (String, i32, String)> {
    let failed = |why: String| (why, libc::EINVAL, String::new());
    let first = |all: Vec<String>| all.into_iter().next().unwrap_or_else(|| "libbpf gives no reason".to_owned());
    let bytes = match &one.object {
        Some(path) => fs::read(path).map_err(|error| failed(format!("cannot read `{path}`: {error}")))?,
        None => request.bytes.clone(),
    };
    let setup = ObjectSetup { loading: one.loading.clone(), patches: one.patches.clone(), ..ObjectSetup::default() };
    let only = Request {
        object: "target".to_owned(),
        programs: Vec::new(),
        full_logs: false,
        visited: Vec::new(),
        setup,
        reach: request.reach,
        extern_users: one.extern_users.clone(),
        bytes,
        loader: None,
        compared: false,
        brief: false,
        together: false,
        bare: true,
        faults: request.faults,
    };
    let prepared = prepare(&only, Which::One(&one.target), &mut None, again)
        .map_err(|failure| (first(failure.warnings()), failure.errno, String::new()))?;
    transcript::take();
    // SAFETY: the object is prepared and was not loaded; the descriptor of its program outlives it as a copy.
    let result = unsafe { sys::bpf_object__load(prepared.open.as_libbpf_object().as_ptr()) };
    if result != 0 {
        let lines = transcript::take();
        let log = libbpf_log::verifier_log(&lines).unwrap_or_default().to_owned();
        // A map that is missing is why the verifier refuses what uses it.
        let why = prepared.left_out.first().map(|left| left.warning.clone());
        return Err((why.unwrap_or_else(|| first(libbpf_log::warnings(&lines))), -result, log));
    }
    let program = prepared.open.progs().find(|program| program.name() == one.target.as_str());
    // SAFETY: the pointer is that of a program whose object lives.
    let descriptor = program.map(|program| unsafe { sys::bpf_program__fd(program.as_libbpf_object().as_ptr()) });
    let Some(descriptor) = descriptor.filter(|descriptor| *descriptor >= 0) else {
        return Err(failed("libbpf did not load it".to_owned()));
    };
    // SAFETY: it stays open until `prepared` is dropped, which is after the call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    borrowed.as_fd().try_clone_to_owned().map_err(|error| failed(error.to_string()))
}
