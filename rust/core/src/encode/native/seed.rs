//! What is known before any text has been seen: the words of the vocabulary.

use super::NativeEncoder;
use super::cache::{SHORT, hash_of, key_of};
use super::merge::Merger;
use super::shares::on_all_threads;

impl NativeEncoder {
    /// Remembers the words of the vocabulary, as far as the encoder makes one token of them. Whatever a text brings takes
    /// their places: to keep words of all languages beside those of one would cost more than it brings.
    pub(super) fn learn_words(&self) {
        let tokens: Vec<(&[u8], u32)> = self.model.vocab.iter().collect();
        on_all_threads(&tokens, |tokens| {
            let (mut merger, mut ids) = (Merger::default(), Vec::new());
            for &(token, id) in tokens {
                let Some(text) = self.as_in_text(token).filter(|text| is_word(text)) else { continue };
                ids.clear();
                match self.model.whole(token, false) {
                    Some(id) => ids.push(id),
                    None => self.model.merge(&mut merger, token, &mut ids),
                }
                if ids == [id] {
                    let key = key_of(&text, text.len());
                    self.cache.seed_short(key, hash_of(key), id);
                }
            }
        });
    }

    /// What a text says where a token stands for it, if something does: spaces may be read as another character.
    fn as_in_text(&self, token: &[u8]) -> Option<Vec<u8>> {
        let Some(space) = self.path.space else { return Some(token.to_vec()) };
        match token.strip_prefix(space.encode_utf8(&mut [0; 4]).as_bytes()) {
            Some(word) => Some([b" ", word].concat()),
            None if token.contains(&b' ') => None,
            None => Some(token.to_vec()),
        }
    }
}

/// Whether a text is letters behind a space, few enough for the cache; those of other scripts than the Latin may stand
/// without it.
fn is_word(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let word = text.strip_prefix([' ', '▁']).unwrap_or(if text.is_ascii() { "" } else { text });
    !word.is_empty() && text.len() <= SHORT && word.chars().all(char::is_alphabetic)
}
