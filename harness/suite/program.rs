//! [`WrittenProgram`]: a `[[program]]` table: how one program is loaded, and what is done with it then.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::error::Mistake;
use super::loading::{self, WrittenProgramLoading};
use super::part::{Objects, WantedPart};
use super::pattern::folder;
use crate::object::ProgramInfo;
use crate::protocol::ProgramSetup;
use crate::protocol::attach::AttachTo;
use crate::protocol::exercise::{ExercisePlan, TRIGGERS, TestRunPlan};
use crate::record::ProgramLoading;

/// Bytes of an Ethernet header: no kernel takes a shorter packet.
const SHORTEST_PACKET: usize = 14;
/// Types that a kernel runs on a packet.
const ON_PACKETS: [&str; 11] = [
    "socket_filter",
    "sched_cls",
    "sched_act",
    "xdp",
    "cgroup_skb",
    "lwt_in",
    "lwt_out",
    "lwt_xmit",
    "lwt_seg6local",
    "flow_dissector",
    "netfilter",
];
/// Types that a kernel runs on a context alone.
const ON_CONTEXT: [&str; 4] = ["raw_tracepoint", "syscall", "sk_lookup", "tracing"];

/// How one program is loaded, and what is done with it then.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WrittenProgram {
    program: Spanned<String>,
    #[serde(rename = "type")]
    prog_type: Option<Spanned<String>>,
    attach_type: Option<Spanned<String>>,
    target: Option<Spanned<String>>,
    target_function: Option<Spanned<String>>,
    #[serde(default)]
    flags: Vec<Spanned<String>>,
    autoload: Option<Spanned<bool>>,
    attach: Option<Spanned<WrittenAttach>>,
    #[serde(default)]
    triggers: Vec<Spanned<String>>,
    command: Option<Spanned<Vec<String>>>,
    test_run: Option<Spanned<WrittenTestRun>>,
}

/// To what it is attached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAttach {
    function: Option<String>,
    binary: Option<String>,
    tracepoint: Option<String>,
    interface: Option<String>,
    cgroup: Option<String>,
}

/// A test run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenTestRun {
    input: Option<Spanned<String>>,
    input_file: Option<Spanned<String>>,
    context: Option<Spanned<String>>,
    repeat: Option<Spanned<i64>>,
    returns: Option<Spanned<i64>>,
}

/// What a `[[program]]` comes to.
pub(super) struct CheckedProgram {
    /// Which object, as an index.
    pub object: usize,
    /// The program.
    pub program: String,
    /// How it is loaded, if that is said.
    pub loading: Option<ProgramLoading>,
    /// What is done with it then, if that is said.
    pub setup: Option<ProgramSetup>,
}

/// A mistake with its place in the file, if that is not the table's.
type Placed = (Option<usize>, Mistake);

impl WrittenProgram {
    /// Finds the program and checks that all of this can be done with its like. `suite` is the suite file.
    pub fn checked(&self, all: Objects<'_>, suite: &Path) -> Result<CheckedProgram, Placed> {
        let at = self.program.span().start;
        let (object, name) =
            all.part(WantedPart::Program, self.program.get_ref()).map_err(|error| (Some(at), error))?;
        let known = all.inventory(object).and_then(|all| all.programs.iter().find(|known| known.name == name));
        let Some(program) = known else {
            return Err((Some(at), Mistake::new(format!("object `{}` cannot be read", all.0[object].name))));
        };
        let written = WrittenProgramLoading {
            prog_type: self.prog_type.as_ref(),
            attach_type: self.attach_type.as_ref(),
            target: self.target.as_ref(),
            target_function: self.target_function.as_ref(),
            flags: &self.flags,
            autoload: self.autoload.as_ref(),
        };
        let loading = loading::program(&written, program, (all, object))?;
        let mut program = program.clone();
        if let Some(loading) = &loading {
            program.set(loading);
        }
        let program = &program;
        let attach = self.attach.as_ref().map(|attach| attach.get_ref().target(program).map_err(place(attach)));
        let attach = attach.transpose()?;
        for trigger in &self.triggers {
            if !TRIGGERS.contains(&trigger.get_ref().as_str()) {
                let message = format!("unknown trigger `{}`", trigger.get_ref());
                return Err(place(trigger)(Mistake::new(message).known(trigger.get_ref(), TRIGGERS)));
            }
        }
        if let Some(command) = &self.command
            && !command.get_ref().first().is_some_and(|path| path.starts_with('/'))
        {
            let message = "`command` needs the absolute path of an executable of the guest, and its arguments";
            let hint = "the guest contains only `/init` (corematrix) and the libraries that it uses";
            return Err(place(command)(Mistake::new(message).hint(hint)));
        }
        let test_run = self.test_run.as_ref().map(|test| test.get_ref().plan(program, suite, test.span().start));
        let exercise = ExercisePlan {
            triggers: self.triggers.iter().map(|trigger| trigger.get_ref().clone()).collect(),
            command: self.command.as_ref().map(|command| command.get_ref().clone()),
            test_run: test_run.transpose()?,
        };
        let exercise = (exercise.is_triggered() || exercise.test_run.is_some()).then_some(exercise);
        let is_ordered = attach.is_some() || exercise.is_some();
        if !is_ordered && loading.is_none() {
            let message = format!("`[[program]]` of `{name}` sets nothing");
            let keys = "write `attach`, `triggers`, `command`, `test-run`, `type`, `attach-type`, `target`, `flags` or `autoload`";
            return Err((None, Mistake::new(message).hint(keys)));
        }
        if let Some(loading) = loading.as_ref().filter(|_| is_ordered)
            && loading.autoload == Some(false)
        {
            let message = format!("`{name}` is never loaded (`autoload = false`), so it cannot be attached or run");
            return Err((
                None,
                Mistake::new(message).hint("remove `autoload = false`, or remove the attachment and test run"),
            ));
        }
        let setup = is_ordered.then(|| ProgramSetup { program: name.clone(), attach, exercise });
        Ok(CheckedProgram { object, program: name, loading, setup })
    }
}

/// Puts a mistake at the place of a value.
fn place<T>(value: &Spanned<T>) -> impl Fn(Mistake) -> Placed {
    let at = value.span().start;
    move |mistake| (Some(at), mistake)
}

impl WrittenAttach {
    fn target(&self, program: &ProgramInfo) -> Result<AttachTo, Mistake> {
        let kind = program.section.split(['/', '.']).next().unwrap_or_default();
        let of_type = program.prog_type.as_deref().unwrap_or_default();
        let owned = |text: &String| text.clone();
        let (target, fits, for_what) = match self {
            WrittenAttach { function: Some(f), binary: Some(b), tracepoint: None, interface: None, cgroup: None } => {
                let target = AttachTo::UserFunction { binary: owned(b), function: owned(f) };
                (target, ["uprobe", "uretprobe"].contains(&kind), "probes in user space")
            }
            WrittenAttach { function: Some(f), binary: None, tracepoint: None, interface: None, cgroup: None } => {
                (AttachTo::Function(owned(f)), ["kprobe", "kretprobe"].contains(&kind), "probes of kernel functions")
            }
            WrittenAttach { function: None, binary: None, tracepoint: Some(t), interface: None, cgroup: None } => {
                match t.split_once('/') {
                    Some((category, name)) => {
                        let target = AttachTo::Tracepoint { category: category.to_owned(), name: name.to_owned() };
                        (target, of_type == "tracepoint", "programs of type `tracepoint`")
                    }
                    None => (
                        AttachTo::RawTracepoint(owned(t)),
                        of_type.starts_with("raw_tracepoint"),
                        "programs of type `raw_tracepoint`; others need `CATEGORY/NAME`",
                    ),
                }
            }
            WrittenAttach { function: None, binary: None, tracepoint: None, interface: Some(i), cgroup: None } => {
                (AttachTo::Interface(owned(i)), ["xdp", "sched_cls"].contains(&of_type), "XDP and traffic control")
            }
            WrittenAttach { function: None, binary: None, tracepoint: None, interface: None, cgroup: Some(path) } => {
                if path.split('/').any(|part| part.is_empty() || part == "..") {
                    let message = format!("`{path}` is not a cgroup below the guest's root cgroup");
                    return Err(Mistake::new(message).hint("write it without a leading `/`: `cgroup = \"mine\"`"));
                }
                let fits = of_type.starts_with("cgroup_") || of_type == "sock_ops" || kind == "lsm_cgroup";
                (AttachTo::Cgroup(owned(path)), fits, "programs of cgroups")
            }
            _ => {
                let message = "`attach` needs one of `function`, `function` with `binary`, `tracepoint`, `interface` and `cgroup`";
                return Err(Mistake::new(message));
            }
        };
        match fits {
            true => Ok(target),
            false => {
                let message = format!("`{}` of section `{}` cannot be attached to that", program.name, program.section);
                Err(Mistake::new(message).hint(format!("it applies only to {for_what}")))
            }
        }
    }
}

impl WrittenTestRun {
    fn plan(&self, program: &ProgramInfo, suite: &Path, at: usize) -> Result<TestRunPlan, Placed> {
        let of_type = program.prog_type.as_deref().unwrap_or_default();
        let on_packets = ON_PACKETS.contains(&of_type);
        if !on_packets && !ON_CONTEXT.contains(&of_type) {
            let message = format!("kernels have no test run for `{}` of type `{of_type}`", program.name);
            return Err((Some(at), Mistake::new(message).hint("use `triggers` or `command` to make it run")));
        }
        let input = match (&self.input, &self.input_file) {
            (Some(_), Some(file)) => {
                return Err(place(file)(Mistake::new("`input` and `input-file` exclude each other; use one of them")));
            }
            (Some(text), None) => Some((text, bytes(text.get_ref()).map_err(place(text))?)),
            (None, Some(file)) => {
                let path = folder(suite).join(file.get_ref());
                let read = fs::read(&path).map_err(|error| {
                    place(file)(Mistake::new(format!("`{}` cannot be read: {error}", path.display())))
                })?;
                Some((file, read))
            }
            (None, None) => None,
        };
        if let Some((written, bytes)) = &input {
            let wrong = |message: String| Err(place(written)(Mistake::new(message)));
            if !on_packets {
                return wrong(format!("programs of type `{of_type}` get no packet, only a `context`"));
            }
            if bytes.len() < SHORTEST_PACKET {
                return wrong(format!("a packet of {} bytes has no Ethernet header (14 bytes)", bytes.len()));
            }
        }
        let context = self.context.as_ref().map(|text| bytes(text.get_ref()).map_err(place(text))).transpose()?;
        let repeat = self.repeat.as_ref().map(|written| match u32::try_from(*written.get_ref()) {
            Ok(repeat) if repeat > 0 && on_packets => Ok(repeat),
            Ok(_) if !on_packets => {
                Err(place(written)(Mistake::new(format!("programs of type `{of_type}` cannot be repeated"))))
            }
            _ => Err(place(written)(Mistake::new("`repeat` must be at least 1"))),
        });
        let returns = self.returns.as_ref().map(|written| match *written.get_ref() {
            value @ -0x8000_0000..=0xffff_ffff => Ok(value as u32),
            _ => Err(place(written)(Mistake::new("a program returns 32 bits"))),
        });
        Ok(TestRunPlan {
            input: input.map(|(_, bytes)| bytes),
            context,
            repeat: repeat.transpose()?.unwrap_or(0),
            returns: returns.transpose()?,
        })
    }
}

/// Bytes in hex, with white space wherever it helps.
fn bytes(text: &str) -> Result<Vec<u8>, Mistake> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()),
        _ => {
            Err(Mistake::new("it is not a string of hex bytes").hint("write two digits for each byte: `\"0a 1b 2c\"`"))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
