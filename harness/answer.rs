//! [`Answer`]: what is written as JSON for tools. Each is a type with a schema in `schema/`, which it names.

use serde::Serialize;

/// What is written as JSON for tools.
pub trait Answer: Serialize {
    /// Its name, and the version of its format: `doctor-1` has the schema `schema/doctor-1.schema.json`.
    const SCHEMA: &'static str;

    /// The answer with the name of its schema.
    fn named(&self) -> Named<'_, Self>
    where
        Self: Sized,
    {
        Named { schema: format!("corematrix/{}", Self::SCHEMA), answer: self }
    }

    /// The answer as indented JSON, with a newline at its end.
    ///
    /// # Errors
    /// None that comes from the answer.
    fn json(&self) -> Result<String, serde_json::Error>
    where
        Self: Sized,
    {
        Ok(serde_json::to_string_pretty(&self.named())? + "\n")
    }
}

/// An answer with the name of its schema before it.
#[derive(Debug, Serialize)]
pub struct Named<'a, T> {
    schema: String,
    #[serde(flatten)]
    answer: &'a T,
}
