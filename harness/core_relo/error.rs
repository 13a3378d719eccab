//! [`Code`]: why a relocation cannot be resolved at all.

use std::fmt;

/// An errno that libbpf gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// `EINVAL`: types that do not fit, or a record that does not fit its types.
    Invalid,
    /// `E2BIG`: nested too deep, or too large.
    TooBig,
    /// `EOPNOTSUPP`: a kind of relocation that this libbpf does not know, or an anonymous type.
    Unsupported,
    /// The budget of comparisons ran out. libbpf has none, and may go on for hours.
    Endless,
}

impl Code {
    /// The number, as libbpf prints it.
    pub fn number(self) -> i32 {
        match self {
            Code::Invalid => -22,
            Code::TooBig => -7,
            Code::Unsupported => -95,
            Code::Endless => -11,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Code::Invalid => "-EINVAL",
            Code::TooBig => "-E2BIG",
            Code::Unsupported => "-EOPNOTSUPP",
            Code::Endless => "too many types to compare",
        })
    }
}
