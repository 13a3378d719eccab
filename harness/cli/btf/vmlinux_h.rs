//! `corematrix btf vmlinux-h`: the types of a kernel as a C header.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::super::Common;
use super::super::failure::Failure;
use super::KnownKernels;
use crate::btf::vmlinux_h;
use crate::matrix::Project;
use crate::output;

#[derive(Debug, Args)]
pub(in super::super) struct VmlinuxHArgs {
    /// Kernel: a name such as 6.1, or `latest`.
    kernel: String,
    /// Write to this file [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Use no network: take only a kernel that is stored.
    #[arg(long)]
    offline: bool,
}

pub(in super::super) fn run(common: &Common, args: &VmlinuxHArgs) -> Result<ExitCode, Failure> {
    let project = Project::load(&common.manifest, &common.places()?)?;
    let known = KnownKernels::of(&project, std::slice::from_ref(&args.kernel), args.offline)?;
    let [one] = &known.kernels[..] else {
        let names: Vec<&str> = known.kernels.iter().map(|(name, _)| name.as_str()).collect();
        let hint = format!("name one of {}", names.join(", "));
        return Err(Failure::input(format!("`{}` matches several kernels", args.kernel), Some(hint)));
    };
    let raw = KnownKernels::btf(one)?;
    let header =
        vmlinux_h(&raw).map_err(|error| Failure::infrastructure(format!("kernel `{}`: {error}", one.0), None))?;
    match &args.output {
        Some(file) => std::fs::write(file, header)
            .map_err(|error| Failure::input(format!("write `{}`: {error}", file.display()), None))?,
        None => output::write(header.as_bytes()),
    }
    Ok(ExitCode::SUCCESS)
}
