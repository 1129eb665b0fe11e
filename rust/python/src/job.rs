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

const TICK: Duration = Duration::from_millis(100);

/// Runs `work` to its end, calls `tick` ten times a second and once after it.
///
/// When `tick` raises, or a signal arrives, the work is told to stop and waited for, and the exception
/// goes on to the caller.
pub(crate) fn run<T: Send + 'static>(
    py: Python<'_>,
    monitor: &Arc<Monitor>,
    work: impl FnOnce(&Monitor) -> Result<T> + Send + 'static,
    mut tick: impl FnMut(Python<'_>) -> PyResult<()>,
) -> PyResult<T> {
    let (done_out, done_in) = channel();
    let watched = Arc::clone(monitor);
    let thread = std::thread::spawn(move || {
        // Whoever waits may be gone only if the process ends.
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
    let result = loop {
        match py.detach(|| receive(Some(TICK))) {
            Err(RecvTimeoutError::Timeout) => {
                if let Err(exception) = py.check_signals().and_then(|()| tick(py)) {
                    monitor.cancel();
                    let _ = py.detach(|| receive(None));
                    let _ = py.detach(|| thread.join());
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
    tick(py)?;
    Ok(result)
}
