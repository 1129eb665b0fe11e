//! What a running build tells the one who waits for it, and how it is told to stop.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::survey::BuildPlan;
use crate::error::{Error, Result};

/// The steps of a build, as they take their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Looking at the corpus; counts stored bytes.
    Survey,
    /// Reading and encoding; counts stored bytes.
    Encode,
    /// Deciding what goes where.
    Plan,
    /// Writing rows; counts rows.
    Write,
    /// Checksums, flushing to disk, renaming.
    Publish,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Survey, Self::Encode, Self::Plan, Self::Write, Self::Publish];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Survey => "survey",
            Self::Encode => "encode",
            Self::Plan => "plan",
            Self::Write => "write",
            Self::Publish => "publish",
        }
    }
}

/// A look at a running build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Where it is.
    pub stage: Stage,
    /// How much of the stage is done, in its own unit.
    pub done: u64,
    /// How much there is; 0 where that is not known.
    pub total: u64,
    /// Items encoded so far.
    pub items: u64,
    /// Tokens encoded so far.
    pub tokens: u64,
}

const RUNNING: u8 = 0;
const CANCELLED: u8 = 1;
const PUBLISHING: u8 = 2;

/// Shared by a build and whoever watches it.
#[derive(Debug, Default)]
pub struct Monitor {
    /// Whether work goes on, was cancelled, or is past the point where it could be.
    state: AtomicU8,
    continuable: AtomicBool,
    stage: AtomicU8,
    done: AtomicU64,
    total: AtomicU64,
    items: AtomicU64,
    tokens: AtomicU64,
    plan: Mutex<Option<BuildPlan>>,
}

impl Monitor {
    /// Asks the work to stop; it ends with [`Error::Interrupted`] soon. False if it is too late for that: the
    /// result is being published.
    #[must_use]
    pub fn cancel(&self) -> bool {
        let result = self.state.compare_exchange(RUNNING, CANCELLED, Ordering::SeqCst, Ordering::SeqCst);
        result != Err(PUBLISHING)
    }

    /// Fails when the work has been asked to stop.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.state.load(Ordering::Relaxed) == CANCELLED { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// From here on the work cannot be asked to stop.
    pub(super) fn publishing(&self) -> Result<()> {
        let result = self.state.compare_exchange(RUNNING, PUBLISHING, Ordering::SeqCst, Ordering::SeqCst);
        result.map(|_| ()).map_err(|_| Error::Interrupted)
    }

    /// Whether the same build, if it were stopped now, would go on from where it is.
    #[must_use]
    pub fn is_continuable(&self) -> bool {
        self.continuable.load(Ordering::Relaxed)
    }

    pub(super) fn can_be_continued(&self) {
        self.continuable.store(true, Ordering::Relaxed);
    }

    /// Where the build is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let stage = usize::from(self.stage.load(Ordering::Relaxed));
        Progress {
            stage: Stage::ALL.get(stage).copied().unwrap_or(Stage::Publish),
            done: self.done.load(Ordering::Relaxed),
            total: self.total.load(Ordering::Relaxed),
            items: self.items.load(Ordering::Relaxed),
            tokens: self.tokens.load(Ordering::Relaxed),
        }
    }

    /// The plan, once, as soon as there is one.
    #[must_use]
    pub fn take_plan(&self) -> Option<BuildPlan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn announce(&self, plan: &BuildPlan) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan.clone());
    }

    pub(crate) fn start(&self, stage: Stage, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    pub(crate) fn advance(&self, done: u64) {
        self.done.fetch_add(done, Ordering::Relaxed);
    }

    pub(super) fn encoded(&self, items: u64, tokens: u64) {
        self.items.fetch_add(items, Ordering::Relaxed);
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
    }
}
