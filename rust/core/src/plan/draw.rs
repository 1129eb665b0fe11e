//! What is drawn, how often, and in which order.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::portable::{exp, ln};
use super::too_many;
use crate::error::{Error, Result};

/// The order in which documents come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// As in the corpus: files by path, items as they stand; repetitions after all of it.
    Corpus,
    /// Shuffled by the seed.
    Shuffle,
    /// Drawn without replacement, each document with a chance proportional to its priority among those that are
    /// left: what has a higher priority comes sooner, the rest is mixed in more and more.
    Priority,
    /// Every group has its share of the tokens, and keeps it from the first row to the last.
    Proportions,
    /// As a file lists them.
    File,
}

impl Order {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Corpus => "corpus",
            Self::Shuffle => "shuffle",
            Self::Priority => "priority",
            Self::Proportions => "proportions",
            Self::File => "file",
        }
    }
}

/// What one input has a right to.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// How often each document comes; at the most, under [`Order::Proportions`].
    pub epochs: f64,
    /// Its weight under [`Order::Priority`].
    pub priority: f64,
    /// The group whose tokens are counted together under [`Order::Proportions`].
    pub group: usize,
    /// Inputs with one limit share its number and value.
    pub limit: Option<(usize, Limit)>,
}

/// The most that is drawn; drawing stops at the first document that would be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Documents, repetitions included.
    pub documents: u64,
    /// Tokens.
    pub tokens: u64,
}

impl Limit {
    /// What is left after one more document of so many tokens; `None` if that is too much.
    fn less(self, tokens: u64) -> Option<Self> {
        let (documents, tokens) = (self.documents.checked_sub(1)?, self.tokens.checked_sub(tokens)?);
        Some(Self { documents, tokens })
    }
}

/// What [`Order::Proportions`] aims at.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Tokens in all; by default as many as there are without repeating anything more often than allowed.
    pub tokens: Option<u64>,
    /// Shares that are not given go with the tokens there are, to the power of one over this.
    pub temperature: f64,
    /// For each group, its share, relative to the others; either all have one or none has.
    pub weights: Vec<Option<f64>>,
}

impl Target {
    /// How many tokens to take of groups of these sizes, of which there may be so many at the most.
    ///
    /// # Errors
    /// When there are not enough.
    #[allow(clippy::cast_precision_loss)]
    pub fn tokens_by_group(&self, sizes: &[u64], most: &[f64]) -> Result<Vec<f64>> {
        let weight = |(group, size): (usize, &u64)| match self.weights.get(group).copied().flatten() {
            _ if *size == 0 => 0.0,
            Some(weight) => weight,
            None => exp(ln(*size as f64) / self.temperature),
        };
        let weights: Vec<f64> = sizes.iter().enumerate().map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let wanted = weights.iter().zip(most).filter(|(weight, _)| **weight > 0.0);
        let possible = wanted.map(|(weight, most)| most * sum / weight).fold(f64::INFINITY, f64::min);
        let possible = if possible.is_finite() { possible } else { 0.0 };
        let tokens = match self.tokens {
            Some(tokens) if tokens as f64 > possible => {
                return Err(Error::Config(format!(
                    "{tokens} tokens in these proportions are more than there are: {possible:.0} without \
                     repeating a group more often than its epochs; raise epochs in the recipe, or lower tokens"
                )));
            }
            tokens => tokens.map_or(possible, |tokens| tokens as f64),
        };
        Ok(weights.iter().map(|weight| if sum > 0.0 { tokens * weight / sum } else { 0.0 }).collect())
    }
}

/// How often an item is drawn when its file is to come `epochs` times: `floor(items * epochs)` draws in all, those of
/// the fraction spread evenly over the file.
#[must_use]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn times(item: u64, epochs: f64) -> u32 {
    let before = |items: u64| (items as f64 * epochs).floor() as u64;
    u32::try_from(before(item + 1) - before(item)).unwrap_or(u32::MAX)
}

/// A fragment that comes at a place of the order, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Smaller ones come first.
    value: u64,
    epoch: u32,
    fragment: u32,
}

/// Collects the fragments of a corpus, and puts what is drawn of them into order; fragments of one document stay
/// together.
///
/// Documents are told apart by the hash (XXH3-64, keyed by the seed) of their file's path, the item's index and the
/// repetition. The order is the same on every machine, and what a document's place is decided by does not depend on
/// what else is in the corpus. A shuffle sorts by the hash; priorities sort by -ln(hash) / priority, which is drawing
/// without replacement (Efraimidis and Spirakis 2006).
pub struct Sampler<'a> {
    order: Order,
    seed: u64,
    shares: &'a [Share],
    /// Of the inputs.
    path_hashes: Vec<u64>,
    /// By group; one for all but [`Order::Proportions`].
    keys: Vec<Vec<Key>>,
    /// For each input, how many fragments there are up to its end.
    ends: Vec<u32>,
    /// A bit for each fragment: it is of the same document as the one before.
    continued: Vec<u64>,
    last: Option<(u32, u64)>,
    count: u32,
}

/// What is drawn, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draws {
    fragments: Vec<u32>,
    /// Empty where nothing is repeated.
    epochs: Vec<u32>,
}

impl Draws {
    /// A list of fragments and epochs.
    #[must_use]
    pub fn new(fragments: Vec<u32>, mut epochs: Vec<u32>) -> Self {
        if epochs.iter().all(|epoch| *epoch == 0) {
            epochs = Vec::new();
        }
        Self { fragments, epochs }
    }

    /// How many pieces are drawn.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fragments.len()
    }

    /// Whether nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fragments.is_empty()
    }

    /// The fragment at a place.
    #[must_use]
    pub fn fragment(&self, place: u32) -> u32 {
        self.fragments[place as usize]
    }

    /// Which repetition of it this is, from 0.
    #[must_use]
    pub fn epoch(&self, place: u32) -> u32 {
        self.epochs.get(place as usize).copied().unwrap_or(0)
    }

    /// The fragments, in order.
    #[must_use]
    pub fn fragments(&self) -> &[u32] {
        &self.fragments
    }
}

impl<'a> Sampler<'a> {
    /// `shares` and `paths` are those of the inputs.
    pub fn new<'p>(
        order: Order,
        seed: u64,
        shares: &'a [Share],
        paths: impl IntoIterator<Item = &'p str>,
    ) -> Self {
        let path_hashes: Vec<u64> = paths.into_iter().map(|path| xxh3_64(path.as_bytes())).collect();
        let groups = match order {
            Order::Proportions => shares.iter().map(|share| share.group + 1).max().unwrap_or(1),
            _ => 1,
        };
        Self {
            order,
            seed,
            shares,
            ends: vec![0; path_hashes.len()],
            path_hashes,
            keys: vec![Vec::new(); groups],
            continued: Vec::new(),
            last: None,
            count: 0,
        }
    }

    /// Takes the next fragment in the order of the corpus: its input, and the index of its item there.
    pub fn push(&mut self, input: u32, item: u64) {
        let fragment = self.count;
        self.count = self.count.saturating_add(1);
        if fragment.is_multiple_of(64) {
            self.continued.push(0);
        }
        if self.last.replace((input, item)) == Some((input, item)) {
            self.continued[fragment as usize / 64] |= 1 << (fragment % 64);
        }
        self.ends[input as usize] = self.count;
        if self.takes_all_in_order() {
            return;
        }
        let share = &self.shares[input as usize];
        let (group, times) = match self.order {
            // How much of the last repetition is wanted, tokens will tell.
            Order::Proportions => (share.group, times(0, share.epochs.ceil())),
            _ => (0, times(item, share.epochs)),
        };
        for epoch in 0..times {
            let hash = || self.hash(input, item, epoch);
            let key = match self.order {
                Order::Corpus | Order::File => 0,
                Order::Shuffle | Order::Proportions => hash(),
                Order::Priority => waiting_time(hash(), share.priority),
            };
            self.keys[group].push(Key { value: key, epoch, fragment });
        }
    }

    /// Nothing has to be kept to know the order.
    fn takes_all_in_order(&self) -> bool {
        let once = |share: &Share| share.epochs.to_bits() == 1.0f64.to_bits();
        self.order == Order::Corpus && self.shares.iter().all(once)
    }

    fn hash(&self, input: u32, item: u64, epoch: u32) -> u64 {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.path_hashes[input as usize].to_le_bytes());
        bytes[8..16].copy_from_slice(&item.to_le_bytes());
        bytes[16..].copy_from_slice(&u64::from(epoch).to_le_bytes());
        xxh3_64_with_seed(if epoch == 0 { &bytes[..16] } else { &bytes }, self.seed)
    }

    /// All that is drawn, in order. `lengths` are those of the fragments.
    ///
    /// # Errors
    /// When there is too much of it, or less than the target asks for.
    pub fn finish(mut self, lengths: &[u32], target: &Target) -> Result<Draws> {
        let draws = if self.takes_all_in_order() {
            Draws::new((0..self.count).collect(), Vec::new())
        } else {
            let mut keys = std::mem::take(&mut self.keys);
            if self.order == Order::Proportions {
                self.keep_proportions(&mut keys, lengths, target)?;
            }
            let mut all = keys.pop().unwrap_or_default();
            for mut keys in keys {
                all.append(&mut keys);
            }
            all.sort_unstable();
            if all.len() >= u32::MAX as usize {
                return Err(too_many(all.len() as u64));
            }
            let repeats = all.iter().any(|key| key.epoch > 0);
            let epochs = if repeats { all.iter().map(|key| key.epoch).collect() } else { Vec::new() };
            Draws { fragments: all.iter().map(|key| key.fragment).collect(), epochs }
        };
        Ok(if self.shares.iter().any(|share| share.limit.is_some()) {
            self.keep_limits(&draws, lengths)
        } else {
            draws
        })
    }

    /// Takes of each group what its share of the tokens is, and gives each document the place in the order that its
    /// place in the group is: the share is kept all along.
    #[allow(clippy::cast_precision_loss)]
    fn keep_proportions(&self, groups: &mut [Vec<Key>], lengths: &[u32], target: &Target) -> Result<()> {
        let length = |key: &Key| u64::from(lengths[key.fragment as usize]);
        let once = |key: &&Key| key.epoch == 0;
        let sizes: Vec<u64> = groups.iter().map(|keys| keys.iter().filter(once).map(length).sum()).collect();
        let most: Vec<f64> =
            groups.iter().enumerate().map(|(group, _)| sizes[group] as f64 * self.epochs_of(group)).collect();
        let wanted = target.tokens_by_group(&sizes, &most)?;
        for (keys, wanted) in groups.iter_mut().zip(wanted) {
            // Whole repetitions come one after the other.
            keys.sort_unstable_by_key(|key| (key.epoch, key.value, key.fragment));
            let (mut taken, mut tokens) = (0, 0.0);
            while taken < keys.len() && tokens < wanted {
                let end = taken + self.run(keys[taken..].iter().map(|key| (key.fragment, key.epoch)));
                let document = keys[taken..end].iter().map(length).sum::<u64>() as f64;
                for key in &mut keys[taken..end] {
                    key.value = ((tokens + document / 2.0) / wanted).to_bits(); // positive: sorted as numbers are
                }
                tokens += document;
                taken = end;
            }
            keys.truncate(taken);
        }
        Ok(())
    }

    /// How often a group may come.
    fn epochs_of(&self, group: usize) -> f64 {
        let epochs = self.shares.iter().filter(|share| share.group == group).map(|share| share.epochs);
        epochs.fold(0.0, f64::max)
    }

    /// How many of these draws, from the first on, are of one document.
    fn run(&self, draws: impl Iterator<Item = (u32, u32)>) -> usize {
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

    /// Stops drawing from what has reached its limit.
    fn keep_limits(&self, draws: &Draws, lengths: &[u32]) -> Draws {
        let limits = self.shares.iter().filter_map(|share| share.limit).map(|(number, _)| number + 1).max();
        // Not begun; begun, with what is left; reached.
        let mut left: Vec<Option<Option<Limit>>> = vec![None; limits.unwrap_or(0)];
        let (mut fragments, mut epochs) = (Vec::new(), Vec::new());
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let mut at = 0;
        while at < draws.len() {
            let rest = (at..draws.len()).map(|at| (draws.fragments[at], draws.epoch(place(at))));
            let end = at + self.run(rest);
            let input = self.ends.partition_point(|end| *end <= draws.fragments[at]);
            let document = &draws.fragments[at..end];
            let tokens = document.iter().map(|fragment| u64::from(lengths[*fragment as usize])).sum::<u64>();
            let fits = self.shares[input].limit.is_none_or(|(number, limit)| {
                let left = &mut left[number];
                let rest = left.unwrap_or(Some(limit)).and_then(|left| left.less(tokens));
                *left = Some(rest);
                rest.is_some()
            });
            if fits {
                fragments.extend_from_slice(document);
                epochs.extend((at..end).map(|at| draws.epoch(place(at))));
            }
            at = end;
        }
        Draws::new(fragments, epochs)
    }
}

/// How long a document waits for its turn: exponentially distributed, with its priority as the rate. The bits of
/// a positive number are in the order of numbers.
#[allow(clippy::cast_precision_loss)]
fn waiting_time(hash: u64, priority: f64) -> u64 {
    let uniform = ((hash >> 12) as f64 + 0.5) / (1u64 << 52) as f64; // exact, and never 0 or 1
    (-ln(uniform) / priority).to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONCE: Share = Share { epochs: 1.0, priority: 1.0, group: 0, limit: None };

    fn plain() -> Target {
        Target { tokens: None, temperature: 1.0, weights: Vec::new() }
    }

    type Given<'a> = (&'a str, Share, Vec<(u64, u32)>);
    type Drawn = Vec<(String, u64, u32)>;

    /// Draws from inputs with these shares and items of these lengths; fragments are items, unless listed twice.
    fn draw(order: Order, seed: u64, inputs: &[Given], target: &Target) -> Result<Drawn> {
        let shares: Vec<Share> = inputs.iter().map(|(_, share, _)| share.clone()).collect();
        let mut sampler = Sampler::new(order, seed, &shares, inputs.iter().map(|(path, ..)| *path));
        let (mut lengths, mut names) = (Vec::new(), Vec::new());
        for (number, (path, _, items)) in (0u32..).zip(inputs) {
            for (item, length) in items {
                sampler.push(number, *item);
                lengths.push(*length);
                names.push(((*path).to_owned(), *item));
            }
        }
        let draws = sampler.finish(&lengths, target)?;
        let drawn = |at| {
            let (path, item) = names[draws.fragment(at) as usize].clone();
            (path, item, draws.epoch(at))
        };
        Ok((0u32..).take(draws.len()).map(drawn).collect())
    }

    fn items(count: u64) -> Vec<(u64, u32)> {
        (0..count).map(|item| (item, 10)).collect()
    }

    #[test]
    fn an_order_depends_on_seed_and_names_alone() -> Result<()> {
        let halves: Vec<(u64, u32)> = (0..100).map(|i| (i / 2, 10)).collect();
        for order in [Order::Shuffle, Order::Priority] {
            let draw = |seed, inputs: &[_]| draw(order, seed, inputs, &plain());
            let one = draw(1, &[("a", ONCE, items(100)), ("b", ONCE, halves.clone())])?;
            assert_ne!(one, draw(2, &[("a", ONCE, items(100)), ("b", ONCE, halves.clone())])?);
            assert_eq!(one, draw(1, &[("b", ONCE, halves.clone()), ("a", ONCE, items(100))])?);
            let less: Vec<_> = one.iter().filter(|(path, ..)| path == "a").cloned().collect();
            assert_eq!(less, draw(1, &[("a", ONCE, items(100))])?);
            // The halves of a document stay together.
            let b: Vec<u64> = one.iter().filter(|(path, ..)| path == "b").map(|(_, item, _)| *item).collect();
            assert!(b.chunks(2).all(|pair| pair[0] == pair[1]));
        }
        Ok(())
    }

    #[test]
    fn epochs_are_counted_to_the_item() -> Result<()> {
        for (epochs, items_of_file) in [(1.0, 7), (2.0, 7), (0.3, 10), (1.5, 9), (0.0, 5), (2.7, 101)] {
            for order in [Order::Corpus, Order::Shuffle, Order::Priority] {
                let share = Share { epochs, ..ONCE };
                let drawn = draw(order, 3, &[("a", share, items(items_of_file))], &plain())?;
                #[allow(clippy::cast_precision_loss)]
                let expected = (items_of_file as f64 * epochs).floor();
                assert_eq!(drawn.len().to_string(), expected.to_string());
                let distinct: std::collections::BTreeSet<_> = drawn.iter().collect();
                assert_eq!(distinct.len(), drawn.len());
            }
        }
        Ok(())
    }

    #[test]
    fn what_has_priority_comes_sooner_by_the_law_of_drawing() -> Result<()> {
        let urgent = Share { priority: 16.0, ..ONCE };
        let late = Share { priority: 2.0, ..ONCE };
        let drawn =
            draw(Order::Priority, 42, &[("a", urgent, items(20_000)), ("b", late, items(20_000))], &plain())?;
        let share = |part: &[(String, u64, u32)]| part.iter().filter(|(path, ..)| path == "a").count();
        // Of the first thousand 16 of 18 are urgent ones, give or take; of the last thousand hardly any.
        assert!((850..=925).contains(&share(&drawn[..1000])), "{}", share(&drawn[..1000]));
        assert!(share(&drawn[39_000..]) < 20);
        Ok(())
    }

    #[test]
    fn proportions_are_kept_from_the_first_to_the_last() -> Result<()> {
        let (a, b) = (Share { epochs: 3.0, ..ONCE }, Share { group: 1, ..ONCE });
        let target = |weights: [f64; 2], tokens| Target {
            tokens,
            temperature: 1.0,
            weights: weights.map(Some).to_vec(),
        };
        let inputs = [("a", a, items(1000)), ("b", b, items(5000))];
        // a may come three times: 30,000 tokens, so b gives 10,000.
        let drawn = draw(Order::Proportions, 1, &inputs, &target([3.0, 1.0], None))?;
        assert_eq!(drawn.len(), 4000);
        for part in drawn.chunks(400) {
            let a = part.iter().filter(|(path, ..)| path == "a").count();
            assert!((298..=302).contains(&a), "{a}");
        }
        assert_eq!(drawn.iter().filter(|(path, _, epoch)| path == "a" && *epoch == 2).count(), 1000);
        let refused = draw(Order::Proportions, 1, &inputs, &target([3.0, 1.0], Some(50_000)));
        assert!(refused.is_err_and(|error| error.to_string().contains("40000")));
        // At temperature 2 the shares go with the square roots.
        let flat = Target { tokens: Some(2000), temperature: 2.0, weights: vec![None, None] };
        let drawn = draw(Order::Proportions, 1, &inputs, &flat)?;
        let a = drawn.iter().filter(|(path, ..)| path == "a").count();
        assert_eq!((drawn.len(), a), (201, 62)); // 1 : sqrt(5) of 200 is 61.8 : 138.2, each rounded up
        Ok(())
    }

    #[test]
    fn a_limit_is_shared_and_never_passed() -> Result<()> {
        for (limit, expected) in [
            (Limit { documents: 30, tokens: u64::MAX }, 30),
            (Limit { documents: u64::MAX, tokens: 305 }, 30),
            (Limit { documents: u64::MAX, tokens: 300 }, 30),
            (Limit { documents: 0, tokens: 10 }, 0),
        ] {
            let share = Share { limit: Some((0, limit)), ..ONCE };
            let inputs = [("a", share.clone(), items(100)), ("b", share, items(100)), ("c", ONCE, items(10))];
            let drawn = draw(Order::Shuffle, 5, &inputs, &plain())?;
            assert_eq!(drawn.iter().filter(|(path, ..)| path != "c").count(), expected);
            assert_eq!(drawn.iter().filter(|(path, ..)| path == "c").count(), 10);
        }
        Ok(())
    }
}
