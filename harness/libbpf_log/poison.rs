//! [`poisoned_calls`]: the instructions that libbpf made calls of nothing, since a map or kfunc is not there.

use crate::protocol::libbpf_log::{Line, bare};

/// An instruction that libbpf poisoned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoisonedCall {
    /// The program, not a subprogram.
    pub program: String,
    /// The instruction, numbered as the verifier does.
    pub insn: u32,
    /// What it refers to.
    pub target: PoisonedTarget,
}

/// What a poisoned instruction refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoisonedTarget {
    /// A map that was not created.
    Map(String),
    /// A kfunc that was not found.
    Kfunc(String),
}

/// Reads the lines of one load.
pub fn poisoned_calls(lines: &[Line]) -> Vec<PoisonedCall> {
    // Verifier logs are long and hold nothing of this.
    lines.iter().filter(|line| line.text.len() < 4096).filter_map(|line| poisoned(bare(&line.text))).collect()
}

/// `prog 'P': relo #2: poisoning insn #5 that loads map #1 'M'`, `... that calls kfunc 'F'`
fn poisoned(line: &str) -> Option<PoisonedCall> {
    let (program, rest) = line.strip_prefix("prog '")?.split_once("': relo #")?;
    let (_, rest) = rest.split_once(": poisoning insn #")?;
    let (insn, rest) = rest.split_once(" that ")?;
    let target = match rest.strip_prefix("calls kfunc '") {
        Some(name) => PoisonedTarget::Kfunc(name.strip_suffix('\'')?.to_owned()),
        None => {
            let (_, name) = rest.strip_prefix("loads map #")?.split_once(" '")?;
            PoisonedTarget::Map(name.strip_suffix('\'')?.to_owned())
        }
    };
    Some(PoisonedCall { program: program.to_owned(), insn: insn.parse().ok()?, target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::libbpf_log::Level;

    #[test]
    fn maps_and_kfuncs_are_told_apart() {
        let line = |text: &str| Line { level: Level::Debug, text: format!("libbpf: {text}\n") };
        let lines = [
            line("prog 'p': relo #2: poisoning insn #5 that loads map #1 'events'"),
            line("prog 'p': relo #3: poisoning insn #8 that calls kfunc 'bpf_gone'"),
            line("prog 'p': relo #4: substituting insn #9 w/ invalid insn"),
            line("prog 'p': relo #5: poisoning insn #x that loads map #1 'events'"),
        ];
        let call = |insn, target| PoisonedCall { program: "p".into(), insn, target };
        let expected =
            [call(5, PoisonedTarget::Map("events".into())), call(8, PoisonedTarget::Kfunc("bpf_gone".into()))];
        assert_eq!(poisoned_calls(&lines), expected);
    }
}
