//! Ids on their way out.

use super::waiting::Waiting;

/// The most ids that the cache gives for one piece.
pub(super) const MOST_IDS: usize = 8;

/// Ids that are gathered at most.
const ROOM: usize = 2048;

/// Gaps and ends of texts at most.
const MARKS: usize = 512;

/// Something in between ids.
enum Mark {
    /// The ids of the piece that waits with this number.
    Gap(usize),
    /// A text ends.
    End,
}

/// Gathers ids of many pieces before they are handed over: to copy those of each batch would be to read what has just been
/// written, piece by piece, which waits until it has arrived in memory. And new pieces can wait for each other, with gaps
/// in their places.
pub(super) struct Gathered {
    ids: Box<[u32; ROOM]>,
    count: usize,
    /// By where they are among the ids.
    marks: Vec<(usize, Mark)>,
}

impl Gathered {
    pub(super) fn new() -> Self {
        Self { ids: Box::new([0; ROOM]), count: 0, marks: Vec::with_capacity(MARKS) }
    }

    /// The room that is left (see [`Self::make_room`]).
    #[inline]
    pub(super) fn room(&mut self) -> &mut [u32] {
        self.ids.get_mut(self.count..).unwrap_or_default()
    }

    /// So many ids have been written to the room.
    #[inline]
    pub(super) fn took(&mut self, count: usize) {
        self.count += count;
    }

    /// Whether there is room for so many pieces, whether gaps or not.
    #[inline]
    pub(super) fn has_room(&self, pieces: usize) -> bool {
        self.count + pieces * MOST_IDS <= ROOM && self.marks.len() + pieces <= MARKS
    }

    /// Takes the ids of one piece; false if they are too many.
    pub(super) fn take(&mut self, some: &[u32]) -> bool {
        let room = self.ids.get_mut(self.count..self.count + some.len());
        let Some(room) = room.filter(|_| some.len() <= MOST_IDS) else { return false };
        room.copy_from_slice(some);
        self.count += some.len();
        true
    }

    /// Leaves a gap for the ids of the piece that waits with this number.
    pub(super) fn leave_gap(&mut self, number: usize) {
        self.marks.push((self.count, Mark::Gap(number)));
    }

    /// A text ends here.
    pub(super) fn end_text(&mut self) {
        self.marks.push((self.count, Mark::End));
    }

    /// Appends all that has been gathered, with what waits in its gaps; says of every end of a text how many ids there are then.
    pub(super) fn hand_over(&mut self, waiting: &Waiting, ids: &mut Vec<u32>, mut ended: impl FnMut(usize)) {
        let mut from = 0;
        for (at, mark) in self.marks.drain(..) {
            ids.extend_from_slice(&self.ids[from..at]);
            from = at;
            match mark {
                Mark::Gap(number) => ids.extend(waiting.ids(number)),
                Mark::End => ended(ids.len()),
            }
        }
        ids.extend_from_slice(&self.ids[from..self.count]);
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_out_in_the_order_in_which_they_went_in() {
        let (mut gathered, mut ids, mut expected) = (Gathered::new(), Vec::new(), Vec::new());
        for round in 0..2000u32 {
            gathered.make_room(2, &mut ids);
            gathered.room()[..4].copy_from_slice(&[round, round + 1, 7, 7]);
            gathered.took(2);
            expected.extend([round, round + 1]);
            // Some of them so many that they do not fit.
            let some: Vec<u32> = (0..round % 13 * (round % 91 / 90 * 300 + 1)).collect();
            gathered.take(&some, &mut ids);
            expected.extend(some);
        }
        gathered.hand_over(&mut ids);
        gathered.hand_over(&mut ids);
        assert_eq!(ids, expected);
    }
}
