//! Random tokenizers with every setting there is, small enough to make many.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Both;
use crate::encode::native::config::{DEEPSEEK, Known};
use crate::encode::{Encoder, SpecialTokens};

/// A small generator of numbers, the same on every run.
pub(in crate::encode::native) struct Numbers(pub(in crate::encode::native) u64);

impl Numbers {
    pub(in crate::encode::native) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound
    }

    pub(in super::super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// What merges and texts are made of, so that they meet often.
const STRINGS: &[&str] = &[
    "a",
    "b",
    "ab",
    " ",
    "  ",
    " a",
    "▁",
    "é",
    "e\u{301}",
    "中",
    "丮",
    "患",
    "，",
    "“",
    " 中丮",
    "▁中丮",
    "中丮 ",
    "中丮▁",
    "م",
    "ل",
    "لا",
    "क",
    "न",
    "क\u{93C}",
    "1",
    "23",
    "\n",
    "\r\n",
    ".",
    "'s",
    "'",
    "😀",
    "\u{301}",
    "A",
    "x",
    "<",
    "<s>",
    "<|x|>",
    "ſ",
    "ﬁ",
    "\u{3000}",
    "/",
];

fn text(numbers: &mut Numbers) -> String {
    let mut text = String::new();
    if numbers.chance(4) {
        // So much without an end or a pattern that it is merged in windows.
        let few: Vec<&str> = (0..2 + numbers.below(5)).map(|_| *numbers.pick(STRINGS)).collect();
        // Of some the first stands in long rows.
        let first = *numbers.pick(&[0, 0, 80]);
        for _ in 0..numbers.below(2000) {
            text.push_str(if numbers.chance(first) { few[0] } else { numbers.pick::<&str>(&few) });
        }
    }
    for _ in 0..numbers.below(24) {
        let piece = *numbers.pick(STRINGS);
        let times = if numbers.chance(8) { numbers.below(90) } else { 1 };
        for _ in 0..times {
            text.push_str(piece);
        }
    }
    text
}

/// Bytes in the byte-level alphabet.
fn visible(bytes: &[u8]) -> String {
    let plain = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    bytes
        .iter()
        .map(|&byte| {
            let before = (0..byte).filter(|&b| !plain(b)).count();
            let code = if plain(byte) { u32::from(byte) } else { 0x100 + u32::try_from(before).unwrap() };
            char::from_u32(code).unwrap()
        })
        .collect()
}

struct Vocabulary {
    ids: HashMap<String, u32>,
    order: Vec<String>,
    first: u32,
}

impl Vocabulary {
    fn add(&mut self, token: String) {
        if !self.ids.contains_key(&token) {
            self.ids.insert(token.clone(), self.first + u32::try_from(self.order.len()).unwrap());
            self.order.push(token);
        }
    }
}

fn model(numbers: &mut Numbers, byte_level: bool) -> Value {
    // Of some all ids need more than two bytes.
    let first = *numbers.pick(&[0, 0, 0, 70_000]);
    let mut vocabulary = Vocabulary { ids: HashMap::new(), order: Vec::new(), first };
    let fallback = !byte_level && numbers.chance(70);
    let unknown = !byte_level && (!fallback || numbers.chance(80));
    if unknown {
        vocabulary.add("<unk>".into());
    }
    if byte_level {
        (0..=255).for_each(|byte| vocabulary.add(visible(&[byte])));
    }
    if fallback {
        (0..=255).for_each(|byte| vocabulary.add(format!("<0x{byte:02X}>")));
    }
    let mut symbols: Vec<String> = Vec::new();
    for string in STRINGS {
        if byte_level {
            symbols.extend(string.bytes().map(|byte| visible(&[byte])));
        } else if numbers.chance(80) {
            symbols.extend(string.chars().map(String::from));
        }
    }
    for symbol in &symbols {
        vocabulary.add(symbol.clone());
    }
    if !byte_level && numbers.chance(30) {
        // All letters of scripts that hardly any merge joins: two of them make a piece.
        ('\u{915}'..='\u{939}').chain('\u{628}'..='\u{64A}').for_each(|c| vocabulary.add(c.into()));
    }
    let mut merges: Vec<(String, String)> = Vec::new();
    if byte_level && numbers.chance(70) {
        // Characters whole at first, so that tokens of several of them are made.
        for c in ["中", "丮", "患", "，", "“"].iter().filter(|_| numbers.chance(90)) {
            let [first, second, third] = [0, 1, 2].map(|at| visible(&c.as_bytes()[at..=at]));
            for (left, right) in [(first.clone(), second.clone()), (format!("{first}{second}"), third)] {
                vocabulary.add(format!("{left}{right}"));
                merges.push((left, right));
            }
        }
        merges.sort();
        merges.dedup();
    }
    // Pieces of real strings first, so that merges build up to something that occurs.
    for _ in 0..numbers.below(300) {
        let mut sample = String::new();
        for _ in 0..=numbers.below(3) {
            sample.push_str(numbers.pick::<&str>(STRINGS));
        }
        let parts: Vec<String> = if byte_level {
            sample.bytes().map(|byte| visible(&[byte])).collect()
        } else {
            sample.chars().map(String::from).collect()
        };
        let from = numbers.below(parts.len());
        // Of bytes more, so that there are tokens of several characters of three.
        let most = if byte_level && numbers.chance(50) { 12 } else { 5 };
        let to = (from + 2 + numbers.below(most)).min(parts.len());
        let at = from + 1 + numbers.below(most - 1);
        if at >= to {
            continue;
        }
        let (left, right) = (parts[from..at].concat(), parts[at..to].concat());
        let both = vocabulary.ids.contains_key(&left) && vocabulary.ids.contains_key(&right);
        if both && !merges.contains(&(left.clone(), right.clone())) {
            vocabulary.add(format!("{left}{right}"));
            merges.push((left, right));
        }
    }
    if numbers.chance(30) {
        merges = all_splits(&merges, &vocabulary.ids);
    }
    // Ranks that do not follow the order in which tokens build up.
    for _ in 0..numbers.below(60) {
        if !merges.is_empty() {
            let (a, b) = (numbers.below(merges.len()), numbers.below(merges.len()));
            merges.swap(a, b);
        }
    }
    // Tokens that no merge reaches.
    for _ in 0..numbers.below(10) {
        let sample = text(numbers);
        let short: String = sample.chars().take(4).collect();
        if !short.is_empty() {
            vocabulary.add(if byte_level { visible(short.as_bytes()) } else { short });
        }
    }
    let spaced = merges.iter().any(|(a, b)| a.contains(' ') || b.contains(' '));
    let merges: Vec<Value> = if spaced || numbers.chance(50) {
        merges.iter().map(|(a, b)| json!([a, b])).collect()
    } else {
        merges.iter().map(|(a, b)| json!(format!("{a} {b}"))).collect()
    };
    json!({
        "type": "BPE", "dropout": null, "unk_token": unknown.then_some("<unk>"),
        "continuing_subword_prefix": if numbers.chance(50) { json!(null) } else { json!("") },
        "end_of_word_suffix": null, "fuse_unk": numbers.chance(60), "byte_fallback": fallback,
        "ignore_merges": numbers.chance(30), "vocab": vocabulary.ids, "merges": merges,
    })
}

/// Every way to put a token together from two, as converted files have them.
fn all_splits(merges: &[(String, String)], ids: &HashMap<String, u32>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (left, right) in merges {
        let token = format!("{left}{right}");
        for (at, _) in token.char_indices().skip(1) {
            let split = (token[..at].to_owned(), token[at..].to_owned());
            if ids.contains_key(&split.0) && ids.contains_key(&split.1) && !all.contains(&split) {
                all.push(split);
            }
        }
    }
    all
}

fn normalizer(numbers: &mut Numbers) -> Value {
    let one = |numbers: &mut Numbers| match numbers.below(7) {
        0 => json!({"type": "NFC"}),
        1 => json!({"type": "NFKC"}),
        2 => json!({"type": "Prepend", "prepend": numbers.pick(&["▁", "a", ""])}),
        3 => {
            json!({"type": "Replace", "pattern": {"String": "a"}, "content": numbers.pick(&["", "bb", "e\u{301}"])})
        }
        4 => json!({"type": "Replace", "pattern": {"String": "ab"}, "content": "x"}),
        _ => json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
    };
    match numbers.below(4) {
        0 => json!(null),
        1 => one(numbers),
        2 => json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}),
        _ => {
            let count = numbers.below(4);
            let steps: Vec<Value> = (0..count).map(|_| one(numbers)).collect();
            json!({"type": "Sequence", "normalizers": steps})
        }
    }
}

fn split(pattern: &Value, behavior: &str) -> Value {
    json!({"type": "Split", "pattern": pattern, "behavior": behavior, "invert": false})
}

fn literal(numbers: &mut Numbers) -> Value {
    let behavior = *numbers.pick(&["Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]);
    split(&json!({"String": numbers.pick(&[" ", "a", "ab", "▁", "\n"])}), behavior)
}

fn pre_tokenizer(numbers: &mut Numbers, byte_level: bool) -> Value {
    if !byte_level {
        return match numbers.below(6) {
            0 | 1 => json!(null),
            2 | 3 => json!({
                "type": "Metaspace", "replacement": "▁", "split": numbers.chance(50),
                "prepend_scheme": numbers.pick(&["first", "never", "always"]),
            }),
            4 => literal(numbers),
            _ => json!({"type": "Sequence", "pretokenizers": [
                {"type": "Digits", "individual_digits": numbers.chance(50)}, literal(numbers)]}),
        };
    }
    let mut stages: Vec<Value> = Vec::new();
    match numbers.below(5) {
        0 => {
            return json!({"type": "ByteLevel", "add_prefix_space": numbers.chance(50), "trim_offsets": true,
                "use_regex": numbers.chance(70)});
        }
        1 => stages.extend(DEEPSEEK.iter().map(|regex| split(&json!({"Regex": regex}), "Isolated"))),
        2 => stages
            .extend([literal(numbers), json!({"type": "Digits", "individual_digits": numbers.chance(50)})]),
        _ => {
            let (_, regex) = numbers.pick(&Known::SINGLE);
            stages.push(split(&json!({"Regex": regex}), "Isolated"));
        }
    }
    stages.push(json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
        "use_regex": numbers.chance(20)}));
    json!({"type": "Sequence", "pretokenizers": stages})
}

/// `like_gemma`: some that merging makes of their own text, matched as they stand.
fn added(numbers: &mut Numbers, model: &Value, like_gemma: bool) -> Vec<Value> {
    let vocabulary = model["vocab"].as_object().unwrap();
    let mut next = vocabulary.len();
    let mut tokens = Vec::new();
    let mut contents =
        vec!["<s>", "<|x|>", "ab", " a", "中", "\n\n", "e\u{301}", "▁▁", "word", "<|x|><s>", " ", "\t"];
    if like_gemma {
        let known: Vec<&str> = vocabulary.keys().map(String::as_str).collect();
        contents.extend((0..20).map(|_| *numbers.pick(&known)));
        contents.sort_unstable();
        contents.dedup();
    }
    for content in contents {
        if numbers.chance(70) {
            continue;
        }
        // The reference looks for the content as it stands.
        let id = vocabulary.get(content).and_then(Value::as_u64).unwrap_or_else(|| {
            next += 1;
            (next - 1) as u64
        });
        let often = if like_gemma { 5 } else { 25 };
        tokens.push(json!({
            "id": id, "content": content, "single_word": numbers.chance(often), "lstrip": numbers.chance(often),
            "rstrip": numbers.chance(often), "normalized": !like_gemma && numbers.chance(35),
            "special": numbers.chance(60),
        }));
    }
    tokens
}

fn tokenizer(numbers: &mut Numbers) -> Value {
    let byte_level = numbers.chance(50);
    let model = model(numbers, byte_level);
    let plain = numbers.chance(40);
    let like_gemma = !byte_level && numbers.chance(25);
    let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": if plain { vec![] } else { added(numbers, &model, like_gemma) },
        "normalizer": match (byte_level, like_gemma) {
            (true, _) if numbers.chance(50) => json!({"type": "NFC"}),
            (_, true) => spaces,
            _ => normalizer(numbers),
        },
        "pre_tokenizer": if like_gemma { json!(null) } else { pre_tokenizer(numbers, byte_level) },
        "post_processor": null, "decoder": null, "model": model,
    })
}

/// `APOLLO_PACK_FUZZ_SECONDS` makes it run for that long, with other tokenizers than the usual ones.
#[test]
fn random_tokenizers() {
    let seconds: Option<u64> =
        std::env::var("APOLLO_PACK_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let start = std::time::Instant::now();
    let mut seed = seconds.map_or(0, |_| u64::from(std::process::id()) << 32);
    let (mut native, mut texts) = (0, 0);
    let mut reasons: HashMap<String, usize> = HashMap::new();
    loop {
        match seconds {
            Some(seconds) if start.elapsed().as_secs() >= seconds => break,
            None if seed >= 1500 => break,
            _ => {}
        }
        seed += 1;
        let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let value = tokenizer(&mut numbers);
        let json = value.to_string();
        for special in [SpecialTokens::Parse, SpecialTokens::Text] {
            match Both::load(json.as_bytes(), special) {
                Ok(both) => {
                    native += 1;
                    let samples: Vec<String> = (0..25).map(|_| text(&mut numbers)).collect();
                    texts += samples.len();
                    let what = format!("seed {seed} {special:?} {}", brief(&value));
                    both.compare(&what, samples.iter().map(String::as_str));
                    if special == SpecialTokens::Text {
                        marked(&both, &value, &what, &mut numbers);
                    }
                }
                Err(reason) => {
                    *reasons.entry(reason.chars().take(40).collect()).or_default() += 1;
                }
            }
        }
    }
    println!("{native} native encoders, {texts} texts, from seed {seed} down; fell back: {reasons:?}");
    assert!(native > reasons.values().sum::<usize>(), "most are native: {reasons:?}");
}

/// Marked special tokens among text that spells them too.
fn marked(both: &Both, value: &Value, what: &str, numbers: &mut Numbers) {
    // A marked token that the library takes only as a whole word is one of the library's own limits.
    let specials: Vec<&str> = value["added_tokens"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|token| token["special"] == true && token["single_word"] == false)
        .map(|token| token["content"].as_str().unwrap())
        .collect();
    if specials.is_empty() {
        return;
    }
    let (mut native, mut reference) = (both.native.session(), both.reference.session());
    for _ in 0..10 {
        let (mut whole, mut marks) = (String::new(), Vec::new());
        for _ in 0..numbers.below(4) {
            whole.push_str(&text(numbers));
            let start = whole.len();
            whole.push_str(numbers.pick::<&str>(&specials));
            marks.push(start..whole.len());
        }
        whole.push_str(&text(numbers));
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        native.encode(&whole, &marks, &mut ours).unwrap();
        if !super::encodes(reference.as_mut(), &whole, &marks, &mut theirs) {
            continue;
        }
        assert_eq!(ours, theirs, "{what} marks {marks:?} in {whole:?}");
    }
}

/// A tokenizer without its vocabulary, for messages.
fn brief(value: &Value) -> String {
    let mut value = value.clone();
    let model = value["model"].as_object_mut().unwrap();
    model.remove("vocab");
    model.remove("merges");
    value.to_string()
}
