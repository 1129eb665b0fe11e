//! One item becomes the fragments that go into rows, or is dropped with a reason.

use super::check::SamplePiece;
use super::config::{BuildConfig, Overflow, SpecialMode};
use crate::encode::Session;
use crate::ledger::{DropReason, Entry};
use crate::plan::Packing;
use crate::read::Item;
use crate::render::{End, Renderer, Template};
use crate::spool::{Fragment, LOSS};
use crate::tokenizer::Tokenizer;

/// What has been made of some items of one file.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    /// The tokens of all fragments, with their masks (see [`crate::spool`]).
    pub(super) tokens: Vec<u32>,
    /// The fragments, in the order of their tokens.
    pub(super) fragments: Vec<Fragment>,
    /// The account of the items. `tokens_kept` is what the fragments hold; `loss_tokens` is left to the
    /// one who places them.
    pub(super) entry: Entry,
}

/// Encodes items on one thread.
pub(super) struct DocumentEncoder<'a> {
    session: Box<dyn Session + 'a>,
    renderer: Renderer,
    specials: Vec<&'a str>,
    bos_id: Option<u32>,
    eos_id: u32,
    answer_end_id: u32,
    seq_len: u32,
    packing: Packing,
    overflow: Overflow,
    turn_away_specials: bool,
    tokens: Vec<u32>,
    /// The pieces of the document at hand, if it is to be checked.
    sample: Option<Vec<SamplePiece>>,
}

impl<'a> DocumentEncoder<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, template: &Template, config: &BuildConfig) -> Self {
        let specials: Vec<&str> = tokenizer.special_tokens.iter().map(|(token, _)| token.as_str()).collect();
        let end = template.end.as_deref().and_then(|token| tokenizer.special_id(token));
        Self {
            session: tokenizer.encoder.session(),
            renderer: Renderer::new(template, &specials),
            specials,
            bos_id: tokenizer.info.bos_id,
            eos_id: tokenizer.info.eos_id,
            answer_end_id: end.unwrap_or(tokenizer.info.eos_id),
            seq_len: config.seq_len,
            packing: config.packing,
            overflow: config.overflow,
            turn_away_specials: config.special_tokens == SpecialMode::Error,
            tokens: Vec::new(),
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

    /// Appends what becomes of an item, which may be `excluded`; the error says why it is a bad one.
    pub(super) fn encode(
        &mut self,
        index: u64,
        item: &Item,
        excluded: Option<DropReason>,
        out: &mut Encoded,
    ) -> Result<(), String> {
        if self.turn_away_specials {
            self.refuse_special_tokens(item)?;
        }
        let trailing_question = self.tokenize(item)?;
        let overflow = self.overflow.for_kind(item.kind(), self.packing);
        let too_long = self.tokens.len() > self.seq_len as usize && excluded.is_none();
        if too_long && overflow == Overflow::Error {
            return Err(format!(
                "it comes to {} tokens, more than the {} of a row (overflow=error)",
                self.tokens.len(),
                self.seq_len
            ));
        }
        out.entry.items += 1;
        out.entry.tokens += self.tokens.len() as u64;
        let length = self.tokens.len();
        if let Some(reason) = excluded {
            out.entry.drop_item(reason, length as u64);
            return Ok(());
        }
        out.entry.trailing_questions += u64::from(trailing_question);
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
        self.cut(index, kept, piece, out);
        Ok(())
    }

    /// Cuts the first `kept` tokens into fragments of at most `piece`, and drops those without loss.
    fn cut(&self, index: u64, kept: usize, piece: usize, out: &mut Encoded) {
        let length = self.tokens.len();
        let (mut fragments, mut dropped_pieces, mut dropped) = (0, 0, 0);
        for start in (0..kept).step_by(piece.max(1)) {
            let end = kept.min(start + piece);
            let tokens = &self.tokens[start..end];
            if !tokens[1..].iter().any(|token| token & LOSS != 0) {
                dropped += tokens.len() as u64;
                dropped_pieces += 1;
                continue;
            }
            fragments += 1;
            out.fragments.push(Fragment {
                item: index,
                // The length of an item is bounded, and a token is at least a byte of it.
                length: u32::try_from(end - start).unwrap_or(u32::MAX),
                start: u32::try_from(start).unwrap_or(u32::MAX),
                input: 0,
                cut: end < length,
            });
            out.tokens.extend_from_slice(tokens);
            out.entry.tokens_kept += tokens.len() as u64;
        }
        let truncated = (length - kept) as u64;
        if fragments == 0 {
            out.entry.drop_item(DropReason::NoLoss, dropped + truncated);
        } else {
            out.entry.items_kept += 1;
            out.entry.tokens_truncated += truncated;
            out.entry.drop_tokens(DropReason::NoLoss, dropped);
            out.entry.items_cut += u64::from(kept < length || fragments > 1 || dropped > 0);
            out.entry.pieces_without_loss += dropped_pieces;
        }
    }

    /// Fills `self.tokens` with the document, masks included. Returns whether a question was cut off.
    fn tokenize(&mut self, item: &Item) -> Result<bool, String> {
        let Self { session, renderer, tokens, bos_id, eos_id, answer_end_id, sample, .. } = self;
        tokens.clear();
        let trailing_question = renderer.render(item, |piece| {
            if tokens.is_empty() {
                tokens.extend(*bos_id);
            }
            let start = tokens.len();
            session.encode(piece.text, piece.marks, tokens)?;
            if let Some(sample) = sample {
                let (text, marks) = (piece.text.to_owned(), piece.marks.to_vec());
                sample.push(SamplePiece { text, marks, ids: tokens[start..].to_vec() });
            }
            tokens.extend(piece.end.map(|end| match end {
                End::Text => *eos_id,
                End::Answer => *answer_end_id,
            }));
            if piece.counts {
                tokens[start..].iter_mut().for_each(|token| *token |= LOSS);
            }
            Ok(())
        });
        trailing_question
            .map_err(|error: crate::encode::EncodeError| format!("it cannot be encoded: {error}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(mask: &[bool], kept: usize, piece: usize) -> Encoded {
        struct NoSession;
        impl Session for NoSession {
            fn encode(
                &mut self,
                _: &str,
                _: &[std::ops::Range<usize>],
                _: &mut Vec<u32>,
            ) -> Result<(), crate::encode::EncodeError> {
                Ok(())
            }
        }
        let template = Template::load("apollo").unwrap_or_else(|error| panic!("{error}"));
        let encoder = DocumentEncoder {
            session: Box::new(NoSession),
            renderer: Renderer::new(&template, &[""; 0]),
            specials: Vec::new(),
            bos_id: None,
            eos_id: 0,
            answer_end_id: 0,
            seq_len: 8,
            packing: Packing::BestFit,
            overflow: Overflow::Auto,
            turn_away_specials: false,
            tokens: mask.iter().zip(0..).map(|(counts, id)| if *counts { id | LOSS } else { id }).collect(),
            sample: None,
        };
        let mut out = Encoded::default();
        out.entry.items = 1;
        out.entry.tokens = mask.len() as u64;
        encoder.cut(0, kept, piece, &mut out);
        out
    }

    #[test]
    fn pieces_without_loss_are_dropped_and_counted() {
        // The third piece is one token, which is the first of its segment and cannot count.
        let mask: Vec<bool> = (0..17).map(|i| i > 3).collect();
        let out = cut(&mask, 17, 8);
        assert_eq!(
            out.fragments.iter().map(|f| (f.start, f.length, f.cut)).collect::<Vec<_>>(),
            [(0, 8, true), (8, 8, true)]
        );
        assert_eq!((out.entry.tokens_kept, out.entry.pieces_without_loss), (16, 1));
        assert_eq!(out.entry.tokens_dropped[&DropReason::NoLoss], 1);
        assert_eq!((out.entry.items_kept, out.entry.items_cut), (1, 1));
    }

    #[test]
    fn a_truncated_document_without_loss_is_dropped_whole() {
        let mask: Vec<bool> = (0..12).map(|i| i > 9).collect();
        let out = cut(&mask, 8, 8);
        assert!(out.fragments.is_empty());
        assert_eq!(out.entry.tokens_dropped[&DropReason::NoLoss], 12);
        assert_eq!((out.entry.items_kept, out.entry.tokens_truncated), (0, 0));
        let whole = cut(&[false, true], 2, 8);
        assert_eq!((whole.fragments.len(), whole.entry.items_cut, whole.fragments[0].cut), (1, 0, false));
    }
}
