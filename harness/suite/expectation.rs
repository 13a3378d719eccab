//! [`Objects::check_scope`]: an entry that the gate reads has to be about something in this run.

use super::error::Mistake;
use super::part::Objects;
use crate::gate::{Scope, TableError};

/// Where a mistake lies, if not in its whole table, and what it is.
type Misplaced = (Option<usize>, Mistake);

impl Objects<'_> {
    /// Checks that a scope is about an object of `rows`, which are the names that a run has, shapes included, and about a program of
    /// it. `places` are those of `object` and `program` in the file.
    pub fn check_scope(
        self,
        scope: &Scope,
        rows: &[(String, usize)],
        places: [Option<usize>; 2],
    ) -> Result<(), Misplaced> {
        let objects: Vec<usize> =
            rows.iter().filter(|(row, _)| scope.is_about_object(row)).map(|(_, object)| *object).collect();
        if objects.is_empty() {
            let name = scope.object.as_str();
            let known = rows.iter().map(|(row, _)| row.as_str());
            return Err((places[0], Mistake::new(format!("unknown object `{name}`")).known(name, known)));
        }
        let inventories = objects.iter().filter_map(|&object| self.inventory(object));
        let known: Vec<&str> = inventories.flat_map(|all| &all.programs).map(|program| program.name.as_str()).collect();
        if places[1].is_some() && !known.iter().any(|name| scope.program.matches(name)) {
            let (object, program) = (scope.object.as_str(), scope.program.as_str());
            let message = format!("`{object}` has no program `{program}`");
            return Err((places[1], Mistake::new(message).known(program, known)));
        }
        Ok(())
    }
}

/// What the reader of the gate refuses, as a mistake of the suite.
pub(super) fn misplaced(refusal: TableError) -> Misplaced {
    (refusal.at, Mistake { message: refusal.message, hint: refusal.hint })
}
