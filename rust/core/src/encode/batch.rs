//! Many texts at once, on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{EncodeError, Encoder};
use crate::memory::{ask_for, concatenated};

/// Texts that a thread takes at a time hold about this many bytes: enough to make the taking cheap, few
/// enough to share the end of the work evenly.
const CHUNK_BYTES: usize = 64 << 10;

/// Texts of which a session is given several at a time hold about this many bytes.
const RUN_BYTES: usize = 64 << 10;

/// Bytes of the next text that are asked for: then the processor sees by itself what comes.
const AHEAD: usize = 1024;

/// Bytes a token, on the low side of what is usual: to reserve space once. (Space that is not used costs nothing, but what is
/// very large is taken from the system and given back every time.)
const BYTES_A_TOKEN: usize = 3;

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

/// Encodes texts on `threads` threads; the result does not depend on their number.
///
/// # Errors
/// The first text that cannot be encoded.
pub fn encode_batch(
    encoder: &dyn Encoder,
    texts: &[&str],
    threads: usize,
) -> Result<EncodedTexts, BatchError> {
    let chunks = runs_of(texts, CHUNK_BYTES);
    let threads = threads.min(chunks.len());
    if threads <= 1 {
        let mut encoded = EncodedTexts { ids: Vec::new(), offsets: vec![0] };
        encode_chunk(encoder.session().as_mut(), texts, 0, &mut encoded)?;
        return Ok(encoded);
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(chunks.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut session = encoder.session();
                while let Some(&(start, end)) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut encoded = EncodedTexts::default();
                    let result = encode_chunk(session.as_mut(), &texts[start..end], start, &mut encoded);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((start, result.map(|()| encoded)));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(start, _)| *start);
    let parts: Vec<EncodedTexts> = done.into_iter().map(|(_, part)| part).collect::<Result<_, _>>()?;
    Ok(joined(&parts, texts.len(), threads))
}

/// Puts the ids of runs of texts together.
fn joined(parts: &[EncodedTexts], texts: usize, threads: usize) -> EncodedTexts {
    let ids: Vec<&[u32]> = parts.iter().map(|part| part.ids.as_slice()).collect();
    let mut offsets = Vec::with_capacity(texts + 1);
    offsets.push(0);
    let mut base = 0;
    for part in parts {
        offsets.extend(part.offsets.iter().map(|offset| base + offset));
        base += part.ids.len() as u64;
    }
    EncodedTexts { ids: concatenated(&ids, threads), offsets }
}

/// Cuts the texts into runs of at least so many bytes.
fn runs_of(texts: &[&str], least: usize) -> Vec<(usize, usize)> {
    let (mut chunks, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (i, text) in texts.iter().enumerate() {
        bytes += text.len();
        if bytes >= least || i + 1 == texts.len() {
            chunks.push((start, i + 1));
            (start, bytes) = (i + 1, 0);
        }
    }
    chunks
}

/// Texts lie all over memory: the beginning of the next is asked for while one is encoded.
pub(super) fn ask_for_text(text: &str) {
    for at in (0..text.len().min(AHEAD)).step_by(64) {
        ask_for(text.as_bytes(), at);
    }
}

fn encode_chunk(
    session: &mut dyn super::Session,
    texts: &[&str],
    first: usize,
    encoded: &mut EncodedTexts,
) -> Result<(), BatchError> {
    let length = |texts: &[&str]| texts.iter().map(|text| text.len()).sum::<usize>();
    let mut left = length(texts);
    let mut done = 0;
    encoded.ids.reserve(left / BYTES_A_TOKEN);
    encoded.offsets.reserve(texts.len());
    for (start, end) in runs_of(texts, RUN_BYTES) {
        let run = &texts[start..end];
        let bytes = length(run);
        if let Some(next) = texts.get(end) {
            ask_for_text(next);
        }
        if encoded.ids.capacity() - encoded.ids.len() < bytes && done > 0 {
            // As many as there have been for what is done; doubling what is large would be to move it.
            let expected = encoded.ids.len().saturating_mul(left) / done;
            encoded.ids.reserve_exact(expected + expected / 8 + bytes);
        }
        session
            .encode_all(run, &mut encoded.ids, &mut encoded.offsets)
            .map_err(|(index, error)| BatchError { text: first + start + index, error })?;
        done += bytes;
        left -= bytes;
    }
    Ok(())
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
        let Ok(one) = encode(&texts, 1) else { panic!("refused") };
        assert_eq!(one.ids, texts.concat().bytes().map(u32::from).collect::<Vec<_>>());
        assert_eq!(one.offsets.len(), texts.len() + 1);
        for threads in [2, 3, 16] {
            assert_eq!(encode(&texts, threads).ok().as_ref(), Some(&one));
        }
        assert_eq!(encode(&[], 4).ok().map(|encoded| encoded.offsets), Some(vec![0]));
        (texts[390], texts[77]) = ("", "");
        for threads in [1, 2, 16] {
            assert_eq!(encode(&texts, threads).err().map(|error| error.text), Some(77));
        }
    }
}
