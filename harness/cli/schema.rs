//! `corematrix schema`: the JSON Schemas of what corematrix reads and writes.

use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use crate::nearest::nearest;
use crate::output;

macro_rules! schemas {
    ($($name:literal),+ $(,)?) => {
        /// Every schema, by name.
        const SCHEMAS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/", $name, ".schema.json")))),+];
    };
}

schemas!(
    "bisect-1",
    "btf-find-1",
    "btf-history-1",
    "compare-1",
    "compare-objects-1",
    "coverage-1",
    "doctor-1",
    "explain-1",
    "explain-prove-1",
    "gate-1",
    "kernels-1",
    "kernels-catalogue-1",
    "kernels-diff-1",
    "kernels-list-1",
    "kernels-outdated-1",
    "kernels-probe-1",
    "kernels-show-1",
    "kernels-verify-1",
    "lint-1",
    "list-1",
    "plan-1",
    "plan-minimal-1",
    "predict-1",
    "privileges-1",
    "report-1",
    "report-line-1",
    "repro-1",
    "store-list-1",
    "suite-1",
    "upgrade-1",
);

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Schema, such as `kernels-1` for `kernels.toml` or `suite-1` for suites [default: list all schemas].
    name: Option<String>,
}

/// A schema, by its name.
pub(super) fn text(name: &str) -> Option<&'static str> {
    SCHEMAS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

pub(super) fn run(args: &SchemaArgs) -> Result<ExitCode, Failure> {
    let Some(name) = &args.name else {
        SCHEMAS.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(ExitCode::SUCCESS);
    };
    let text = text(name).ok_or_else(|| {
        let meant = nearest(name, SCHEMAS.iter().map(|(name, _)| *name), 1)
            .first()
            .map(|meant| format!("did you mean `{meant}`?"));
        Failure::input(
            format!("unknown schema `{name}`"),
            Some(meant.unwrap_or_else(|| "`corematrix schema` lists the schemas".to_owned())),
        )
    })?;
    output::write(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_at_hand() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.map(|name| name.trim_end_matches(".schema.json").to_owned()).collect();
        names.sort();
        let known: Vec<&str> = SCHEMAS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, known);
        assert!(SCHEMAS.iter().all(|(_, text)| serde_json::from_str::<serde_json::Value>(text).is_ok()));
    }
}
