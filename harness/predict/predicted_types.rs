//! [`PredictedTypes`]: the types of a kernel that an object is held against, with those of the modules that it needs.

use std::sync::Arc;

use crate::core_relo::{Target, TypeTable};
use crate::object::btf::{Btf, BtfError, ModuleNames};

/// The types of a kernel that an object is held against.
#[derive(Debug, Clone)]
pub struct PredictedTypes {
    /// Those of the kernel, and of the modules that have what objects look for.
    pub target: Target,
    /// What is known about its other modules.
    pub names: ModuleNames,
}

impl PredictedTypes {
    /// Of a kernel of whose modules nothing is known.
    pub fn of_kernel(kernel: Arc<TypeTable>) -> PredictedTypes {
        PredictedTypes { target: Target { kernel, modules: Vec::new() }, names: ModuleNames::default() }
    }

    /// With those of modules, by name and raw BTF. One that is damaged has none.
    pub fn with_modules(kernel: Arc<TypeTable>, modules: Vec<(String, Vec<u8>)>, names: ModuleNames) -> PredictedTypes {
        let split = |(name, raw): (String, Vec<u8>)| {
            Some((name, Arc::new(TypeTable::of_module(raw, Arc::clone(&kernel)).ok()?)))
        };
        let modules = modules.into_iter().filter_map(split).collect();
        PredictedTypes { target: Target { kernel, modules }, names }
    }

    /// All of them as one.
    ///
    /// # Errors
    /// Those of the kernel cannot be read.
    pub fn parsed(&self) -> Result<Btf, BtfError> {
        let modules = self.target.modules.iter().map(|(name, table)| (name.as_str(), table.raw()));
        Ok(Btf::parse(self.target.kernel.raw())?.with_modules(modules))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::super::Subject;
    use super::*;
    use crate::core_relo::ObjectSide;
    use crate::object::find_objects;
    use crate::record::PredictedOutcome;

    #[test]
    fn what_a_module_may_have_is_not_predicted() {
        let fixture = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/explain").join(name);
        let object = find_objects(&[fixture("object.o")]).unwrap().objects.remove(0);
        let subject = Subject::of(&object).unwrap();
        let kernel = ObjectSide::read(&std::fs::read(fixture("kernel_b.o")).unwrap()).unwrap();
        let kernel = Arc::new(TypeTable::new(kernel.types.raw().to_vec()).unwrap());
        assert_eq!(subject.wanted_names().get("task_struct"), Some(&false), "without its flavour");
        let plain = PredictedTypes::of_kernel(kernel);
        let mut open = plain.clone();
        open.names.unknown.insert("task_struct".to_owned(), "is in kernel module m on 6.1".to_owned());
        let [plain, open] = [&plain, &open].map(|types| subject.predict(types, "6.1.0"));
        let is_unknown = |outcome: &&PredictedOutcome| matches!(outcome, PredictedOutcome::Unknown { .. });
        assert_eq!(plain.programs.iter().filter(is_unknown).count(), 0);
        let unknown: Vec<_> = open.programs.iter().filter(is_unknown).collect();
        assert!(!unknown.is_empty(), "{unknown:?}");
        assert!(unknown[0].reason().unwrap().ends_with("is in kernel module m on 6.1"), "{unknown:?}");
    }
}
