//! [`of_types`] and [`of_config`]: what a kernel that need not have run would answer to a guard that compares a value.

use crate::explain::{LocalSpec, PathStep};
use crate::object::btf::{Btf, Want, essential_name};
use crate::record::GuardKind;

/// The kconfig value that every kernel has.
const KERNEL_VERSION: &str = "LINUX_KERNEL_VERSION";

/// What is known about a kernel besides its types.
#[derive(Debug, Clone)]
pub struct RecordedConfig {
    /// Its name.
    pub name: String,
    /// `uname -r`.
    pub release: String,
    /// Its config, if its source ships one.
    pub text: Option<String>,
}

/// The size or value that a kernel's types hold, for guards that compare one; `None` if there is none.
pub fn of_types(kind: GuardKind, spec: &LocalSpec, btf: &Btf) -> Option<u64> {
    let named = |want: Want| {
        let name = essential_name(&spec.type_name);
        btf.candidates(name, want).find(move |&id| btf.name(id) == name)
    };
    match kind {
        GuardKind::TypeSize => btf.size_of(named(spec.want()?)?).map(u64::from),
        GuardKind::ByteSz => {
            let field = spec.path.iter().try_fold(named(spec.want()?)?, |id, step| match step {
                PathStep::Member(name) => btf.member(id, name).map(|place| place.type_id),
                PathStep::Index(_) | PathStep::Follow => None,
            });
            btf.size_of(field?).map(u64::from)
        }
        GuardKind::EnumvalValue => {
            let (wanted, _) = spec.enumerator.as_ref()?;
            let all = btf.enumerators(named(Want::Enum)?);
            let is_it = |name: String| essential_name(&name) == essential_name(wanted);
            let found = all.iter().find(|one| btf.string(one.name_offset).is_some_and(is_it))?;
            Some(found.value.cast_unsigned())
        }
        _ => None,
    }
}

/// Whether a kernel's config takes the side that is taken `when`, such as `== 0` or `>= 5.11.0`; `None` if that is not known.
pub fn of_config(asked: &str, when: &str, kernel: &RecordedConfig) -> Option<bool> {
    if asked == KERNEL_VERSION {
        return holds(when, version(&kernel.release)?);
    }
    let prefix = format!("{asked}=");
    let setting = kernel.text.as_ref()?.lines().find_map(|line| line.strip_prefix(&prefix));
    // A truth is 1, a letter itself; its comparison shows which of them the object's variable is.
    let letter = setting.unwrap_or("n").bytes().next().filter(|letter| b"ymn".contains(letter));
    match (operand(when)?, setting, letter) {
        (with, _, Some(letter)) if b"ymn".map(u64::from).contains(&with) => holds(when, letter.into()),
        (_, None, _) => holds(when, 0),
        (0, Some("y" | "m"), _) => holds(when, 1),
        (_, Some("y" | "m"), _) => None,
        (_, Some(number), _) => holds(when, parse(number)?),
    }
}

/// Whether a value takes the side that is taken `when`; `None` if numbers do not decide that.
pub fn holds(when: &str, value: u64) -> Option<bool> {
    let with = operand(when)?;
    Some(match when.rsplit_once(' ')?.0 {
        "==" => value == with,
        "!=" => value != with,
        ">" => value > with,
        ">=" => value >= with,
        "<" => value < with,
        "<=" => value <= with,
        "has a bit of" => value & with != 0,
        "has no bit of" => value & with == 0,
        _ => return None,
    })
}

fn operand(when: &str) -> Option<u64> {
    let text = when.rsplit_once(' ')?.1;
    if text.contains('.') { version(text) } else { parse(text) }
}

/// As in `LINUX_KERNEL_VERSION`; the patch level has one byte.
fn version(text: &str) -> Option<u64> {
    let numbers = text.split(['-', '+', '~']).next()?;
    let mut parts = numbers.split('.').map(|part| part.parse::<u64>().ok());
    let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    Some(major << 16 | minor << 8 | patch.min(255))
}

fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse::<i64>().ok().map(i64::cast_unsigned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_answer_what_they_tell() {
        let text = Some("CONFIG_HZ=250\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n".to_owned());
        let kernel = RecordedConfig { name: "5.10".to_owned(), release: "5.10.0-32-cloud-amd64".to_owned(), text };
        let answers = |asked: &str, when: &str| of_config(asked, when, &kernel);
        assert_eq!(answers("LINUX_KERNEL_VERSION", ">= 5.11.0"), Some(false));
        assert_eq!(answers("LINUX_KERNEL_VERSION", "< 5.11.0"), Some(true));
        assert_eq!(
            [answers("CONFIG_A", "!= 0"), answers("CONFIG_B", "!= 0"), answers("CONFIG_C", "!= 0")],
            [Some(true), Some(true), Some(false)]
        );
        assert_eq!(
            [answers("CONFIG_A", "== 121"), answers("CONFIG_B", "== 121"), answers("CONFIG_C", "== 121")],
            [Some(true), Some(false), Some(false)]
        );
        assert_eq!([answers("CONFIG_HZ", "> 0x64"), answers("CONFIG_HZ", "has no bit of 1")], [Some(true), Some(true)]);
        // A tristate is 2 or 1 for yes, a truth is 1.
        assert_eq!(answers("CONFIG_A", "== 1"), None);
        assert_eq!(of_config("CONFIG_A", "!= 0", &RecordedConfig { text: None, ..kernel }), None);
        assert_eq!(holds("is taken", 1), None);
    }
}
