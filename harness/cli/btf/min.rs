//! `corematrix btf min`: minimal BTF of kernels for objects.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::super::failure::Failure;
use super::super::{Common, say};
use super::KnownKernels;
use crate::btf::minimal;
use crate::matrix::Project;
use crate::object::ObjectTypes;
use crate::object::btf_ext::{BtfRelocation, RelocationKind};

#[derive(Debug, Args)]
pub(in super::super) struct MinArgs {
    /// BPF objects, directories, executables that embed objects, or suite files.
    #[arg(value_name = "OBJECT|BINARY|DIR|ARCHIVE|IMAGE|SUITE.toml", required = true)]
    inputs: Vec<PathBuf>,
    /// Select kernels, as for `corematrix run`; may be repeated [default: every declared kernel that is stored].
    #[arg(long, value_name = "SELECTOR")]
    kernel: Vec<String>,
    /// Write `RELEASE.btf` of each kernel to this directory.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Use no network: take only kernels that are stored.
    #[arg(long)]
    offline: bool,
}

pub(in super::super) fn run(common: &Common, args: &MinArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let inputs = project.inputs(&args.inputs, args.offline, &say)?;
    inputs.notices.iter().for_each(|notice| eprintln!("notice: {notice}"));
    let mut types = Vec::new();
    for object in &inputs.objects {
        let read = ObjectTypes::read(&object.bytes);
        let read = read.inspect(|types| tell_of_ids(&object.name, types));
        types.push(read.ok_or_else(|| {
            let hint = "compile it with `-g`; CO-RE relocations need BTF".to_owned();
            Failure::input(format!("object `{}` has no readable BTF", object.name), Some(hint))
        })?);
    }
    let known = KnownKernels::of(&project, &args.kernel, args.offline)?;
    std::fs::create_dir_all(&args.output).map_err(|error| unwritable(&args.output, &error))?;
    let mut table = Builder::default();
    table.push_record(["kernel", "whole", "minimal", "file"]);
    for one in &known.kernels {
        let (name, kernel) = one;
        if kernel.types().is_none() && args.kernel.is_empty() {
            eprintln!("kernel `{name}` is skipped: it has no BTF");
            continue;
        }
        let raw = KnownKernels::btf(one)?;
        let small = minimal(&raw, &types).map_err(|error| {
            Failure::infrastructure(format!("the BTF of kernel `{name}` cannot be read: {error}"), None)
        })?;
        let file = args.output.join(format!("{}.btf", kernel.identity.release));
        std::fs::write(&file, &small).map_err(|error| unwritable(&file, &error))?;
        let sizes = [&raw, &small].map(|raw| ByteSize(raw.len() as u64).to_string());
        let [whole, little] = sizes;
        table.push_record([name.clone(), whole, little, file.display().to_string()]);
    }
    println!("{}", table.build().with(Style::blank()));
    Ok(ExitCode::SUCCESS)
}

/// Says that an object asks for what only the whole BTF can say.
fn tell_of_ids(object: &str, types: &ObjectTypes) {
    let asks = |relocation: &BtfRelocation| relocation.kind == RelocationKind::TargetTypeId;
    if types.relocations.iter().any(asks) {
        eprintln!(
            "notice: `{object}` uses type ids of the kernel (`bpf_core_type_id_kernel`); minimal BTF has other ids, \
    which the kernel does not know"
        );
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::input(format!("write `{}`: {error}", path.display()), None)
}
