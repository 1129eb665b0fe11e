//! From a recognized file to the tables that encode.

use std::collections::{HashMap, HashSet};

use super::added::{Matcher, Token};
use super::byte_level::Alphabet;
use super::cache::Cache;
use super::certain::Certain;
use super::chars::{Formed, Outside};
use super::config::{Plan, Step, plan_of};
use super::joins::Joins;
use super::json::{self, File};
use super::merge::{Merger, taken};
use super::merges::Merges;
use super::model::{Chars, Model, Symbols};
use super::neighbours::Neighbours;
use super::normalize::Normalizer;
use super::pairs::{MAX_ID, NONE, Pairs};
use super::path::Path;
use super::shares::{WORTH, on_all_threads};
use super::vocab::Vocab;
use super::{AddedTokens, NativeEncoder};
use crate::encode::SpecialTokens;

/// Tokens of the file as the bytes they match.
pub(super) struct Spelling {
    /// None: the text of a token is itself.
    alphabet: Option<Alphabet>,
}

impl Spelling {
    pub(super) fn new(byte_level: bool) -> Self {
        Self { alphabet: byte_level.then(Alphabet::new) }
    }

    fn bytes(&self, token: &str, bytes: &mut Vec<u8>) -> bool {
        bytes.clear();
        self.append(token, bytes)
    }

    /// Appends the bytes of a token; false if it has none.
    pub(super) fn append(&self, token: &str, bytes: &mut Vec<u8>) -> bool {
        if let Some(alphabet) = &self.alphabet {
            alphabet.decode(token, bytes)
        } else {
            bytes.extend_from_slice(token.as_bytes());
            true
        }
    }
}

/// Builds the native encoder, or says what about the file is not understood.
pub(super) fn build(json: &[u8], special: SpecialTokens) -> Result<NativeEncoder, String> {
    // Taking the cache's memory is waiting for the system: it goes on beside the rest.
    std::thread::scope(|scope| {
        let cache = scope.spawn(Cache::new);
        let (model, added, path) = read(json, special)?;
        let cache = cache.join().unwrap_or_else(|_| Cache::new());
        let greatest = model.vocab.iter().map(|(_, id)| id).max().unwrap_or(0);
        let encoder = NativeEncoder::new(model, added, path, special, cache.for_ids_to(greatest));
        encoder.learn_words();
        Ok(encoder)
    })
}

fn read(json: &[u8], special: SpecialTokens) -> Result<(Model, AddedTokens, Path), String> {
    let text = simdutf8::basic::from_utf8(json).map_err(|error| error.to_string())?;
    let unknown = |error| format!("something that the native encoder does not know: {error}");
    let file: File = serde_json::from_str(text).map_err(unknown)?;
    let plan = plan_of(&file)?;
    let spelling = Spelling::new(plan.byte_level);
    // Tokens outside the byte alphabet can be added tokens, never results of merging.
    let mut outside: HashMap<&str, u32> = HashMap::new();
    let vocab = vocab_of(&file.model, &spelling, &mut outside)?;
    let mut added = added_tokens(&file, &plan, &vocab, &outside, &spelling, special)?;
    let model = model_of(&file.model, &plan, &spelling, vocab)?;
    let path = Path::new(&plan, added.normalized.is_some());
    if let (Some(plain), None) = (&mut added.plain, &added.normalized)
        && path.leaves_text()
    {
        leave_in_text(plain, &model);
    }
    Ok((model, added, path))
}

fn vocab_of<'f>(
    model: &'f json::Model,
    spelling: &Spelling,
    outside: &mut HashMap<&'f str, u32>,
) -> Result<Vocab, String> {
    let entries = &model.vocab.0;
    let length = entries.iter().map(|(token, _)| token.len()).sum();
    let mut vocab = Vocab::with_capacity(entries.len(), length);
    let mut bytes = Vec::new();
    let mut ids = vec![0u64; MAX_ID as usize / 64 + 1];
    for (token, id) in entries {
        if *id > MAX_ID {
            return Err(format!("an id above {MAX_ID}"));
        }
        let (word, bit) = (*id as usize / 64, 1 << (id % 64));
        if ids[word] & bit != 0 {
            return Err(format!("two tokens with the id {id}"));
        }
        ids[word] |= bit;
        let new = if spelling.bytes(token, &mut bytes) {
            vocab.insert(&bytes, *id)
        } else {
            outside.insert(token, *id).is_none()
        };
        if !new {
            return Err(format!("the token {token:?} stands twice in the vocabulary"));
        }
    }
    Ok(vocab)
}

fn model_of(model: &json::Model, plan: &Plan, spelling: &Spelling, vocab: Vocab) -> Result<Model, String> {
    let ignore_merges = model.ignore_merges == Some(true);
    let mut symbols = if plan.byte_level {
        Symbols::Bytes(byte_symbols(&vocab)?, Formed::default())
    } else {
        Symbols::Chars(Box::new(char_symbols(model, &vocab)?))
    };
    let mut merges = Merges::read(&model.merges, spelling, &vocab, &symbols.stand_ins())?;
    merges.keep_what_happens(&vocab, &symbols);
    let first_use = merges.first_use();
    let mut tokens: Vec<&[u8]> = vec![&[]; first_use.len()];
    for (token, id) in vocab.iter() {
        if let Some(place) = tokens.get_mut(id as usize) {
            *place = token;
        }
    }
    let mut joins = Joins::new(!plan.byte_level);
    let (all, tokens) = (merges.all(), &*tokens);
    let (pairs, certain, neighbours) = std::thread::scope(|scope| {
        let neighbours = scope.spawn(|| Neighbours::new(&vocab, all, &first_use, tokens, plan.byte_level));
        let pairs = scope.spawn(|| Pairs::new(all));
        let made = merges.made();
        let results = vocab.iter().filter(|(_, id)| made.get(*id as usize) == Some(&true));
        results.for_each(|(token, _)| joins.add_token(token));
        let pairs = pairs.join().ok().flatten().ok_or("more merges than fit")?;
        if let Symbols::Bytes(bytes, formed) = &mut symbols {
            let outside = Outside::new(all, tokens);
            *formed = Formed::new(bytes, &pairs, &first_use, &outside, joins.touched());
        }
        symbols.number_letters(&first_use);
        let certain = Certain::new(&symbols, all, &first_use, tokens);
        let neighbours = neighbours.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, String>((pairs, certain, neighbours))
    })?;
    let unmerged_tokens = Vocab::with_capacity(0, 0);
    let taken = taken(all, &first_use);
    let mut model =
        Model { vocab, pairs, certain, neighbours, taken, symbols, joins, unmerged: unmerged_tokens };
    if ignore_merges {
        model.unmerged = unmerged(&model);
        // A whole piece can become one of them, so none may have a cut inside.
        for (token, _) in model.unmerged.iter() {
            model.joins.add_token(token);
        }
    }
    Ok(model)
}

/// The tokens that merging does not make of their own text.
fn unmerged(model: &Model) -> Vocab {
    // Only tokens that are text can be whole pieces.
    let texts = model.vocab.iter().filter(|(token, _)| std::str::from_utf8(token).is_ok());
    let others = on_all_threads(&texts.collect::<Vec<_>>(), WORTH, |texts| {
        let (mut merger, mut made) = (Merger::default(), Vec::new());
        let mut others = texts.to_vec();
        others.retain(|(token, id)| {
            made.clear();
            model.merge(&mut merger, token, &mut made);
            made != [*id]
        });
        others
    });
    let mut unmerged = Vocab::with_capacity(0, 0);
    for (token, id) in others.into_iter().flatten() {
        unmerged.insert(token, id);
    }
    unmerged
}

fn byte_symbols(vocab: &Vocab) -> Result<Box<[u32; 256]>, String> {
    let mut ids = Box::new([0; 256]);
    for byte in 0..=255u8 {
        ids[usize::from(byte)] = vocab
            .id(&[byte])
            .ok_or_else(|| format!("a byte-level vocabulary without the byte {byte:#04X}"))?;
    }
    Ok(ids)
}

fn char_symbols(model: &json::Model, vocab: &Vocab) -> Result<Chars, String> {
    let bytes = if model.byte_fallback == Some(true) {
        let mut ids = Box::new([NONE; 256]);
        for byte in 0..=255u8 {
            // A byte that is never asked for may lack its token: Gemma has the tab itself, not <0x09>.
            let token = vocab.id(format!("<0x{byte:02X}>").as_bytes());
            if token.is_none() && !(byte < 0x80 && vocab.id(&[byte]).is_some()) {
                return Err(format!("byte_fallback without the token <0x{byte:02X}>"));
            }
            ids[usize::from(byte)] = token.unwrap_or(NONE);
        }
        Some(ids)
    } else {
        None
    };
    let unknown = match &model.unk_token {
        None => None,
        Some(token) => vocab.id(token.as_bytes()).map(|id| (id, model.fuse_unk == Some(true))),
    };
    if bytes.is_none() && unknown.is_none() {
        return Err("unknown characters have neither bytes nor an unknown token".into());
    }
    let mut chars = Chars::new(bytes, unknown);
    for (token, id) in vocab.iter() {
        if let Ok(text) = std::str::from_utf8(token) {
            let mut all = text.chars();
            if let (Some(c), None) = (all.next(), all.next()) {
                chars.insert(u32::from(c), id);
            }
        }
    }
    Ok(chars)
}

/// Numbers the added tokens as the reference does and prepares to find them.
fn added_tokens(
    file: &File,
    plan: &Plan,
    vocab: &Vocab,
    outside: &HashMap<&str, u32>,
    spelling: &Spelling,
    special: SpecialTokens,
) -> Result<AddedTokens, String> {
    let size = u32::try_from(file.model.vocab.0.len()).map_err(|error| error.to_string())?;
    let mut next = size;
    let mut contents: HashSet<&str> = HashSet::new();
    let mut taken: HashSet<u32> = HashSet::new();
    let mut bytes = Vec::new();
    let (mut literal, mut normalized) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for token in &file.added_tokens {
        if token.content.is_empty() {
            continue;
        }
        if !contents.insert(&token.content) {
            return Err(format!("the added token {:?} stands twice", token.content));
        }
        let known = if spelling.bytes(&token.content, &mut bytes) {
            vocab.id(&bytes)
        } else {
            outside.get(token.content.as_str()).copied()
        };
        let id = known.unwrap_or_else(|| {
            let id = next;
            next += 1;
            id
        });
        if id != token.id || !taken.insert(id) {
            return Err(format!(
                "the added token {:?}, whose id {} is not the one it would get",
                token.content, token.id
            ));
        }
        let pattern = if token.normalized {
            Normalizer::default().apply(&plan.steps, &token.content).into_owned()
        } else {
            token.content.clone()
        };
        if special == SpecialTokens::Text && token.special && token.normalized && !plan.steps.is_empty() {
            return Err(format!("the special token {:?} is normalized before it is matched", token.content));
        }
        let kind = if token.normalized { &mut normalized } else { &mut literal };
        kind.0.push(pattern);
        kind.1.push(Token {
            content: token.content.clone(),
            id,
            single_word: token.single_word,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            special: token.special,
            is_own_text: false,
        });
    }
    for (patterns, _) in [&literal, &normalized] {
        let unique: HashSet<&String> = patterns.iter().collect();
        if unique.len() != patterns.len() {
            return Err("two added tokens that are matched by the same text".into());
        }
    }
    Ok(AddedTokens {
        plain: Matcher::new(&literal.0, literal.1)?,
        normalized: Matcher::new(&normalized.0, normalized.1)?,
    })
}

/// Finds the tokens that merging makes of their own text: they stay in it, as pieces.
fn leave_in_text(matcher: &mut Matcher, model: &Model) {
    let (mut merger, mut made) = (Merger::default(), Vec::new());
    for token in matcher.tokens_mut().iter_mut().filter(|token| !token.lstrip && !token.rstrip) {
        made.clear();
        // (A space is not read as it is spelled.)
        if !token.content.contains(' ') {
            model.merge(&mut merger, token.content.as_bytes(), &mut made);
        }
        token.is_own_text = made == [token.id];
    }
}

/// Whether the steps end in making spaces visible, which needs no copy of the text.
pub(super) fn visible_space(steps: &[Step]) -> bool {
    matches!(steps.last(), Some(Step::Replace(from, to)) if from == " " && to == "▁")
}
