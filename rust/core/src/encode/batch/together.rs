//! What threads encode, put together in its order while they go on.
//!
//! A thread that has encoded a run leaves it here, and, unless another thread is at it, adds to the whole whatever is next.
//! So ids are written to new memory once (which is slow at first touch: the system clears every page), and from memory that
//! was written to a moment ago and is used again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{BatchError, EncodedTexts};
use crate::memory::{make_just_room, with_room};

/// Bytes a token, on the low side of what is usual: to reserve space once. (Space that is not used costs nothing, but what is
/// very large is taken from the system and given back every time.)
pub(super) const BYTES_A_TOKEN: usize = 3;

/// The ids of all texts, as far as they are done.
pub(super) struct Whole {
    encoded: EncodedTexts,
    bytes_done: usize,
    bytes: usize,
}

impl Whole {
    /// Nothing yet of so many texts, which have so many bytes.
    pub(super) fn of(texts: usize, bytes: usize) -> Self {
        let ids = with_room(bytes / BYTES_A_TOKEN);
        let mut offsets = Vec::with_capacity(texts + 1);
        offsets.push(0);
        Self { encoded: EncodedTexts { ids, offsets }, bytes_done: 0, bytes }
    }

    /// The ids so far, to which about so many are to be added.
    pub(super) fn room_for(&mut self, more: usize) -> &mut EncodedTexts {
        let ids = &mut self.encoded.ids;
        if ids.capacity() - ids.len() < more && self.bytes_done > 0 {
            // As many as there have been for what is done, but hardly one for each byte; doubling what is large would be to move
            // it.
            let left = self.bytes - self.bytes_done;
            let expected = ids.len().saturating_mul(left) / self.bytes_done;
            make_just_room(ids, expected.saturating_add(expected / 8).min(left).max(more));
        }
        &mut self.encoded
    }

    /// The ids of texts of so many bytes have been added.
    pub(super) fn added(&mut self, bytes: usize) {
        self.bytes_done += bytes;
    }

    pub(super) fn into_encoded(self) -> EncodedTexts {
        self.encoded
    }

    fn add(&mut self, part: &Part) {
        let Part { encoded, bytes } = part;
        let whole = self.room_for(encoded.ids.len());
        let base = whole.ids.len() as u64;
        whole.ids.extend_from_slice(&encoded.ids);
        whole.offsets.extend(encoded.offsets.iter().map(|offset| base + offset));
        self.added(*bytes);
    }
}

/// What threads have encoded, whole and waiting.
pub(super) struct Together {
    whole: Mutex<Whole>,
    ready: Mutex<Ready>,
}

/// Runs that are encoded but not yet part of the whole, since one before them is not.
#[derive(Default)]
struct Ready {
    next: usize,
    parts: BTreeMap<usize, Result<Part, BatchError>>,
    /// Memory of what has become part of the whole.
    spare: Vec<EncodedTexts>,
}

/// The ids of a run, and how many bytes its texts have.
pub(super) struct Part {
    pub(super) encoded: EncodedTexts,
    pub(super) bytes: usize,
}

impl Ready {
    /// The run that is next, if it is encoded.
    fn next(&mut self) -> Option<Part> {
        let first = self.parts.first_entry()?;
        if *first.key() != self.next || first.get().is_err() {
            return None;
        }
        self.next += 1;
        first.remove().ok()
    }
}

impl Together {
    pub(super) fn new(whole: Whole) -> Self {
        Self { whole: Mutex::new(whole), ready: Mutex::default() }
    }

    fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empty memory for the ids of a run.
    pub(super) fn spare(&self) -> EncodedTexts {
        self.ready().spare.pop().unwrap_or_default()
    }

    /// Takes the ids of a run, and adds to the whole what is next; no thread waits while another does that.
    pub(super) fn take(&self, number: usize, part: Result<Part, BatchError>) {
        self.ready().parts.insert(number, part);
        if let Ok(mut whole) = self.whole.try_lock() {
            self.add_to(&mut whole);
        }
    }

    fn add_to(&self, whole: &mut Whole) {
        while let Some(mut part) = { self.ready().next() } {
            whole.add(&part);
            part.encoded.ids.clear();
            part.encoded.offsets.clear();
            self.ready().spare.push(part.encoded);
        }
    }

    /// All of it, when all runs have been taken.
    ///
    /// # Errors
    /// The first run that could not be encoded.
    pub(super) fn finish(self) -> Result<EncodedTexts, BatchError> {
        self.add_to(&mut self.whole.lock().unwrap_or_else(PoisonError::into_inner));
        let left = self.ready.into_inner().unwrap_or_else(PoisonError::into_inner).parts;
        match left.into_values().next() {
            Some(Err(error)) => Err(error),
            _ => Ok(self.whole.into_inner().unwrap_or_else(PoisonError::into_inner).into_encoded()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::EncodeError;

    fn part(ids: std::ops::Range<u32>) -> Part {
        let offsets = vec![1, u64::from(ids.end - ids.start)];
        Part { encoded: EncodedTexts { ids: ids.collect(), offsets }, bytes: 3 }
    }

    #[test]
    fn parts_come_in_any_order_and_leave_in_theirs() {
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let together = Together::new(Whole::of(8, 80));
            for number in order {
                together.take(number as usize, Ok(part(number * 10..number * 10 + number + 2)));
            }
            let spare = together.spare();
            assert!(spare.ids.is_empty() && spare.offsets.is_empty() && spare.ids.capacity() > 0);
            let Ok(whole) = together.finish() else { panic!("refused") };
            assert_eq!(whole.ids, [0, 1, 10, 11, 12, 20, 21, 22, 23, 30, 31, 32, 33, 34]);
            assert_eq!(whole.offsets, [0, 1, 2, 3, 5, 6, 9, 10, 14]);
        }
    }

    #[test]
    fn the_first_run_that_is_refused_is_named() {
        let together = Together::new(Whole::of(1, 4));
        for number in [4, 2, 3] {
            together.take(number, Err(BatchError { text: number, error: EncodeError("no".into()) }));
        }
        together.take(1, Ok(part(0..2)));
        together.take(0, Ok(part(0..2)));
        assert_eq!(together.finish().err().map(|error| error.text), Some(2));
    }
}
