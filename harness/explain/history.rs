//! [`Arms`]: which kernels have which form of a field or type, and its words.

use super::KernelTypes;
use super::known::{AskedKernel, AskedKernels, KnownTypes};
use super::spec::LocalSpec;
use crate::object::btf::Btf;
use crate::record::{Arm, History, KernelSpan, Snippet, span};

/// The flavour of types and enumerators in guards.
const GUARD: &str = "guard";

/// By kernel, the number of its form; `None` where nothing serves.
pub(super) struct Arms<'a> {
    kernels: &'a AskedKernels<'a>,
    forms: Vec<Option<usize>>,
}

/// The kernels of one form.
struct Spans {
    booted: Vec<(usize, usize)>,
    by_types: Vec<(usize, usize, usize)>,
}

impl<'a> Arms<'a> {
    /// `forms` names the kernels of each form by their numbers.
    pub fn new<'b>(kernels: &'a AskedKernels<'a>, forms: impl IntoIterator<Item = &'b [usize]>) -> Arms<'a> {
        let mut by_kernel = vec![None; kernels.all.len()];
        for (number, form) in forms.into_iter().enumerate() {
            form.iter().for_each(|&kernel| by_kernel[kernel] = Some(number));
        }
        Arms { kernels, forms: by_kernel }
    }

    fn kernel(&self, number: usize) -> &AskedKernel<'a> {
        &self.kernels.all[number]
    }

    fn name(&self, number: usize) -> &'a str {
        self.kernel(number).types.name
    }

    /// Where the form begins and ends, among all kernels.
    fn spans(&self, form: Option<usize>) -> Spans {
        let mut spans = Spans { booted: Vec::new(), by_types: Vec::new() };
        let (mut goes_on_booted, mut goes_on_types) = (false, false);
        for (number, found) in self.forms.iter().enumerate() {
            if *found != form {
                (goes_on_booted, goes_on_types) = (false, false);
                continue;
            }
            if self.kernel(number).types.booted {
                match spans.booted.last_mut() {
                    Some((_, last)) if goes_on_booted => *last = number,
                    _ => spans.booted.push((number, number)),
                }
                goes_on_booted = true;
            } else {
                match spans.by_types.last_mut() {
                    Some((_, last, count)) if goes_on_types => (*last, *count) = (number, *count + 1),
                    _ => spans.by_types.push((number, number, 1)),
                }
                goes_on_types = true;
            }
        }
        spans
    }

    /// Such as `5.10 to 6.1; by types 5.4 to 5.19`.
    pub fn text(&self, form: usize) -> String {
        let Spans { booted, by_types } = self.spans(Some(form));
        let booted: Vec<String> = booted.iter().map(|&(first, last)| span(self.name(first), self.name(last))).collect();
        let types: Vec<String> =
            by_types.iter().map(|&(first, last, _)| span(self.name(first), self.name(last))).collect();
        spans_text(&booted, &types)
    }

    /// The first kernel of a form, one that was booted before others.
    pub fn first(&self, form: usize) -> Option<&AskedKernel<'a>> {
        let mut own = (0..self.forms.len()).filter(|&number| self.forms[number] == Some(form));
        let first = own.clone().next()?;
        Some(self.kernel(own.find(|&number| self.kernel(number).types.booted).unwrap_or(first)))
    }

    /// Fills in the kernels of an arm; `None` for the kernels without any form.
    pub fn arm(&self, form: Option<usize>, arm: Arm) -> Arm {
        let names = (0..self.forms.len()).filter(|&number| self.forms[number] == form);
        let booted = names.filter(|&number| self.kernel(number).types.booted);
        let by_types = self.spans(form).by_types.into_iter().map(|(first, last, count)| KernelSpan {
            first: self.name(first).to_owned(),
            last: self.name(last).to_owned(),
            count,
        });
        Arm { booted: booted.map(|number| self.name(number).to_owned()).collect(), by_types: by_types.collect(), ..arm }
    }

    /// The history of these arms, by the first kernel of each, with what is left: the kernels that have none.
    pub fn history(&self, arms: Vec<Arm>) -> History {
        let first = |form: Option<usize>| self.forms.iter().position(|found| *found == form);
        let none = self.arm(None, arm(None, String::new(), false));
        let mut all: Vec<(usize, Arm)> = arms
            .into_iter()
            .enumerate()
            .filter_map(|(number, arm)| Some((first(Some(number))?, self.arm(Some(number), arm))))
            .chain(first(None).map(|first| (first, none)))
            .collect();
        all.sort_by_key(|(first, _)| *first);
        History {
            beyond: self.kernels.all.iter().filter(|kernel| !kernel.in_matrix).count(),
            left_out: self.kernels.left_out,
            arms: all.into_iter().map(|(_, arm)| arm).collect(),
        }
    }
}

/// The history of what a kernel has or does not have.
pub(super) fn of_presence(
    spec: &LocalSpec,
    (name, snippet): (String, Option<&Snippet>),
    matrix: &[KernelTypes<'_>],
    known: &KnownTypes,
    has: impl Fn(&Btf) -> bool,
) -> History {
    let excerpts = known.excerpts(spec);
    let kernels = known.among(matrix, &excerpts, spec);
    let own: Vec<usize> = (0..kernels.all.len()).filter(|&number| has(kernels.all[number].types.btf)).collect();
    let mut arm = arm(Some(name), String::new(), true);
    if let Some(snippet) = snippet {
        (arm.flavour, arm.condition) = (Some(GUARD.to_owned()), condition(&snippet.code));
    }
    Arms::new(&kernels, [own.as_slice()]).history(vec![arm])
}

/// What the first `if` of some code asks.
fn condition(code: &str) -> Option<String> {
    let (_, rest) = code.split_once("if (")?;
    let mut open = 1usize;
    let end = rest.find(|c| {
        open = match c {
            '(' => open + 1,
            ')' => open - 1,
            _ => open,
        };
        open == 0
    })?;
    Some(rest[..end].to_owned())
}

/// An arm without kernels.
pub(super) fn arm(path: Option<String>, type_name: String, own: bool) -> Arm {
    Arm {
        path,
        type_name,
        own,
        flavour: None,
        condition: None,
        expression: None,
        booted: Vec::new(),
        by_types: Vec::new(),
        unproven: Vec::new(),
    }
}

/// Kernels that were booted, and kernels by BTF, as one text.
pub(super) fn spans_text(booted: &[String], by_types: &[String]) -> String {
    let booted = (!booted.is_empty()).then(|| booted.join(", "));
    let by_types = (!by_types.is_empty()).then(|| format!("by BTF {}", by_types.join(", ")));
    booted.into_iter().chain(by_types).collect::<Vec<_>>().join("; ")
}
