//! What host and guest say to each other: [`HostMessage`] and [`GuestMessage`], framed over a byte stream.
//!
//! A frame is the magic `CMX1`, the length of the header and of the blob (both u32, little-endian), the header (JSON), and
//! the blob (raw bytes: an object on its way in, a verifier log on its way out). Both sides are built together: the guest says
//! [`BUILD_ID`] in its hello, and a host of another build refuses it, so there is no version to negotiate.

pub mod attach;
pub mod baseline;
mod build_id;
pub mod exercise;
pub mod facts;
pub mod feature_probe;
mod frame;
pub mod libbpf_log;
pub mod live;
pub mod machine;
pub mod residue;
mod setup;
pub mod upgrade;
pub mod user_space;

use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};

use attach::{AttachFacts, Reach, Step};
use corematrix_record::{CostRecord, CreatedMap, ExerciseRecord, LoadedProgram};
use facts::KernelFacts;
use feature_probe::{FeatureProbe, ProbeRequest};
use live::{LiveOrder, LiveReport};
use machine::MachineFacts;
use residue::GuestState;
use upgrade::UpgradeFacts;

pub use build_id::BUILD_ID;
pub use frame::{FrameReader, MAX_BLOB_FROM_GUEST, ProtocolError, encode, read_message, write_message};
pub use setup::{DataPatch, ObjectSetup, ProgramSetup, ReusedMap, TargetProgram};

/// The name of the virtio port.
pub const PORT_NAME: &str = "corematrix.data";
/// Stands for the programs of an object that has maps alone: what is judged is whether the kernel creates them.
pub const MAPS_ALONE: &str = "(maps)";

/// From host to guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostMessage {
    /// Judge programs of the object in the blob. Answered by [`GuestMessage::Whole`], then for each program
    /// `ProgramStarted` and `ProgramDone`, then `LoadDone`; or by `OpenFailed` and `LoadDone`.
    Load {
        /// The object's name, as libbpf shall know it.
        object: String,
        /// The programs to judge, in this order.
        programs: Vec<String>,
        /// Whether the whole verifier log is wanted of programs that load, too.
        full_logs: bool,
        /// The programs of which it is wanted which instructions the verifier visited, since line info does not show it.
        visited: Vec<String>,
        /// What to set before it is prepared.
        setup: Box<ObjectSetup>,
        /// How far programs are taken.
        reach: Reach,
        /// The programs that refer to each strong extern: without it these fail, and the others are judged.
        extern_users: BTreeMap<String, Vec<String>>,
        /// The executable in the guest that loads it; `None` for libbpf.
        loader: Option<String>,
        /// Whether the maps that libbpf creates are wanted, to be compared with those of another loader.
        compared: bool,
        /// Whether it is wanted only which programs load: no evidence, and no second load for a log.
        brief: bool,
        /// Whether all programs may be loaded at once first.
        together: bool,
    },
    /// A snapshot is about to be taken: get ready. Answered by another [`GuestMessage::Hello`].
    Settle,
    /// The guest was restored from a snapshot: set the clock, and reseed from the blob. Answered by [`GuestMessage::Woken`].
    Wake {
        /// Nanoseconds since 1970 in UTC.
        realtime_ns: u64,
    },
    /// Report what is active. Answered by [`GuestMessage::Facts`].
    TellFacts,
    /// Report what objects may leave behind. Answered by [`GuestMessage::State`].
    TellState,
    /// Set sysctls, in the order of their names, and report what the machine is like. Answered by [`GuestMessage::Arranged`].
    Arrange {
        /// The sysctls with their values.
        sysctls: BTreeMap<String, String>,
    },
    /// Ask the kernel for its BPF features. Answered by [`GuestMessage::Probed`].
    Probe(ProbeRequest),
    /// About a command of the user. Answered by [`GuestMessage::Live`].
    Live(LiveOrder),
    /// Make a file of the blob. Nothing answers.
    File {
        /// Its absolute path in the guest.
        path: String,
        /// Its permissions, as `chmod` takes them.
        mode: u32,
    },
    /// End the guest.
    Shutdown,
}

/// From guest to host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestMessage {
    /// The guest is ready: said when it is up, and when it has settled.
    Hello {
        /// [`BUILD_ID`] of the guest.
        build: String,
        /// `uname -r`.
        release: String,
        /// [`checksum`] of `/sys/kernel/btf/vmlinux`; `None` if the kernel shows no BTF.
        btf: Option<String>,
        /// The active security modules.
        lsm: String,
        /// What could not be set up and is not vital.
        notes: Vec<String>,
        /// What became of the modules that it had to load, in their order.
        modules: Vec<ModuleLoad>,
    },
    /// The restored guest is ready. What it said before it was saved still holds.
    Woken {
        /// What it has of its own.
        woken: Woken,
        /// What could not be done after restoring and is not vital.
        notes: Vec<String>,
    },
    /// Another loader than libbpf has begun. Comes before everything that it did.
    LoaderStarted {
        /// The library, in its own words.
        name: String,
        /// Its version; empty if it does not say.
        version: String,
    },
    /// The loader could not open the object.
    OpenFailed {
        /// Positive errno.
        errno: i32,
        /// libbpf's warnings, or the loader's words.
        warnings: Vec<String>,
    },
    /// The object was prepared whole: relocated, its maps created, its BTF loaded.
    Whole {
        /// Whether that went through at the first try.
        prepared: bool,
        /// libbpf's warnings of the first try.
        warnings: Vec<String>,
        /// The maps that had to be left out; what is known about them when the object cannot be prepared at all comes with its programs.
        left_out: Vec<LeftOutMap>,
    },
    /// What became of the maps of an older build, if the object was to find them. Comes once.
    Upgraded(Box<UpgradeFacts>),
    /// What libbpf said while it prepared the object; the blob holds it as [`crate::libbpf_log::pack`] does.
    Transcript {
        /// Whether all programs were switched on and the object was prepared to its end, so that nothing is missing.
        complete: bool,
    },
    /// The blob is a program's instructions after relocation, 8 bytes each, subprograms appended.
    Instructions {
        /// The program.
        program: String,
    },
    /// Where a program that another loader than libbpf linked has its functions. The blob holds the types that name them; it is empty if
    /// they are those of the message before.
    Functions {
        /// The program.
        program: String,
        /// The first instruction of each function, and the id of its type.
        functions: Vec<(u32, u32)>,
    },
    /// The maps that another loader than libbpf had the kernel create for a program, those of its own tests among them.
    MapsCreated {
        /// The program.
        program: String,
        /// In that order.
        maps: Vec<CreatedMap>,
    },
    /// The blob holds the line records of a loaded program as the kernel translated it: four words each, as in `bpf_line_info`.
    Lines {
        /// The program.
        program: String,
    },
    /// The blob says which instructions of a loaded program the verifier visited: one bit each, the lowest first.
    Visited {
        /// The program.
        program: String,
    },
    /// The kernel wrote something into its log since the last of these messages; the blob has the lines.
    KernelLog {
        /// The program that was in flight.
        program: Option<String>,
        /// Why lines are missing, if so.
        missing: Option<String>,
        /// Bits of `/proc/sys/kernel/tainted` that were set while the object was judged; 0 but in the last of an object.
        tainted: u64,
    },
    /// All programs are about to be loaded at once; if the guest falls silent now, it is not known which one is to blame.
    Together,
    /// The kernel logged something while all programs were loaded at once, and any one of them may be why. Nothing else is said of them.
    LoggedTogether,
    /// A program is about to be loaded; if the guest falls silent now, it is to blame.
    ProgramStarted {
        /// The program.
        program: String,
    },
    /// Another step with the program begins; if the guest falls silent now, that step is to blame.
    ProgramStep {
        /// What is done now.
        step: Step,
    },
    /// A program that was loaded was attached, or not. Comes before its `ProgramDone`.
    Attached {
        /// The program.
        program: String,
        /// What was observed.
        facts: AttachFacts,
    },
    /// A program that was loaded was made to run, or not. Comes before its `ProgramDone`.
    Exercised {
        /// The program.
        program: String,
        /// What was observed.
        record: ExerciseRecord,
    },
    /// A program that was loaded was measured beside the same program of another build. Comes before its `ProgramDone`.
    Measured {
        /// The program.
        program: String,
        /// What was observed.
        record: CostRecord,
    },
    /// A program was refused, and is tried once more for its full log. The blob is the log so far. If the second try takes too
    /// long, this is the outcome.
    ProgramRefused(ProgramOutcome),
    /// A program was tried. The blob is its verifier log.
    ProgramDone(ProgramOutcome),
    /// All programs of the request were tried.
    LoadDone {
        /// Time in the guest.
        took_ms: u64,
    },
    /// What is active in the guest.
    Facts(Box<KernelFacts>),
    /// What objects may leave behind.
    State(Box<GuestState>),
    /// What the machine is like.
    Arranged(MachineFacts),
    /// The features that were asked for.
    Probed(FeatureProbe),
    /// About a command of the user.
    Live(LiveReport),
    /// The object is prepared once more, without a map. It says only that the guest lives.
    PreparingAgain,
    /// The process that was to load the object cannot have the privileges that were asked for; nothing was loaded.
    NoSuchPrivileges {
        /// The capabilities that the kernel does not know, if that is why.
        missing: Vec<String>,
        /// Why, as a lowercase fragment.
        reason: String,
    },
    /// The process that judged the object was killed since the guest has no memory left.
    OutOfMemory,
    /// The guest side itself failed.
    Failed {
        /// Why, as a lowercase fragment.
        reason: String,
    },
}

impl GuestMessage {
    /// What kind of message it is, for people: its content may be long, and is the guest's.
    pub fn name(&self) -> &'static str {
        match self {
            GuestMessage::Hello { .. } => "`hello`",
            GuestMessage::Woken { .. } => "`woken`",
            GuestMessage::LoaderStarted { .. } => "`loader started`",
            GuestMessage::OpenFailed { .. } => "`open failed`",
            GuestMessage::Whole { .. } => "`whole`",
            GuestMessage::Upgraded(_) => "`upgraded`",
            GuestMessage::Transcript { .. } => "`transcript`",
            GuestMessage::Instructions { .. } => "`instructions`",
            GuestMessage::Functions { .. } => "`functions`",
            GuestMessage::MapsCreated { .. } => "`maps created`",
            GuestMessage::Lines { .. } => "`lines`",
            GuestMessage::Visited { .. } => "`visited`",
            GuestMessage::KernelLog { .. } => "`kernel log`",
            GuestMessage::Together => "`together`",
            GuestMessage::LoggedTogether => "`logged together`",
            GuestMessage::ProgramStarted { .. } => "`program started`",
            GuestMessage::ProgramStep { .. } => "`program step`",
            GuestMessage::Attached { .. } => "`attached`",
            GuestMessage::Exercised { .. } => "`exercised`",
            GuestMessage::Measured { .. } => "`measured`",
            GuestMessage::ProgramRefused(_) => "`program refused`",
            GuestMessage::ProgramDone(_) => "`program done`",
            GuestMessage::LoadDone { .. } => "`load done`",
            GuestMessage::Facts(_) => "`facts`",
            GuestMessage::State(_) => "`state`",
            GuestMessage::Arranged(_) => "`arranged`",
            GuestMessage::Probed(_) => "`probed`",
            GuestMessage::Live(_) => "`live`",
            GuestMessage::PreparingAgain => "`preparing again`",
            GuestMessage::NoSuchPrivileges { .. } => "`no such privileges`",
            GuestMessage::OutOfMemory => "`out of memory`",
            GuestMessage::Failed { .. } => "`failed`",
        }
    }
}

/// What became of a module that a guest had to load.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleLoad {
    /// Its name.
    pub module: String,
    /// Positive errno; 0 if it is loaded.
    pub errno: i32,
    /// What the kernel logged of it: of one that it refused, or of types that it does not take.
    pub words: Vec<String>,
    /// Whether the kernel shows its types.
    pub has_types: bool,
}

/// What a restored guest has of its own: by that the host knows that it does not live in the past, nor is a copy of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Woken {
    /// Its clock, in nanoseconds since 1970 in UTC.
    pub realtime_ns: u64,
    /// What its kernel's generator of random numbers gave.
    pub random: u64,
}

/// What the guest observed of one program. Facts only: the host turns them into a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramOutcome {
    /// The program.
    pub program: String,
    /// How far it got.
    pub stage: Stage,
    /// The errno of the failing call, positive; 0 if none failed.
    pub errno: i32,
    /// libbpf's warnings, without the verifier log.
    pub warnings: Vec<String>,
    /// Maps that the kernel would not create, so that the program was tried without them.
    pub left_out: Vec<LeftOutMap>,
    /// Whether the kernel knows the program's type, probed if the load failed.
    pub type_known: Option<bool>,
    /// What the kernel made of it, if it was loaded.
    pub loaded: Option<LoadedProgram>,
    /// Milliseconds the load took.
    pub took_ms: u64,
}

/// A map that the kernel would not create.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutMap {
    /// Its name.
    pub map: String,
    /// libbpf's words about it.
    pub warning: String,
    /// Other lines of libbpf that bear on it: about BTF that the kernel did not take, or what is pinned.
    pub context: Vec<String>,
    /// Whether it was not even tried, since no guest can hold it; the warning is the host's then.
    pub untried: bool,
}

/// How far a program got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The kernel took it.
    Loaded,
    /// Failed before any program was given to the kernel: externs, relocations, maps, BTF.
    Prepare,
    /// Failed when the program itself was being loaded.
    Load,
    /// The loader died; `errno` is the signal, if one killed it.
    Died,
    /// The loader has no way to load such a program, and tried nothing.
    Unsupported,
}

/// The path of the guest's executable in the guest.
pub const INIT_PATH: &str = "/init";
/// Where the guest finds the modules it has to load, in name order.
pub const MODULES_DIR: &str = "/corematrix/modules";
/// Where the guest finds the modules that objects need, in name order.
pub const LOADED_MODULES_DIR: &str = "/corematrix/loaded";
/// Where the guest finds the BTF that relocations take instead of the kernel's own, if the user gave some.
pub const GIVEN_BTF: &str = "/corematrix/given.btf";

/// Whether a line of a kernel's log says that the whole machine has no memory left. The limit of a control group says `out of memory`
/// in small letters: that is someone's will.
pub fn is_out_of_memory(line: &str) -> bool {
    line.contains("Out of memory") || line.contains("deadlocked on memory") || line.contains("no killable processes")
}

/// A checksum by which host and guest compare bytes that are too many to send: XXH3 of 128 bits, in hex.
pub fn checksum(mut bytes: impl Read) -> std::io::Result<String> {
    // In pieces: a guest that held some megabytes at once would have them in its snapshot.
    let mut hasher = twox_hash::xxhash3_128::Hasher::new();
    let mut piece = [0; 16 << 10];
    loop {
        match bytes.read(&mut piece) {
            Ok(0) => return Ok(format!("{:032x}", hasher.finish_128())),
            Ok(length) => hasher.write(&piece[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
