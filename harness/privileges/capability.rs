//! [`capability`]: a capability by its name.

use crate::nearest::nearest;
use crate::record::CAPABILITIES;

/// A word that names no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability `{word}`")]
pub struct UnknownCapability {
    /// As written.
    pub word: String,
}

impl UnknownCapability {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        let upper = full(&self.word);
        let near = nearest(&upper, CAPABILITIES, 3);
        match near[..] {
            [] => "use names as in capabilities(7): `CAP_BPF`, `CAP_PERFMON`, `CAP_NET_ADMIN`".to_owned(),
            [one] => format!("did you mean `{one}`?"),
            _ => format!("did you mean one of `{}`?", near.join("`, `")),
        }
    }
}

/// The kernel's name of a capability, which may be written in small letters and without `CAP_`.
///
/// # Errors
/// No capability has this name.
pub fn capability(word: &str) -> Result<String, UnknownCapability> {
    let name = full(word);
    match CAPABILITIES.contains(&name.as_str()) {
        true => Ok(name),
        false => Err(UnknownCapability { word: word.to_owned() }),
    }
}

fn full(word: &str) -> String {
    let upper = word.trim().to_ascii_uppercase();
    if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_slips_are_named() {
        assert_eq!(capability("CAP_BPF").as_deref(), Ok("CAP_BPF"));
        assert_eq!(capability(" perfmon").as_deref(), Ok("CAP_PERFMON"));
        let wrong = capability("CAP_PERFMONN").expect_err("is none");
        assert_eq!(
            (wrong.to_string(), wrong.hint()),
            ("unknown capability `CAP_PERFMONN`".to_owned(), "did you mean `CAP_PERFMON`?".to_owned())
        );
        assert!(capability("no such thing at all").expect_err("is none").hint().starts_with("use names as in"));
        assert!(capability("CAP_NET_ADMON").expect_err("is none").hint().contains("CAP_NET_ADMIN"));
    }
}
