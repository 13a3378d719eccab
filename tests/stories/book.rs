//! [`Book`]: `programs/stories.toml`, what each program of each story should do on a kernel, as facts about the kernel.

use std::collections::BTreeMap;
use std::path::Path;

use corematrix::record::Verdict;
use serde::Deserialize;

use crate::fact::Fact;

/// All stories.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    pub story: Vec<Story>,
}

/// One story: one object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// Such as `G01`; unique.
    pub id: String,
    pub class: Class,
    /// The object's name: `programs/NAME.bpf.c`.
    pub object: String,
    /// What changed in the kernel, in a line.
    pub change: String,
    /// What is silently wrong where a program loads all the same; only for [`Class::S`] and for programs that load too easily.
    pub danger: Option<String>,
    /// For each program that reads wrong data although it loads, the fact under which it does; by name.
    #[serde(default)]
    pub silent: BTreeMap<String, String>,
    /// Where the kernels of the matrix differ although the verdicts do not; has to be true on one kernel and false on another.
    pub differs: Option<String>,
    /// By name.
    pub program: BTreeMap<String, Expected>,
    /// Only for [`Class::M`]: what becomes of programs in the shapes of `programs/machines.toml`, by shape and program.
    #[serde(default)]
    pub machine: BTreeMap<String, BTreeMap<String, OnMachine>>,
}

/// What should become of a program on another machine than the kernel's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnMachine {
    /// The verdict.
    pub verdict: Verdict,
    /// Words of the reason, or of the danger where it loads.
    pub because: Option<String>,
}

/// The kind of breakage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Class {
    /// A CO-RE relocation or extern.
    R,
    /// The target of a tracing program.
    T,
    /// How a program is attached.
    A,
    /// The verifier, or a feature.
    V,
    /// Silently wrong data.
    S,
    /// The loader, or the object's own BTF.
    L,
    /// A setting of the machine: on the kernel's own it loads everywhere.
    M,
}

/// What should become of one program.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The fact under which it loads.
    pub loads: String,
    /// The fact under which it can be attached where it loads; always, if there is none.
    pub attaches: Option<String>,
    /// The verdict where the fact does not hold.
    pub otherwise: Option<Verdict>,
    /// Words of the reason that comes with that verdict.
    pub because: Option<String>,
    /// What comes before that verdict on kernels that lack something older, too.
    pub unless: Option<Unless>,
}

/// A fact without which a program fails with another verdict.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unless {
    /// The fact.
    pub fact: String,
    /// The verdict where it does not hold.
    pub verdict: Verdict,
    /// Words of the reason.
    pub because: String,
}

impl Book {
    /// Reads `programs/stories.toml` of the project at `root`.
    pub fn read(root: &Path) -> Book {
        let path = root.join("programs/stories.toml");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

impl Expected {
    /// The fact under which the program loads.
    pub fn fact(&self) -> Result<Fact, String> {
        Fact::parse(&self.loads)
    }

    /// The fact under which the program can be attached where it loads.
    pub fn attaches(&self) -> Result<Fact, String> {
        self.attaches.as_deref().map_or(Ok(Fact::Always), Fact::parse)
    }

    /// Whether the kernels of the matrix have to give both outcomes.
    pub fn is_conditional(&self) -> bool {
        [self.fact(), self.attaches()].iter().any(|fact| !matches!(fact, Ok(Fact::Always | Fact::Never)))
    }
}
