//! What becomes of the items that encoding left for the rows: they are kept, or not drawn.
//!
//! Encoding counts what comes in and what it drops; what a document in the rows has lost, and what was found of it,
//! counts only where it is drawn.

use crate::file::Segment;
use crate::ledger::{DropReason, Entry};
use crate::spool::Fragment;

/// Books a fragment. `begins` says that it is the first of its document, with which goes what counts by document.
pub(super) fn book(entry: &mut Entry, fragment: &Fragment, begins: bool, drawn: bool, seq_len: u32) {
    let item = u64::from(begins);
    let lost = |tokens: u32| if begins { u64::from(tokens) } else { 0 };
    let (length, truncated, dropped) =
        (u64::from(fragment.length), lost(fragment.truncated), lost(fragment.dropped));
    let tokens = length + truncated + dropped;
    if !drawn {
        *entry.items_dropped.entry(DropReason::NotDrawn).or_default() += item;
        entry.drop_tokens(DropReason::NotDrawn, tokens);
        return;
    }
    entry.items_kept += item;
    entry.tokens_kept += length;
    entry.tokens_truncated += truncated;
    entry.drop_tokens(DropReason::NoLoss, dropped);
    Segment::marked(fragment.flags).for_each(|reason| entry.mark(reason, item, tokens));
    if begins {
        // Of several fragments the first is cut.
        let cut = fragment.flags & Segment::CUT != 0 || truncated + dropped > 0;
        entry.items_cut += u64::from(cut);
        entry.items_without_loss += u64::from(fragment.flags & Fragment::NO_LOSS != 0);
        // All but the last are as long as a row.
        entry.pieces_without_loss += dropped.div_ceil(u64::from(seq_len));
    }
}
