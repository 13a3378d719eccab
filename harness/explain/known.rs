//! [`KnownTypes`]: kernels beyond the matrix whose BTF is available: those of the store, of archives, of kernels that are only types.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::KernelTypes;
use super::spec::{Asked, LocalSpec, PathStep, asked};
use crate::checksum;
use crate::core_relo::TypeSource;
use crate::object::btf::Btf;

/// Structs on the way to a replacement beyond those of the path itself.
const HOPS_BEHIND: usize = 1;
/// Hops at most: each takes in several times more types.
const MOST_HOPS: u32 = 3;
/// Different types that are searched for one question. Kernels beyond them are left out.
const MOST_DIFFERENT: usize = 256;

/// A kernel of which only the types are known.
#[derive(Debug, Clone)]
pub struct KnownKernel {
    /// What it is called in advice.
    pub name: String,
    /// By its age: how many kernels of the matrix come before it.
    pub place: usize,
    /// Its types.
    pub types: TypeSource,
}

/// Which kernel's BTF is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// One of the matrix, by its number.
    Matrix(usize),
    /// One of [`KnownTypes::kernels`], by its number.
    Known(usize),
}

/// Kernels beyond the matrix of which the types are known.
#[derive(Debug, Default)]
pub struct KnownTypes {
    kernels: Vec<KnownKernel>,
    left_out: usize,
    excerpts: Mutex<HashMap<(String, u32), Arc<Excerpts>>>,
}

/// What each known kernel has of the types that one question is about. Kernels that do not differ share it.
#[derive(Debug, Default)]
pub(super) struct Excerpts {
    /// By kernel; `None` for one that was left out.
    kernels: Vec<Option<Arc<Btf>>>,
}

/// A kernel whose BTF is read, of the matrix or beyond it.
#[derive(Debug, Clone, Copy)]
pub(super) struct AskedKernel<'a> {
    pub types: KernelTypes<'a>,
    pub in_matrix: bool,
}

/// The kernels whose BTF is read, older ones first, as far as the order of the matrix shows.
#[derive(Debug)]
pub(super) struct AskedKernels<'a> {
    pub all: Vec<AskedKernel<'a>>,
    /// How many known kernels were not asked.
    pub left_out: usize,
}

impl KnownTypes {
    /// `kernels` by age; `left_out` is how many more there are that the caller left out.
    pub fn new(mut kernels: Vec<KnownKernel>, left_out: usize) -> KnownTypes {
        kernels.sort_by_key(|kernel| kernel.place);
        KnownTypes { kernels, left_out, excerpts: Mutex::default() }
    }

    /// All of them, older ones first.
    pub fn kernels(&self) -> &[KnownKernel] {
        &self.kernels
    }

    /// The types that the spec is about, of every kernel.
    pub(super) fn excerpts(&self, spec: &LocalSpec) -> Arc<Excerpts> {
        let hops = match asked(spec.kind) {
            Some(Asked::Field) => {
                let members = spec.path.iter().filter(|step| matches!(step, PathStep::Member(_))).count();
                u32::try_from(members + HOPS_BEHIND).unwrap_or(MOST_HOPS).min(MOST_HOPS)
            }
            _ => 0,
        };
        let key = (spec.type_name.clone(), hops);
        let known = self.excerpts.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return known;
        }
        let excerpts = Arc::new(self.cut(&spec.type_name, hops));
        self.excerpts.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&excerpts));
        excerpts
    }

    fn cut(&self, name: &str, hops: u32) -> Excerpts {
        let excerpt = |kernel: &KnownKernel| Some(kernel.types.open()?.excerpt(name, hops));
        // Most kernels are alike, so that their excerpts need not be kept all at once.
        let sum = |kernel: &KnownKernel| Some(checksum::of_bytes(&excerpt(kernel)?));
        let sums: Vec<Option<String>> = self.kernels.par_iter().map(sum).collect();
        let mut seen = HashSet::new();
        let different: Vec<usize> =
            (0..sums.len()).filter(|&kernel| sums[kernel].is_some() && seen.insert(&sums[kernel])).collect();
        let all = different.len();
        // Of too many, some of each age.
        let chosen: Vec<usize> = match all > MOST_DIFFERENT {
            true => (0..MOST_DIFFERENT).map(|number| different[number * all / MOST_DIFFERENT]).collect(),
            false => different,
        };
        let parsed = chosen.par_iter().filter_map(|&kernel| {
            let btf = Btf::parse(&excerpt(&self.kernels[kernel])?).ok()?;
            Some((&sums[kernel], Arc::new(btf)))
        });
        let parsed: HashMap<&Option<String>, Arc<Btf>> = parsed.collect();
        Excerpts { kernels: sums.iter().map(|sum| parsed.get(sum).cloned()).collect() }
    }

    /// The order in which the BTF of kernels is read, each at its place, where the matrix has so many.
    pub fn order(&self, matrix: usize) -> Vec<Slot> {
        let mut order = Vec::with_capacity(matrix + self.kernels.len());
        let mut known = self.kernels.iter().enumerate().peekable();
        for place in 0..=matrix {
            while let Some((number, _)) = known.next_if(|(_, kernel)| place == matrix || kernel.place <= place) {
                order.push(Slot::Known(number));
            }
            order.extend((place < matrix).then_some(Slot::Matrix(place)));
        }
        order
    }

    /// The kernels of the matrix and the known ones, each at its place. Of what is in a module of some kernel, the types of a known kernel that
    /// lacks it show nothing.
    pub(super) fn among<'a>(
        &'a self,
        matrix: &[KernelTypes<'a>],
        excerpts: &'a Excerpts,
        spec: &LocalSpec,
    ) -> AskedKernels<'a> {
        let mut left_out = self.left_out;
        let root = |btf: &Btf| spec.want().and_then(|want| btf.find(&spec.type_name, want));
        let of_module = matrix.iter().any(|kernel| root(kernel.btf).and_then(|id| kernel.btf.module_of(id)).is_some());
        let asked = self.order(matrix.len()).into_iter().filter_map(|slot| match slot {
            Slot::Matrix(number) => Some(AskedKernel { types: *matrix.get(number)?, in_matrix: true }),
            Slot::Known(number) => match excerpts.kernels.get(number)? {
                Some(btf) if !of_module || root(btf).is_some() => {
                    let types = KernelTypes { name: &self.kernels[number].name, btf, booted: false, modules: None };
                    Some(AskedKernel { types, in_matrix: false })
                }
                _ => {
                    left_out += 1;
                    None
                }
            },
        });
        let all = asked.collect();
        AskedKernels { all, left_out }
    }
}

/// The series of a kernel by its name: `5.4` of `5.4.0-99-generic` and of `x86_64-5.4-distro`.
pub(super) fn series(name: &str) -> Option<String> {
    let mut words = name.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.find_map(|word| {
        let mut numbers = word.split('.').filter(|number| !number.is_empty());
        Some(format!("{}.{}", numbers.next()?, numbers.next()?))
    })
}

#[cfg(test)]
mod tests {
    use super::series;

    #[test]
    fn names_tell_the_series() {
        for name in ["5.4", "5.4.0-99-generic", "x86_64-5.4-distro", "v5.4-rc1"] {
            assert_eq!(series(name).as_deref(), Some("5.4"), "{name}");
        }
        assert_eq!(series("mine-64"), None);
    }
}
