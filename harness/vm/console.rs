//! Reads what a guest's console and QEMU's error output say about an end that no one expected.

/// How many lines of console a report keeps.
const TAIL_LINES: usize = 30;

/// Who ended the machine, as far as its output shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Culprit {
    /// The kernel, by its own words.
    Kernel(String),
    /// QEMU could not make sense of the image.
    Image(String),
    /// QEMU or the host.
    Harness(String),
}

/// Lines that name no culprit although they look like it: QEMU's warnings, and the kernel's remark that nothing moved for a while,
/// which is the host's fault as often as not.
const HARMLESS: [&str; 4] = [": warning: ", ": info: ", "soft lockup", "workqueue lockup"];

/// Lines with which a kernel says that it crashed, most specific first.
const CRASHES: [&str; 7] = [
    "BUG: ",
    "Oops: ",
    "general protection fault",
    "kernel BUG at ",
    "Unable to handle kernel",
    "Kernel panic - not syncing",
    "end Kernel panic",
];

/// QEMU's words for an image it cannot start.
const BAD_IMAGES: [&str; 5] = [
    "could not load kernel",
    "invalid kernel header",
    "Error loading uncompressed kernel",
    "linux kernel too old to load a ram disk",
    "could not open kernel file",
];

/// QEMU's words for its own and the host's failures.
const HARNESS: [&str; 3] = ["qemu-system-x86_64: ", "qemu: ", "Could not access KVM"];

/// QEMU's words for firmware that is not where it looks for it. Without the BIOS it ends, but without the code that starts a kernel it
/// runs a machine that stands still.
pub const NO_FIRMWARE: [&str; 5] = [
    "could not load PC BIOS",
    "rom: file pvh.bin",
    "rom: file linuxboot",
    "Could not open option rom 'pvh.bin'",
    "Could not open option rom 'linuxboot",
];

/// Words with which KVM and QEMU say that they cannot run a guest. What a guest does thereafter is none of its own doing.
pub const BROKEN: [&str; 9] = [
    "KVM: entry failed",
    "error: kvm run failed",
    "KVM internal error",
    "KVM: unknown exit",
    "KVM: exception ",
    LOST_INTERRUPT,
    "qemu: fatal: ",
    "tcg fatal error",
    "Bail out! ERROR:",
];
/// A guest may survive that.
const LOST_INTERRUPT: &str = "KVM: injection failed";
/// KVM could not emulate an instruction. QEMU stops the guest unless the CPU's state, which it writes next, is that of user space.
const EMULATION: &str = "KVM internal error. Suberror: 1";

/// Finds out who ended the machine.
pub fn culprit(output: &str) -> Option<Culprit> {
    let find = |marks: &[&str]| found(output, marks);
    // A KVM error may be followed by nonsense from the guest, so it comes first; a QEMU warning may stand above a real panic.
    if let Some(line) = find(&BROKEN).or_else(|| find(&NO_FIRMWARE)) {
        return Some(Culprit::Harness(line));
    }
    find(&BAD_IMAGES)
        .map(Culprit::Image)
        .or_else(|| find(&CRASHES).map(|line| Culprit::Kernel(without_timestamp(&line).to_owned())))
        .or_else(|| find(&HARNESS).map(Culprit::Harness))
}

/// The first line with one of these words, those of the first mark before all others; without its time.
pub fn line_with(output: &str, marks: &[&str]) -> Option<String> {
    found(output, marks).map(|line| without_timestamp(&line).to_owned())
}

/// The line with which QEMU gave up its guest permanently, in its error output. QEMU may still be there: it stops the guest's CPU and
/// waits for a debugger.
pub fn last_words(errors: &str) -> Option<String> {
    let is_last =
        |line: &str| NO_FIRMWARE.iter().chain(&BROKEN).any(|mark| *mark != LOST_INTERRUPT && has_word(line, mark));
    let survived = |from: usize| {
        let state = errors.lines().skip(from).find_map(|line| line.split_once(" CPL="));
        // The state may be yet to come.
        state.is_none_or(|(_, level)| level.starts_with('3'))
    };
    let mut lines = errors.lines().enumerate();
    let found = lines.find(|(at, line)| is_last(line) && !(line.contains(EMULATION) && survived(*at)));
    found.map(|(_, line)| clean(line).trim().to_owned())
}

/// Whether a kernel has panicked to the end and should have reset the machine.
pub fn stands_still(output: &str) -> bool {
    output.contains("end Kernel panic - not syncing")
}

/// The last line that a kernel wrote, without its time. Firmware and QEMU write to the same place, but no times.
pub fn last_word(output: &str) -> Option<String> {
    let lines = output.lines().map(clean);
    let stamped = lines.filter(|line| without_timestamp(line) != line && !is_harmless(line));
    stamped.map(|line| without_timestamp(&line).trim().to_owned()).rfind(|line| !line.is_empty())
}

fn found(output: &str, marks: &[&str]) -> Option<String> {
    let hit = |mark: &&str| output.lines().find(|line| has_word(line, mark) && !is_harmless(line));
    marks.iter().find_map(hit).map(|line| clean(line).trim().to_owned())
}

/// Whether `mark` is in the line and not the end of another word, as `BUG: ` is of `DEBUG: `.
fn has_word(line: &str, mark: &str) -> bool {
    line.match_indices(mark).any(|(at, _)| !line[..at].ends_with(|before: char| before.is_ascii_alphanumeric()))
}

fn is_harmless(line: &str) -> bool {
    HARMLESS.iter().any(|words| line.contains(words))
}

/// Whether nothing was written but QEMU's remarks.
pub fn is_empty(output: &str) -> bool {
    output.lines().all(|line| clean(line).trim().is_empty() || is_harmless(line))
}

/// The last lines, without terminal control sequences. An empty console is said to be empty.
pub fn tail(output: &str) -> Vec<String> {
    let lines: Vec<String> = output.lines().map(clean).filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return vec!["<empty boot output>".to_owned()];
    }
    lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec()
}

/// `[    1.234567] text` without the time, which differs from run to run.
fn without_timestamp(line: &str) -> &str {
    let stamped = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    stamped.map_or(line, |(_, text)| text)
}

/// Removes escape sequences (firmware clears the screen) and other control bytes.
fn clean(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' {
            if matches!(chars.peek(), Some('[' | '(')) {
                chars.next();
            }
            while chars.next().is_some_and(|next| !next.is_ascii_alphabetic()) {}
        } else if !char.is_control() || char == '\t' {
            text.push(char);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_cause_of_a_crash_is_preferred_to_the_panic_line() {
        let output = "[    0.9] x\n[    1.0] BUG: kernel NULL pointer dereference, address: 0\n[    1.1] Kernel panic - not syncing: Fatal";
        let reason = "BUG: kernel NULL pointer dereference, address: 0".to_owned();
        assert_eq!(culprit(output), Some(Culprit::Kernel(reason)));
    }

    #[test]
    fn harness_and_image_are_told_from_the_kernel() {
        let harness = "qemu-system-x86_64: failed to set MSR 0x10a\n";
        assert!(matches!(culprit(harness), Some(Culprit::Harness(_))));
        assert!(matches!(culprit("KVM internal error. Suberror: 1\nOops: bad"), Some(Culprit::Harness(_))));
        assert!(matches!(culprit("qemu: could not load kernel 'x': Invalid"), Some(Culprit::Image(_))));
        assert_eq!(culprit("all is well\n"), None);
    }

    #[test]
    fn last_words_of_kvm_and_qemu_are_known() {
        let state = |level| {
            format!(
                "extra data[0]: 0x0\nemulation failure\nCS =0033 0 ffffffff 00a0fb00 DPL=3 CS64\nRIP=1 RFL=2 [-------] CPL={level} II=0\n"
            )
        };
        for (errors, line) in [
            (
                "qemu-system-x86_64: warning: x\nKVM: entry failed, hardware error 0x80000021\n\nIf you're",
                Some("KVM: entry failed, hardware error 0x80000021"),
            ),
            ("error: kvm run failed Bad address\nRAX=0", Some("error: kvm run failed Bad address")),
            ("KVM: unknown exit, hardware reason 8\n", Some("KVM: unknown exit, hardware reason 8")),
            ("KVM internal error. Suberror: 3\n", Some("KVM internal error. Suberror: 3")),
            (
                "qemu: fatal: Trying to execute code outside RAM\n",
                Some("qemu: fatal: Trying to execute code outside RAM"),
            ),
            ("KVM: injection failed, MSI lost (Operation not permitted)\n", None),
            // Whether QEMU stops the guest is not known before it has written the CPU's state.
            ("KVM internal error. Suberror: 1\nextra data[0]: 0x0\n", None),
            (&format!("KVM internal error. Suberror: 1\n{}", state(3)), None),
            (&format!("KVM internal error. Suberror: 1\n{}", state(0)), Some("KVM internal error. Suberror: 1")),
            ("qemu-system-x86_64: terminating on signal 15\n", None),
        ] {
            assert_eq!(last_words(errors).as_deref(), line, "{errors}");
            if line.is_some() {
                let crash = format!("[    1.0] Kernel panic - not syncing: nonsense\n{errors}");
                assert!(matches!(culprit(&crash), Some(Culprit::Harness(found)) if Some(found.as_str()) == line));
            }
        }
    }

    #[test]
    fn nobody_is_blamed_for_remarks() {
        for remark in [
            "qemu-system-x86_64: warning: TCG doesn't support requested feature",
            "qemu-system-x86_64: info: something",
            "[   40.1] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [init:1]",
            "[   40.1] BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!",
            "[    1.0] DEBUG: all is well",
        ] {
            assert_eq!(culprit(remark), None, "{remark}");
            let crash = format!("{remark}\n[   41.0] Kernel panic - not syncing: Fatal");
            assert!(matches!(culprit(&crash), Some(Culprit::Kernel(line)) if line.starts_with("Kernel panic")));
        }
    }

    #[test]
    fn tail_is_clean_and_never_silent() {
        assert_eq!(tail("\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS\r\n\n"), ["SeaBIOS"]);
        assert_eq!(tail("\n \n"), ["<empty boot output>"]);
        let many: String = (0..100).map(|number| format!("line {number}\n")).collect();
        assert_eq!(tail(&many).last().map(String::as_str), Some("line 99"));
        assert_eq!(tail(&many).len(), TAIL_LINES);
    }
}
