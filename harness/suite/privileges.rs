//! [`checked`]: with which privileges an object is loaded, as `[[shape]]` and `[[object]]` say.

use toml::Spanned;

use super::error::Mistake;
use crate::privileges::capability;
use crate::record::LoadingPrivileges;

/// The word for every capability.
const ALL: &str = "all";

/// A mistake with its place in the file, if that is not the table's.
type Placed = (Option<usize>, Mistake);

/// Checks what is said; `None` if that is nothing, so that the object is loaded as root.
pub(super) fn checked(
    capabilities: Option<&Spanned<Vec<Spanned<String>>>>,
    token: Option<&Spanned<bool>>,
) -> Result<Option<LoadingPrivileges>, Placed> {
    let token = token.filter(|token| *token.get_ref());
    let Some(written) = capabilities else { return Ok(token.map(|_| LoadingPrivileges::Token)) };
    if let Some(token) = token {
        let mistake = Mistake::new("`capabilities` and `token` exclude each other; use one of them");
        let hint = "a load with a token needs no capabilities outside its user namespace";
        return Err((Some(token.span().start), mistake.hint(hint)));
    }
    let names = written.get_ref();
    if let [only] = &names[..]
        && only.get_ref() == ALL
    {
        return Ok(Some(LoadingPrivileges::AllCapabilities));
    }
    let mut found = Vec::new();
    for name in names {
        let known = capability(name.get_ref())
            .map_err(|unknown| (Some(name.span().start), Mistake::new(unknown.to_string()).hint(unknown.hint())))?;
        if !found.contains(&known) {
            found.push(known);
        }
    }
    Ok(Some(LoadingPrivileges::Capabilities(found)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Written {
        capabilities: Option<Spanned<Vec<Spanned<String>>>>,
        token: Option<Spanned<bool>>,
    }

    fn read(text: &str) -> Result<Option<LoadingPrivileges>, String> {
        let written: Written = toml::from_str(text).unwrap();
        checked(written.capabilities.as_ref(), written.token.as_ref()).map_err(|(_, mistake)| mistake.message)
    }

    #[test]
    fn privileges_are_read() {
        let has = |names: &[&str]| {
            Ok(Some(LoadingPrivileges::Capabilities(names.iter().map(|name| (*name).to_owned()).collect())))
        };
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("token = false"), Ok(None));
        assert_eq!(read("token = true"), Ok(Some(LoadingPrivileges::Token)));
        assert_eq!(read("capabilities = []"), has(&[]));
        assert_eq!(read("capabilities = [\"bpf\", \"CAP_BPF\", \"CAP_SYSLOG\"]"), has(&["CAP_BPF", "CAP_SYSLOG"]));
        assert_eq!(read("capabilities = [\"all\"]"), Ok(Some(LoadingPrivileges::AllCapabilities)));
        assert_eq!(read("capabilities = [\"CAP_BFP\"]"), Err("unknown capability `CAP_BFP`".to_owned()));
        assert!(read("capabilities = []\ntoken = true").unwrap_err().contains("use one of them"));
    }
}
