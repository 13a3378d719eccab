//! `corematrix lint`: what is wrong in objects, at their source lines, from the types of kernels alone.

mod allowed;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Common;
use super::failure::Failure;
use super::predict::{TypesAtHand, known_types};
use crate::lint::{LintReport, LintRule, LintSubject};
use crate::matrix::{Inputs, Project};
use crate::record::exit_code;
use allowed::Allowed;

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0  no warnings; notes do not count
  1  at least one warning
  2  invalid command line or object
  3  the BTF of a kernel cannot be read")]
pub(super) struct LintArgs {
    /// BPF objects, directories, archives, executables that embed objects, or suite files.
    #[arg(value_name = "OBJECT|BINARY|DIR|ARCHIVE|SUITE.toml", required_unless_present = "rules")]
    inputs: Vec<PathBuf>,
    /// Read kernel BTF from a BTF or ELF file, a directory of such files, or an archive in the layout of BTFHub. A
    /// pattern such as `archive/ubuntu/20.04/x86_64/*` selects files; may be repeated [default: the stored kernels].
    #[arg(long, value_name = "FILE|DIR|PATTERN")]
    btf: Vec<PathBuf>,
    /// Ignore the findings of a rule everywhere, in a source file, or at one line; may be repeated.
    #[arg(long, value_name = "RULE[:FILE[:LINE]]")]
    allow: Vec<Allowed>,
    /// Print JSON, with all kernels of each finding.
    #[arg(long)]
    json: bool,
    /// List the rules.
    #[arg(long)]
    rules: bool,
}

pub(super) fn run(common: &Common, args: &LintArgs) -> Result<ExitCode, Failure> {
    if args.rules {
        for rule in LintRule::ALL {
            println!("{rule:20}{:9}{}", rule.level().word(), rule.description());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let project = Project::load(&common.manifest, &common.places()?)?;
    // An editor waits for this: nothing is fetched.
    let Inputs { objects, notices, .. } = project.inputs(&args.inputs, true, &super::say)?;
    notices.iter().for_each(|notice| eprintln!("notice: {notice}"));
    let mut subjects = Vec::new();
    for object in &objects {
        let subject = LintSubject::of(object)
            .map_err(|reason| Failure::input(format!("`{}` cannot be read: {reason}", object.origin), None))?;
        subjects.push(subject);
    }
    let kernels = known_types(&project, &args.btf)?;
    let types = TypesAtHand::of(&project.store, subjects.iter().map(LintSubject::subject));
    let mut report = LintReport::of(&subjects, kernels, |kernel| types.read(kernel));
    report.retain(|finding| !args.allow.iter().any(|allowed| allowed.covers(finding)));
    match args.json {
        true => println!("{:#}", serde_json::json!(report)),
        false => print!("{}", text::whole(&report)),
    }
    Ok(ExitCode::from(match (report.has_warnings(), report.unread.is_empty()) {
        (true, _) => exit_code::PROGRAM_FAILED,
        (false, true) => exit_code::GOOD,
        (false, false) => exit_code::INFRASTRUCTURE,
    }))
}
