//! What is known before any text has been seen: the words of the vocabulary.

use super::NativeEncoder;
use super::cache::{SHORT, hash_of, key_of};
use super::merge::Several;
use super::shares::{WORTH, on_all_threads};

impl NativeEncoder {
    /// Remembers the words of the vocabulary, as far as the encoder makes one token of them. Whatever a text brings takes
    /// their places: to keep words of all languages beside those of one would cost more than it brings.
    pub(super) fn learn_words(&self) {
        let tokens: Vec<(&[u8], u32)> = self.model.vocab.iter().collect();
        on_all_threads(&tokens, WORTH, |tokens| {
            let (mut several, mut words, mut symbols) = (Several::default(), Vec::new(), Vec::new());
            for tokens in tokens.chunks(Several::ROOM) {
                several.clear();
                words.clear();
                for &(token, id) in tokens {
                    let Some(key) = self.key_in_text(token) else { continue };
                    match self.model.whole(token, false) {
                        Some(whole) if whole == id => self.cache.seed_short(key, hash_of(key), id),
                        Some(_) => {}
                        None => {
                            symbols.clear();
                            self.model.symbols.source(token).append(token.len(), &mut symbols);
                            several.add(&symbols);
                            words.push((key, id));
                        }
                    }
                }
                for (&(key, id), ids) in words.iter().zip(several.merge(self.model.rules())) {
                    if ids == [id] {
                        self.cache.seed_short(key, hash_of(key), id);
                    }
                }
            }
        });
    }

    /// The key of what a text says where a token stands for it, if that is a word: spaces may be read as another character.
    fn key_in_text(&self, token: &[u8]) -> Option<u128> {
        let mut spelled = [0; SHORT];
        let text = match self.path.space {
            None => token,
            Some(space) => match token.strip_prefix(space.encode_utf8(&mut [0; 4]).as_bytes()) {
                Some(word) => {
                    let text = spelled.get_mut(..=word.len())?;
                    text[0] = b' ';
                    text[1..].copy_from_slice(word);
                    text
                }
                None if token.contains(&b' ') => return None,
                None => token,
            },
        };
        is_word(text).then(|| key_of(text, text.len()))
    }
}

/// Whether a text is letters behind a space, few enough for the cache; those of other scripts than the Latin may stand
/// without it.
fn is_word(text: &[u8]) -> bool {
    if text.len() > SHORT {
        return false;
    }
    let text = std::str::from_utf8(text).unwrap_or_default();
    let word = text.strip_prefix([' ', '▁']).unwrap_or(if text.is_ascii() { "" } else { text });
    !word.is_empty() && word.chars().all(char::is_alphabetic)
}
