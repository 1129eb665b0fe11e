//! Which fragments are of one document, and of which input.

/// The fragments of a corpus, in its order.
#[derive(Debug, Default)]
pub(super) struct Documents {
    /// For each input, how many fragments there are up to its end.
    ends: Vec<u32>,
    /// A bit for each fragment: it is of the same document as the one before.
    continued: Vec<u64>,
    last: Option<(u32, u64)>,
    count: u32,
}

impl Documents {
    pub(super) fn new(inputs: usize) -> Self {
        Self { ends: vec![0; inputs], ..Self::default() }
    }

    /// Takes the next fragment: its input, and the index of its item there; gives its number.
    pub(super) fn push(&mut self, input: u32, item: u64) -> u32 {
        let fragment = self.count;
        self.count = self.count.saturating_add(1);
        if fragment.is_multiple_of(64) {
            self.continued.push(0);
        }
        if self.last.replace((input, item)) == Some((input, item)) {
            self.continued[fragment as usize / 64] |= 1 << (fragment % 64);
        }
        self.ends[input as usize] = self.count;
        fragment
    }

    /// How many fragments there are.
    pub(super) fn fragments(&self) -> u32 {
        self.count
    }

    /// The input of a fragment.
    pub(super) fn input_of(&self, fragment: u32) -> usize {
        self.ends.partition_point(|end| *end <= fragment)
    }

    /// How many of these draws (fragment and epoch), from the first on, are of one document.
    pub(super) fn run(&self, draws: impl Iterator<Item = (u32, u32)>) -> usize {
        let mut draws = draws.peekable();
        let mut count = 0;
        while let Some((fragment, epoch)) = draws.next() {
            count += 1;
            if draws.peek() != Some(&(fragment.wrapping_add(1), epoch)) || !self.continues(fragment + 1) {
                break;
            }
        }
        count
    }

    fn continues(&self, fragment: u32) -> bool {
        self.continued.get(fragment as usize / 64).is_some_and(|bits| bits >> (fragment % 64) & 1 == 1)
    }
}
