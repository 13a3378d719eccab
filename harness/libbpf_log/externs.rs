//! [`externs`]: which ksyms, kfuncs and kconfig values libbpf found.

use crate::protocol::libbpf_log::{Line, bare};
use crate::record::ExternRecord;

/// Reads what libbpf says of the object's externs. One that is logged several times counts with its last line.
pub fn externs(lines: &[Line]) -> Vec<ExternRecord> {
    let mut found: Vec<ExternRecord> = Vec::new();
    for line in lines {
        if let Some(record) = read(bare(&line.text)) {
            match found.iter_mut().find(|known| known.name == record.name) {
                // `not found in kernel BTF` is followed by the line that distinguishes weak from strong.
                Some(known) if record.kind.is_empty() => known.weak = record.weak,
                Some(known) => *known = record,
                None => found.push(record),
            }
        }
    }
    found
}

/// `extern (func ksym) 'NAME': resolved to vmlinux [7]`, `extern 'NAME' (weak): not resolved, defaulting to zero`
fn read(line: &str) -> Option<ExternRecord> {
    let rest = line.strip_prefix("extern ")?;
    if let Some(rest) = rest.strip_prefix('\'') {
        let (name, rest) = rest.split_once("' (")?;
        let weak = rest.starts_with("weak)");
        return Some(ExternRecord { name: name.to_owned(), kind: String::new(), weak, resolved: None });
    }
    let (kind, rest) = rest.strip_prefix('(')?.split_once(") '")?;
    let (name, result) = rest.split_once("': ")?;
    let resolved = ["set to ", "resolved to "].iter().find_map(|words| result.strip_prefix(words));
    Some(ExternRecord {
        name: name.to_owned(),
        kind: kind.to_owned(),
        weak: false,
        resolved: resolved.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::libbpf_log::Level;

    #[test]
    fn found_weak_and_missing_externs_are_told_apart() {
        let lines: Vec<Line> = [
            "libbpf: extern (kcfg) 'LINUX_KERNEL_VERSION': set to 0x50adf\n",
            "libbpf: extern (func ksym) 'bpf_new': not found in kernel or module BTFs\n",
            "libbpf: extern 'bpf_new' (weak): not resolved, defaulting to zero\n",
            "libbpf: extern (var ksym) 'runqueues': resolved to [42] var runqueues\n",
            "libbpf: extern 'gone' (strong): not resolved\n",
        ]
        .map(|text| Line { level: Level::Debug, text: text.to_owned() })
        .into();
        let found: Vec<(String, bool, Option<String>)> =
            externs(&lines).into_iter().map(|record| (record.name, record.weak, record.resolved)).collect();
        assert_eq!(
            found,
            [
                ("LINUX_KERNEL_VERSION".into(), false, Some("0x50adf".into())),
                ("bpf_new".into(), true, None),
                ("runqueues".into(), false, Some("[42] var runqueues".into())),
                ("gone".into(), false, None),
            ]
        );
    }
}
