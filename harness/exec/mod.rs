//! Commands of the user in guests: [`CommandSession`] runs one, on the host's files as [`HostFiles`] shows them.

mod clock;
mod executable;
mod files;
mod fuse;
mod libraries;
mod output_files;
mod session;

pub use executable::{Executable, UnfitProgram};
pub use files::{HostFiles, View};
pub use output_files::{LeftError, OutputFiles};
pub use session::{Attendant, CommandEnding, CommandSession, FinishedCommand};
