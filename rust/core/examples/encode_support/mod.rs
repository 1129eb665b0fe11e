//! What the encoder's examples share, and its tests: options, sample documents, and what other text is made of.

#![allow(dead_code, clippy::expect_used)] // each of them uses what it needs, and stops where it cannot go on

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

/// The folder with `corpus/` and `tokenizers/`: `APOLLO_PACK_SHARED_DATA`, or what the unpack script
/// beside the checkout prints.
pub(crate) fn data() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("APOLLO_PACK_SHARED_DATA") {
        return Some(path.into());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/unpack");
    let output = Command::new(script).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| path.trim().into())
}

/// All documents of a folder of JSON files, by the language in the file's name.
pub(crate) fn documents(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut by_language: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut files: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    for path in files {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let language = stem.split('_').find(|part| part.len() == 2).unwrap_or("xx");
        let bytes = std::fs::read(&path).expect("a readable file");
        let items: Vec<serde_json::Value> = serde_json::from_slice(&bytes).expect("a JSON list");
        let texts = by_language.entry(language.to_owned()).or_default();
        for item in items {
            match item {
                serde_json::Value::String(text) => texts.push(text),
                serde_json::Value::Array(parts) => {
                    let parts: Vec<&str> = parts.iter().filter_map(|part| part.as_str()).collect();
                    texts.push(parts.join("\n"));
                }
                _ => {}
            }
        }
    }
    for texts in by_language.values_mut() {
        shuffle(texts, 1);
    }
    by_language
}

/// What follows an option's name on the command line.
pub(crate) fn option(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

/// Whether an option is there.
pub(crate) fn has_option(name: &str) -> bool {
    std::env::args().any(|argument| argument == name)
}

/// The number that follows an option's name.
pub(crate) fn number<N: FromStr>(name: &str, default: N) -> N {
    option(name).map_or(default, |text| text.parse().ok().expect("a number"))
}

/// A small generator of numbers.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }

    /// So many bytes, or a few more, of these parts.
    pub(crate) fn text(&mut self, parts: &[String], bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 4);
        while text.len() < bytes {
            text.push_str(&parts[self.below(parts.len())]);
        }
        text
    }
}

/// So many bytes, or a few more, of these characters at random; the same on every run.
pub(crate) fn at_random(characters: &str, bytes: usize) -> String {
    let parts: Vec<String> = characters.chars().map(String::from).collect();
    Numbers(1).text(&parts, bytes)
}

/// What hostile text repeats: one character, several, scripts in turns, and two characters of whose pair some tokenizer is never certain.
pub(crate) const UNITS: [&str; 16] = [
    "a",
    " ",
    "\n",
    "中",
    "\u{301}",
    "'",
    "7",
    "aя中م",
    "ab",
    "😀",
    "▁",
    "\r\n",
    "क\u{93C}",
    "vr",
    "$\\",
    "об",
];

/// Alphabets of which a text at random is one piece for some tokenizers, with few cuts or none: of many scripts; small ones, of which
/// vocabularies hold all short words; and some of which one letter stands in long rows, of which they hold many.
pub(crate) const ALPHABETS: [&str; 17] = [
    "abcdefghijklmnopqrstuvwxyz",
    "aeiourstln",
    "aen",
    "ACGT",
    "eeeeeB",
    ",,,,,,,,,+",
    " \n",
    "    \n",
    "\u{301}\u{316}\u{327}\u{300}\u{5b0}",
    "абвгдежзиклмнопрст",
    "αβγδεζηθικλμνξοπρστυφχψω",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "אבגדהוזחטיכלמנסעפצקרשת",
    "कखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह",
    "กขคงจชซญดตถทธนบปผพมยรลวสหอ",
    "가나다라마바사아자차카타파하",
    "😀😁😂😃😄😅😆😇😈😉😊😋😌😍😎😏",
];

/// The same order on every run.
pub(crate) fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for last in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(last, usize::try_from(state % (last as u64 + 1)).unwrap_or(0));
    }
}
