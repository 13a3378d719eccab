//! [`TypeSource`]: types that are opened when they are needed, since those of a thousand kernels do not fit into memory.

use std::fmt;
use std::sync::Arc;

use super::table::TypeTable;

/// Opens the types of one kernel, every time.
#[derive(Clone)]
pub struct TypeSource(Arc<dyn Fn() -> Option<Arc<TypeTable>> + Send + Sync>);

impl TypeSource {
    /// `open` gives `None` where the types cannot be read.
    pub fn new(open: impl Fn() -> Option<Arc<TypeTable>> + Send + Sync + 'static) -> TypeSource {
        TypeSource(Arc::new(open))
    }

    /// Types that are in memory anyway.
    pub fn of(table: TypeTable) -> TypeSource {
        let table = Arc::new(table);
        TypeSource::new(move || Some(Arc::clone(&table)))
    }

    /// The types; `None` if they cannot be read.
    pub fn open(&self) -> Option<Arc<TypeTable>> {
        (self.0)()
    }
}

impl fmt::Debug for TypeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypeSource")
    }
}
