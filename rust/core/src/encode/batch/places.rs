//! Threads of a batch on processors of their own.
//!
//! A batch is often done in a few milliseconds, and for as long Linux may leave two of its threads on one processor while
//! another has nothing to do: it starts a thread where the one before it has just been started, or wakes it where the thread
//! runs that it waited for. Its own balancing comes too late. So each thread looks around a few times while it is young.
//! Where it meets a thread that began before it, it moves to a processor that has none (and may run anywhere again
//! thereafter); where it meets one that began after it, or one has not begun yet, it lets that go first, so that it can.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How often a thread looks around.
const LOOKS: usize = 8;
/// The place of a thread that does not run.
const NOWHERE: usize = usize::MAX;

/// The processors that the threads of a batch were last seen on.
pub(super) struct Places {
    /// In the order in which they begin.
    seen: Vec<AtomicUsize>,
    begun: AtomicUsize,
}

/// A thread among them.
pub(super) struct Place<'a> {
    all: &'a Places,
    own: usize,
    looks: usize,
}

impl Places {
    /// For so many threads.
    pub(super) fn new(threads: usize) -> Self {
        let seen = (0..threads).map(|_| AtomicUsize::new(NOWHERE)).collect();
        Self { seen, begun: AtomicUsize::new(0) }
    }

    /// The place of a thread that begins, one of as many as there are places.
    pub(super) fn begin(&self) -> Place<'_> {
        let own = self.begun.fetch_add(1, Ordering::Relaxed);
        Place { all: self, own, looks: 0 }
    }
}

impl Place<'_> {
    /// Looks around, between two runs.
    pub(super) fn look(&mut self) {
        if self.looks == LOOKS {
            return;
        }
        self.looks += 1;
        let Some(here) = system::processor() else { return };
        self.seen_on(here);
        let seen = || self.all.seen.iter().map(|seen| seen.load(Ordering::Relaxed));
        if seen().take(self.own).any(|place| place == here) {
            if let Some(here) = system::leave(seen()) {
                self.seen_on(here);
            }
        } else if self.all.begun.load(Ordering::Relaxed) < self.all.seen.len()
            || seen().skip(self.own + 1).any(|place| place == here)
        {
            std::thread::yield_now();
        }
    }

    fn seen_on(&self, processor: usize) {
        self.all.seen[self.own].store(processor, Ordering::Relaxed);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.seen_on(NOWHERE);
    }
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// The processor that this thread runs on.
    #[allow(clippy::unnecessary_wraps)] // other systems do not say
    pub(super) fn processor() -> Option<usize> {
        Some(sched_getcpu())
    }

    /// Moves this thread to a processor that is none of these, where there is one that it may run on; says which.
    pub(super) fn leave(these: impl Iterator<Item = usize>) -> Option<usize> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut free = allowed;
        these.filter(|&processor| processor < CpuSet::MAX_CPU).for_each(|processor| free.unset(processor));
        sched_setaffinity(None, &free).ok()?;
        let processor = sched_getcpu();
        sched_setaffinity(None, &allowed).ok()?;
        Some(processor)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn processor() -> Option<usize> {
        None
    }

    pub(super) fn leave(_: impl Iterator<Item = usize>) -> Option<usize> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::thread::{CpuSet, sched_getaffinity};

    use super::*;

    fn allowed() -> Option<CpuSet> {
        sched_getaffinity(None).ok()
    }

    #[test]
    fn threads_that_meet_part_and_may_run_anywhere_again() {
        let before = allowed();
        let places = Places::new(3);
        let (mut first, mut second, ended) = (places.begin(), places.begin(), places.begin());
        drop(ended);
        // One thread is both, so the second is where the first was seen.
        first.look();
        second.look();
        let [first, second, ended] = [0, 1, 2].map(|at| places.seen[at].load(Ordering::Relaxed));
        let can_part = before.is_some_and(|before| before.count() > 1);
        assert_eq!(first != second, can_part, "{first} and {second}");
        assert_eq!(ended, NOWHERE);
        assert!(before == allowed());
    }

    #[test]
    fn where_no_processor_is_free_a_thread_stays() {
        let before = allowed();
        assert_eq!(system::leave(0..1 << 16), None);
        assert!(before == allowed());
    }
}
