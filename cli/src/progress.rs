//! What is being done, on standard error, for whoever waits at a terminal.
//!
//! Nothing is shown in the first second, and nothing stays: the line is taken away before the result
//! is written. A crate for progress bars would bring several others along for one line.
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tapline_capture::Tally;

use crate::pipeline::size;
use crate::render::escape::{shorten, visible};

/// Before anything is shown.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(250);

/// One line of progress; nothing where there is no terminal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Option<Arc<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    doing: String,
    /// The line is on the screen.
    is_shown: bool,
    is_over: bool,
    /// How much was read, while something is.
    tally: Option<Tally>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Begins, where standard error is a terminal.
    pub(crate) fn new(quiet: bool, width: usize) -> Self {
        if quiet || !io::stderr().is_terminal() {
            return Self::default();
        }
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let started = std::thread::Builder::new().spawn(move || show(&of_thread, width));
        Self(started.is_ok().then_some(shared))
    }

    /// Says what is done now.
    pub(crate) fn say(&self, doing: impl FnOnce() -> String) {
        if let Some(shared) = &self.0 {
            let mut state = shared.state();
            state.doing = doing();
            state.tally = None;
        }
    }

    /// Counts what is read from now on.
    pub(crate) fn tally(&self) -> Tally {
        let tally = Tally::default();
        if let Some(shared) = &self.0 {
            shared.state().tally = Some(tally.clone());
        }
        tally
    }

    /// Ends, and takes the line away.
    pub(crate) fn stop(&self) {
        let Some(shared) = &self.0 else { return };
        let mut state = shared.state();
        state.is_over = true;
        if std::mem::take(&mut state.is_shown) {
            // Nothing is left to tell where stderr is closed.
            let _ = io::stderr().lock().write_all(b"\r\x1b[K");
        }
        shared.changed.notify_all();
    }
}

/// Shows the line until it is over.
fn show(shared: &Shared, width: usize) {
    let begun = Instant::now();
    let mut wait = PATIENCE;
    let mut state = shared.state();
    while !state.is_over {
        let waited = shared.changed.wait_timeout(state, wait);
        (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        wait = TICK;
        if state.is_over || begun.elapsed() < PATIENCE {
            continue;
        }
        let read = state.tally.as_ref().map(counted).unwrap_or_default();
        let text = format!("{}{read} … {} s", state.doing, begun.elapsed().as_secs());
        let line = format!("\r{}\x1b[K", visible(&shorten(&text, width.saturating_sub(2))));
        state.is_shown = io::stderr().lock().write_all(line.as_bytes()).is_ok();
    }
}

/// `: 1200 files, 8 MB of texts`
fn counted(tally: &Tally) -> String {
    let members = usize::try_from(tally.members()).unwrap_or(usize::MAX);
    format!(": {}, {} of texts", crate::render::count(members, "file"), size(tally.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_counted() {
        assert_eq!(counted(&Tally::default()), ": 0 files, 0 kB of texts");
    }
}
