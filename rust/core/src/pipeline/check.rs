//! The standing guard: a few documents of every larger build are encoded by the reference as well.
//!
//! Tests hold the native encoder to the reference; this holds it there on the user's own text. It runs
//! beside the build on a thread of its own, most of whose time goes into loading the reference, so by
//! default only corpora are checked in whose builds that is lost.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Receiver;

use super::config::BuildConfig;
use crate::encode::Encoder;
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Stored bytes from which on a corpus is checked without being asked to.
const CHECKED_FROM: u64 = 1_000_000_000;

/// How many documents are checked by default.
const DOCUMENTS: u32 = 16;

/// A document as the serving encoder encoded it.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) file: String,
    pub(super) item: u64,
    pub(super) pieces: Vec<SamplePiece>,
}

/// One piece of it.
#[derive(Debug)]
pub(super) struct SamplePiece {
    pub(super) text: String,
    pub(super) marks: Vec<Range<usize>>,
    pub(super) ids: Vec<u32>,
}

/// How many documents of a corpus of so many stored bytes are to be checked.
pub(super) fn documents_to_check(config: &BuildConfig, tokenizer: &Tokenizer, corpus_bytes: u64) -> u32 {
    let by_default = if corpus_bytes >= CHECKED_FROM { DOCUMENTS } else { 0 };
    let serves_itself = tokenizer.why_not_native.is_some();
    if serves_itself { 0 } else { config.check_encoder.unwrap_or(by_default) }
}

/// Encodes samples with the reference until there are no more.
pub(super) fn check(tokenizer: &Tokenizer, samples: &Receiver<Sample>, stop: &AtomicBool) -> Result<()> {
    let mut reference = None;
    for sample in samples {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let reference = match &mut reference {
            Some(reference) => reference,
            None => reference.insert(tokenizer.reference()?),
        };
        compare(reference, &sample)?;
    }
    Ok(())
}

fn compare(reference: &dyn Encoder, sample: &Sample) -> Result<()> {
    let mut session = reference.session();
    for (number, piece) in sample.pieces.iter().enumerate() {
        let mut ids = Vec::new();
        let result = session.encode(&piece.text, &piece.marks, &mut ids);
        if result.is_err() || ids != piece.ids {
            return Err(Error::Internal(format!(
                "{}, item {}, piece {number}: the native encoder gives other ids than the reference",
                sample.file, sample.item
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{EncodeError, Session};

    struct Lengths;

    impl Encoder for Lengths {
        fn name(&self) -> &'static str {
            "lengths"
        }

        fn session(&self) -> Box<dyn Session + '_> {
            Box::new(Self)
        }
    }

    impl Session for Lengths {
        fn encode(
            &mut self,
            text: &str,
            _: &[Range<usize>],
            ids: &mut Vec<u32>,
        ) -> std::result::Result<(), EncodeError> {
            ids.extend(u32::try_from(text.len()));
            Ok(())
        }
    }

    #[test]
    fn a_difference_is_named() {
        let piece = |text: &str, id| SamplePiece { text: text.into(), marks: vec![], ids: vec![id] };
        let sample = |second| Sample {
            file: "a.json".into(),
            item: 7,
            pieces: vec![piece("four", 4), piece("seven", second)],
        };
        assert!(compare(&Lengths, &sample(5)).is_ok());
        let error = compare(&Lengths, &sample(6)).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("a.json, item 7, piece 1")));
    }
}
