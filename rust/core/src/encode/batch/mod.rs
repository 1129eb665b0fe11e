//! Many texts at once, on several threads.
//!
//! Threads take runs of texts in their order, and encode each into memory that stays warm; what is done becomes part of
//! the whole while others still encode ([`together`]). Each keeps to a processor of its own at first ([`places`]).

mod places;
mod together;

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use self::places::Places;
use self::together::{BYTES_A_TOKEN, Part, Together, Whole};
use super::{EncodeError, Encoder, Session};
use crate::memory::ask_for;

/// Texts that a session is given at a time hold about this many bytes: enough that the new words of many are merged
/// together, few enough that their ids stay near.
const RUN_BYTES: usize = 64 << 10;

/// The last runs hold less, so that threads end together, but not less than this.
const LAST_RUN_BYTES: usize = 8 << 10;

/// Bytes of the next text that are asked for: then the processor sees by itself what comes.
const AHEAD: usize = 256;

/// Ids of many texts in one array.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EncodedTexts {
    /// The ids of all texts, one after the other.
    pub ids: Vec<u32>,
    /// Where each text's ids begin, and at the end their number: one more than texts.
    pub offsets: Vec<u64>,
}

/// Why a batch could not be encoded.
#[derive(Debug, thiserror::Error)]
#[error("text {text}: {error}")]
pub struct BatchError {
    /// Index of the first text that could not be encoded.
    pub text: usize,
    /// Why.
    pub error: EncodeError,
}

/// Encodes texts on so many threads at most, by default as many as there are processors; the result does not depend on
/// their number.
///
/// # Errors
/// The first text that cannot be encoded.
pub fn encode_batch(
    encoder: &dyn Encoder,
    texts: &[&str],
    threads: Option<usize>,
) -> Result<EncodedTexts, BatchError> {
    let bytes = texts.iter().map(|text| text.len()).sum();
    // What is one run is encoded before the system has said how many processors there are.
    let all =
        || if bytes <= LAST_RUN_BYTES { Some(1) } else { available_parallelism().ok().map(NonZero::get) };
    let threads = threads.or_else(all).unwrap_or(1).clamp(1, texts.len().max(1));
    let runs = runs_of(texts, bytes, threads);
    let threads = threads.min(runs.len());
    let mut whole = Whole::of(texts.len(), bytes);
    if threads <= 1 {
        let mut session = encoder.session();
        for run in &runs {
            let encoded = whole.room_for(run.bytes / BYTES_A_TOKEN);
            run.encode(texts, session.as_mut(), encoded)?;
            whole.added(run.bytes);
        }
        return Ok(whole.into_encoded());
    }
    let next = AtomicUsize::new(0);
    let together = Together::new(whole);
    let places = Places::new(threads);
    let work = || {
        let mut place = places.begin();
        let mut session = encoder.session();
        loop {
            place.look();
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(run) = runs.get(number) else { break };
            let mut encoded = together.spare();
            let result = run.encode(texts, session.as_mut(), &mut encoded);
            together.take(number, result.map(|()| Part { encoded, bytes: run.bytes }));
        }
    };
    std::thread::scope(|scope| {
        // This thread waits: a thread that goes on keeps its processor from what it has started, for milliseconds.
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    together.finish()
}

/// Texts one after the other.
struct Run {
    first: usize,
    end: usize,
    bytes: usize,
}

/// All texts, of so many bytes, in runs of about as many.
fn runs_of(texts: &[&str], bytes: usize, threads: usize) -> Vec<Run> {
    let mut left = bytes;
    let enough = |left: usize| match threads {
        1 => RUN_BYTES,
        _ => (left / (4 * threads)).clamp(LAST_RUN_BYTES, RUN_BYTES),
    };
    let mut runs = Vec::with_capacity(left / RUN_BYTES + 1);
    let (mut first, mut bytes, mut least) = (0, 0, enough(left));
    for (index, text) in texts.iter().enumerate() {
        bytes += text.len();
        let end = index + 1;
        if bytes >= least || end == texts.len() {
            runs.push(Run { first, end, bytes });
            left -= bytes;
            (first, bytes, least) = (end, 0, enough(left));
        }
    }
    runs
}

impl Run {
    /// Adds the ids of these texts.
    fn encode(
        &self,
        texts: &[&str],
        session: &mut dyn Session,
        encoded: &mut EncodedTexts,
    ) -> Result<(), BatchError> {
        if let Some(next) = texts.get(self.end) {
            ask_for_text(next);
        }
        session
            .encode_all(&texts[self.first..self.end], &mut encoded.ids, &mut encoded.offsets)
            .map_err(|(index, error)| BatchError { text: self.first + index, error })
    }
}

/// Texts lie all over memory: the beginning of the next is asked for while one is encoded.
pub(super) fn ask_for_text(text: &str) {
    for at in (0..text.len().min(AHEAD)).step_by(64) {
        ask_for(text.as_bytes(), at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::Session;

    /// Gives the bytes of a text; refuses an empty one.
    struct Bytes;

    impl Encoder for Bytes {
        fn name(&self) -> &'static str {
            "bytes"
        }

        fn session(&self) -> Box<dyn Session + '_> {
            Box::new(Self)
        }
    }

    impl Session for Bytes {
        fn encode(
            &mut self,
            text: &str,
            _: &[std::ops::Range<usize>],
            ids: &mut Vec<u32>,
        ) -> Result<(), EncodeError> {
            if text.is_empty() {
                return Err(EncodeError("empty".into()));
            }
            ids.extend(text.bytes().map(u32::from));
            Ok(())
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same() {
        let texts: Vec<String> = (1..400).map(|i| format!("{i} ").repeat(i * 7 % 500 + 1)).collect();
        let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let encode = |texts: &[&str], threads| encode_batch(&Bytes, texts, threads);
        let Ok(one) = encode(&texts, Some(1)) else { panic!("refused") };
        assert_eq!(one.ids, texts.concat().bytes().map(u32::from).collect::<Vec<_>>());
        assert_eq!(one.offsets.len(), texts.len() + 1);
        for threads in [None, Some(0), Some(2), Some(3), Some(16), Some(usize::MAX)] {
            assert_eq!(encode(&texts, threads).ok().as_ref(), Some(&one));
        }
        assert_eq!(encode(&[], Some(4)).ok().map(|encoded| encoded.offsets), Some(vec![0]));
        (texts[390], texts[77]) = ("", "");
        for threads in [None, Some(1), Some(2), Some(16)] {
            assert_eq!(encode(&texts, threads).err().map(|error| error.text), Some(77));
        }
    }
}
