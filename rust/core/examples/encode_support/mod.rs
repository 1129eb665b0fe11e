//! What the encoder's examples share: finding and reading sample documents.

#![allow(dead_code)] // each of them uses what it needs

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// So many bytes, or a few more, of these characters at random; the same on every run.
pub(crate) fn at_random(characters: &str, bytes: usize) -> String {
    let characters: Vec<char> = characters.chars().collect();
    let mut state = 1u64;
    let mut text = String::with_capacity(bytes + 4);
    while text.len() < bytes {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        let number = usize::try_from(state >> 33).unwrap_or(0);
        text.push(characters[number % characters.len()]);
    }
    text
}

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
