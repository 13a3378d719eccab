//! [`Catalogue`]: every text in the sources that a person may read, and each message with its hint.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Expr, Item, Lit};

/// Texts of kernels, libbpf and QEMU, which are compared and never printed.
const FOREIGN: [&str; 9] = [
    "harness/judge/complaints/",
    "harness/judge/texts.rs",
    "harness/kernel_log/splat.rs",
    "harness/libbpf_log/",
    "harness/protocol/libbpf_log.rs",
    "harness/verifier/line.rs",
    "harness/verifier/moment.rs",
    "harness/vm/console.rs",
    "harness/core_relo/",
];
/// What only tests have.
const OF_TESTS: [&str; 7] = ["/tests/", "/tests.rs", "/sample.rs", "/golden.rs", "/browser.rs", "/fuzz.rs", "/help.rs"];
/// Methods that compare: their texts are not printed.
const COMPARE: [&str; 14] = [
    "contains",
    "starts_with",
    "ends_with",
    "strip_prefix",
    "strip_suffix",
    "split_once",
    "rsplit_once",
    "split",
    "find",
    "rfind",
    "trim_start_matches",
    "trim_end_matches",
    "expect",
    "matches",
];
/// Functions that make an error of a message and a hint.
const MAKE_ERRORS: [&str; 14] = [
    "input",
    "infrastructure",
    "harness",
    "problem",
    "push",
    "unavailable",
    "unfit",
    "explanation",
    "undecided",
    "wrong",
    "no_file",
    "new",
    "Bad",
    "hint",
];
/// Functions of these names make other things, too.
const UNSURE: [&str; 2] = ["push", "explanation"];
/// How advice begins.
const VERBS: [&str; 31] = [
    "add", "append", "avoid", "build", "check", "choose", "compile", "correct", "declare", "define", "empty", "fetch",
    "free", "give", "install", "keep", "make", "mount", "name", "omit", "raise", "read", "remove", "restore", "run",
    "set", "try", "unpack", "use", "wait", "write",
];
/// What a message is called where a hint stands beside it.
const MESSAGES: [&str; 6] = ["message", "reason", "meaning", "problem", "mistake", "why"];

pub struct Catalogue {
    files: Vec<(String, Source)>,
}

#[derive(Default)]
struct Source {
    texts: Vec<String>,
    /// Messages, each with its hint.
    hints: Vec<(String, String)>,
}

impl Catalogue {
    pub fn read(root: &Path) -> Catalogue {
        let mut paths = Vec::new();
        sources(&root.join("harness"), &mut paths);
        paths.sort();
        let relative = |path: &PathBuf| path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let own = |name: &String| {
            !OF_TESTS.iter().any(|part| name.contains(part)) && !FOREIGN.iter().any(|part| name.starts_with(part))
        };
        let files = paths.iter().filter(|path| own(&relative(path)));
        let files = files.map(|path| (relative(path), Source::read(&fs::read_to_string(path).unwrap())));
        Catalogue { files: files.filter(|(_, source)| !source.texts.is_empty()).collect() }
    }

    /// Every text, by file.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().flat_map(|(name, source)| source.texts.iter().map(move |text| (name.as_str(), text.as_str())))
    }

    /// Every text below its file.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for (name, source) in &self.files {
            let _ = writeln!(out, "{name}");
            source.texts.iter().for_each(|text| {
                let _ =
                    writeln!(out, "  {}", text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"));
            });
        }
        out
    }

    /// Messages, each with its hint.
    pub fn hints(&self) -> Vec<(String, String)> {
        self.files.iter().flat_map(|(_, source)| source.hints.clone()).collect()
    }
}

fn is_advice(text: &str) -> bool {
    text.starts_with("`corematrix ") || text.split_whitespace().next().is_some_and(|first| VERBS.contains(&first))
}

pub fn sources(folder: &Path, paths: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
        match path.is_dir() {
            true => sources(&path, paths),
            false if path.extension().is_some_and(|extension| extension == "rs") => paths.push(path),
            false => {}
        }
    }
}

/// Whether a person may read it: words with a blank in between.
fn is_wording(text: &str) -> bool {
    let mut words = text.split_whitespace().filter(|word| word.chars().filter(char::is_ascii_lowercase).count() >= 2);
    text.trim().contains(' ') && words.next().is_some()
}

impl Source {
    fn read(text: &str) -> Source {
        let file = syn::parse_file(text).unwrap();
        let mut reader = Reader::default();
        reader.visit_file(&file);
        let mut source = reader.source;
        for (name, hint) in reader.hints_of {
            source.hints.extend(reader.errors.get(&name).map(|message| (message.clone(), hint)));
        }
        source
    }
}

#[derive(Default)]
struct Reader {
    source: Source,
    /// The message of each variant of an error.
    errors: BTreeMap<String, String>,
    /// The hint of each variant.
    hints_of: Vec<(String, String)>,
    /// What local variables say.
    said: BTreeMap<String, String>,
    /// In a function that gives hints.
    in_hint: bool,
}

impl Reader {
    fn keep(&mut self, text: String) {
        if is_wording(&text) {
            self.source.texts.push(text);
        }
    }

    fn said_by(&self, expr: &Expr) -> Option<String> {
        if let Expr::Path(path) = expr
            && let Some(name) = path.path.get_ident()
        {
            return self.said.get(&name.to_string()).cloned();
        }
        let mut texts = Texts::default();
        texts.visit_expr(expr);
        let literal = texts.0.into_iter().filter(|text| is_wording(text)).collect::<Vec<_>>().join(" / ");
        let named = texts.1.iter().find_map(|name| self.said.get(name).cloned());
        if literal.is_empty() { named } else { Some(literal) }
    }

    /// A call that makes an error: its last two texts are the message and the hint.
    fn made(&mut self, name: &str, args: Vec<&Expr>) {
        if MAKE_ERRORS.contains(&name) {
            let mut texts: Vec<String> = args.into_iter().filter_map(|arg| self.said_by(arg)).collect();
            let hint = texts.pop().filter(|hint| !UNSURE.contains(&name) || is_advice(hint));
            self.pair(texts.pop(), hint);
        }
    }

    fn pair(&mut self, message: Option<String>, hint: Option<String>) {
        if let (Some(message), Some(hint)) = (message, hint)
            && message != hint
        {
            self.source.hints.push((message, hint));
        }
    }
}

fn is_of_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        meta => meta.path().is_ident("test"),
    })
}

/// The texts of an expression, and the variables in it.
#[derive(Default)]
struct Texts(Vec<String>, Vec<String>);

impl<'a> Visit<'a> for Texts {
    fn visit_lit_str(&mut self, literal: &'a syn::LitStr) {
        self.0.push(literal.value());
    }

    fn visit_macro(&mut self, of: &'a syn::Macro) {
        of_tokens(of.tokens.clone(), &mut |text| self.0.push(text));
    }

    fn visit_expr_path(&mut self, path: &'a syn::ExprPath) {
        self.1.extend(path.path.get_ident().map(ToString::to_string));
    }
}

/// The texts in the arguments of a macro, but for those that methods compare with.
fn of_tokens(tokens: TokenStream, keep: &mut dyn FnMut(String)) {
    let mut compares = false;
    for token in tokens {
        match token {
            TokenTree::Literal(literal) => {
                if let Ok(Lit::Str(text)) = syn::parse_str::<Lit>(&literal.to_string()) {
                    keep(text.value());
                }
            }
            TokenTree::Group(group) => {
                if !(compares && group.delimiter() == Delimiter::Parenthesis) {
                    of_tokens(group.stream(), keep);
                }
                compares = false;
            }
            TokenTree::Ident(name) => compares = COMPARE.contains(&name.to_string().as_str()),
            TokenTree::Punct(_) => compares = false,
        }
    }
}

impl<'a> Visit<'a> for Reader {
    fn visit_item(&mut self, item: &'a Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_of_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_attribute(&mut self, attribute: &'a syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta
            && list.path.is_ident("error")
        {
            of_tokens(list.tokens.clone(), &mut |text| self.keep(text));
        }
    }

    fn visit_variant(&mut self, variant: &'a syn::Variant) {
        for attribute in &variant.attrs {
            if let syn::Meta::List(list) = &attribute.meta
                && list.path.is_ident("error")
            {
                let name = variant.ident.to_string();
                of_tokens(list.tokens.clone(), &mut |text| {
                    self.errors.entry(name.clone()).or_insert(text);
                });
            }
        }
        visit::visit_variant(self, variant);
    }

    fn visit_lit_str(&mut self, literal: &'a syn::LitStr) {
        self.keep(literal.value());
    }

    fn visit_macro(&mut self, of: &'a syn::Macro) {
        if of.path.segments.last().is_some_and(|last| last.ident.to_string().contains("assert")) {
            return;
        }
        of_tokens(of.tokens.clone(), &mut |text| self.keep(text));
    }

    fn visit_impl_item_fn(&mut self, function: &'a syn::ImplItemFn) {
        let before = std::mem::replace(&mut self.in_hint, function.sig.ident.to_string().contains("hint"));
        visit::visit_impl_item_fn(self, function);
        self.in_hint = before;
    }

    fn visit_arm(&mut self, arm: &'a syn::Arm) {
        if self.in_hint
            && let Some(hint) = self.said_by(&arm.body)
        {
            let mut names = Variants::default();
            names.visit_pat(&arm.pat);
            self.hints_of.extend(names.0.into_iter().map(|name| (name, hint.clone())));
        }
        visit::visit_arm(self, arm);
    }

    fn visit_local(&mut self, local: &'a syn::Local) {
        if let (syn::Pat::Ident(name), Some(value)) = (&local.pat, &local.init) {
            let said = self.said_by(&value.expr);
            let name = name.ident.to_string();
            match said {
                Some(said) => self.said.insert(name, said),
                None => self.said.remove(&name),
            };
        }
        visit::visit_local(self, local);
    }

    fn visit_expr_call(&mut self, call: &'a syn::ExprCall) {
        if let Expr::Path(path) = &*call.func
            && let [before @ .., name] =
                &path.path.segments.iter().map(|part| part.ident.to_string()).collect::<Vec<_>>()[..]
            && (name != "new" || before.last().is_some_and(|of| of.ends_with("Error")))
        {
            self.made(name, call.args.iter().collect());
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        let name = call.method.to_string();
        if COMPARE.contains(&name.as_str()) {
            return self.visit_expr(&call.receiver);
        }
        self.made(&name, std::iter::once(&*call.receiver).chain(&call.args).collect());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_tuple(&mut self, tuple: &'a syn::ExprTuple) {
        let texts: Vec<Option<String>> = tuple.elems.iter().map(|expr| self.said_by(expr)).collect();
        // Names and values stand in pairs, too.
        if let [message, Some(hint)] = &texts[..]
            && is_advice(hint)
        {
            self.pair(message.clone(), Some(hint.clone()));
        }
        visit::visit_expr_tuple(self, tuple);
    }

    fn visit_expr_struct(&mut self, expr: &'a syn::ExprStruct) {
        let of = |names: &[&str]| {
            expr.fields.iter().find_map(|field| match &field.member {
                syn::Member::Named(name) if names.contains(&name.to_string().as_str()) => self.said_by(&field.expr),
                _ => None,
            })
        };
        let (message, hint) = (of(&MESSAGES), of(&["hint", "advice"]));
        self.pair(message, hint);
        visit::visit_expr_struct(self, expr);
    }
}

/// The variants that a pattern names.
#[derive(Default)]
struct Variants(Vec<String>);

impl<'a> Visit<'a> for Variants {
    fn visit_path(&mut self, path: &'a syn::Path) {
        self.0.extend(path.segments.last().map(|last| last.ident.to_string()));
    }
}
