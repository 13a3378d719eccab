//! What libbpf says while it works: the print callback puts every line into one list, and [`take`] empties it.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use libbpf_rs::PrintLevel;

use corematrix_protocol::libbpf_log::{Level, Line};

static LINES: Mutex<Vec<(Line, Instant)>> = Mutex::new(Vec::new());

/// Starts to listen. libbpf has one callback for the whole process.
pub fn listen() {
    libbpf_rs::set_print(Some((PrintLevel::Debug, record)));
}

/// Listens only to what goes wrong: a bare load, as a loader that asks for nothing sees it.
pub fn ignore() {
    libbpf_rs::set_print(Some((PrintLevel::Warn, record)));
}

fn record(level: PrintLevel, text: String) {
    let level = match level {
        PrintLevel::Debug => Level::Debug,
        PrintLevel::Info => Level::Info,
        PrintLevel::Warn => Level::Warn,
    };
    LINES.lock().unwrap_or_else(PoisonError::into_inner).push((Line { level, text }, Instant::now()));
}

/// Returns what was said since the last call.
pub fn take() -> Vec<Line> {
    take_timed().into_iter().map(|(line, _)| line).collect()
}

/// The same, with the time of each.
pub fn take_timed() -> Vec<(Line, Instant)> {
    std::mem::take(&mut LINES.lock().unwrap_or_else(PoisonError::into_inner))
}
