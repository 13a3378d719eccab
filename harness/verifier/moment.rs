//! [`Moment`]: the registers as the verifier had them when it refused a program, and the source lines on the way there.
//!
//! Kernels before 5.18 print all registers before each instruction, and only at the highest log level; later ones print behind each
//! instruction what it has changed, and all registers where they take up another branch.

use std::collections::BTreeMap;

use super::line::LogLine;

/// The moment when the verifier refused a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The instruction, numbered as the verifier does.
    pub insn: u32,
    /// Its text: `(61) r1 = *(u32 *)(r1 +104)`.
    pub text: String,
    /// What the verifier knew of each register and stack slot before it, in the function that it was in.
    pub registers: Vec<Register>,
    /// The source lines on the way there, oldest first; none twice in a row.
    pub path: Vec<Visit>,
}

/// What the verifier knew of a register or stack slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// `R1` or `fp-8`.
    pub name: String,
    /// `scalar(id=1,umax=64)`.
    pub value: String,
    /// Whether the instruction that was refused uses it.
    pub used: bool,
}

/// A source line that the verifier came through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The first instruction of it.
    pub insn: u32,
    /// The line.
    pub text: String,
    /// Its file and number; kernels before 6.8 do not say.
    pub place: Option<(String, u32)>,
}

/// Registers by the number of their frame, then by their order in a log.
type Frames = BTreeMap<u32, BTreeMap<(u8, i64), (String, String)>>;

#[derive(Default)]
struct Walk {
    frames: Frames,
    frame: u32,
    /// As it was before the last instruction.
    before: Option<BTreeMap<(u8, i64), (String, String)>>,
    last: Option<(u32, String)>,
    path: Vec<Visit>,
    /// Whether the kernel prints behind an instruction what that has changed.
    tells_changes: bool,
    /// A line that no instruction followed yet.
    source: Option<(String, Option<(String, u32)>)>,
}

impl Moment {
    /// The moment that a log ends with; `None` if there is no instruction in it. Takes time linear in the log's length but for the
    /// branches, which go back on the way.
    pub fn read(log: &str) -> Option<Moment> {
        let mut walk = Walk::default();
        for line in log.lines() {
            walk.take(line);
        }
        let (insn, text) = walk.last?;
        let registers = walk.before.unwrap_or_default().into_values();
        let registers = registers.map(|(name, value)| {
            let used = uses(&text, &name);
            Register { name, value, used }
        });
        Some(Moment { insn, registers: registers.collect(), path: walk.path, text })
    }
}

impl Walk {
    fn take(&mut self, line: &str) {
        match LogLine::read(line) {
            LogLine::Instruction { index, text } => {
                self.before = Some(self.frames.get(&self.frame).cloned().unwrap_or_default());
                self.last = Some((index, text.to_owned()));
                if let Some((text, place)) = self.source.take()
                    && self.path.last().is_none_or(|last| (&last.text, &last.place) != (&text, &place))
                {
                    self.path.push(Visit { insn: index, text, place });
                }
                if text.starts_with("(85) call ") {
                    self.called(text);
                }
                if let Some((_, after)) = line.split_once(';') {
                    self.tells_changes = true;
                    self.state(after);
                }
            }
            LogLine::Source { text, place } if !text.is_empty() => {
                self.source = Some((text.to_owned(), place.map(|(file, line)| (file.to_owned(), line))));
            }
            LogLine::Branch(branch) => {
                let from = branch.strip_prefix("from ").and_then(|rest| rest.split(' ').next()?.parse().ok());
                if let Some(from) = from {
                    self.go_back(from);
                }
                self.frames.clear();
                self.frame = 0;
                if let Some((_, after)) = line.split_once(':') {
                    self.state(after);
                }
            }
            LogLine::State => self.state(line),
            _ => {}
        }
    }

    /// The way to an instruction where the verifier takes up another branch ends at the last visit before it.
    fn go_back(&mut self, from: u32) {
        if let Some(last) = self.path.iter().rposition(|visit| visit.insn <= from) {
            self.path.truncate(last + 1);
        }
        self.source = None;
    }

    /// A call leaves nothing in the registers of arguments, and a call of the program's own begins a frame.
    fn called(&mut self, text: &str) {
        if text.contains("call pc") {
            return;
        }
        if let Some(frame) = self.frames.get_mut(&self.frame) {
            (1..=5).for_each(|register| drop(frame.remove(&(0, register))));
        }
    }

    fn state(&mut self, text: &str) {
        let text = text.trim_start();
        // `12: R1=ctx()` of old kernels and `12: safe`.
        let text = match text.split_once(": ") {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest.trim_start(),
            _ => text,
        };
        let (frame, text) = match text.strip_prefix("frame").and_then(|rest| rest.split_once(": ")) {
            Some((number, rest)) => (number.parse().unwrap_or(0), rest.trim_start()),
            None => (0, text),
        };
        let found: Vec<_> = words(text).filter_map(register).collect();
        if found.is_empty() {
            return;
        }
        let known = self.frames.entry(frame).or_default();
        // The frame pointer never changes, so where it is printed all are; what changed has it only beside a slot.
        if !self.tells_changes && found.iter().any(|(key, _)| *key == (0, 10)) {
            known.clear();
        }
        known.extend(found);
        self.frame = frame;
        self.frames.retain(|&other, _| other <= frame);
    }
}

/// The words of a state; blanks in brackets belong to a word.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    text.split(move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ' ' && depth <= 0
    })
    .filter(|word| !word.is_empty())
}

/// `R1_w=scalar()` or `fp-8=mmmm????`, with its place in the order of a log.
fn register(word: &str) -> Option<((u8, i64), (String, String))> {
    let (name, value) = word.split_once('=')?;
    // `_w`, `_r`: whether it was read or written, which is irrelevant here.
    let name = name.split('_').next()?;
    let key = match name.strip_prefix("fp-") {
        Some(slot) => (1, -slot.parse::<i64>().ok()?),
        None => (0, name.strip_prefix('R')?.parse().ok()?),
    };
    Some((key, (name.to_owned(), value.to_owned())))
}

/// Whether an instruction has to do with a register: by its name, or as an argument of a call.
fn uses(insn: &str, register: &str) -> bool {
    let Some(number) = register.strip_prefix('R') else { return false };
    if insn.starts_with("(85) call ") {
        return matches!(number, "1" | "2" | "3" | "4" | "5");
    }
    let mut rest = insn;
    // 32-bit halves are called `w1`.
    while let Some(at) = rest.find(['r', 'w']) {
        let follows = &rest[at + 1..];
        let digits: &str = &follows[..follows.bytes().take_while(u8::is_ascii_digit).count()];
        let stands_alone = !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if stands_alone && digits == number {
            return true;
        }
        rest = follows;
    }
    insn.starts_with("(95)") && number == "0"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(log: &str) -> String {
        let Some(moment) = Moment::read(log) else { return "nothing".to_owned() };
        let mut text = format!("{}: {}\n", moment.insn, moment.text);
        for Register { name, value, used } in moment.registers {
            text += &format!("{} {name} = {value}\n", if used { '>' } else { ' ' });
        }
        for Visit { insn, text: line, place } in moment.path {
            let place = place.map_or_else(String::new, |(file, line)| format!(" at {file}:{line}"));
            text += &format!("{insn} {line}{place}\n");
        }
        text
    }

    #[test]
    fn old_kernels_tell_all_registers_before_each_instruction() {
        let log = "0: R1=ctx(id=0,off=0,imm=0) R10=fp0\n; struct x *y = ctx->args[1];\n0: (79) r6 = *(u64 *)(r1 +8)\n\
                   1: R1=ctx(id=0,off=0,imm=0) R6_w=inv(id=0,umax_value=7,var_off=(0x0; 0x7)) R10=fp0 fp-8=mmmm????\n\
                   ; return y->z;\n1: (61) r0 = *(u32 *)(r6 +4)\nR6 invalid mem access 'inv'\nprocessed 2 insns\n";
        insta::assert_snapshot!(shown(log), @r"
        1: (61) r0 = *(u32 *)(r6 +4)
          R1 = ctx(id=0,off=0,imm=0)
        > R6 = inv(id=0,umax_value=7,var_off=(0x0; 0x7))
          R10 = fp0
          fp-8 = mmmm????
        0 struct x *y = ctx->args[1];
        1 return y->z;
        ");
    }

    #[test]
    fn new_kernels_tell_what_an_instruction_changed() {
        let log = "0: R1=ctx() R10=fp0\n; a(); @ x.c:3\n0: (bf) r6 = r1                       ; R1=ctx() R6_w=ctx()\n\
                   1: (85) call bpf_ktime_get_ns#5        ; R0_w=scalar()\n; if (b) @ x.c:4\n\
                   2: (15) if r0 == 0x0 goto pc+2         ; R0_w=scalar()\n; c(); @ x.c:5\n3: (b7) r0 = 0   ; R0_w=0\n\
                   4: (95) exit\n\nfrom 2 to 5: R0=0 R6=ctx() R10=fp0\n; d(); @ x.c:6\n\
                   5: (7b) *(u64 *)(r10 -8) = r6         ; R6=ctx() R10=fp0 fp-8_w=ctx()\n6: (61) r0 = *(u32 *)(r1 +0)\n\
                   R1 !read_ok\nprocessed 6 insns\n";
        insta::assert_snapshot!(shown(log), @r"
        6: (61) r0 = *(u32 *)(r1 +0)
        > R0 = 0
          R6 = ctx()
          R10 = fp0
          fp-8 = ctx()
        0 a(); at x.c:3
        2 if (b) at x.c:4
        5 d(); at x.c:6
        ");
    }

    #[test]
    fn functions_have_registers_of_their_own() {
        let log = "0: R1=ctx() R10=fp0\n0: (85) call pc+2\ncaller:\n R10=fp0\ncallee:\n frame1: R1=ctx() R10=fp0\n\
                   3: (79) r2 = *(u64 *)(r1 +0)    ; frame1: R1=ctx() R2_w=scalar()\n4: (71) r0 = *(u8 *)(r2 +0)\n\
                   R2 invalid mem access 'scalar'\n";
        insta::assert_snapshot!(shown(log), @r"
        4: (71) r0 = *(u8 *)(r2 +0)
          R1 = ctx()
        > R2 = scalar()
          R10 = fp0
        ");
    }

    #[test]
    fn arguments_of_calls_are_used_and_their_names_are_not_taken_for_others() {
        assert!(uses("(85) call bpf_probe_read#4", "R3") && !uses("(85) call bpf_probe_read#4", "R6"));
        assert!(uses("(7b) *(u64 *)(r10 -8) = r1", "R1") && uses("(7b) *(u64 *)(r10 -8) = r1", "R10"));
        assert!(!uses("(bf) r11 = r10", "R1") && uses("(bc) w3 = w4", "R4") && uses("(95) exit", "R0"));
        assert_eq!(shown("processed 0 insns\n"), "nothing");
    }
}
