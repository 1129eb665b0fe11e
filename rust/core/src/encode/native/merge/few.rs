//! The merges of a short piece, or of a window of a long one.

use super::super::certain::id_of;
use super::super::pairs::{Asked, NONE, Pairs};

/// Up to this many symbols a scan for the lowest rank is faster than lists by rank.
pub(super) const FEW: usize = 64;
/// The places that a scan compares at once. (Scalars: vectors that are read where single places have just been written wait
/// for these.)
const LANES: usize = 4;

/// The rank of a pair and its place in one number: the lowest is the one to merge.
#[inline]
fn ordered(rank: u32, place: usize) -> u64 {
    u64::from(rank) << 32 | place as u64
}

/// Merges at most [`FEW`] symbols, with a scan for the lowest rank after every merge. What is left is given away in order:
/// where each begins, and its id.
#[inline]
pub(super) fn merge_few(pairs: &Pairs, symbols: &[u32], mut give: impl FnMut(usize, u32)) {
    match symbols.len() {
        0 => {}
        1 => give(0, id_of(symbols[0])),
        2..=8 => merge_among::<8>(pairs, symbols, give),
        9..=16 => merge_among::<16>(pairs, symbols, give),
        _ => merge_among::<FEW>(pairs, symbols, give),
    }
}

#[allow(clippy::cast_possible_truncation)] // places among the few fit a byte
fn merge_among<const MOST: usize>(pairs: &Pairs, symbols: &[u32], mut give: impl FnMut(usize, u32)) {
    let ranks = pairs.ranks();
    let length = symbols.len().min(MOST);
    let mut ids = [0u32; MOST];
    let mut order = [u64::MAX; MOST];
    // Neighbours that are left; place 0 has none before it, and `length` ends the chain.
    let mut next = [0u8; MOST];
    let mut previous = [0u8; MOST];
    for at in 0..length {
        ids[at] = id_of(symbols[at]);
        next[at] = at as u8 + 1;
        previous[at] = (at as u8).wrapping_sub(1);
    }
    let mut asked = [Asked::default(); MOST];
    for at in 0..length - 1 {
        asked[at] = ranks.ask(ids[at], ids[at + 1]);
    }
    for at in 0..length - 1 {
        order[at] = ordered(ranks.answer(asked[at]), at);
    }
    let lanes = length.div_ceil(LANES) * LANES;
    loop {
        let mut least = [u64::MAX; LANES];
        for chunk in order[..lanes].chunks_exact(LANES) {
            for (least, &value) in least.iter_mut().zip(chunk) {
                *least = (*least).min(value);
            }
        }
        let lowest = least[0].min(least[1]).min(least[2].min(least[3]));
        let rank = (lowest >> 32) as u32;
        if rank == NONE {
            break;
        }
        let at = lowest as usize % MOST;
        let right = usize::from(next[at]) % MOST;
        let after = usize::from(next[right]);
        ids[at] = pairs.result(rank);
        order[right] = u64::MAX;
        next[at] = after as u8;
        // Both neighbours are asked for before either is answered; at the ends for nothing.
        let before = usize::from(previous[at]) % MOST;
        let [asked_behind, asked_before] =
            [ranks.ask(ids[at], ids[after % MOST]), ranks.ask(ids[before], ids[at])];
        order[at] = if after < length {
            previous[after] = at as u8;
            ordered(ranks.answer(asked_behind), at)
        } else {
            u64::MAX
        };
        if at > 0 {
            order[before] = ordered(ranks.answer(asked_before), before);
        }
    }
    let mut at = 0;
    while at < length {
        give(at, ids[at]);
        at = usize::from(next[at]);
    }
}
