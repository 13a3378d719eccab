//! [`RunnerSettings`]: what options set for a runner, and variables where cargo or go call it.

use std::path::PathBuf;
use std::time::Duration;

use super::RunnerArgs;
use crate::cli::Common;
use crate::cli::failure::Failure;
use crate::manifest::ManifestPlace;

/// The kernels, with blanks in between.
const KERNELS: &str = "COREMATRIX_KERNEL";
/// The manifest.
const MANIFEST: &str = "COREMATRIX_MANIFEST";
/// The time limit.
const TIMEOUT: &str = "COREMATRIX_TIMEOUT";
/// The directory for reports.
const REPORT: &str = "COREMATRIX_REPORT";
/// Whether to work without the network: `1` or `true`.
const OFFLINE: &str = "COREMATRIX_OFFLINE";

/// How a test executable is run. Options go before variables.
#[derive(Debug)]
pub(super) struct RunnerSettings {
    pub kernels: Vec<String>,
    pub manifest: ManifestPlace,
    pub timeout: Option<Duration>,
    pub report: Option<PathBuf>,
    pub offline: bool,
}

impl RunnerSettings {
    pub fn of(common: &Common, args: &RunnerArgs) -> Result<RunnerSettings, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let kernels = match (args.machine.kernel.is_empty(), variable(KERNELS)) {
            (true, Some(names)) => names.split_whitespace().map(str::to_owned).collect(),
            _ => args.machine.kernel.clone(),
        };
        let timeout = match (args.timeout, variable(TIMEOUT)) {
            (None, Some(text)) => Some(humantime::parse_duration(&text).map_err(|error| {
                let hint = "write it like `90s` or `5m`".to_owned();
                Failure::input(format!("`{text}` in ${TIMEOUT} is not a duration: {error}"), Some(hint))
            })?),
            (given, _) => given,
        };
        let offline = match variable(OFFLINE).as_deref() {
            _ if args.machine.offline => true,
            None | Some("0" | "false") => false,
            Some("1" | "true") => true,
            Some(other) => {
                let hint = Some("set it to `1`, or unset it".to_owned());
                return Err(Failure::input(format!("`{other}` in ${OFFLINE} is not a boolean"), hint));
            }
        };
        let manifest = match variable(MANIFEST).filter(|_| common.named_manifest.is_none()) {
            Some(path) => ManifestPlace::File(PathBuf::from(path)),
            None => common.manifest.clone(),
        };
        let report = args.report.clone().or_else(|| variable(REPORT).map(PathBuf::from));
        Ok(RunnerSettings { kernels, manifest, timeout, report, offline })
    }
}
