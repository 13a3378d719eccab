//! What a suite says that an object's own loader does to it before the kernel sees it: [`WrittenObject`], [`WrittenMap`] and
//! [`program`]; [`tables`] writes it down again.

mod map;
mod object;
mod program;
mod reuse;
mod tables;

use toml::Spanned;

pub(super) use map::WrittenMap;
pub(super) use object::WrittenObject;
pub(super) use program::{WrittenProgramLoading, program};
pub use tables::tables;

use super::error::Mistake;
use crate::feature::Feature;

/// A mistake with its place in the file, if that is not the table's.
type Placed = (Option<usize>, Mistake);

/// libbpf's name of a type, from any usual form.
fn known(feature: Feature, written: &Spanned<String>) -> Result<String, Placed> {
    let bare = feature.bare(written.get_ref());
    let all = feature.known();
    if all.iter().any(|(_, name)| *name == bare) {
        return Ok(bare);
    }
    let message = format!("libbpf knows no {} `{}`", feature.label(), written.get_ref());
    let names = all.iter().map(|(_, name)| name.as_str());
    Err((Some(written.span().start), Mistake::new(message).known(&bare, names)))
}
