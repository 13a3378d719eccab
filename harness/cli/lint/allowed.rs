//! [`Allowed`]: findings that a user excuses.

use std::path::Path;
use std::str::FromStr;

use crate::lint::{LintFinding, LintRule};

/// Findings that a user accepts: `RULE`, `RULE:FILE` or `RULE:FILE:LINE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allowed {
    rule: LintRule,
    /// The end of a path.
    file: Option<String>,
    line: Option<u32>,
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Allowed, String> {
        let (rule, place) = match text.split_once(':') {
            Some((rule, place)) => (rule, Some(place)),
            None => (text, None),
        };
        let rule = rule.parse()?;
        let Some(place) = place else { return Ok(Allowed { rule, file: None, line: None }) };
        let (file, line) = match place.rsplit_once(':') {
            Some((file, line)) => {
                let line = line.parse().map_err(|_| format!("`{}` is not a line number", line.escape_debug()))?;
                (file, Some(line))
            }
            None => (place, None),
        };
        match file {
            "" => Err("no file after the `:`".to_owned()),
            file => Ok(Allowed { rule, file: Some(file.to_owned()), line }),
        }
    }
}

impl Allowed {
    pub fn covers(&self, finding: &LintFinding) -> bool {
        if self.rule != finding.rule {
            return false;
        }
        let Some(file) = &self.file else { return true };
        let Some(source) = &finding.source else { return false };
        let named = Path::new(&source.file).ends_with(file.trim_start_matches("./"));
        named && self.line.is_none_or(|line| line == source.line)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lint::LintLevel;
    use crate::record::SourcePlace;

    #[test]
    fn rules_files_and_lines_are_told_apart() {
        let source = SourcePlace { file: "/src/a/tool.bpf.c".to_owned(), line: 7, column: 2, text: String::new() };
        let mut finding = LintFinding {
            rule: LintRule::FieldSize,
            level: LintLevel::Warning,
            programs: Vec::new(),
            function: String::new(),
            source: Some(source),
            subject: String::new(),
            message: String::new(),
            kernels: Vec::new(),
            hint: None,
        };
        let covers = |text: &str, finding: &LintFinding| text.parse::<Allowed>().unwrap().covers(finding);
        for text in ["field-size", "field-size:tool.bpf.c", "field-size:a/tool.bpf.c:7", "field-size:./tool.bpf.c:7"] {
            assert!(covers(text, &finding), "{text}");
        }
        for text in ["field-sign", "field-size:l.bpf.c", "field-size:tool.bpf.c:8", "field-sign:tool.bpf.c:7"] {
            assert!(!covers(text, &finding), "{text}");
        }
        finding.source = None;
        assert!(covers("field-size", &finding) && !covers("field-size:tool.bpf.c", &finding));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |text: &str| text.parse::<Allowed>().unwrap_err();
        assert_eq!(error("feild-size"), "unknown rule `feild-size`; did you mean `field-size`?");
        assert_eq!(error("field-size:a.c:x"), "`x` is not a line number");
        assert_eq!(error("field-size:"), "no file after the `:`");
    }
}
