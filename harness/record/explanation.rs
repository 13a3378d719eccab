//! [`Explanation`]: what a failure means on the kernels of a run and what to do about it, as data.

mod boundary;
mod history;
mod presence;
mod snippet_proof;

use serde::{Deserialize, Serialize};

pub use boundary::{Boundary, Run, span};
pub use history::{Arm, History, KernelSpan};
pub use presence::{OnKernel, Presence, Witness};
pub use snippet_proof::{SnippetProof, WrongGuard};

/// What an [`Explanation`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(feature = "exhaustive"), non_exhaustive)]
pub enum Subject {
    /// A member of a struct or union.
    Field,
    /// A type.
    Type,
    /// A name of an enum.
    Enumerator,
    /// A function or tracepoint that a program attaches to.
    Target,
    /// A kernel function or variable that a program calls or reads.
    Ksym,
    /// A BPF helper.
    Helper,
    /// A map type.
    MapType,
    /// A program type.
    ProgramType,
    /// An attach type.
    AttachType,
    /// A flag that a program is loaded with.
    LoadFlag,
    /// A member of a struct_ops type.
    StructOpsMember,
    /// Something that no list of kernels answers: the headline says it all.
    Rule,
}

/// The story of one thing that an object asks of kernels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Explanation {
    /// What kind of thing it is.
    pub subject: Subject,
    /// Its name, such as `struct task_struct.state` or `BPF_FUNC_loop`.
    pub name: String,
    /// The kernel where the failure was.
    pub kernel: String,
    /// What it comes to in one sentence, where the subject's own headline would not say it.
    pub headline: Option<String>,
    /// What each kernel has, in matrix order.
    pub presence: Vec<OnKernel>,
    /// Since when, or until when; `None` if no kernel was asked.
    pub boundary: Option<Boundary>,
    /// Of a BPF feature, the first kernel that has it.
    pub first: Option<First>,
    /// What replaces it on the kernels without it.
    pub in_its_place: Vec<InItsPlace>,
    /// Of a field, type or enumerator, the forms of it on every kernel of which the types are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// What else is to know, as whole sentences.
    pub notes: Vec<String>,
    /// The guards to write.
    pub snippets: Vec<Snippet>,
    /// What was proven of the guard in the BPF program; `None` if not tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<SnippetProof>,
}

impl Explanation {
    /// One that rests on no list of kernels: `headline` says it all.
    pub fn rule(subject: Subject, name: &str, kernel: &str, headline: String) -> Explanation {
        Explanation {
            subject,
            name: name.to_owned(),
            kernel: kernel.to_owned(),
            headline: Some(headline),
            presence: Vec::new(),
            boundary: None,
            first: None,
            in_its_place: Vec::new(),
            history: None,
            notes: Vec::new(),
            snippets: Vec::new(),
            proof: None,
        }
    }
}

/// The first kernel of the matrix that has something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct First {
    /// The kernel.
    pub kernel: String,
    /// How that is known.
    pub by: Witness,
}

/// What replaces something missing, on kernels that agree about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InItsPlace {
    /// The kernels, in matrix order.
    pub kernels: Vec<String>,
    /// Most likely first; offsets, scores and reasons are those of the first kernel.
    pub replacements: Vec<Replacement>,
}

/// What may replace something that is missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Replacement {
    /// The path from the root type (`q->disk`), or the name of the type, enumerator or function.
    pub path: String,
    /// Its type, as C names it; of an enumerator its value; empty if there is none.
    pub type_name: String,
    /// Bytes from the start of the struct that declares it, if it is a member.
    pub offset: Option<u64>,
    /// How likely it is, from 0 to 1.
    pub score: f64,
    /// What speaks for it, as short fragments.
    pub why: Vec<String>,
}

/// A piece of C to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Snippet {
    /// Where it belongs.
    pub place: SnippetPlace,
    /// The code; lines end with a newline, blocks are indented with tabs.
    pub code: String,
}

/// Where a snippet belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SnippetPlace {
    /// In the BPF program.
    Program,
    /// In the loader, between opening and loading the object.
    Loader,
}
