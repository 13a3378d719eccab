//! [`program`]: how an object's own loader loads one program.

use toml::Spanned;

use super::super::error::Mistake;
use super::{Placed, known};
use crate::feature::Feature;
use crate::object::ProgramInfo;
use crate::record::ProgramLoading;

/// Flags that a program is loaded with, as a suite and as the kernel name them.
const FLAGS: [(&str, &str); 2] = [("sleepable", "BPF_F_SLEEPABLE"), ("frags", "BPF_F_XDP_HAS_FRAGS")];
/// Program types that are loaded for one function, tracepoint or hook of the kernel.
const WITH_TARGET: [&str; 3] = ["tracing", "lsm", "ext"];

/// What `[[program]]` says of the loading of a program.
pub(in super::super) struct WrittenProgramLoading<'a> {
    pub prog_type: Option<&'a Spanned<String>>,
    pub attach_type: Option<&'a Spanned<String>>,
    pub target: Option<&'a Spanned<String>>,
    pub flags: &'a [Spanned<String>],
    pub autoload: Option<&'a Spanned<bool>>,
}

/// Checks what is said of the loading of `program`; `None` if nothing is.
pub(in super::super) fn program(
    written: &WrittenProgramLoading<'_>,
    program: &ProgramInfo,
) -> Result<Option<ProgramLoading>, Placed> {
    let prog_type = written.prog_type.map(|kind| known(Feature::ProgramType, kind)).transpose()?;
    let attach_type = written.attach_type.map(|kind| known(Feature::AttachType, kind)).transpose()?;
    let in_effect = prog_type.as_deref().or(program.prog_type.as_deref());
    if let Some(target) = written.target
        && !in_effect.is_some_and(|kind| WITH_TARGET.contains(&kind))
    {
        let of_type = in_effect.unwrap_or("unknown");
        let message = format!("`{}` of type `{of_type}` is loaded for no target", program.name);
        let hint = "programs of the types `tracing` and `lsm` are; what others attach to is said by `attach`";
        return Err((Some(target.span().start), Mistake::new(message).hint(hint)));
    }
    let flag = |written: &Spanned<String>| {
        let found = FLAGS.iter().find(|(short, full)| [short, full].contains(&&written.get_ref().as_str()));
        found.map(|(_, full)| (*full).to_owned()).ok_or_else(|| {
            let message = format!("there is no flag `{}` to load a program with", written.get_ref());
            let names = FLAGS.iter().map(|(short, _)| *short);
            (Some(written.span().start), Mistake::new(message).known(written.get_ref(), names))
        })
    };
    if let Some(autoload) = written.autoload.filter(|autoload| !autoload.get_ref())
        && let Some(map) = program.struct_ops.first()
    {
        let message = format!("`{}` is loaded with the struct_ops map `{map}`, whatever its autoload is", program.name);
        return Err((Some(autoload.span().start), Mistake::new(message)));
    }
    let loading = ProgramLoading {
        program: program.name.clone(),
        prog_type,
        attach_type,
        target: written.target.map(|target| target.get_ref().clone()),
        autoload: written.autoload.map(|autoload| *autoload.get_ref()),
        flags: written.flags.iter().map(flag).collect::<Result<_, _>>()?,
    };
    let is_said = ProgramLoading { program: loading.program.clone(), ..ProgramLoading::default() } != loading;
    Ok(is_said.then_some(loading))
}
