//! [`WrittenName`]: the name of a verdict or a cause, as a user writes it.

use serde::Serialize;
use toml::Spanned;

use super::scope::TableError;
use crate::nearest::nearest;
use crate::record::{Cause, Verdict};

/// Fewer letters begin too many words.
const SHORTEST_BEGINNING: usize = 3;

/// What `[[expect]]` names as `report.json` does, and reports in other words.
pub trait WrittenName: Copy + Serialize + 'static {
    /// The key.
    const KEY: &str;
    /// Where all names are, as a hint.
    fn list() -> String;

    /// Those that can be named.
    fn all() -> Vec<Self>;

    /// The words of reports for it.
    fn words(self) -> Vec<&'static str>;

    /// The name as in `report.json`.
    fn name(self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value.as_str().unwrap_or_default().to_owned()
    }

    /// What a table names.
    ///
    /// # Errors
    /// There is no such name; the hint has the name that was meant, if that is known.
    fn find(written: &Spanned<String>) -> Result<Self, TableError> {
        let (word, all) = (written.get_ref().as_str(), Self::all());
        if let Some(known) = all.iter().find(|one| one.name() == word) {
            return Ok(*known);
        }
        let hint = meant(word, &all).map_or_else(Self::list, |name| format!("did you mean `{name}`?"));
        Err(TableError::new(format!("unknown {} `{word}`", Self::KEY), &hint).at(written.span().start))
    }
}

/// The one that a word of a report stands for, or else the nearest.
fn meant<T: WrittenName>(word: &str, all: &[T]) -> Option<String> {
    let lower = word.to_lowercase();
    let begins = |text: &str| word.len() >= SHORTEST_BEGINNING && text.to_lowercase().starts_with(&lower);
    let is_word = |one: &&T| one.words().iter().any(|known| known.to_lowercase() == lower);
    let begins_word = |one: &&T| one.words().iter().any(|known| begins(known)) || begins(&one.name());
    let found = all.iter().find(is_word).or_else(|| all.iter().find(begins_word));
    found.map(|one| one.name()).or_else(|| {
        let names: Vec<String> = all.iter().map(|one| one.name()).collect();
        nearest(word, names.iter().map(String::as_str), 1).first().map(|name| (*name).to_owned())
    })
}

impl WrittenName for Verdict {
    const KEY: &str = "verdict";

    fn list() -> String {
        let failures = Verdict::ALL.into_iter().filter(|verdict| verdict.is_failure());
        let names: Vec<String> = failures.map(|verdict| format!("`{}`", verdict.name())).collect();
        format!("the verdicts of failures are {}", names.join(", "))
    }

    fn all() -> Vec<Verdict> {
        Verdict::ALL.to_vec()
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.short(), self.label()]
    }
}

impl WrittenName for Cause {
    const KEY: &str = "cause";

    fn list() -> String {
        "`cause` in `report.json` has the name; `docs/reference/causes.md` lists all".to_owned()
    }

    fn all() -> Vec<Cause> {
        Cause::ALL.to_vec()
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.label()]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hint<T: WrittenName>(word: &str) -> Result<String, String> {
        #[derive(serde::Deserialize)]
        struct Table {
            key: Spanned<String>,
        }
        let table: Table = toml::from_str(&format!("key = \"{word}\"")).unwrap();
        T::find(&table.key).map(T::name).map_err(|error| error.hint.unwrap())
    }

    #[test]
    fn each_name_is_understood_and_each_word_of_a_table_leads_to_it() {
        for verdict in Verdict::ALL {
            assert_eq!(hint::<Verdict>(&verdict.name()), Ok(verdict.name()));
            let meant = hint::<Verdict>(verdict.short()).unwrap_err();
            let of_word =
                |one: &Verdict| one.short() == verdict.short() && meant == format!("did you mean `{}`?", one.name());
            assert!(Verdict::ALL.iter().any(of_word), "{}: {meant}", verdict.short());
        }
        let meant = |word| hint::<Verdict>(word).unwrap_err();
        for word in ["reloc", "RELOC", "relocation failed", "relocation", "relocation_faild"] {
            assert_eq!(meant(word), "did you mean `relocation_failed`?", "{word}");
        }
        assert_eq!(meant("rej"), "did you mean `verifier_rejected`?");
        assert!(meant("xyzzy").starts_with("the verdicts of failures are `failed_to_open`, "));
    }

    #[test]
    fn causes_are_named_as_in_the_report_or_asked_for() {
        assert_eq!(hint::<Cause>("missing_field"), Ok("missing_field".to_owned()));
        assert_eq!(hint::<Cause>("missing field").unwrap_err(), "did you mean `missing_field`?");
        assert!(hint::<Cause>("q").unwrap_err().contains("docs/reference/causes.md"));
    }
}
