//! `corematrix kernels catalogue`: the kernels of distributions, by the names that people have for them.

use std::process::ExitCode;

use clap::Args;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::super::Common;
use super::super::answer::{CatalogueList, CataloguedKernel, Print};
use super::super::failure::Failure;
use crate::manifest::catalogue::declared_name;

#[derive(Debug, Args)]
pub(in super::super) struct CatalogueArgs {
    /// Only those whose name begins so, such as ubuntu.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// As JSON.
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
        false => {
            println!("{}", table(&kernels));
            println!("`--kernel NAME` takes one, and `corematrix kernels add NAME` declares it");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(kernels: &[CataloguedKernel]) -> String {
    let mut table = Builder::default();
    table.push_record(["kernel", "series", "source", "what it is"]);
    for kernel in kernels {
        let note = match (kernel.own, kernel.declared) {
            (true, _) => " (yours)",
            (false, true) => " (declared)",
            (false, false) => "",
        };
        let about = format!("{}{note}", kernel.about);
        table.push_record([&kernel.name, kernel.series.as_deref().unwrap_or("-"), &kernel.source, &about]);
    }
    table.build().with(Style::blank()).to_string()
}
