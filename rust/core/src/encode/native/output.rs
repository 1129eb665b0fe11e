//! Ids on their way out.

use super::waiting::Waiting;
use crate::memory::make_room;

/// Places that are made at a time.
const BLOCK: usize = 1024;
/// Gaps and ends of texts at most.
const MARKS: usize = 512;
/// Ids behind a gap at most: they are moved when it is filled, and should still be near.
const BEHIND: usize = 8192;

/// Something in between ids.
enum Mark {
    /// The ids of the piece that waits with this number.
    Gap(usize),
    /// A text ends.
    End,
}

/// Has ids written where they stay, into places that have been made before: to gather and copy them would be to read what
/// has just been written. Of pieces that wait for others, only where their ids belong is noted.
pub(super) struct Output {
    /// How many of the places hold ids.
    filled: usize,
    /// By where they are among them.
    marks: Vec<(usize, Mark)>,
}

impl Output {
    pub(super) fn new() -> Self {
        Self { filled: 0, marks: Vec::new() }
    }

    /// What follows goes behind these ids.
    pub(super) fn begin(&mut self, ids: &[u32]) {
        self.filled = ids.len();
        self.marks.clear();
    }

    /// The places that hold nothing yet (see [`Self::make_room`]).
    #[inline]
    pub(super) fn room<'i>(&self, ids: &'i mut [u32]) -> &'i mut [u32] {
        ids.get_mut(self.filled..).unwrap_or_default()
    }

    /// So many ids have been written to the room.
    #[inline]
    pub(super) fn took(&mut self, count: usize) {
        self.filled += count;
    }

    /// Sees to it that there is room for so many ids.
    #[inline]
    pub(super) fn make_room(&mut self, count: usize, ids: &mut Vec<u32>) {
        if ids.len() - self.filled < count {
            let places = self.filled + count.max(BLOCK);
            make_room(ids, places - ids.len());
            ids.resize(places, 0);
        }
    }

    /// Takes the ids of one piece.
    pub(super) fn take(&mut self, some: &[u32], ids: &mut Vec<u32>) {
        self.make_room(some.len(), ids);
        ids[self.filled..self.filled + some.len()].copy_from_slice(some);
        self.filled += some.len();
    }

    /// Has ids of one piece appended.
    pub(super) fn append(&mut self, ids: &mut Vec<u32>, append: impl FnOnce(&mut Vec<u32>)) {
        ids.truncate(self.filled);
        append(ids);
        self.filled = ids.len();
    }

    /// Leaves a gap for the ids of the piece that waits with this number.
    pub(super) fn leave_gap(&mut self, number: usize) {
        self.marks.push((self.filled, Mark::Gap(number)));
    }

    /// A text ends here.
    pub(super) fn end_text(&mut self) {
        self.marks.push((self.filled, Mark::End));
    }

    /// Whether the gaps had better be filled before there are more.
    #[inline]
    pub(super) fn is_crowded(&self) -> bool {
        let first = self.marks.first().map_or(self.filled, |(at, _)| *at);
        self.filled - first > BEHIND || self.marks.len() >= MARKS
    }

    /// Fills all gaps; of every text that ended, appends to `ends` how many ids there were.
    pub(super) fn fill_gaps(&mut self, waiting: &Waiting, ids: &mut Vec<u32>, ends: &mut Vec<usize>) {
        let length = |mark: &Mark| match mark {
            Mark::Gap(number) => waiting.ids(*number).len(),
            Mark::End => 0,
        };
        let mut more: usize = self.marks.iter().map(|(_, mark)| length(mark)).sum();
        self.make_room(more, ids);
        let mut end = self.filled;
        self.filled += more;
        let ended = ends.len();
        for (at, mark) in self.marks.drain(..).rev() {
            // What stands behind the gap goes to its place first.
            if more > 0 {
                ids.copy_within(at..end, at + more);
            }
            end = at;
            match mark {
                Mark::Gap(number) => {
                    let some = waiting.ids(number);
                    more -= some.len();
                    ids[at + more..].iter_mut().zip(some).for_each(|(place, id)| *place = *id);
                }
                Mark::End => ends.push(at + more),
            }
        }
        ends[ended..].reverse();
    }

    /// Leaves nothing but ids.
    pub(super) fn finish(&mut self, ids: &mut Vec<u32>) {
        ids.truncate(self.filled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_out_in_the_order_in_which_they_went_in() {
        // Pieces of 0, 1, 2, ... ids that wait.
        let rows: Vec<Vec<u32>> = (0..9u32).map(|count| (0..count).map(|id| 1000 + id).collect()).collect();
        let waiting = Waiting::of_ids(&rows);
        let (mut output, mut ids, mut ends) = (Output::new(), vec![1, 2, 3], Vec::new());
        let (mut expected, mut expected_ends) = (ids.clone(), Vec::new());
        output.begin(&ids);
        for round in 0..3000u32 {
            output.make_room(8, &mut ids);
            output.room(&mut ids)[..4].copy_from_slice(&[round, round + 1, 7, 7]);
            output.took(2);
            expected.extend([round, round + 1]);
            // Some of them so many that there have to be more places.
            let some: Vec<u32> = (0..round % 13 * (round % 91 / 90 * 300 + 1)).collect();
            output.take(&some, &mut ids);
            expected.extend(some);
            // Gaps side by side too, and texts without any ids.
            for gap in 0..round % 5 / 2 {
                let number = ((round + gap) % 9) as usize;
                output.leave_gap(number);
                expected.extend(&rows[number]);
            }
            if round % 7 < 2 {
                output.end_text();
                expected_ends.push(expected.len());
            }
            if output.is_crowded() {
                output.fill_gaps(&waiting, &mut ids, &mut ends);
            }
        }
        output.fill_gaps(&waiting, &mut ids, &mut ends);
        output.finish(&mut ids);
        assert_eq!(ids, expected);
        assert_eq!(ends, expected_ends);
    }
}
