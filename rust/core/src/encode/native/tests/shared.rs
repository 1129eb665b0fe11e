//! The real tokenizers of the shared sample, where it is there.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::Both;
use super::encode_support::{UNITS, data};
use super::random::Numbers;
use crate::encode::{SpecialTokens, native::texts};

/// Does something with every shared tokenizer in both modes; says so if there are none.
fn each(work: impl Fn(&str, &Both)) {
    let Some(data) = data() else {
        println!("SKIPPED: no ../shared/data/unpack beside the checkout, no APOLLO_PACK_SHARED_DATA");
        return;
    };
    for entry in std::fs::read_dir(data.join("tokenizers")).unwrap() {
        let folder = entry.unwrap().path();
        let json = std::fs::read(folder.join("tokenizer.json")).unwrap();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        for special in [SpecialTokens::Parse, SpecialTokens::Text] {
            match Both::load(&json, special) {
                Ok(both) => work(&format!("{name} {special:?}"), &both),
                Err(reason) => panic!("{name} is not native: {reason}"),
            }
        }
    }
}

#[test]
fn sample_of_the_corpus() {
    let Some(data) = data() else {
        println!("SKIPPED: no sample text");
        return;
    };
    let mut documents: Vec<String> = Vec::new();
    for entry in walkdir::WalkDir::new(data.join("corpus")) {
        let path = entry.unwrap().into_path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let bytes = std::fs::read(&path).unwrap();
            let items: Vec<serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
            for item in items.iter().step_by(items.len() / 12 + 1) {
                match item {
                    serde_json::Value::String(text) => documents.push(text.clone()),
                    parts => documents.extend(
                        parts.as_array().unwrap().iter().map(|part| part.as_str().unwrap().to_owned()),
                    ),
                }
            }
        }
    }
    each(|what, both| both.compare(what, documents.iter().map(String::as_str)));
}

#[test]
fn any_text() {
    let mut runner = TestRunner::deterministic();
    let strategy = texts::any();
    let samples: Vec<String> = (0..600).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    each(|what, both| both.compare(what, samples.iter().map(String::as_str)));
}

#[test]
fn hostile_text() {
    let units = UNITS.iter().chain(&["<|im_start|>", "</s>"]);
    let mut samples: Vec<String> = units.map(|unit| unit.repeat(20_000 / unit.len())).collect();
    samples.push(String::new());
    // Long pieces that do not repeat themselves.
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    for letters in [
        "abcdefghijklmnopqrstuvwxyz",
        "0123456789abcdef",
        "ACGT",
        "ab",
        "-=",
        "абвгдежзиклмнопрст",
        "قلمبتثح",
    ] {
        let letters: Vec<char> = letters.chars().collect();
        samples.push((0..20_000).map(|_| letters[numbers.below(letters.len())]).collect());
    }
    for special in [
        "<|endoftext|>",
        "<|im_start|>",
        "<s>",
        "<bos>",
        "[INST]",
        "<|begin_of_text|>",
        "<｜User｜>",
        "<|EOT|>",
    ] {
        samples.push(format!("a{special}b {special} {special}{special}\n{special}中"));
        samples.push(format!("{}{special}", &special[..special.len() - 1]));
    }
    each(|what, both| both.compare(what, samples.iter().map(String::as_str)));
}

#[test]
fn every_character() {
    let mut samples = Vec::new();
    let mut text = String::new();
    for c in ('\0'..=char::MAX).filter(|&c| u32::from(c) < 0x3400 || u32::from(c) % 41 == 0) {
        text.extend(['x', c, 'y', ' ', c]);
        if text.len() > 4000 {
            samples.push(std::mem::take(&mut text));
        }
    }
    samples.push(text);
    each(|what, both| both.compare(what, samples.iter().map(String::as_str)));
}
