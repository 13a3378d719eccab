//! [`Locks`]: the store's file locks, and how they are waited for.
//!
//! `flock` itself waits without an end and hears no request to stop, since another thread takes the signals. So it is tried again and
//! again, and in between signals of the user are checked.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::{IoContext, StoreError};
use crate::file_name::file_name;

/// The first pause between two tries; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// How long a lock is waited for that is never held for longer than a moment: who has it has been stopped.
pub(crate) const A_MOMENT: Duration = Duration::from_secs(30);

/// The locks of a store.
#[derive(Clone)]
pub(crate) struct Locks {
    root: PathBuf,
    stopped: Arc<OnceLock<Box<dyn Fn() -> bool + Send + Sync>>>,
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locks").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Locks {
    /// The locks of the store in the directory `root`.
    pub fn new(root: &Path) -> Locks {
        Locks { root: root.to_owned(), stopped: Arc::default() }
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Says how to find out that the user wants to stop. Only the first one counts.
    pub fn stop_when(&self, stopped: Box<dyn Fn() -> bool + Send + Sync>) {
        let _ = self.stopped.set(stopped);
    }

    /// Takes the lock called `name` for as long as the returned file lives; `waiting` is called if another run has it.
    pub fn take(&self, name: &str, waiting: &mut dyn FnMut()) -> Result<File, StoreError> {
        let path = self.root.join("locks").join(file_name(name));
        let file = File::options().create(true).truncate(false).write(true).open(&path).during("open", &path)?;
        let stopped = || self.stopped.get().is_some_and(|stopped| stopped());
        match wait(&file, FlockOperation::NonBlockingLockExclusive, waiting, &stopped).during("lock", &path)? {
            true => Ok(file),
            false => Err(StoreError::Stopped),
        }
    }
}

/// Locks a file that no one has locked for longer than a moment.
pub(crate) fn take_for_a_moment(file: &File, operation: FlockOperation) -> io::Result<()> {
    let end = Instant::now() + A_MOMENT;
    match wait(file, operation, &mut || {}, &|| Instant::now() >= end)? {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds the lock and makes no progress")),
    }
}

/// Tries until the lock is there; false if `stopped` came first. `waiting` is called once, if someone else has it.
fn wait(
    file: &File,
    operation: FlockOperation,
    waiting: &mut dyn FnMut(),
    stopped: &dyn Fn() -> bool,
) -> io::Result<bool> {
    let mut pause = FIRST_PAUSE;
    loop {
        match flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => continue,
            Err(Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error.into()),
        }
        if pause == FIRST_PAUSE {
            waiting();
        }
        if stopped() {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;

    fn locks() -> (tempfile::TempDir, Locks) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("locks")).unwrap();
        let locks = Locks::new(folder.path());
        (folder, locks)
    }

    #[test]
    fn request_to_stop_ends_the_waiting() {
        let (_folder, locks) = locks();
        let asked = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&asked);
        locks.stop_when(Box::new(move || heard.load(Ordering::SeqCst)));
        let _held = locks.take("one", &mut || panic!("nobody has it")).unwrap();
        let (says, said) = mpsc::channel();
        let theirs = locks.clone();
        let waiter = std::thread::spawn(move || theirs.take("one", &mut || says.send(()).unwrap()).map(drop));
        // It says once that it waits, and goes on waiting.
        said.recv().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert!(!waiter.is_finished() && said.try_recv().is_err());
        asked.store(true, Ordering::SeqCst);
        assert!(matches!(waiter.join().unwrap(), Err(StoreError::Stopped)));
        // A free lock needs no waiting, even if the user wants to stop.
        assert!(locks.take("two", &mut || panic!("nobody has it")).is_ok());
    }

    #[test]
    fn lock_that_is_given_up_is_taken() {
        let (_folder, locks) = locks();
        let held = locks.take("one", &mut || {}).unwrap();
        let (says, said) = mpsc::channel();
        let theirs = locks.clone();
        let waiter = std::thread::spawn(move || theirs.take("one", &mut || says.send(()).unwrap()).map(drop));
        said.recv().unwrap();
        drop(held);
        assert!(waiter.join().unwrap().is_ok());
    }
}
