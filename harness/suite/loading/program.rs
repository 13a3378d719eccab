//! [`program`]: how an object's own loader loads one program.

use toml::Spanned;

use super::super::error::Mistake;
use super::super::part::Objects;
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
    pub target_function: Option<&'a Spanned<String>>,
    pub flags: &'a [Spanned<String>],
    pub autoload: Option<&'a Spanned<bool>>,
}

/// Checks what is said of the loading of `program`; `None` if nothing is.
pub(in super::super) fn program(
    written: &WrittenProgramLoading<'_>,
    program: &ProgramInfo,
    own: (Objects<'_>, usize),
) -> Result<Option<ProgramLoading>, Placed> {
    let prog_type = written.prog_type.map(|kind| known(Feature::ProgramType, kind)).transpose()?;
    let attach_type = written.attach_type.map(|kind| known(Feature::AttachType, kind)).transpose()?;
    let in_effect = prog_type.as_deref().or(program.prog_type.as_deref());
    if let Some(target) = written.target
        && !in_effect.is_some_and(|kind| WITH_TARGET.contains(&kind))
    {
        let of_type = in_effect.unwrap_or("unknown");
        let message = format!("`{}` of type `{of_type}` has no load-time target", program.name);
        let hint = "only programs of types `tracing`, `lsm` and `ext` have one; for others, use `attach`";
        return Err((Some(target.span().start), Mistake::new(message).hint(hint)));
    }
    let flag = |written: &Spanned<String>| {
        let found = FLAGS.iter().find(|(short, full)| [short, full].contains(&&written.get_ref().as_str()));
        found.map(|(_, full)| (*full).to_owned()).ok_or_else(|| {
            let message = format!("unknown program load flag `{}`", written.get_ref());
            let names = FLAGS.iter().map(|(short, _)| *short);
            (Some(written.span().start), Mistake::new(message).known(written.get_ref(), names))
        })
    };
    if let Some(autoload) = written.autoload.filter(|autoload| !autoload.get_ref())
        && let Some(map) = program.struct_ops.first()
    {
        let message =
            format!("`{}` is loaded with the struct_ops map `{map}`, independent of its autoload", program.name);
        return Err((Some(autoload.span().start), Mistake::new(message)));
    }
    let (target, target_program) = target(written, program, in_effect, own)?;
    let loading = ProgramLoading {
        program: program.name.clone(),
        prog_type,
        attach_type,
        target,
        target_program,
        autoload: written.autoload.map(|autoload| *autoload.get_ref()),
        flags: written.flags.iter().map(flag).collect::<Result<_, _>>()?,
    };
    let is_said = ProgramLoading { program: loading.program.clone(), ..ProgramLoading::default() } != loading;
    Ok(is_said.then_some(loading))
}

/// What a program is loaded for: a function of the kernel, or one of a program and that program, `OBJECT/PROGRAM`.
fn target(
    written: &WrittenProgramLoading<'_>,
    program: &ProgramInfo,
    in_effect: Option<&str>,
    (all, own): (Objects<'_>, usize),
) -> Result<(Option<String>, Option<String>), Placed> {
    let extends = in_effect == Some("ext");
    let of_program = written.target.filter(|target| extends || target.get_ref().contains(':'));
    let Some(of_program) = of_program else {
        if let Some(function) = written.target_function {
            let mistake = Mistake::new("`target-function` is set, but no `target` program");
            let hint = "name the program with `target = \"OBJECT:PROGRAM\"`";
            return Err((Some(function.span().start), mistake.hint(hint)));
        }
        return Ok((written.target.map(|target| target.get_ref().clone()), None));
    };
    let at = |mistake: Mistake| (Some(of_program.span().start), mistake);
    let (object, name) = of_program.get_ref().split_once(':').unwrap_or(("", of_program.get_ref()));
    let object = match object.strip_suffix(".bpf.o").or_else(|| object.strip_suffix(".o")).unwrap_or(object) {
        "" => own,
        object => all.object(object).map_err(at)?,
    };
    let title = &all.0[object].name;
    let programs = all.inventory(object).map(|all| &all.programs[..]).unwrap_or_default();
    if !programs.iter().any(|known| known.name == name) {
        let mistake = Mistake::new(format!("object `{title}` has no program `{name}`"));
        return Err(at(mistake.known(name, programs.iter().map(|known| known.name.as_str()))));
    }
    if object == own && name == program.name {
        return Err(at(Mistake::new(format!("`{name}` cannot be its own target"))));
    }
    let in_section = program.section.split_once('/').map(|(_, function)| function.to_owned());
    let function = match written.target_function {
        Some(function) => function.get_ref().clone(),
        // The section of a program that is made an extension names what it was before.
        None => match in_section.filter(|_| !extends || program.prog_type.as_deref() == Some("ext")) {
            Some(function) => function,
            None if !extends => name.to_owned(),
            None => {
                let mistake =
                    Mistake::new(format!("which function of `{title}/{name}` does `{}` replace?", program.name));
                return Err(at(
                    mistake.hint("write `target-function = \"NAME\"`, or `SEC(\"freplace/NAME\")` in the source")
                ));
            }
        },
    };
    Ok((Some(function), Some(format!("{title}/{name}"))))
}
