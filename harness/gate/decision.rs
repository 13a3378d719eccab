//! [`GateReport`]: what the gate decided, and each [`Decision`] that led to it.

use serde::Serialize;

use crate::answer::Answer;
use crate::compare::Place;
use crate::record::exit_code;

/// What the gate says of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GateOutcome {
    /// Nothing speaks against it.
    Green,
    /// Something is worse than it may be; the object or the matrix is to blame.
    Red,
    /// Nothing is known to be worse, and not everything could be judged.
    Infrastructure,
    /// The run did not come to its end.
    Interrupted,
}

impl GateOutcome {
    /// The outcome in words.
    pub fn label(self) -> &'static str {
        match self {
            GateOutcome::Green => "green",
            GateOutcome::Red => "red",
            GateOutcome::Infrastructure => "not decided: infrastructure failure",
            GateOutcome::Interrupted => "not decided: the run was interrupted",
        }
    }
}

/// How much a decision weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// It turns the gate red.
    Red,
    /// It keeps the gate from being green, and blames no object.
    Infrastructure,
    /// Worth knowing.
    #[serde(rename = "told")]
    Notice,
}

/// Why something was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A program fails, and nothing excuses it.
    Failure,
    /// A program ends worse than in the baseline.
    VerdictWorse,
    /// A program fails as in the baseline, for another cause.
    CauseChanged,
    /// An object does not load as a whole.
    NotWhole,
    /// None of the alternatives that a suite declares serves.
    NotServed,
    /// A kernel, object, program or cell that the baseline judged is no longer judged.
    CellLost,
    /// A side of a guard lost its last proof.
    CoverageLost,
    /// Less of the guards is proven than a suite or a limit requires.
    CoverageTooLow,
    /// The verifier walks through many more instructions.
    InstructionsGrew,
    /// A program uses more of the instruction limit than it may, or how much it uses is not known.
    TooManyInstructions,
    /// A run takes longer than it may beside the baseline, or that is unknown.
    RunCost,
    /// An object that loads reads wrong data or cannot attach where it did not before.
    NewDanger,
    /// An expectation is past its date.
    ExpectationExpired,
    /// A kernel complained about something while an object was judged, and nothing allows it.
    KernelWarning,
    /// Something could not be judged, through no fault of an object.
    Infrastructure,
    /// BTF predicts that a program will not load on a kernel that was not booted.
    PredictedFailure,
    /// What is expected to fail passes.
    UnexpectedPass,
    /// An expectation is about nothing in the run.
    ExpectationUnused,
    /// A cell was judged only after a retry.
    Flaky,
    /// A program loads that failed in the baseline.
    Improved,
}

impl Rule {
    /// The rule as it stands in JSON: `verdict_worse`.
    pub fn name(self) -> String {
        self.label().replace(' ', "_")
    }

    /// The rule in words.
    pub fn label(self) -> &'static str {
        match self {
            Rule::Failure => "failure",
            Rule::VerdictWorse => "verdict worse",
            Rule::CauseChanged => "cause changed",
            Rule::NotWhole => "object fails as a whole",
            Rule::NotServed => "no alternative works",
            Rule::CellLost => "cell lost",
            Rule::CoverageLost => "coverage lost",
            Rule::CoverageTooLow => "coverage too low",
            Rule::InstructionsGrew => "more instructions",
            Rule::TooManyInstructions => "too many instructions",
            Rule::RunCost => "run cost",
            Rule::NewDanger => "new danger",
            Rule::ExpectationExpired => "expectation expired",
            Rule::KernelWarning => "kernel warning",
            Rule::Infrastructure => "infrastructure",
            Rule::PredictedFailure => "predicted failure",
            Rule::UnexpectedPass => "unexpected pass",
            Rule::ExpectationUnused => "expectation unused",
            Rule::Flaky => "flaky",
            Rule::Improved => "improved",
        }
    }
}

/// One thing that the gate has to say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Decision {
    /// How much it weighs.
    pub weight: Weight,
    /// Why.
    pub rule: Rule,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// The place and the reason, as one line.
    pub message: String,
    /// What the user can do.
    pub hint: Option<String>,
    /// Where someone wrote about it.
    pub link: Option<String>,
}

/// Something that would be red, and why it is not.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Excuse {
    /// The rule that it would have broken.
    pub rule: Rule,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// Why it passes: the reason of an expectation, or that it was so before.
    pub why: String,
    /// Where someone wrote about it.
    pub link: Option<String>,
}

impl Excuse {
    /// Why, with the link.
    pub fn words(&self) -> String {
        let link = self.link.as_ref().map_or(String::new(), |link| format!(" ({link})"));
        format!("{}{link}", self.why)
    }
}

/// What the gate decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GateReport {
    /// The decision.
    pub outcome: GateOutcome,
    /// Everything that was decided, the heaviest first, otherwise in the order of the record.
    pub decisions: Vec<Decision>,
    /// Programs on kernels that were judged.
    pub judged: usize,
    /// How many of them load.
    pub passed: usize,
    /// How many fail as an expectation says.
    pub expected: usize,
    /// How many fail as they did in the baseline.
    pub known: usize,
    /// What would be red, and why it is not.
    pub excused: Vec<Excuse>,
}

impl Answer for GateReport {
    const SCHEMA: &'static str = "gate-1";
}

impl GateReport {
    /// The exit code for it, of [`exit_code`].
    pub fn exit_code(&self) -> u8 {
        match self.outcome {
            GateOutcome::Green => exit_code::GOOD,
            GateOutcome::Red => exit_code::PROGRAM_FAILED,
            GateOutcome::Infrastructure => exit_code::INFRASTRUCTURE,
            GateOutcome::Interrupted => exit_code::INTERRUPTED,
        }
    }

    /// The decisions of one weight.
    pub fn of_weight(&self, weight: Weight) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(move |decision| decision.weight == weight)
    }
}
