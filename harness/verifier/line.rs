//! [`LogLine`]: what one line of a verifier log is.

/// One line of a verifier log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogLine<'a> {
    /// Nothing on it.
    Blank,
    /// `7: (15) if r0 == 0x0 goto pc+2`, also where libbpf rewrote it: `7: <invalid CO-RE relocation>`.
    Instruction {
        /// Its number after subprograms were appended.
        index: u32,
        /// Its text, without the registers that newer kernels add behind it.
        text: &'a str,
    },
    /// `; if (event)`, from 6.8 on `; if (event) @ events.bpf.c:126`. Empty where no source line belongs to what follows.
    Source {
        /// The source text.
        text: &'a str,
        /// File and line.
        place: Option<(&'a str, u32)>,
    },
    /// `from 5 to 8: ...`: the verifier takes up a branch that it had put aside; the text before the colon.
    Branch(&'a str),
    /// Registers and stack, and other traces of its state.
    State,
    /// How it looked for the origin of a value.
    Backtrack,
    /// Numbers at the end.
    Statistics,
    /// What kernels say of programs that are fine as well.
    Noise,
    /// The rest: words.
    Words(&'a str),
}

/// Starts of lines with the verifier's state.
const STATE: [&str; 9] = [
    "caller:",
    "callee:",
    "returning from callee:",
    "to caller at ",
    "cur state:",
    "old state:",
    "propagating ",
    "func#",
    "Live regs before insn:",
];

/// Starts of lines that show where the verifier looked for the origin of a value.
const BACKTRACK: [&str; 5] = ["last_idx ", "regs=", "parent didn't have ", "parent already had ", "mark_precise:"];

/// Starts of the lines at the end of a log. `subprog 0 (` and `stack depth max` came with 7.x.
const STATISTICS: [&str; 6] =
    ["processed ", "verification time ", "stack depth ", "subprog ", "max_states_per_insn ", "insns_self "];

/// Words that are said of programs that load as well.
const NOISE: [(&str, &str); 13] = [
    // What an argument of the traced function is, said whenever a program reads one.
    ("func '", " has btf_id "),
    ("marking pointer arg", " as scalar"),
    ("Cannot find btf of tracepoint template", ""),
    ("unreliable BTF for function ", ""),
    ("REG INVARIANTS VIOLATION", ""),
    ("arg#", " type is not a struct"),
    ("Unrecognized arg#", " type "),
    ("arg#", " reference type("),
    ("Func#", " is safe for any args that match its prototype"),
    ("Func#", " is global and valid. Skipping."),
    ("Func#", " is global and assumed valid."),
    ("Validating ", " func#"),
    ("verifier log line truncated", ""),
];

impl<'a> LogLine<'a> {
    /// Classifies `line`, in time linear in its length.
    pub(super) fn read(line: &'a str) -> Self {
        let line = line.trim_end();
        let bare = line.trim_start();
        match bare.as_bytes().first() {
            None => LogLine::Blank,
            Some(b';') => Self::source(&bare[1..]),
            Some(digit) if digit.is_ascii_digit() => Self::numbered(bare),
            Some(_) if is_state(bare) => LogLine::State,
            Some(_) if starts_with_any(bare, &BACKTRACK) => LogLine::Backtrack,
            // Indented words are parts of something longer.
            Some(_) if line.len() == bare.len() && starts_with_any(bare, &STATISTICS) => LogLine::Statistics,
            Some(_) if bare.starts_with("from ") => Self::branch(bare),
            Some(_) if NOISE.iter().any(|(start, then)| bare.starts_with(start) && bare.contains(then)) => {
                LogLine::Noise
            }
            Some(_) => LogLine::Words(line),
        }
    }

    fn source(text: &'a str) -> Self {
        let (text, place) = match text.rsplit_once(" @ ") {
            Some((text, place)) => match place.rsplit_once(':').map(|(file, line)| (file, line.parse())) {
                Some((file, Ok(line))) => (text, Some((file, line))),
                _ => (text, None),
            },
            None => (text, None),
        };
        let text = text.trim();
        // Line 0 is the compiler's way to say that there is none.
        LogLine::Source { text, place: place.filter(|(_, line)| *line > 0) }
    }

    fn numbered(bare: &'a str) -> Self {
        let Some((number, text)) = bare.split_once(": ") else { return LogLine::Words(bare) };
        let Ok(index) = number.parse() else { return LogLine::Words(bare) };
        let bytes = text.as_bytes();
        let coded = bytes.len() > 4 && bytes[0] == b'(' && bytes[3] == b')';
        if coded || bytes.first() == Some(&b'<') {
            let text = text.split_once(';').map_or(text, |(text, _)| text);
            return LogLine::Instruction { index, text: text.trim_end() };
        }
        // `0: R1=ctx() R10=fp0`, `12: safe`, live registers.
        LogLine::State
    }

    fn branch(bare: &'a str) -> Self {
        match bare.split_once(':') {
            Some((branch, _)) if branch.contains(" to ") => LogLine::Branch(branch),
            _ => LogLine::Words(bare),
        }
    }
}

/// Whether a line is a dump: ` R0_w=inv1 R10=fp0`, ` frame1: R6=...`, `fp-8=mmmm????`. `R0 invalid mem access` is none.
fn is_state(bare: &str) -> bool {
    if starts_with_any(bare, &STATE) {
        return true;
    }
    let bare = match bare.strip_prefix("frame").and_then(|rest| rest.split_once(": ")) {
        Some((_, rest)) => rest,
        None => bare,
    };
    let word = bare.split_ascii_whitespace().next().unwrap_or_default();
    (word.starts_with('R') || word.starts_with("fp-")) && word.contains('=')
}

fn starts_with_any(text: &str, starts: &[&str]) -> bool {
    starts.iter().any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_lose_the_registers_behind_them() {
        let line = "8: (85) call bpf_ringbuf_reserve#131          ; R0=ringbuf_mem_or_null(id=2,sz=8) refs=2";
        assert_eq!(LogLine::read(line), LogLine::Instruction { index: 8, text: "(85) call bpf_ringbuf_reserve#131" });
        let line = LogLine::read("1: <invalid kfunc call>");
        assert_eq!(line, LogLine::Instruction { index: 1, text: "<invalid kfunc call>" });
    }

    #[test]
    fn source_of_old_and_new_kernels() {
        assert_eq!(LogLine::read("; if (event)"), LogLine::Source { text: "if (event)", place: None });
        let new = LogLine::Source { text: "a @ b;", place: Some(("x/y.c", 12)) };
        assert_eq!(LogLine::read("; a @ b; @ x/y.c:12"), new);
        assert_eq!(LogLine::read(";  @ memory.bpf.c:0"), LogLine::Source { text: "", place: None });
    }

    #[test]
    fn dumps_are_not_words() {
        for line in [
            " R0_w=map_value(id=0,off=0,ks=4,vs=512,imm=0) R6_w=inv0 R10=fp0 fp-8=mmmm????",
            "0: R1=ctx() R10=fp0",
            "12: safe",
            " frame1: R0=1 R10=fp0",
            "cur state: R10=fp0",
        ] {
            assert_eq!(LogLine::read(line), LogLine::State, "{line}");
        }
        assert_eq!(LogLine::read("from 5 to 8: R0=0"), LogLine::Branch("from 5 to 8"));
        let words = "R0 invalid mem access 'map_value_or_null'";
        assert_eq!(LogLine::read(words), LogLine::Words(words));
    }
}
