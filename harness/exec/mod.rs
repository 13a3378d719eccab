//! Commands of the user in guests: [`CommandSession`] runs one, on the host's files as [`HostFiles`] shows them.

mod clock;
mod files;
mod fuse;
mod output_files;
mod session;

pub use files::{HostFiles, View};
pub use output_files::{LeftError, OutputFiles};
pub use session::{Attendant, CommandEnding, CommandSession, FinishedCommand};
