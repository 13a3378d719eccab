//! `corematrix kernels catalogue`: the kernels of distributions, by the names that people have for them.

use std::process::ExitCode;

use clap::Args;
use tabled::builder::Builder;
use tabled::settings::peaker::Priority;
use tabled::settings::{Style, Width};

use super::super::Common;
use super::super::answer::{CatalogueList, CataloguedKernel, Print};
use super::super::failure::Failure;
use super::super::run::width;
use crate::manifest::catalogue::{Known, declared_name};
use crate::report::paragraph;

#[derive(Debug, Args)]
pub(in super::super) struct CatalogueArgs {
    /// Prefix of the names to list, such as ubuntu.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(in super::super) fn run(common: &Common, args: &CatalogueArgs) -> Result<ExitCode, Failure> {
    let manifest = common.manifest.load().map_err(|error| {
        let hint = error.hint();
        Failure::input(error, hint)
    })?;
    let begins = |name: &str| args.name.as_ref().is_none_or(|begin| name.starts_with(begin.as_str()));
    let kernels: Vec<CataloguedKernel> = manifest
        .catalogue
        .entries()
        .filter(|entry| begins(&entry.name))
        .map(|entry| CataloguedKernel {
            name: entry.name.clone(),
            about: entry.about.clone(),
            series: Some(entry.series.clone()).filter(|series| !series.is_empty()),
            source: entry.source().to_owned(),
            known: entry.known,
            note: Some(entry.note.clone()).filter(|note| !note.is_empty()),
            no_btf: entry.has_no_btf,
            own: entry.is_users,
            declared: manifest.kernels.iter().any(|kernel| kernel.name == declared_name(&entry.name)),
        })
        .collect();
    if let (true, Some(name)) = (kernels.is_empty(), &args.name) {
        let near = manifest.catalogue.nearest(name);
        let hint = near.first().map(|near| format!("did you mean `{near}`?"));
        return Err(Failure::input(format!("the catalogue has no kernel `{}`", name.escape_debug()), hint));
    }
    match args.json {
        true => CatalogueList { kernels }.print()?,
        false => print!("{}", text(&kernels, width())),
    }
    Ok(ExitCode::SUCCESS)
}

/// The kernels as a table, what is to be known about some, and what the table says.
fn text(kernels: &[CataloguedKernel], width: usize) -> String {
    let mut text = table(kernels, width);
    text.push('\n');
    for kernel in kernels {
        if let Some(note) = &kernel.note {
            text += &paragraph(&format!("{}: {note}", kernel.name), 0, width);
        }
    }
    let says = [
        (Known::Booted, "booted = fetched from its archive and booted by the tests of corematrix"),
        (
            Known::Documents,
            "documents = URL, keys and layout are from public documents; the format is tested, this archive is not",
        ),
        (Known::Unverified, "unverified = its image must be fetched by hand and was never tested"),
    ];
    let said = says.iter().filter(|(known, _)| kernels.iter().any(|kernel| kernel.known == *known));
    let words: Vec<&str> = said.map(|(_, words)| *words).collect();
    if !words.is_empty() {
        text += &format!("\n{}", paragraph(&words.join("; "), 0, width));
    }
    text += &paragraph(
        "`--kernel NAME` selects a kernel, `--kernel 'NAME@last:5'` its last builds, and `corematrix kernels add NAME` \
    declares it",
        0,
        width,
    );
    text
}

fn table(kernels: &[CataloguedKernel], width: usize) -> String {
    let mut table = Builder::default();
    table.push_record(["kernel", "series", "source", "known", "description"]);
    for kernel in kernels {
        let mut about = kernel.about.clone();
        if kernel.no_btf {
            about += ", without BTF";
        }
        about += match (kernel.own, kernel.declared) {
            (true, _) => " (yours)",
            (false, true) => " (declared)",
            (false, false) => "",
        };
        let series = kernel.series.as_deref().unwrap_or("-");
        table.push_record([&kernel.name, series, &kernel.source, kernel.known.label(), &about]);
    }
    // The last column has the long texts.
    let wrapped = Width::wrap(width).keep_words(true).priority(Priority::max(true));
    table.build().with(Style::blank()).with(wrapped).to_string()
}
