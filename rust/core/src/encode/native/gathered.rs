//! Ids on their way out.

/// The most ids that the cache gives for one piece.
pub(super) const MOST_IDS: usize = 8;

/// Ids that are gathered at most.
const ROOM: usize = 2048;

/// Gathers ids of many pieces before they are handed over: to copy those of each batch would be to read what has just been
/// written, piece by piece, which waits until it has arrived in memory.
pub(super) struct Gathered {
    ids: Box<[u32; ROOM]>,
    count: usize,
}

impl Gathered {
    pub(super) fn new() -> Self {
        Self { ids: Box::new([0; ROOM]), count: 0 }
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

    /// Sees to it that there is room for so many pieces.
    #[inline]
    pub(super) fn make_room(&mut self, pieces: usize, ids: &mut Vec<u32>) {
        if self.count + pieces * MOST_IDS > ROOM {
            self.hand_over(ids);
        }
    }

    /// Takes the ids of one piece.
    pub(super) fn take(&mut self, some: &[u32], ids: &mut Vec<u32>) {
        if some.len() <= MOST_IDS
            && let Some(room) = self.ids.get_mut(self.count..self.count + some.len())
        {
            room.copy_from_slice(some);
            self.count += some.len();
        } else {
            self.hand_over(ids);
            ids.extend_from_slice(some);
        }
    }

    /// Appends all that has been gathered.
    pub(super) fn hand_over(&mut self, ids: &mut Vec<u32>) {
        ids.extend_from_slice(self.ids.get(..self.count).unwrap_or_default());
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
