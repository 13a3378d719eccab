//! [`drive`]: does the work of a run on separate threads, while events are folded into the record and shown.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use super::error::MatrixError;
use crate::event::Event;
use crate::record::RunRecord;
use crate::run::{Collector, RunError, Stop};
use crate::timestamp;

/// How soon it is seen that the user wants to stop.
const POLL: Duration = Duration::from_millis(100);

/// Does `work` and folds its events into `record`, which is saved in `folder` as results arrive. `observe` sees each event, and each of
/// `notices` first.
///
/// # Errors
/// The record could not be saved before the work began, or the work could not begin.
pub(super) fn drive(
    record: RunRecord,
    notices: &[String],
    folder: &Path,
    stop: &Stop,
    observe: &mut dyn FnMut(&Event),
    work: impl FnOnce(&Sender<Event>) -> Result<(), RunError> + Send,
) -> Result<RunRecord, MatrixError> {
    for notice in notices {
        observe(&Event::Notice(notice.clone()));
    }
    let mut collector = Collector::new(record, folder.to_owned())?;
    let (sender, events) = mpsc::channel();
    let mut unsaved = None;
    let ran = std::thread::scope(|scope| {
        let runner = scope.spawn(move || work(&sender));
        loop {
            match events.recv_timeout(POLL) {
                Ok(event) => {
                    observe(&event);
                    // A full disk must not end the run: what is known stays in memory, and the end tries once more.
                    if let Err(error) = collector.take(&event) {
                        unsaved.get_or_insert(error);
                    }
                }
                Err(RecvTimeoutError::Timeout) => observe(&Event::Waiting),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // At once, not at the end: a second signal may end this process by force.
            if stop.requested() {
                collector.interrupt();
            }
        }
        runner.join()
    });
    if let Some(error) = unsaved {
        observe(&Event::Unsaved(error.to_string()));
    }
    ran.map_err(|_| MatrixError::Panicked)??;
    Ok(collector.finish(timestamp::now(), stop.requested()))
}
