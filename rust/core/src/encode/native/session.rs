//! One thread's encoding: added tokens, normalization and prefixes, then the pieces.

use std::ops::Range;

use super::NativeEncoder;
use super::added::{Matcher, Split};
use super::gather::Gather;
use super::normalize::Normalizer;
use super::path::Prefix;
use super::sheet::Mark;
use super::work::Work;
use crate::encode::batch::ask_for_text;
use crate::encode::{EncodeError, Session, SpecialTokens};

/// A session of the native encoder.
pub(super) struct NativeSession<'a> {
    encoder: &'a NativeEncoder,
    normalizer: Normalizer,
    gather: Gather<'a>,
    work: Work<'a>,
    /// Room for where tokens begin and end that are left in the text.
    ends: Vec<usize>,
}

impl<'a> NativeSession<'a> {
    pub(super) fn new(encoder: &'a NativeEncoder) -> Self {
        Self {
            encoder,
            normalizer: Normalizer::default(),
            gather: Gather::new(&encoder.path),
            work: Work::new(encoder),
            ends: Vec::new(),
        }
    }

    /// Text without added tokens that are matched as they stand; `first`: it begins the document.
    fn text(&mut self, text: &str, first: bool, ids: &mut Vec<u32>) {
        let normal = self.normalizer.apply_to_bytes(&self.encoder.path.steps, text.as_bytes());
        self.normal(&normal, first, ids);
    }

    /// Normalized text without added tokens.
    fn normal(&mut self, text: &[u8], first: bool, ids: &mut Vec<u32>) {
        if text.is_empty() {
            return;
        }
        let path = &self.encoder.path;
        let begins_with = |c: char| text.starts_with(c.encode_utf8(&mut [0; 4]).as_bytes());
        let begins_with_space = || begins_with(' ') || path.space.is_some_and(begins_with);
        let prefix = match path.prefix {
            Prefix::Never => false,
            Prefix::Always => true,
            Prefix::Missing => !begins_with_space(),
            Prefix::MissingAtFirst => first && !begins_with_space(),
        };
        self.gather.text(text, prefix, &mut |sheet| self.work.encode(sheet, ids));
    }

    /// What stands between texts.
    fn mark(&mut self, mark: Mark, ids: &mut Vec<u32>) {
        self.gather.mark(mark, &mut |sheet| self.work.encode(sheet, ids));
    }

    /// What follows is appended to these ids.
    fn begin(&mut self, ids: &[u32]) {
        self.gather.begin();
        self.work.begin(ids);
    }

    /// All ids are there.
    fn finish(&mut self, ids: &mut Vec<u32>) {
        self.gather.finish(&mut |sheet| self.work.encode(sheet, ids));
        self.work.finish(ids);
    }

    /// A whole document.
    fn document(
        &mut self,
        text: &str,
        marks: &[Range<usize>],
        ids: &mut Vec<u32>,
    ) -> Result<(), EncodeError> {
        let added = &self.encoder.added;
        if added.plain.is_none() && added.normalized.is_none() && marks.is_empty() {
            self.text(text, true, ids);
            return Ok(());
        }
        self.with_added(text, marks, ids)
    }

    /// Text in which added tokens may stand; `marks` are those that are known to.
    fn with_added(
        &mut self,
        text: &str,
        marks: &[Range<usize>],
        ids: &mut Vec<u32>,
    ) -> Result<(), EncodeError> {
        let encoder = self.encoder;
        let as_text = encoder.special == SpecialTokens::Text;
        let (plain, normalized) = (&encoder.added.plain, &encoder.added.normalized);
        let mut plain_marks = Vec::new();
        let mut normalized_marks = Vec::new();
        if as_text {
            for mark in marks {
                let content = &text[mark.clone()];
                let find =
                    |matcher: &Option<Matcher>| matcher.as_ref().and_then(|matcher| matcher.special(content));
                if let Some(number) = find(plain) {
                    plain_marks.push((mark.clone(), Some(number)));
                } else if let Some(number) = find(normalized) {
                    plain_marks.push((mark.clone(), None));
                    normalized_marks.push((mark.clone(), Some(number)));
                } else {
                    return Err(EncodeError(format!("{content:?} is no special token")));
                }
            }
        }
        let Some(plain) = plain else {
            self.part(text, 0..text.len(), &normalized_marks, ids);
            return Ok(());
        };
        let mut ends = std::mem::take(&mut self.ends);
        plain.split(text, &plain_marks, as_text, &mut ends, |split| match split {
            Split::Token(id) => self.mark(Mark::Token(id), ids),
            Split::Text(place, []) => self.part(text, place, &normalized_marks, ids),
            // It is cut as it is: else no token would have been left in it.
            Split::Text(place, ends) => {
                let ends = ends.iter().map(|end| end - place.start);
                let part = &text.as_bytes()[place.clone()];
                self.gather.pieces(part, ends, &mut |sheet| self.work.encode(sheet, ids));
            }
        });
        self.ends = ends;
        Ok(())
    }

    /// A part of a text between added tokens that are matched as they stand; `marks` are the others that are known to stand in
    /// the text.
    fn part(
        &mut self,
        text: &str,
        place: Range<usize>,
        marks: &[(Range<usize>, Option<usize>)],
        ids: &mut Vec<u32>,
    ) {
        let (encoder, part, first) = (self.encoder, &text[place.clone()], place.start == 0);
        let Some(normalized) = &encoder.added.normalized else {
            return self.text(part, first, ids);
        };
        let normal = self.normalizer.apply(&encoder.path.steps, part);
        // Marks of this kind exist only where normalization changes nothing.
        let marks: Vec<(Range<usize>, Option<usize>)> = (marks.iter())
            .filter(|(mark, _)| place.start <= mark.start && mark.end <= place.end)
            .map(|(mark, number)| (mark.start - place.start..mark.end - place.start, *number))
            .collect();
        let as_text = encoder.special == SpecialTokens::Text;
        // (No token of this kind is left in the text.)
        normalized.split(&normal, &marks, as_text, &mut Vec::new(), |split| match split {
            Split::Token(id) => self.mark(Mark::Token(id), ids),
            Split::Text(inner, _) => {
                self.normal(normal[inner.clone()].as_bytes(), first && inner.start == 0, ids);
            }
        });
    }
}

impl Session for NativeSession<'_> {
    fn encode(&mut self, text: &str, marks: &[Range<usize>], ids: &mut Vec<u32>) -> Result<(), EncodeError> {
        self.begin(ids);
        let encoded = self.document(text, marks, ids);
        self.finish(ids);
        encoded
    }

    fn encode_all(
        &mut self,
        texts: &[&str],
        ids: &mut Vec<u32>,
        offsets: &mut Vec<u64>,
    ) -> Result<(), (usize, EncodeError)> {
        self.begin(ids);
        for (index, text) in texts.iter().enumerate() {
            if let Some(next) = texts.get(index + 1) {
                ask_for_text(next);
            }
            self.document(text, &[], ids).map_err(|error| (index, error))?;
            self.mark(Mark::End, ids);
        }
        self.finish(ids);
        offsets.extend(self.work.ends.drain(..).map(|count| count as u64));
        Ok(())
    }
}
