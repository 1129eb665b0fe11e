//! Looks for text that takes long to encode, byte by byte:
//!
//! ```sh
//! cargo run --release --example encode_hunt -- [--tokenizers a,b] [--texts N] [--seed N]
//! ```
//!
//! Every two characters of ASCII over and over, and what tokens are made of: one, or some after each other or at random, and single
//! characters of them, as many as `--texts` says. Prints how many take more than so many nanoseconds a byte, and the
//! slowest. That is as much as text takes for a merge model only if something goes wrong: windows that are looked at again, say.

#![allow(clippy::expect_used)] // an example stops where it cannot go on
#![allow(clippy::cast_precision_loss)] // figures for people

mod encode_support;

use std::time::Instant;

use apollo_pack_core::encode::{Encoder, NativeEncoder, SpecialTokens};
use encode_support::{Numbers, number, option};

/// Bytes of one text.
const SIZE: usize = 60_000;
/// Only what took longer than so many nanoseconds a byte is measured again.
const QUICK: f64 = 20.0;
const LIMITS: [f64; 4] = [15.0, 20.0, 30.0, 100.0];
/// So many of the slowest are printed.
const SLOWEST: usize = 8;

/// What texts are made of: the tokens of a vocabulary as text. (Of bytes, those that are ASCII: others are spelled in letters that
/// stand for bytes, and serve as letters too.)
fn tokens(file: &serde_json::Value) -> Vec<String> {
    let vocabulary = file["model"]["vocab"].as_object().expect("a vocabulary");
    let spaced = vocabulary.keys().map(|token| token.replace(['▁', 'Ġ'], " ").replace('Ċ', "\n"));
    spaced.filter(|token| (1..20).contains(&token.chars().count())).collect()
}

/// The parts of a text: one over and over, or several at random.
fn parts(tokens: &[String], numbers: &mut Numbers) -> Vec<String> {
    let (kind, long) = (numbers.below(7), 20 + numbers.below(120));
    let mut token = || tokens[numbers.below(tokens.len())].clone();
    let (one, other) = (token(), token());
    let characters: Vec<char> = one.chars().collect();
    let mut some = |count: usize| -> Vec<String> {
        (0..count).map(|_| characters[numbers.below(characters.len())].to_string()).collect()
    };
    match kind {
        0 => vec![one],
        1 => vec![one + &other],
        2 => vec![one, other],
        3 => some(3),
        4 => vec![some(5).concat()],
        5 => vec![some(long).concat()],
        // One of them in long rows.
        _ => [vec![characters[0].to_string(); 7], some(1)].concat(),
    }
}

/// Nanoseconds a byte.
fn time(encoder: &NativeEncoder, text: &str) -> f64 {
    let mut session = encoder.session();
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let (mut ids, start) = (Vec::new(), Instant::now());
        session.encode(text, &[], &mut ids).expect("it encodes");
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / text.len() as f64);
        if best < QUICK {
            break;
        }
    }
    best
}

fn main() {
    let Some(data) = encode_support::data() else {
        println!("no sample data; set APOLLO_PACK_SHARED_DATA");
        return;
    };
    let ascii: Vec<char> = ('!'..='~').collect();
    for name in option("--tokenizers").unwrap_or_else(|| "qwen2,llama3,gemma,llama2".into()).split(',') {
        let path = data.join("tokenizers").join(name).join("tokenizer.json");
        let json = std::fs::read(path).expect("a tokenizer");
        let encoder = NativeEncoder::from_json(&json, SpecialTokens::Parse).expect("native");
        let tokens = tokens(&serde_json::from_slice(&json).expect("JSON"));
        let mut numbers = Numbers(number("--seed", 1));
        let mut all: Vec<Vec<String>> =
            ascii.iter().flat_map(|a| ascii.iter().map(move |b| vec![format!("{a}{b}")])).collect();
        all.extend((0..number("--texts", 8000)).map(|_| parts(&tokens, &mut numbers)));
        let mut times: Vec<(f64, Vec<String>)> = Vec::new();
        for parts in all {
            let text = numbers.text(&parts, SIZE);
            times.push((time(&encoder, &text), parts));
        }
        times.sort_by(|a, b| b.0.total_cmp(&a.0));
        let above = LIMITS.map(|limit| {
            let count = times.iter().filter(|(time, _)| *time > limit).count();
            format!("{count} above {limit}")
        });
        println!("{name}: {} texts, {} ns/B", times.len(), above.join(", "));
        for (time, parts) in times.iter().take(SLOWEST) {
            println!("  {time:6.1} {parts:?}");
        }
    }
}
