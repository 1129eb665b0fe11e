//! Checks a packed file, or a set of shards, as a whole: every bit, and what the bits mean.

use serde::Serialize;

use super::reader::PackedFile;
use super::set::PackedSet;
use super::{Metadata, Segment, Totals, content_hash, row_hash};
use crate::error::Result;

/// What a verified file or set holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Recomputed sums over all rows.
    pub totals: Totals,
    /// Recomputed hash of the content.
    pub content_hash: String,
    /// Hash over every bit.
    pub root_hash: String,
}

/// Checks all checksums, recomputes the content hash, and checks the meaning of every row: segments cover
/// its beginning in order, the mask lies on segments and never on the first token of one, ids are below
/// the size of the vocabulary, padding is padding, and sums and ledger agree with the rows.
///
/// Label exceptions stand in ascending order inside segments, and are ids too. Of a set of shards, each is
/// checked, and all of them together.
///
/// `goes_on` is asked before each block and each row; it is told how many rows are done, one of which the checksums
/// have been compared counting half.
///
/// # Errors
/// Names the first thing that does not hold.
pub fn verify(set: &PackedSet, goes_on: impl Fn(usize) -> Result<()>) -> Result<Verified> {
    let mut totals = Totals::default();
    let mut hashes = Vec::with_capacity(set.rows());
    for (number, file) in set.files().iter().enumerate() {
        if let Some(index) = set.index() {
            let own = file.metadata();
            let (content_hash, totals) = (own.content_hash.clone(), own.totals);
            let shard = Some(index.metadata.as_shard(number, index.shards.len()));
            if *own != (Metadata { content_hash, totals, shard, ..index.metadata.clone() }) {
                return Err(file.damaged("its metadata is not that of the set"));
            }
        }
        totals += verify_file(file, &mut hashes, &goes_on)?;
    }
    if let Some(index) = set.index() {
        let (seq_len, inputs) = (set.seq_len() as u64, &index.metadata.inputs);
        if content_hash(seq_len, inputs, hashes) != index.metadata.content_hash {
            return Err(set.differs("damaged: the content of its shards is not what it says (content_hash)"));
        }
        if totals != index.metadata.totals {
            return Err(set.differs("damaged: its sums are not those of its shards"));
        }
    }
    let content_hash = set.metadata().content_hash.clone();
    Ok(Verified { totals, content_hash, root_hash: set.root_hash() })
}

/// Checks one file; appends the hashes of its rows, and gives their sums.
fn verify_file(
    file: &PackedFile,
    hashes: &mut Vec<u64>,
    goes_on: &impl Fn(usize) -> Result<()>,
) -> Result<Totals> {
    let (before, rows) = (hashes.len(), file.rows());
    file.check_blocks(|block| {
        let done = u128::from(block.start) * rows as u128 / u128::from(file.bytes().max(1));
        goes_on(before + usize::try_from(done).unwrap_or(0) / 2).map(|()| true)
    })?;
    file.check_label_positions()?;
    let metadata = file.metadata();
    let mut totals = Totals::default();
    for row in 0..rows {
        goes_on(before + usize::midpoint(rows, row))?;
        let (tokens, mask) = (file.tokens(row)?, file.mask(row)?);
        let (segments, exceptions) = (file.segments(row)?, file.label_exceptions(row)?);
        let found = Row { tokens: &tokens, mask: &mask, segments: &segments, exceptions: &exceptions };
        found.check(metadata, &mut totals).map_err(|what| file.damaged(&format!("row {row}: {what}")))?;
        hashes.push(row_hash(bytemuck::cast_slice(&tokens), &mask, &segments, &exceptions));
    }
    let own = hashes[before..].iter().copied();
    if content_hash(file.seq_len() as u64, &metadata.inputs, own) != metadata.content_hash {
        return Err(file.damaged("its content is not what its metadata says (content_hash)"));
    }
    if totals != metadata.totals {
        return Err(
            file.damaged(&format!("its rows hold {totals:?}, its metadata says {:?}", metadata.totals))
        );
    }
    metadata.ledger.check().map_err(|_| file.damaged("its ledger does not balance"))?;
    // A shard has the ledger of its set.
    let placed = metadata.shard.as_ref().map_or(totals, |shard| shard.totals);
    if metadata.ledger.tokens_placed() != Some((placed.tokens, placed.loss_tokens)) {
        return Err(file.damaged("its ledger does not agree with its rows"));
    }
    Ok(totals)
}

/// All of a row.
struct Row<'a> {
    tokens: &'a [u32],
    mask: &'a [u8],
    segments: &'a [Segment],
    exceptions: &'a [(u32, u32)],
}

impl Row<'_> {
    /// Checks what it means and adds it to the sums; or says what is wrong with it.
    fn check(&self, metadata: &Metadata, totals: &mut Totals) -> Result<(), &'static str> {
        let (tokens, vocab_size) = (self.tokens, metadata.tokenizer.vocab_size);
        let counts = |column: usize| self.mask[column / 8] >> (column % 8) & 1 == 1;
        let (mut column, mut loss) = (0, 0);
        for segment in self.segments {
            let Some(input) = metadata.inputs.get(segment.input as usize) else {
                return Err("a segment has an unknown input");
            };
            if segment.item >= input.items {
                return Err("a segment is of an item that its file does not have");
            }
            if counts(column) && !metadata.template.by_turn {
                return Err("the first token of a segment counts for the loss");
            }
            if (segment.flags & Segment::CONTINUED != 0) != (segment.start > 0) {
                return Err("a segment's flags contradict its start");
            }
            if segment.flags & !(Segment::CUT | Segment::CONTINUED | metadata.marks()) != 0 {
                return Err("a segment bears a mark that its file does not speak of");
            }
            let end = segment.end as usize;
            if tokens[column..end].iter().any(|token| *token >= vocab_size) {
                return Err("a token is not in the vocabulary");
            }
            loss += (column..end).filter(|column| counts(*column)).count();
            column = end;
        }
        if tokens[column..].iter().any(|token| *token != metadata.tokenizer.pad_id) {
            return Err("padding is not the padding token");
        }
        if (column..tokens.len()).any(counts) {
            return Err("padding counts for the loss");
        }
        let wrong = |place: usize, label| place >= column || !counts(place) || label >= vocab_size;
        if self.exceptions.iter().any(|(place, label)| wrong(*place as usize, *label)) {
            return Err("a label stands where nothing counts, or is not in the vocabulary");
        }
        totals.add_row(tokens.len(), self.segments, loss as u64);
        Ok(())
    }
}
