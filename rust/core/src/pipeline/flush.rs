//! What is written goes to the disk while more is still made, so that there is less to wait for at the end.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Sender, bounded};

use super::encode::join;
use crate::error::Result;

/// Bytes after which what has been written is flushed.
const STEP: u64 = 32 << 20;

/// Counts what is written, and has it flushed now and then.
pub(super) struct Flusher {
    bytes: AtomicU64,
    begin: Sender<()>,
}

impl Flusher {
    /// So many bytes more have been written.
    pub(super) fn wrote(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before / STEP != (before + bytes) / STEP {
            let _ = self.begin.try_send(()); // if it is full, one has not begun yet
        }
    }
}

/// Does work that writes, and beside it, on another thread, calls `flush`. Who looks for errors only at the end might
/// not be told of those that showed there, so they are errors of the work.
pub(super) fn flushing<T>(
    flush: impl Fn() -> Result<()> + Sync,
    work: impl FnOnce(&Flusher) -> Result<T>,
) -> Result<T> {
    let (begin, begins) = bounded(1);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| begins.into_iter().try_for_each(|()| flush()));
        let flusher = Flusher { bytes: AtomicU64::new(0), begin };
        let result = work(&flusher);
        drop(flusher); // and with it the thread ends
        let flushed = join(thread);
        result.and_then(|result| flushed.map(|()| result))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn flushes_after_every_step_and_at_most_so_often() {
        let flushed = AtomicU64::new(0);
        let flush = || {
            flushed.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let done = flushing(flush, |flusher| {
            flusher.wrote(STEP / 2);
            flusher.wrote(STEP / 2 - 1);
            assert_eq!(flushed.load(Ordering::Relaxed), 0);
            for _ in 0..8 {
                flusher.wrote(STEP / 4);
            }
            Ok("done")
        });
        assert_eq!(done.ok(), Some("done"));
        assert!((1..=2).contains(&flushed.load(Ordering::Relaxed)));
    }

    #[test]
    fn errors_of_flushing_are_errors_of_the_work() {
        let work = |bytes: u64| {
            let fails = || Err(Error::Internal("full".into()));
            flushing(fails, |flusher| {
                flusher.wrote(bytes);
                Ok(())
            })
        };
        assert!(matches!(work(STEP), Err(Error::Internal(_))));
        assert!(work(STEP - 1).is_ok());
    }
}
