//! [`Prototype`]: the parameters of an attach target as the kernel has them, and [`Declared`]: as a program declares them.

use crate::object::btf::{Btf, TypeKind, Want, essential_name};

/// Where a program finds the arguments of its target in its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArgumentSource {
    /// One after the other, eight bytes each.
    Array,
    /// In the registers of x86-64 that `struct pt_regs` has.
    Registers,
}

/// What an attach target takes and returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prototype {
    /// The kernel's function or tracepoint.
    pub name: String,
    /// How a program gets at its arguments.
    pub shape: ArgumentSource,
    /// In order.
    pub parameters: Vec<Argument>,
    /// What it returns; `None` if programs of this sort cannot see that.
    pub returns: Option<Argument>,
}

/// A parameter, or what a function returns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Argument {
    /// Empty for a nameless one.
    pub name: String,
    /// The declaration without the name; a C type.
    pub type_text: String,
    /// For a pointer: the struct or union it points to, without flavour; empty if that is something else.
    pub points_to: Option<String>,
    /// Bytes, if it is a number.
    pub size: Option<u32>,
}

/// What a program declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    /// Those that are known: what stands on further lines is missing.
    pub parameters: Vec<Argument>,
}

impl ArgumentSource {
    /// The offset of an argument in the context.
    pub fn offset(self, number: usize) -> Option<i16> {
        /// `di`, `si`, `dx`, `cx`, `r8`, `r9`.
        const REGISTERS: [i16; 6] = [112, 104, 96, 88, 72, 64];
        match self {
            ArgumentSource::Array => i16::try_from(number * 8).ok(),
            ArgumentSource::Registers => REGISTERS.get(number).copied(),
        }
    }
}

impl Prototype {
    /// The prototype of what a section names; `None` if the kernel has none, or several functions of that name.
    pub fn of(section: &str, kernel: &Btf) -> Option<Prototype> {
        let (kind, target) = section.split_once('/')?;
        let kind = kind.strip_suffix(".s").unwrap_or(kind);
        let function = |name: &str, shape, returns| of_function(name, shape, returns, kernel);
        match kind {
            "lsm" | "lsm_cgroup" => function(&format!("bpf_lsm_{target}"), ArgumentSource::Array, true),
            "fentry" => function(target, ArgumentSource::Array, false),
            "fexit" | "fmod_ret" | "fsession" => function(target, ArgumentSource::Array, true),
            "kprobe" => function(target, ArgumentSource::Registers, false),
            "tp_btf" | "raw_tp" | "raw_tracepoint" | "raw_tp.w" | "raw_tracepoint.w" => of_tracepoint(target, kernel),
            _ => None,
        }
    }
}

fn of_function(name: &str, shape: ArgumentSource, returns: bool, kernel: &Btf) -> Option<Prototype> {
    let mut candidates = kernel.candidates(name, Want::Function).filter(|&id| kernel.name(id) == name);
    let id = candidates.next().filter(|_| candidates.next().is_none())?;
    let TypeKind::Function(prototype) = kernel.get(id)?.kind else { return None };
    let (parameters, returned) = parts(prototype, kernel)?;
    let returns = returns.then_some(returned);
    Some(Prototype { name: name.to_owned(), shape, parameters, returns })
}

/// A tracepoint has its types behind `typedef void (*btf_trace_NAME)(void *, ...)`, and its names in `__traceiter_NAME`.
fn of_tracepoint(name: &str, kernel: &Btf) -> Option<Prototype> {
    let id = kernel.find(&format!("btf_trace_{name}"), Want::Typedef)?;
    let TypeKind::Pointer(prototype) = kernel.resolve(id)?.kind else { return None };
    let (mut parameters, _) = parts(prototype, kernel)?;
    if parameters.is_empty() {
        return None;
    }
    parameters.remove(0);
    let iterator = of_function(&format!("__traceiter_{name}"), ArgumentSource::Array, false, kernel);
    if let Some(Prototype { parameters: named, .. }) = iterator
        && named.len() == parameters.len() + 1
    {
        parameters = named.into_iter().skip(1).collect();
    }
    Some(Prototype { name: name.to_owned(), shape: ArgumentSource::Array, parameters, returns: None })
}

/// Parameters and what is returned; `None` if one takes more than one place, or their number varies.
fn parts(prototype: u32, kernel: &Btf) -> Option<(Vec<Argument>, Argument)> {
    let TypeKind::Prototype { returns, parameters } = &kernel.resolve(prototype)?.kind else { return None };
    let one = |name_offset: u32, type_id: u32| {
        let argument = Argument::of(kernel.string(name_offset).unwrap_or_default(), type_id, kernel);
        (type_id != 0 && !argument.type_text.is_empty()).then_some(argument)
    };
    let parameters: Option<Vec<Argument>> =
        parameters.iter().map(|one_of| one(one_of.name_offset, one_of.type_id)).collect();
    Some((parameters?, Argument::of(String::new(), *returns, kernel)))
}

/// The struct or union of this name.
pub(super) fn composite(name: &str, kernel: &Btf) -> Option<u32> {
    kernel.find(name, Want::Struct).or_else(|| kernel.find(name, Want::Union))
}

impl Argument {
    fn of(name: String, type_id: u32, btf: &Btf) -> Argument {
        let kind = btf.resolve(type_id).map(|found| &found.kind);
        let points_to = match kind {
            Some(TypeKind::Pointer(to)) => Some(btf.resolve(*to).map_or_else(String::new, |found| match found.kind {
                TypeKind::Composite { .. } | TypeKind::Forward { .. } => {
                    essential_name(&btf.string(found.name_offset).unwrap_or_default()).to_owned()
                }
                _ => String::new(),
            })),
            _ => None,
        };
        let size = match kind {
            Some(TypeKind::Int { size, .. } | TypeKind::Enum { size, .. }) => Some(*size),
            _ => None,
        };
        // A struct by value takes several places.
        let is_known = points_to.is_some() || size.is_some() || type_id == 0;
        let type_text = if is_known { btf.type_name(type_id) } else { String::new() };
        Argument { name, type_text, points_to, size }
    }

    /// Reads a parameter as C declares it; a type that is not understood is neither pointer nor number.
    fn read(text: &str) -> Argument {
        let text = text.trim();
        let at = text.rfind(|other: char| !other.is_ascii_alphanumeric() && other != '_').map_or(0, |at| at + 1);
        let (type_text, name) = text.split_at(at);
        let type_text = type_text.trim().to_owned();
        let words: Vec<&str> = type_text
            .split(|other: char| other.is_whitespace() || other == '*')
            .filter(|word| !["", "const", "volatile", "restrict", "register"].contains(word))
            .collect();
        let stars = type_text.matches('*').count();
        let is_plain = type_text.chars().all(|other| other.is_ascii_alphanumeric() || " _*\t".contains(other));
        let points_to = (is_plain && stars > 0).then(|| match words[..] {
            ["struct" | "union", name] if stars == 1 => essential_name(name).to_owned(),
            _ => String::new(),
        });
        let size = (is_plain && stars == 0).then(|| size_of(&words)).flatten();
        Argument { name: name.to_owned(), type_text, points_to, size }
    }

    /// Whether it is a pointer.
    pub fn is_pointer(&self) -> bool {
        self.points_to.is_some()
    }

    /// As C declares it: `struct file *file`.
    pub fn text(&self) -> String {
        let gap = if self.type_text.ends_with('*') || self.name.is_empty() { "" } else { " " };
        format!("{}{gap}{}", self.type_text, self.name)
    }
}

/// Bytes of a number on x86-64, by the words of its type.
fn size_of(words: &[&str]) -> Option<u32> {
    match words {
        [one] => match *one {
            "char" | "bool" | "_Bool" | "u8" | "s8" | "__u8" | "__s8" => Some(1),
            "short" | "u16" | "s16" | "__u16" | "__s16" | "__be16" | "umode_t" => Some(2),
            "int" | "unsigned" | "u32" | "s32" | "__u32" | "__s32" | "__be32" | "pid_t" | "gfp_t" | "dev_t"
            | "uid_t" => Some(4),
            "long" | "u64" | "s64" | "__u64" | "__s64" | "size_t" | "ssize_t" | "loff_t" | "sector_t" => Some(8),
            _ => None,
        },
        ["enum", _] => Some(4),
        [.., "char"] => Some(1),
        _ if words.contains(&"short") => Some(2),
        _ if words.contains(&"long") => Some(8),
        ["unsigned" | "signed", "int"] => Some(4),
        _ => None,
    }
}

impl Declared {
    /// Reads the parameters of `BPF_PROG(name, ...)` from a source line; what stands on further lines is missing.
    pub fn read(line: &str, macros: &[&str], name: &str) -> Option<Declared> {
        let (_, rest) = macros.iter().find_map(|one| line.split_once(one))?;
        let rest = rest.trim_start().strip_prefix(name)?.trim_start();
        let Some(rest) = rest.strip_prefix(',') else {
            return rest.starts_with(')').then_some(Declared { parameters: Vec::new() });
        };
        let (mut parameters, mut depth, mut begin) = (Vec::new(), 0usize, 0);
        for (at, byte) in rest.bytes().enumerate() {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' if depth == 0 => {
                    parameters.push(Argument::read(&rest[begin..at]));
                    return Some(Declared { parameters });
                }
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                b',' if depth == 0 => {
                    parameters.push(Argument::read(&rest[begin..at]));
                    begin = at + 1;
                }
                _ => {}
            }
        }
        Some(Declared { parameters })
    }

    /// Whether there are more than so many, as far as is known.
    pub fn is_longer_than(&self, count: usize) -> bool {
        self.parameters.len() > count
    }
}
