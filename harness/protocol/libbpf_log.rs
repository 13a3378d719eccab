//! Reads the lines that libbpf logs. The formats are those of libbpf 1.7, the version that is linked in.

/// How urgent libbpf thinks a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Needs attention.
    Warn,
    /// May be of interest.
    Info,
    /// For debugging.
    Debug,
}

/// One call of libbpf's print function. A whole verifier log is one such line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How urgent.
    pub level: Level,
    /// The text, with libbpf's own prefix and newline.
    pub text: String,
}

/// Packs lines into one blob for the host: level, length and text of each.
pub fn pack(lines: &[Line]) -> Vec<u8> {
    let mut packed = Vec::new();
    for line in lines {
        packed.push(match line.level {
            Level::Warn => b'W',
            Level::Info => b'I',
            Level::Debug => b'D',
        });
        packed.extend_from_slice(format!("{}:", line.text.len()).as_bytes());
        packed.extend_from_slice(line.text.as_bytes());
    }
    packed
}

/// Takes apart what [`pack`] made; stops at the first damage.
pub fn unpack(mut packed: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    while let Some((level, rest)) = packed.split_first() {
        let level = match level {
            b'W' => Level::Warn,
            b'I' => Level::Info,
            _ => Level::Debug,
        };
        let Some(colon) = rest.iter().take(20).position(|byte| *byte == b':') else { break };
        let length = std::str::from_utf8(&rest[..colon]).ok().and_then(|digits| digits.parse::<usize>().ok());
        let Some(text) = length.and_then(|length| rest[colon + 1..].get(..length)) else { break };
        lines.push(Line { level, text: String::from_utf8_lossy(text).into_owned() });
        packed = &rest[colon + 1 + text.len()..];
    }
    lines
}

const LOG_BEGIN: &str = "-- BEGIN PROG LOAD LOG --\n";
const LOG_END: &str = "-- END PROG LOAD LOG --";

/// The text without libbpf's prefix and the newline.
pub fn bare(text: &str) -> &str {
    text.strip_prefix("libbpf: ").unwrap_or(text).trim_end()
}

/// The warnings of a load, without verifier logs and without what libbpf calls optional.
pub fn warnings(lines: &[Line]) -> Vec<String> {
    lines
        .iter()
        .filter(|line| line.level == Level::Warn && !line.text.contains(LOG_BEGIN))
        .map(|line| bare(&line.text).to_owned())
        .collect()
}

/// Words with which libbpf says that it omits something that the kernel is too old for.
const DOWNGRADES: [&str; 3] = ["Retrying without BTF", "BTF is optional, ignoring", "skipping uploading it"];

/// What libbpf did without; harmless, and none of it is a failure.
pub fn downgrades(lines: &[Line]) -> Vec<String> {
    let texts = lines.iter().filter(|line| line.text.len() < 4096).map(|line| bare(&line.text));
    texts.filter(|text| DOWNGRADES.iter().any(|words| text.contains(words))).map(str::to_owned).collect()
}

/// The verifier log of the last program load among `lines`.
pub fn verifier_log(lines: &[Line]) -> Option<&str> {
    lines.iter().rev().find_map(|line| {
        let (_, rest) = line.text.split_once(LOG_BEGIN)?;
        Some(rest.rsplit_once(LOG_END).map_or(rest, |(log, _)| log))
    })
}

/// The verifier log of the load of a program, if this line is that.
pub fn verifier_log_of<'l>(line: &'l Line, program: &str) -> Option<&'l str> {
    let (before, rest) = line.text.split_once(LOG_BEGIN)?;
    let name = bare(before).strip_prefix("prog '")?.strip_suffix("':")?;
    (name == program).then(|| rest.rsplit_once(LOG_END).map_or(rest, |(log, _)| log))
}

/// The map whose creation failed, if that is what a warning says.
pub fn failed_map(warning: &str) -> Option<&str> {
    let (map, rest) = warning.strip_prefix("map '")?.split_once("': ")?;
    const WORDS: [&str; 3] = ["failed to create: ", "failed to create inner map:", "failed to mmap arena:"];
    WORDS.iter().any(|words| rest.starts_with(words)).then_some(map)
}

/// What else libbpf said that bears on a map it could not create: BTF that the kernel did not take, a pin that is in the way, a map
/// that does not fit into it.
pub fn about_map(lines: &[Line], map: &str) -> Vec<String> {
    let without_btf = format!("Error in bpf_create_map_xattr({map}): ");
    let pin = format!("/{map}': ");
    let slot = format!("map '{map}': failed to initialize slot ");
    let bears = |text: &&str| {
        let of_pin = text.starts_with("couldn't re") && text.contains(&pin);
        text.starts_with("Error loading .BTF into kernel")
            || text.starts_with(&without_btf)
            || text.starts_with(&slot)
            || of_pin
    };
    lines.iter().map(|line| bare(&line.text)).filter(bears).map(str::to_owned).collect()
}

/// The struct_ops map whose kernel side does not exist or does not fit, if that is what a warning says.
///
/// libbpf names the struct, not the map: `struct_ops init_kern: struct tcp_congestion_ops is not found in kernel BTF` does not
/// say which map, so the caller has to try all of them; `struct_ops init_kern NAME: ...` does.
pub fn failed_struct_ops(warning: &str) -> Option<Option<&str>> {
    let rest = warning.strip_prefix("struct_ops init_kern")?;
    match rest.strip_prefix(' ').and_then(|rest| rest.split_once(": ")) {
        Some((map, _)) => Some(Some(map)),
        None => Some(None),
    }
}

/// Whether a warning about a missing struct of struct_ops is about this one, or about the struct that the kernel wraps it in.
pub fn names_struct(warning: &str, name: &str) -> bool {
    let mut words = warning.split(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_');
    words.any(|word| word == name || word.strip_prefix("bpf_struct_ops_") == Some(name))
}

/// Whether a load failed only because a static prog-array could not be filled. libbpf fills it after all programs were loaded, so
/// the program itself is fine; the other members were left out on purpose.
pub fn only_slots_missing(warnings: &[String]) -> bool {
    warnings.iter().any(|warning| warning.contains("failed to initialize slot ["))
}

/// The extern that a warning says this kernel does not have. One that is there and of another type is not meant.
pub fn missing_extern(warning: &str) -> Option<&str> {
    let rest = warning.strip_prefix("extern ")?;
    let rest = rest.strip_prefix("(func ksym) ").or(rest.strip_prefix("(var ksym) ")).unwrap_or(rest);
    let (name, rest) = rest.strip_prefix('\'')?.split_once('\'')?;
    let missing = rest == " (strong): not resolved" || rest.starts_with(": not found in kernel");
    missing.then_some(name)
}

/// Whether a warning is about an extern that the whole object needs: it fails for every program alike.
pub fn is_object_wide(warning: &str) -> bool {
    warning.starts_with("extern ") || is_missing_btf(warning)
}

/// Whether a warning is that the kernel's own BTF is unavailable.
pub fn is_missing_btf(warning: &str) -> bool {
    warning.starts_with("failed to find valid kernel BTF")
        || warning.starts_with("Error loading vmlinux BTF")
        || warning.starts_with("kernel BTF is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warn(text: &str) -> Line {
        Line { level: Level::Warn, text: text.to_owned() }
    }

    #[test]
    fn warnings_lose_prefix_and_log() {
        let lines = [
            warn("libbpf: prog 'p': BPF program load failed: -EINVAL\n"),
            warn("libbpf: prog 'p': -- BEGIN PROG LOAD LOG --\n0: (85) call\nbad\n-- END PROG LOAD LOG --\n"),
            Line { level: Level::Info, text: "libbpf: BTF is optional, ignoring.\n".into() },
        ];
        assert_eq!(warnings(&lines), ["prog 'p': BPF program load failed: -EINVAL"]);
        assert_eq!(downgrades(&lines), ["BTF is optional, ignoring."]);
        assert_eq!(verifier_log(&lines), Some("0: (85) call\nbad\n"));
    }

    #[test]
    fn log_without_a_newline_at_its_end_is_whole() {
        let lines = [warn("libbpf: prog 'p': -- BEGIN PROG LOAD LOG --\nlast line-- END PROG LOAD LOG --\n")];
        assert_eq!(verifier_log(&lines), Some("last line"));
    }

    #[test]
    fn packed_lines_are_the_same_afterwards() {
        let lines = [warn("libbpf: a\n"), Line { level: Level::Debug, text: "x: 7\ny".into() }];
        let packed = pack(&lines);
        assert_eq!(unpack(&packed), lines);
        assert_eq!(unpack(&packed[..packed.len() - 1]), lines[..1]);
        assert!(unpack(b"D99999999999999999999:").is_empty());
    }

    #[test]
    fn logs_of_programs_that_are_loaded_at_once_are_told_apart() {
        let line = |text: &str| Line { level: Level::Debug, text: text.to_owned() };
        let log = line("libbpf: prog 'a': -- BEGIN PROG LOAD LOG --\nprocessed 2 insns\n-- END PROG LOAD LOG --\n");
        assert_eq!(verifier_log_of(&log, "a"), Some("processed 2 insns\n"));
        assert_eq!((verifier_log_of(&log, "b"), verifier_log_of(&log, "")), (None, None));
        // The kernel may repeat what a program has in its strings.
        let quoted = line("libbpf: prog 'b': -- BEGIN PROG LOAD LOG --\nprog 'a': -- BEGIN PROG LOAD LOG --\n");
        assert_eq!(verifier_log_of(&quoted, "a"), None);
        assert_eq!(verifier_log_of(&line("libbpf: prog 'a': relo #0: no matching targets found\n"), "a"), None);
    }

    #[test]
    fn failed_maps_are_named() {
        assert_eq!(failed_map("map 'events': failed to create: -EINVAL"), Some("events"));
        assert_eq!(failed_map("map 'events': created successfully, fd=4"), None);
        assert_eq!(failed_map("prog 'events': failed to create: x"), None);
    }

    #[test]
    fn externs_that_are_there_are_not_missing() {
        assert_eq!(missing_extern("extern 'gone' (strong): not resolved"), Some("gone"));
        assert_eq!(missing_extern("extern (func ksym) 'f': not found in kernel or module BTFs"), Some("f"));
        assert_eq!(missing_extern("extern (var ksym) 'v': not found in kernel BTF"), Some("v"));
        assert_eq!(missing_extern("extern (func ksym) 'f': func_proto [9] incompatible with vmlinux [8]"), None);
        assert_eq!(missing_extern("extern 'f' (weak): not resolved, defaulting to zero"), None);
        assert_eq!(missing_extern("map 'f': failed to create: -EINVAL"), None);
    }

    #[test]
    fn what_bears_on_a_map_is_found() {
        let info = |text: &str| Line { level: Level::Info, text: text.to_owned() };
        let lines = [
            info("libbpf: Error loading .BTF into kernel: -EINVAL. BTF is optional, ignoring.\n"),
            warn("libbpf: Error in bpf_create_map_xattr(a): -EINVAL. Retrying without BTF.\n"),
            warn("libbpf: Error in bpf_create_map_xattr(b): -EINVAL. Retrying without BTF.\n"),
            warn("libbpf: couldn't reuse pinned map at '/sys/fs/bpf/a': parameter mismatch\n"),
            warn("libbpf: map 'a': failed to initialize slot [0] to map 'b' fd=5: -EINVAL\n"),
            warn("libbpf: map 'a': failed to create: -EINVAL\n"),
        ];
        let about = |map| about_map(&lines, map).len();
        assert_eq!((about("a"), about("b"), about("c")), (4, 2, 1));
    }

    #[test]
    fn missing_structs_are_told_apart() {
        let wrapped = "struct_ops init_kern: struct bpf_struct_ops_sched_ext_ops is not found in kernel BTF";
        assert!(names_struct(wrapped, "sched_ext_ops") && !names_struct(wrapped, "tcp_congestion_ops"));
        assert!(names_struct("struct_ops init_kern: struct hid_bpf_ops is not found in kernel BTF", "hid_bpf_ops"));
        assert!(!names_struct(wrapped, "ext_ops"));
    }

    #[test]
    fn struct_ops_failures_name_the_map_where_libbpf_does() {
        let whole = "struct_ops init_kern: struct bpf_x is not found in kernel BTF";
        assert_eq!(failed_struct_ops(whole), Some(None));
        assert_eq!(
            failed_struct_ops("struct_ops init_kern ops: Cannot find member x in kernel BTF"),
            Some(Some("ops"))
        );
        assert_eq!(failed_struct_ops("map 'ops': failed to create: -EINVAL"), None);
    }
}
