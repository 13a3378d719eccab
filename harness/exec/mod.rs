//! Commands of the user in guests: [`CommandSession`] runs one, on the host's files as [`HostFiles`] shows them.

mod clock;
mod files;
mod fuse;
mod left;
mod session;

pub use files::{HostFiles, View};
pub use left::{LeftError, LeftFiles};
pub use session::{Attendant, CommandEnding, CommandSession, FinishedCommand};
