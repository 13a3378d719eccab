//! [`Stop`]: what Ctrl-C means. Once: finish the running cells. Twice, or where there is no end to wait for: stop at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// After the second signal the process ends by force if it has not ended by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the user asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicU32>);

impl Stop {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on. `say` is called with a line for the user at each.
    pub fn on_signals(say: impl Fn(&str) + Send + 'static) -> std::io::Result<Stop> {
        Stop::listen(false, say)
    }

    /// Listens likewise, and takes the first signal for two.
    pub fn at_first_signal(say: impl Fn(&str) + Send + 'static) -> std::io::Result<Stop> {
        Stop::listen(true, say)
    }

    fn listen(at_once: bool, say: impl Fn(&str) + Send + 'static) -> std::io::Result<Stop> {
        let stop = Stop::default();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let counter = stop.clone();
        std::thread::spawn(move || {
            for _ in signals.forever() {
                if counter.ask() == 1 {
                    if !at_once {
                        say("stopping: finishing the running cells; interrupt again to stop immediately");
                        continue;
                    }
                    counter.ask();
                }
                say("stopping immediately");
                std::thread::sleep(PATIENCE);
                // Children die with their threads; only scratch directories can be left.
                say("killed; directories named `corematrix-*` may remain in the temporary directory");
                std::process::exit(crate::record::exit_code::INTERRUPTED.into());
            }
        });
        Ok(stop)
    }

    /// Asks once more; returns how often that makes.
    pub fn ask(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Whether nothing new should be started.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst) >= 1
    }

    /// Whether what runs should be dropped.
    pub fn at_once(&self) -> bool {
        self.0.load(Ordering::SeqCst) >= 2
    }
}
