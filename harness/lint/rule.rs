//! [`LintRule`]: what findings are about.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::nearest::nearest;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LintLevel {
    /// It is wrong on a known kernel.
    Warning,
    /// It may be meant.
    Note,
}

impl LintLevel {
    /// The word that editors know.
    pub fn word(self) -> &'static str {
        match self {
            LintLevel::Warning => "warning",
            LintLevel::Note => "note",
        }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum LintRule {
    UnguardedRead,
    MissingFallback,
    UnguardedCall,
    LoaderSwitch,
    RefusedRelocation,
    FieldSize,
    FieldSign,
    FieldBitfield,
    PointerTarget,
    EnumeratorValue,
    TypeSize,
    Argument,
    FixedOffset,
    MisspelledGuard,
    AlwaysFalseGuard,
    AlwaysTrueGuard,
    NotJudged,
}

impl LintRule {
    /// All of them.
    pub const ALL: [LintRule; 17] = [
        LintRule::UnguardedRead,
        LintRule::MissingFallback,
        LintRule::UnguardedCall,
        LintRule::LoaderSwitch,
        LintRule::RefusedRelocation,
        LintRule::FieldSize,
        LintRule::FieldSign,
        LintRule::FieldBitfield,
        LintRule::PointerTarget,
        LintRule::EnumeratorValue,
        LintRule::TypeSize,
        LintRule::Argument,
        LintRule::FixedOffset,
        LintRule::MisspelledGuard,
        LintRule::AlwaysFalseGuard,
        LintRule::AlwaysTrueGuard,
        LintRule::NotJudged,
    ];

    /// Its name, such as `unguarded-read`.
    pub fn name(self) -> &'static str {
        match self {
            LintRule::UnguardedRead => "unguarded-read",
            LintRule::MissingFallback => "missing-fallback",
            LintRule::UnguardedCall => "unguarded-call",
            LintRule::LoaderSwitch => "loader-switch",
            LintRule::RefusedRelocation => "refused-relocation",
            LintRule::FieldSize => "field-size",
            LintRule::FieldSign => "field-sign",
            LintRule::FieldBitfield => "field-bitfield",
            LintRule::PointerTarget => "pointer-target",
            LintRule::EnumeratorValue => "enumerator-value",
            LintRule::TypeSize => "type-size",
            LintRule::Argument => "argument",
            LintRule::FixedOffset => "fixed-offset",
            LintRule::MisspelledGuard => "misspelled-guard",
            LintRule::AlwaysFalseGuard => "always-false-guard",
            LintRule::AlwaysTrueGuard => "always-true-guard",
            LintRule::NotJudged => "not-judged",
        }
    }

    /// What it finds, as a line.
    pub fn description(self) -> &'static str {
        match self {
            LintRule::UnguardedRead => {
                "reads something that some kernels lack, without a guard: the verifier rejects the program there"
            }
            LintRule::MissingFallback => {
                "the side that a guard selects on a kernel reads something that is missing \
    there"
            }
            LintRule::UnguardedCall => "calls a weak kfunc without a guard, and some kernels lack it",
            LintRule::LoaderSwitch => "as `unguarded-read`, if a variable in `.rodata` that the loader may set decides",
            LintRule::RefusedRelocation => "libbpf refuses a relocation, so that the program cannot be loaded",
            LintRule::FieldSize => "a field has another size than in the object, and the code does not query the size",
            LintRule::FieldSign => "the signedness of a field differs, and the code does not query it",
            LintRule::FieldBitfield => {
                "a field is a bitfield only in the object or only in the kernel, or has another \
    width"
            }
            LintRule::PointerTarget => "a field points to another type than in the object",
            LintRule::EnumeratorValue => "an enumerator has another value than the one compiled into the object",
            LintRule::TypeSize => "uses the size of a missing type, which is 0",
            LintRule::Argument => "the attach target has another argument at a position that the program reads",
            LintRule::FixedOffset => {
                "reads kernel memory at fixed offsets, in an object without CO-RE field relocations"
            }
            LintRule::MisspelledGuard => {
                "a guard that is false on every kernel, for a name that differs from an existing one by one letter"
            }
            LintRule::AlwaysFalseGuard => "a guard that is false on every kernel",
            LintRule::AlwaysTrueGuard => "a guard that is true on every kernel",
            LintRule::NotJudged => "a program that no known kernel can load, independent of its reads",
        }
    }

    /// What its findings weigh, unless one says less.
    pub fn level(self) -> LintLevel {
        match self {
            LintRule::LoaderSwitch | LintRule::AlwaysFalseGuard | LintRule::AlwaysTrueGuard | LintRule::NotJudged => {
                LintLevel::Note
            }
            _ => LintLevel::Warning,
        }
    }
}

impl fmt::Display for LintRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for LintRule {
    type Err = String;

    fn from_str(text: &str) -> Result<LintRule, String> {
        let known = LintRule::ALL.into_iter().find(|rule| rule.name() == text);
        known.ok_or_else(|| {
            let meant = nearest(text, LintRule::ALL.map(LintRule::name), 1);
            let meant = meant.first().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            format!("unknown rule `{}`{meant}", text.escape_debug())
        })
    }
}
