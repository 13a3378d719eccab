//! [`Checker`]: holds a guard against the types of every kernel available before it is printed.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::Path;

use crate::core_relo::{TypeSource, TypeTable};
use crate::explain::{KnownTypes, Slot};
use crate::guard_proof::{GuardObject, TypedKernel, compile, guard_of, meant, source};
use crate::matrix::MatrixTypes;
use crate::record::{Explanation, History, SnippetProof};
use crate::store::Store;

/// Compiles guards and evaluates them.
pub(super) struct Checker<'a> {
    store: &'a Store,
    matrix: &'a [MatrixTypes],
    known: &'a KnownTypes,
    kernels: OnceCell<Vec<TypedKernel>>,
    /// By the code of the guard: programs of one object often fail for one reason.
    checked: RefCell<HashMap<String, SnippetProof>>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(store: &'a Store, matrix: &'a [MatrixTypes], known: &'a KnownTypes) -> Checker<'a> {
        Checker { store, matrix, known, kernels: OnceCell::new(), checked: RefCell::default() }
    }

    /// Every known kernel by age, as histories have them.
    pub(super) fn kernels(&self) -> &[TypedKernel] {
        self.kernels.get_or_init(|| {
            let order = self.known.order(self.matrix.len()).into_iter();
            let kernel = |slot| match slot {
                Slot::Matrix(number) => {
                    let kernel = self.matrix.get(number)?;
                    let table = TypeTable::new(self.store.btf(&kernel.sha256)?).ok()?;
                    let (name, modules) = (kernel.name.clone(), kernel.module_types.clone());
                    Some(TypedKernel { name, types: TypeSource::of(table), modules })
                }
                Slot::Known(number) => {
                    let kernel = self.known.kernels().get(number)?;
                    Some(TypedKernel { name: kernel.name.clone(), types: kernel.types.clone(), modules: Vec::new() })
                }
            };
            order.filter_map(kernel).collect()
        })
    }

    /// What is proven of the guard; `None` if the explanation has none.
    pub(super) fn check(&self, explanation: &Explanation) -> Option<SnippetProof> {
        let (snippet, _) = guard_of(explanation)?;
        if let Some(known) = self.checked.borrow().get(&snippet.code) {
            return Some(known.clone());
        }
        let proof = self.proof(explanation)?;
        self.checked.borrow_mut().insert(snippet.code.clone(), proof.clone());
        Some(proof)
    }

    fn proof(&self, explanation: &Explanation) -> Option<SnippetProof> {
        let (snippet, history) = guard_of(explanation)?;
        let kernels = self.kernels();
        let compiled = tempfile::tempdir().map_err(|error| error.to_string()).and_then(|folder| {
            let path = write(folder.path(), "guard", &source(snippet, &history.arms))?;
            let compiled = compile(&path)?;
            let wrong = GuardObject::read(&compiled.bytes, snippet, history)?.wrong(kernels);
            Ok((compiled.compiler, wrong))
        });
        let kernels = asked(history, kernels);
        Some(match compiled {
            Ok((compiler, wrong)) => SnippetProof { compiler: Some(compiler), not_compiled: None, kernels, wrong },
            Err(reason) => SnippetProof { compiler: None, not_compiled: Some(reason), kernels, wrong: Vec::new() },
        })
    }
}

/// How many kernels the history has.
fn asked(history: &History, kernels: &[TypedKernel]) -> usize {
    let names: Vec<&str> = kernels.iter().map(|kernel| kernel.name.as_str()).collect();
    meant(history, &names).iter().flatten().count()
}

/// Writes the C of a guard.
pub(super) fn write(folder: &Path, name: &str, code: &str) -> Result<std::path::PathBuf, String> {
    let path = folder.join(format!("{name}.bpf.c"));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, code));
    written.map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
    Ok(path)
}
