//! One item becomes the fragments that go into rows, or is dropped with a reason.

use super::check::SamplePiece;
use super::config::{BuildConfig, Overflow, SpecialMode, Treatment};
use super::exclude::Finding;
use crate::encode::{EncodeError, Session};
use crate::file::Segment;
use crate::ledger::{DropReason, Entry};
use crate::plan::Packing;
use crate::read::Item;
use crate::render::{End, Renderer, TextPiece};
use crate::spool::{END_LABEL, Fragment, LOSS};
use crate::tokenizer::Tokenizer;

/// What has been made of some items of one file.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    /// The tokens of all fragments, with their masks (see [`crate::spool`]).
    pub(super) tokens: Vec<u32>,
    /// The fragments, in the order of their tokens.
    pub(super) fragments: Vec<Fragment>,
    /// The account of the items, but for what the fragments stand for: that is left to the one who draws them (see
    /// [`account`](super::account)).
    pub(super) entry: Entry,
}

/// Encodes items on one thread.
pub(super) struct DocumentEncoder<'a> {
    session: Box<dyn Session + 'a>,
    /// By rule of the recipe.
    ways: Vec<Way>,
    specials: Vec<&'a str>,
    bos_id: Option<u32>,
    eos_id: u32,
    seq_len: u32,
    packing: Packing,
    turn_away_specials: bool,
    tokens: Vec<u32>,
    /// What the document at hand would have come to without cuts.
    whole: usize,
    /// What was found of it, as flags of its segments.
    marks: u8,
    /// The pieces of the document at hand, if it is to be checked.
    sample: Option<Vec<SamplePiece>>,
}

/// One way to make documents.
struct Way {
    renderer: Renderer,
    answer_end_id: u32,
    overflow: Overflow,
    loss: bool,
    by_turn: bool,
    /// How many tokens the word before an answer has by itself, once that is known.
    reply_length: Option<usize>,
}

impl<'a> DocumentEncoder<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, treatments: &[Treatment], config: &BuildConfig) -> Self {
        let specials: Vec<&str> = tokenizer.special_tokens.iter().map(|(token, _)| token.as_str()).collect();
        let way = |treatment: &Treatment| {
            let template = &treatment.template;
            let end = template.end.as_deref().and_then(|token| tokenizer.special_id(token));
            Way {
                renderer: Renderer::new(template, &specials),
                answer_end_id: end.unwrap_or(tokenizer.info.eos_id),
                overflow: treatment.overflow,
                loss: treatment.loss,
                by_turn: template.by_turn,
                reply_length: None,
            }
        };
        Self {
            session: tokenizer.encoder.session(),
            ways: treatments.iter().map(way).collect(),
            specials,
            bos_id: tokenizer.info.bos_id,
            eos_id: tokenizer.info.eos_id,
            seq_len: config.seq_len,
            packing: config.packing,
            turn_away_specials: config.special_tokens == SpecialMode::Error,
            tokens: Vec::new(),
            whole: 0,
            marks: 0,
            sample: None,
        }
    }

    /// Keeps the pieces of the next document.
    pub(super) fn sample_next(&mut self) {
        self.sample = Some(Vec::new());
    }

    /// The pieces of the last document, if it was to be kept.
    pub(super) fn take_sample(&mut self) -> Option<Vec<SamplePiece>> {
        self.sample.take()
    }

    /// The tokens of the whole document that was encoded last, with their masks.
    pub(super) fn last_tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// There was no document.
    pub(super) fn forget_tokens(&mut self) {
        self.tokens.clear();
    }

    /// Appends what becomes of an item of which something was found, under a rule of the recipe; the error says why it
    /// is a bad one.
    pub(super) fn encode(
        &mut self,
        rule: usize,
        index: u64,
        item: &Item,
        found: Finding,
        out: &mut Encoded,
    ) -> Result<(), String> {
        if self.turn_away_specials {
            self.refuse_special_tokens(item)?;
        }
        let fail = |error: EncodeError| format!("it cannot be encoded: {error}");
        let mut trailing_question = false;
        self.tokens.clear();
        let by_turn = match item {
            Item::Dialogue(turns) if self.ways[rule].by_turn => {
                self.tokenize_by_turn(rule, turns).map_err(fail)?;
                true
            }
            _ => {
                trailing_question |= self.tokenize(rule, item).map_err(fail)?;
                self.whole = self.tokens.len();
                false
            }
        };
        let whole = self.whole as u64;
        if let Some(reason) = found.drop {
            out.entry.items += 1;
            out.entry.tokens += whole;
            out.entry.drop_item(reason, whole);
            return Ok(());
        }
        self.marks = found.marks;
        if by_turn {
            out.entry.items += 1;
            out.entry.tokens += whole;
            self.keep_all(index, out);
            return Ok(());
        }
        let overflow = self.ways[rule].overflow.for_kind(item.kind(), self.packing);
        let too_long = self.tokens.len() > self.seq_len as usize;
        if too_long && overflow == Overflow::Error {
            return Err(format!(
                "it comes to {} tokens, more than the {} of a row (overflow=error)",
                self.tokens.len(),
                self.seq_len
            ));
        }
        out.entry.items += 1;
        out.entry.tokens += whole;
        out.entry.trailing_questions += u64::from(trailing_question);
        let length = self.tokens.len();
        let kept = match overflow {
            _ if self.tokens.is_empty() => {
                out.entry.drop_item(DropReason::NoAnswer, 0);
                return Ok(());
            }
            Overflow::Drop if too_long => {
                out.entry.drop_item(DropReason::TooLong, length as u64);
                return Ok(());
            }
            Overflow::Truncate if too_long => self.seq_len as usize,
            _ => length,
        };
        // Documents that run on are cut at row ends when rows are planned, not here.
        let piece = if self.packing == Packing::Concat { length } else { self.seq_len as usize };
        self.cut(self.ways[rule].loss, index, kept, piece, out);
        Ok(())
    }

    /// Cuts the first `kept` tokens into fragments of at most `piece`, and drops those without loss, if any is wanted.
    fn cut(&self, loss: bool, index: u64, kept: usize, piece: usize, out: &mut Encoded) {
        let length = self.tokens.len();
        let before = out.fragments.len();
        let mut dropped = 0;
        for start in (0..kept).step_by(piece.max(1)) {
            let end = kept.min(start + piece);
            let tokens = &self.tokens[start..end];
            if loss && !tokens[1..].iter().any(|token| token & LOSS != 0) {
                dropped += tokens.len();
                continue;
            }
            out.fragments.push(Fragment {
                item: index,
                length: bounded(end - start),
                start: bounded(start),
                input: 0,
                flags: self.flags(end < length, loss),
                end_labels: 0,
                truncated: bounded(length - kept),
                dropped: 0,
            });
            out.tokens.extend_from_slice(tokens);
        }
        let fragments = &mut out.fragments[before..];
        for fragment in fragments.iter_mut() {
            fragment.dropped = bounded(dropped);
        }
        if fragments.is_empty() {
            out.entry.drop_item(DropReason::NoLoss, length as u64);
        }
    }

    /// The document is in the rows as it is, whatever counts of it.
    fn keep_all(&self, index: u64, out: &mut Encoded) {
        let truncated = self.whole - self.tokens.len();
        let has = |flag: u32| self.tokens.iter().filter(move |token| *token & flag != 0);
        out.fragments.push(Fragment {
            item: index,
            length: bounded(self.tokens.len()),
            start: 0,
            input: 0,
            flags: self.flags(truncated > 0, has(LOSS).next().is_some()),
            end_labels: bounded(has(END_LABEL).count()),
            truncated: bounded(truncated),
            dropped: 0,
        });
        out.tokens.extend_from_slice(&self.tokens);
    }

    /// The flags of a fragment of the document at hand: whether that goes on after it, and whether any of it counts.
    fn flags(&self, cut: bool, loss: bool) -> u8 {
        self.marks | if cut { Segment::CUT } else { 0 } | if loss { 0 } else { Fragment::NO_LOSS }
    }

    /// Fills `self.tokens` with the document, masks included. Returns whether a question was cut off.
    fn tokenize(&mut self, rule: usize, item: &Item) -> Result<bool, EncodeError> {
        let Self { session, ways, tokens, bos_id, eos_id, sample, .. } = self;
        let Way { renderer, answer_end_id, loss, by_turn, .. } = &mut ways[rule];
        let trailing_question = renderer.render(item, |piece| {
            if tokens.is_empty() {
                tokens.extend(*bos_id);
            }
            let start = encode_piece(session.as_mut(), piece, tokens, sample.as_mut())?;
            tokens.extend(piece.end.map(|end| match end {
                End::Text => *eos_id,
                End::Answer => *answer_end_id,
            }));
            if piece.counts && *loss {
                tokens[start..].iter_mut().for_each(|token| *token |= LOSS);
            }
            Ok(())
        })?;
        if let (true, Some(first)) = (*by_turn, tokens.first_mut()) {
            *first &= !LOSS; // rows of such builds take the mask of a first token as it is
        }
        Ok(trailing_question)
    }

    /// Fills `self.tokens` with the dialogue as Apollo's original script has it: every turn is tokenized with the word
    /// before it and cut to a row; no more is read when a row is full; end-of-text follows the last turn, whichever it
    /// is; and the token that begins a later question has end-of-text as its label.
    ///
    /// The original takes the length of the word before an answer from its own encoding, so where a tokenizer merges
    /// its end with the answer the mask is off by that merge. So it is here.
    fn tokenize_by_turn<T: AsRef<str>>(&mut self, rule: usize, turns: &[T]) -> Result<(), EncodeError> {
        let Self { session, ways, tokens, eos_id, sample, .. } = self;
        let Way { renderer, reply_length, loss, .. } = &mut ways[rule];
        let row = self.seq_len as usize;
        let reply_length = if let Some(length) = *reply_length {
            length
        } else {
            let mut ids = Vec::new();
            let reply = renderer.turn(1, "", false);
            session.encode(reply.text, reply.marks, &mut ids)?;
            *reply_length.insert(ids.len())
        };
        let mut cut = 0;
        for (number, turn) in turns.iter().enumerate() {
            let piece = renderer.turn(number, turn.as_ref(), tokens.is_empty());
            let answers = piece.counts;
            let start = encode_piece(session.as_mut(), piece, tokens, sample.as_mut())?;
            cut += (tokens.len() - start).saturating_sub(row);
            tokens.truncate(start + row);
            if answers {
                tokens.iter_mut().skip(start + reply_length).for_each(|token| *token |= LOSS);
                if tokens.len() >= row {
                    break;
                }
            } else if let (true, Some(first)) = (start > 0, tokens.get_mut(start)) {
                *first |= LOSS | END_LABEL;
            }
        }
        tokens.push(*eos_id | LOSS);
        self.whole = tokens.len() + cut;
        tokens.truncate(row);
        if !*loss {
            for token in tokens.iter_mut() {
                *token &= !(LOSS | END_LABEL);
            }
        }
        Ok(())
    }

    fn refuse_special_tokens(&self, item: &Item) -> Result<(), String> {
        let texts = item.texts();
        let found = self.specials.iter().find(|token| texts.iter().any(|text| text.contains(**token)));
        match found {
            Some(token) => Err(format!("it holds the special token {token} (special_tokens=error)")),
            None => Ok(()),
        }
    }
}

/// A number of tokens of one item: its length is bounded, and a token is at least a byte of it.
fn bounded(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// Appends the ids of a piece; returns where they begin.
fn encode_piece(
    session: &mut (dyn Session + '_),
    piece: TextPiece,
    tokens: &mut Vec<u32>,
    sample: Option<&mut Vec<SamplePiece>>,
) -> Result<usize, EncodeError> {
    let start = tokens.len();
    session.encode(piece.text, piece.marks, tokens)?;
    if let Some(sample) = sample {
        let (text, marks) = (piece.text.to_owned(), piece.marks.to_vec());
        sample.push(SamplePiece { text, marks, ids: tokens[start..].to_vec() });
    }
    Ok(start)
}

#[cfg(test)]
mod tests;
