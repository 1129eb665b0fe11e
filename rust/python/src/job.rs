//! The one place where long work starts: it runs on a thread of its own, while the calling thread lets
//! go of the interpreter, looks for Ctrl-C and reports progress.
//!
//! Threads of the core never touch Python: a callback from one of them could deadlock.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use apollo_pack_core::pipeline::Monitor;
use apollo_pack_core::{Error, Result};
use pyo3::prelude::*;

use crate::error::to_python;

/// How often signals are looked for, and every how many times `tick` is called.
const LOOK: Duration = Duration::from_millis(25);
const LOOKS_A_TICK: u32 = 4;

/// How long work that was told to stop is waited for. What takes longer (the encoding of one very long item, the
/// flushing of a large file) ends on its own, unseen: it can neither publish nor speak to Python any more.
const PATIENCE: Duration = Duration::from_millis(100);

/// Said where there is a result although the work was told to stop.
const TOO_LATE: &str = "too late: the output was written";

/// Runs `work` to its end, calls `tick` ten times a second and once after it.
///
/// When `tick` raises, or a signal arrives, the work is told to stop, and the exception goes on to the caller, with
/// a note where the work has left something: a result, if it was too late to stop, or what a build goes on from.
pub(crate) fn run<T: Send + 'static>(
    py: Python<'_>,
    monitor: &Arc<Monitor>,
    work: impl FnOnce(&Monitor) -> Result<T> + Send + 'static,
    mut tick: impl FnMut(Python<'_>) -> PyResult<()>,
) -> PyResult<T> {
    let (done_out, done_in) = channel();
    let watched = Arc::clone(monitor);
    let thread = std::thread::spawn(move || {
        // Nobody waits any more for work that was too slow to stop.
        let _ = done_out.send(work(&watched));
    });
    // `Receiver` is not `Sync`; a mutex lends it to the closures below, which run one at a time.
    let done_in = std::sync::Mutex::new(done_in);
    let receive = |timeout: Option<Duration>| {
        let done_in = done_in.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match timeout {
            Some(timeout) => done_in.recv_timeout(timeout),
            None => done_in.recv().map_err(RecvTimeoutError::from),
        }
    };
    let mut looks = 0u32;
    let result = loop {
        match py.detach(|| receive(Some(LOOK))) {
            Err(RecvTimeoutError::Timeout) => {
                looks += 1;
                let mut tick = || if looks.is_multiple_of(LOOKS_A_TICK) { tick(py) } else { Ok(()) };
                if let Err(exception) = py.check_signals().and_then(|()| tick()) {
                    let in_time = monitor.cancel();
                    let result = py.detach(|| receive(in_time.then_some(PATIENCE)));
                    let note = match result {
                        Ok(Ok(_)) if !in_time => Some(TOO_LATE),
                        _ if monitor.is_continuable() => Some("the same build goes on from here"),
                        _ => None,
                    };
                    if let Some(note) = note {
                        exception.value(py).call_method1("add_note", (note,))?;
                    }
                    return Err(exception);
                }
            }
            Ok(result) => break result,
            Err(RecvTimeoutError::Disconnected) => {
                break Err(Error::Internal("the working thread panicked".into()));
            }
        }
    };
    let _ = py.detach(|| thread.join());
    let result = result.map_err(to_python)?;
    if let Err(exception) = tick(py) {
        if !monitor.cancel() {
            exception.value(py).call_method1("add_note", (TOO_LATE,))?;
        }
        return Err(exception);
    }
    Ok(result)
}
