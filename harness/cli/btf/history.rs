//! `corematrix btf history`: a type, field, enumerator, function or variable through all kernels whose BTF is available.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use rayon::prelude::*;

use super::super::Common;
use super::super::answer::{HistoryKernel, NameHistory, Print};
use super::super::failure::Failure;
use super::super::predict::{TypesAtHand, known_types};
use crate::btf::{Hit, Query};
use crate::matrix::Project;
use crate::predict::{PredictedKernel, stretches};
use crate::record::exit_code;

#[derive(Debug, Args)]
pub(in super::super) struct HistoryArgs {
    /// Type (task_struct), field (task_struct.se.vruntime), enumerator (BPF_FUNC_loop), function or variable.
    #[arg(value_name = "NAME")]
    name: String,
    /// Read kernel BTF from a BTF or ELF file, a directory of such files, or an archive in the layout of BTFHub. A
    /// pattern such as `archive/ubuntu/20.04/x86_64/*` selects files; may be repeated [default: the stored kernels].
    #[arg(long, value_name = "FILE|DIR|PATTERN")]
    btf: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What no one knows begins so.
const NOT_KNOWN: &str = "unknown";

/// What a kernel has: each hit in words, without its place, which changes nearly everywhere. In words why its types cannot be read.
type Answered = Result<Vec<String>, String>;

pub(in super::super) fn run(common: &Common, args: &HistoryArgs) -> Result<ExitCode, Failure> {
    let query = Query::parse(&args.name).map_err(|reason| {
        let hint = "write `task_struct`, `task_struct.__state`, `BPF_FUNC_loop` or `vfs_read`".to_owned();
        Failure::input(format!("cannot search for `{}`: {reason}", args.name.escape_debug()), Some(hint))
    })?;
    let project = Project::load(&common.manifest, &common.places()?)?;
    let kernels = known_types(&project, &args.btf)?;
    let types = TypesAtHand::of_names(&project.store, [(query.root().to_owned(), false)]);
    let answers: Vec<Answered> = kernels.par_iter().map(|kernel| look(&types, &query, kernel)).collect();
    match args.json {
        true => answer(&args.name, &kernels, &answers).print()?,
        false => print!("{}", text(&args.name, &kernels, &answers)),
    }
    let found = answers.iter().flatten().flatten().any(|hit| !hit.starts_with(NOT_KNOWN));
    let unread = answers.iter().any(Result::is_err);
    Ok(ExitCode::from(match (unread, found) {
        (true, _) => exit_code::INFRASTRUCTURE,
        (false, true) => exit_code::GOOD,
        (false, false) => exit_code::PROGRAM_FAILED,
    }))
}

fn look(types: &TypesAtHand<'_>, query: &Query, kernel: &PredictedKernel) -> Answered {
    let types = types.read(kernel)?;
    let tables = std::iter::once(&types.target.kernel).chain(types.target.modules.iter().map(|(_, table)| table));
    let mut raw = tables.map(|table| table.raw());
    // A module has the kernel's names in the kernel's strings.
    if types.target.modules.is_empty() && !raw.next().is_some_and(|raw| query.may_be_in(raw)) {
        return types
            .names
            .unknown
            .get(query.root())
            .map_or(Ok(Vec::new()), |why| Ok(vec![format!("{NOT_KNOWN}: it {why}")]));
    }
    let all = types.parsed().map_err(|error| error.to_string())?;
    let found: Vec<String> = query.hits(&all, 0).iter().map(words).collect();
    let modules: Vec<&str> = types.target.modules.iter().map(|(name, _)| name.as_str()).collect();
    let of_module = |words: String| format!("{words}, in module {}", modules.join(" or "));
    Ok(match modules.is_empty() {
        true => found,
        false => found.into_iter().map(of_module).collect(),
    })
}

fn words(hit: &Hit) -> String {
    let mut words = format!("{} {}", hit.kind, hit.type_name);
    if let Some(bits) = hit.bits {
        words += &match bits % 8 {
            0 => format!(", {} bytes", bits / 8),
            _ => format!(", {bits} bits"),
        };
    }
    if let Some(value) = hit.value {
        words += &format!(", value {value}");
    }
    words
}

fn answer(name: &str, kernels: &[PredictedKernel], answers: &[Answered]) -> NameHistory {
    let kernel = |(kernel, answer): (&PredictedKernel, &Answered)| HistoryKernel {
        group: kernel.group.clone(),
        release: kernel.release.clone(),
        found: answer.as_ref().ok().cloned(),
        error: answer.as_ref().err().cloned(),
    };
    NameHistory { name: name.to_owned(), kernels: kernels.iter().zip(answers).map(kernel).collect() }
}

/// By group; what neighbours share is one line.
fn text(name: &str, kernels: &[PredictedKernel], answers: &[Answered]) -> String {
    let having = answers.iter().flatten().filter(|hits| !hits.is_empty()).count();
    let mut text = format!("`{name}` exists on {having} of {} kernels\n", kernels.len());
    for group in stretches(kernels.iter().map(|kernel| &kernel.group)) {
        let known = (group.first..=group.last).filter_map(|at| Some((&kernels[at], answers[at].as_ref().ok()?)));
        let known: Vec<(&PredictedKernel, &Vec<String>)> = known.collect();
        let found = stretches(known.iter().map(|(_, hits)| *hits));
        let head = if group.outcome.is_empty() { String::new() } else { format!(" {}\n", group.outcome) };
        text += &head;
        for stretch in &found {
            let (first, last) = (&known[stretch.first].0.release, &known[stretch.last].0.release);
            let span = match stretch.last - stretch.first {
                0 => first.clone(),
                more => format!("{first} to {last} ({})", more + 1),
            };
            let what = if stretch.outcome.is_empty() { "no".to_owned() } else { stretch.outcome.join("; ") };
            text += &format!("  {span}  {what}\n");
        }
        // There, gone, and there again: a back-port, so that versions do not decide.
        let presence = stretches(known.iter().map(|(_, hits)| !hits.is_empty()));
        if presence.iter().filter(|stretch| stretch.outcome).count() > 1 {
            text += "  not determined by the kernel version: check for it at load time, not for a version\n";
        }
    }
    for (kernel, reason) in
        kernels.iter().zip(answers).filter_map(|(kernel, answer)| Some((kernel, answer.as_ref().err()?)))
    {
        text += &format!("unknown for `{}`: {reason}\n", kernel.release);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_and_goes_is_said() {
        let kernel = |number: usize| PredictedKernel {
            name: None,
            group: "distro/1".to_owned(),
            release: format!("1.0.{number}"),
            types: PathBuf::new(),
        };
        let kernels: Vec<_> = (0..5).map(kernel).collect();
        let has = || Ok(vec!["field int, 4 bytes".to_owned()]);
        let answers = [has(), has(), Ok(Vec::new()), has(), Err("it is damaged".to_owned())];
        insta::assert_snapshot!(text("s.a", &kernels, &answers), @r"
        `s.a` exists on 3 of 5 kernels
         distro/1
          1.0.0 to 1.0.1 (2)  field int, 4 bytes
          1.0.2  no
          1.0.3  field int, 4 bytes
          not determined by the kernel version: check for it at load time, not for a version
        unknown for `1.0.4`: it is damaged
        ");
    }
}
