//! [`Fact`]: something that a kernel's BTF says, in a small closed language.
//!
//! ```text
//! always                           never
//! field task_struct.state          field mm_struct.rss_stat.count     (through structs and unions, not arrays or pointers)
//! field-size task_struct.on_cpu == 4                                  (bytes)
//! type struct mnt_idmap            also: union, enum, typedef
//! enumerator bpf_func_id.BPF_FUNC_loop
//! value iter_type.ITER_IOVEC == 0
//! func bpf_task_from_pid           a function of vmlinux
//! func-args NAME >= 5              of a function, or of the prototype behind a typedef such as `btf_trace_sched_switch`, which
//!                                  counts the `void *` that comes before a tracepoint's own arguments
//! in xfs FACT                      the same of the kernel's module xfs; of one without BTF only `func` can hold
//! module-types                     the types of the kernel's modules are known
//! module-functions                 their functions are, by types or by symbols
//! not FACT       FACT and FACT       FACT or FACT                     (`and` and `or` do not mix)
//! ```

use std::cell::OnceCell;
use std::collections::BTreeMap;

use corematrix::object::btf::{Btf, TypeKind, Want};
use corematrix::store::StoredKernel;

/// A statement about a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Always,
    Never,
    Field(Vec<String>),
    FieldSize(Vec<String>, u32),
    Type(Want, String),
    Enumerator(String, String),
    Value(String, String, i64),
    Func(String),
    FuncArgs(String, usize),
    InModule(String, Box<Fact>),
    ModuleTypes,
    ModuleFunctions,
    Not(Box<Fact>),
    All(Vec<Fact>),
    Any(Vec<Fact>),
}

impl Fact {
    /// Reads a fact; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Fact, String> {
        let parts = |word: &str| text.split(word).map(Fact::parse).collect::<Result<Vec<_>, _>>();
        match (text.contains(" and "), text.contains(" or ")) {
            (true, true) => return Err(format!("`{text}` mixes `and` and `or`")),
            (true, false) => return parts(" and ").map(Fact::All),
            (false, true) => return parts(" or ").map(Fact::Any),
            (false, false) => {}
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let pair = |text: &str| {
            let (left, right) = text.split_once('.').ok_or(format!("`{text}` is not ENUM.VALUE"))?;
            Ok::<_, String>((left.to_owned(), right.to_owned()))
        };
        let number = |text: &str| text.parse::<u32>().map_err(|error| format!("`{text}`: {error}"));
        Ok(match words[..] {
            ["always"] => Fact::Always,
            ["never"] => Fact::Never,
            ["module-types"] => Fact::ModuleTypes,
            ["module-functions"] => Fact::ModuleFunctions,
            ["in", module, _, ..] => Fact::InModule(module.to_owned(), Box::new(Fact::parse(&words[2..].join(" "))?)),
            ["not", ..] => Fact::Not(Box::new(Fact::parse(&words[1..].join(" "))?)),
            ["field", field] if field.contains('.') => Fact::Field(path(field)),
            ["field-size", field, "==", size] => Fact::FieldSize(path(field), number(size)?),
            ["type", "struct", name] => Fact::Type(Want::Struct, name.to_owned()),
            ["type", "union", name] => Fact::Type(Want::Union, name.to_owned()),
            ["type", "enum", name] => Fact::Type(Want::Enum, name.to_owned()),
            ["type", "typedef", name] => Fact::Type(Want::Typedef, name.to_owned()),
            ["enumerator", constant] => {
                let (of, name) = pair(constant)?;
                Fact::Enumerator(of, name)
            }
            ["value", constant, "==", value] => {
                let (of, name) = pair(constant)?;
                Fact::Value(of, name, i64::from(number(value)?))
            }
            ["func", name] => Fact::Func(name.to_owned()),
            ["func-args", name, ">=", count] => Fact::FuncArgs(name.to_owned(), number(count)? as usize),
            _ => return Err(format!("`{text}` is not a fact")),
        })
    }

    /// Whether it holds for a kernel.
    pub fn holds(&self, kernel: &KernelFacts) -> bool {
        match self {
            Fact::InModule(module, fact) => match kernel.types_of(module) {
                Some(types) => fact.holds_for(&types),
                None => matches!(&**fact, Fact::Func(name) if kernel.has_function(module, name)),
            },
            Fact::ModuleTypes => kernel.stored.as_ref().is_some_and(|stored| stored.module_btf.is_some()),
            Fact::ModuleFunctions => kernel
                .stored
                .as_ref()
                .is_some_and(|stored| stored.module_btf.is_some() || stored.module_symbols.is_some()),
            Fact::Not(fact) => !fact.holds(kernel),
            Fact::All(facts) => facts.iter().all(|fact| fact.holds(kernel)),
            Fact::Any(facts) => facts.iter().any(|fact| fact.holds(kernel)),
            own => own.holds_for(&kernel.own),
        }
    }

    /// Whether it holds for these types.
    fn holds_for(&self, kernel: &Btf) -> bool {
        match self {
            Fact::Always => true,
            Fact::Never | Fact::InModule(..) | Fact::ModuleTypes | Fact::ModuleFunctions => false,
            Fact::Field(path) => field(kernel, path).is_some(),
            Fact::FieldSize(path, size) => field(kernel, path).and_then(|id| kernel.size_of(id)) == Some(*size),
            Fact::Type(want, name) => exact(kernel, name, *want).next().is_some(),
            Fact::Enumerator(of, name) => enumerator(kernel, of, name).is_some(),
            Fact::Value(of, name, value) => enumerator(kernel, of, name) == Some(*value),
            Fact::Func(name) => exact(kernel, name, Want::Function).next().is_some(),
            Fact::FuncArgs(name, count) => parameters(kernel, name).is_some_and(|found| found >= *count),
            Fact::Not(fact) => !fact.holds_for(kernel),
            Fact::All(facts) => facts.iter().all(|fact| fact.holds_for(kernel)),
            Fact::Any(facts) => facts.iter().any(|fact| fact.holds_for(kernel)),
        }
    }

    /// Whether it is not known, since it is about modules that are not known.
    pub fn is_open(&self, kernel: &KernelFacts) -> bool {
        match self {
            Fact::InModule(..) => !Fact::ModuleFunctions.holds(kernel),
            Fact::Not(fact) => fact.is_open(kernel),
            Fact::All(facts) | Fact::Any(facts) => facts.iter().any(|fact| fact.is_open(kernel)),
            _ => false,
        }
    }
}

/// What is known about a kernel: its own types, and what the store has of its modules.
pub struct KernelFacts {
    own: Btf,
    stored: Option<StoredKernel>,
    modules: OnceCell<BTreeMap<String, Vec<u8>>>,
    functions: OnceCell<BTreeMap<String, Vec<String>>>,
}

impl KernelFacts {
    /// Of a kernel of the store.
    pub fn of(own: Btf, stored: StoredKernel) -> KernelFacts {
        KernelFacts { stored: Some(stored), ..KernelFacts::without_modules(own) }
    }

    /// From BTF alone.
    pub fn without_modules(own: Btf) -> KernelFacts {
        KernelFacts { own, stored: None, modules: OnceCell::new(), functions: OnceCell::new() }
    }

    fn types_of(&self, module: &str) -> Option<Btf> {
        let stored = self.stored.as_ref()?;
        let read = || stored.module_types().expect("types of modules that can be read").into_iter().collect();
        let raw = self.modules.get_or_init(read).get(module)?;
        Some(Btf::parse_split(raw, &self.own).expect("the BTF of a module"))
    }

    fn has_function(&self, module: &str, name: &str) -> bool {
        let Some(stored) = &self.stored else { return false };
        let read = || stored.module_functions().expect("symbols of modules that can be read").into_iter().collect();
        let known = self.functions.get_or_init(read).get(module);
        known.is_some_and(|functions| functions.iter().any(|function| function == name))
    }
}

/// Ids of the types of a kind with exactly this name.
fn exact<'a>(btf: &'a Btf, name: &'a str, want: Want) -> impl Iterator<Item = u32> {
    btf.candidates(name, want).filter(move |id| btf.name(*id) == name)
}

/// The type id of the field at the end of a path that begins with a struct's name.
fn field(btf: &Btf, path: &[String]) -> Option<u32> {
    let (first, members) = path.split_first()?;
    let structs = exact(btf, first, Want::Struct);
    structs
        .chain(exact(btf, first, Want::Union))
        .find_map(|id| members.iter().try_fold(id, |id, name| btf.member(id, name).map(|place| place.type_id)))
}

fn enumerator(btf: &Btf, of: &str, name: &str) -> Option<i64> {
    let value = |id| btf.enumerators(id).iter().find(|value| btf.string(value.name_offset).as_deref() == Some(name));
    exact(btf, of, Want::Enum).find_map(value).map(|value| value.value)
}

/// How many parameters a function has, or the prototype behind a typedef.
fn parameters(btf: &Btf, name: &str) -> Option<usize> {
    let functions = exact(btf, name, Want::Function).filter_map(|id| match btf.get(id)?.kind {
        TypeKind::Function(prototype) => btf.get(prototype),
        _ => None,
    });
    let typedefs = exact(btf, name, Want::Typedef).filter_map(|id| match btf.resolve(id)?.kind {
        TypeKind::Pointer(pointee) => btf.resolve(pointee),
        _ => btf.resolve(id),
    });
    functions.chain(typedefs).find_map(|target| match &target.kind {
        TypeKind::Prototype { parameters, .. } => Some(parameters.len()),
        _ => None,
    })
}
