//! A disk that fails, or dies, at a chosen call.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed just before it: neither this call nor any later one does a thing.
    Kill,
    /// The process is killed in the middle of it, if it is a write: half of it is done.
    Tear,
    /// The system refuses this call, with an error number.
    Refuse(i32),
    /// The system refuses this call and all later ones.
    RefuseFromHere(i32),
}

/// The plan of one disk, shared by all its files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Option<Arc<Plan>>);

#[derive(Debug)]
struct Plan {
    at: u64,
    fault: Fault,
    calls: AtomicU64,
    written: AtomicU64,
    dead: AtomicBool,
}

impl Faults {
    /// The call number `at` (from 0) is the one.
    pub(crate) fn new(at: u64, fault: Fault) -> Self {
        let (calls, written, dead) = Default::default();
        Self(Some(Arc::new(Plan { at, fault, calls, written, dead })))
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> u64 {
        self.0.as_ref().map_or(0, |plan| plan.calls.load(Ordering::SeqCst))
    }

    /// How many bytes were written.
    pub(crate) fn written(&self) -> u64 {
        self.0.as_ref().map_or(0, |plan| plan.written.load(Ordering::SeqCst))
    }

    pub(super) fn count_written(&self, bytes: usize) {
        if let Some(plan) = &self.0 {
            plan.written.fetch_add(bytes as u64, Ordering::SeqCst);
        }
    }

    /// Whether the call was reached at which the process was to die.
    pub(crate) fn died(&self) -> bool {
        self.0.as_ref().is_some_and(|plan| plan.dead.load(Ordering::SeqCst))
    }

    /// Whether calls that change nothing need not be counted: a process that dies there might as well die at the
    /// next one that does.
    pub(super) fn is_harmless(&self) -> bool {
        let Some(plan) = &self.0 else { return true };
        matches!(plan.fault, Fault::Kill | Fault::Tear) && !self.died()
    }

    /// The part of a write that is done although the process dies in it.
    pub(super) fn tear<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let plan = self.0.as_ref()?;
        let now = plan.fault == Fault::Tear && !self.died() && plan.calls.load(Ordering::SeqCst) == plan.at;
        now.then_some(&bytes[..bytes.len() / 2])
    }

    /// Asked before every call.
    pub(super) fn pass(&self) -> io::Result<()> {
        let Some(plan) = &self.0 else { return Ok(()) };
        let call = plan.calls.fetch_add(1, Ordering::SeqCst);
        let gone = || io::Error::other("the process is dead");
        match plan.fault {
            _ if self.died() => Err(gone()),
            Fault::Kill | Fault::Tear if call == plan.at => {
                plan.dead.store(true, Ordering::SeqCst);
                Err(gone())
            }
            Fault::Refuse(number) if call == plan.at => Err(io::Error::from_raw_os_error(number)),
            Fault::RefuseFromHere(number) if call >= plan.at => Err(io::Error::from_raw_os_error(number)),
            _ => Ok(()),
        }
    }
}
