//! Compares the native encoder with the reference on all sample text and all sample tokenizers.
//!
//! ```text
//! cargo run --release --example encode_exact -- [--tokenizers a,b] [--every N] [--threads N] [--hostile]
//! ```
//!
//! With `--hostile`, text made to go wrong instead. Every document is encoded in both modes for special tokens. Prints the documents, bytes and ids
//! compared, and the first difference; exits with 1 if there is one.

#![allow(clippy::expect_used)] // an example stops where it cannot go on
#![allow(clippy::cast_precision_loss)] // figures for people

mod encode_support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use apollo_pack_core::encode::{Encoder, HuggingFaceEncoder, NativeEncoder, SpecialTokens};
use encode_support::{ALPHABETS, UNITS, at_random, has_option, number, option};

fn main() {
    let every = number("--every", 1);
    let threads = number("--threads", 2);
    let wanted = option("--tokenizers");
    let Some(data) = encode_support::data() else {
        println!("no sample data; set APOLLO_PACK_SHARED_DATA");
        return;
    };
    let corpus = encode_support::documents(&data.join("corpus"));
    let texts: Vec<&str> =
        corpus.values().flat_map(|texts| texts.iter().step_by(every)).map(String::as_str).collect();
    let hostile = hostile();
    let texts = if has_option("--hostile") { hostile.iter().map(String::as_str).collect() } else { texts };
    let mut folders: Vec<_> = std::fs::read_dir(data.join("tokenizers"))
        .expect("a folder of tokenizers")
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    let mut failed = false;
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if wanted.as_ref().is_some_and(|wanted| !wanted.split(',').any(|one| one == name)) {
            continue;
        }
        let json = std::fs::read(folder.join("tokenizer.json")).expect("a tokenizer");
        for special in [SpecialTokens::Parse, SpecialTokens::Text] {
            let native = match NativeEncoder::from_json(&json, special) {
                Ok(native) => native,
                Err(reason) => {
                    println!("{name} {special:?}: not native: {reason}");
                    failed = true;
                    continue;
                }
            };
            // On ordinary text the modes differ in nothing that takes the whole corpus to show.
            let step = if special == SpecialTokens::Parse || texts.len() < 1000 { 1 } else { 50 };
            failed |= !compare(&name, special, &native, &json, &texts, step, threads);
        }
    }
    std::process::exit(i32::from(failed));
}

/// Long runs, and every character alone and between letters.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = UNITS.iter().map(|unit| unit.repeat(1_000_000 / unit.len())).collect();
    // Long pieces that do not repeat themselves.
    for characters in
        ALPHABETS.into_iter().chain(["0123456789abcdef", "ab", " \n\t\r", "-=", "aé\u{301}\u{327}\u{5B0}"])
    {
        texts.push(at_random(characters, 500_000));
    }
    for unit in ["<|endoftext|>", "<|im_start|>", "<s>", "<bos>", "[INST]", "<|eot_id|>", "<｜User｜>"] {
        texts.push(format!("a{unit}b {unit} {unit}{unit}\n{unit}中").repeat(100));
    }
    let mut text = String::new();
    for c in '\0'..=char::MAX {
        text.extend(['x', c, 'y', ' ', c, ' ', c, c]);
        if text.len() > 100_000 || c == char::MAX {
            texts.push(std::mem::take(&mut text));
        }
    }
    texts
}

/// Documents that a session is given together.
const RUN: usize = 16;

/// Says where the ids of a text differ.
fn report(text: &str, ours: &[u32], theirs: &[u32]) {
    let place = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    println!("  from id {place} on");
    println!("  native    {:?}", &ours[place..ours.len().min(place + 12)]);
    println!("  reference {:?}", &theirs[place..theirs.len().min(place + 12)]);
    println!("  text of {} bytes: {:?}", text.len(), text.chars().take(300).collect::<String>());
}

fn compare(
    name: &str,
    special: SpecialTokens,
    native: &NativeEncoder,
    json: &[u8],
    texts: &[&str],
    step: usize,
    threads: usize,
) -> bool {
    let reference = HuggingFaceEncoder::from_json(json, special).expect("the reference reads it");
    let next = AtomicUsize::new(0);
    let (bytes, ids) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let same = AtomicBool::new(true);
    let texts: Vec<&str> = texts.iter().copied().step_by(step).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (mut session, mut oracle) = (native.session(), reference.session());
                let (mut all, mut ends, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
                loop {
                    let first = next.fetch_add(RUN, Ordering::Relaxed);
                    if first >= texts.len() || !same.load(Ordering::Relaxed) {
                        return;
                    }
                    let run = &texts[first..texts.len().min(first + RUN)];
                    all.clear();
                    ends.clear();
                    session.encode_all(run, &mut all, &mut ends).expect("native encodes");
                    let mut start = 0;
                    for ((at, text), end) in (first..).zip(run).zip(&ends) {
                        let end = usize::try_from(*end).expect("they are in memory");
                        let ours = &all[start..end];
                        start = end;
                        theirs.clear();
                        oracle.encode(text, &[], &mut theirs).expect("the reference encodes");
                        bytes.fetch_add(text.len(), Ordering::Relaxed);
                        ids.fetch_add(ours.len(), Ordering::Relaxed);
                        if ours != theirs && same.swap(false, Ordering::Relaxed) {
                            println!("{name} {special:?}: document {at} differs:");
                            report(text, ours, &theirs);
                        }
                    }
                }
            });
        }
    });
    let same = same.into_inner();
    println!(
        "{name} {special:?}: {} documents, {:.1} MB, {:.2} M ids: {}",
        texts.len(),
        bytes.into_inner() as f64 / 1e6,
        ids.into_inner() as f64 / 1e6,
        if same { "identical" } else { "DIFFERENT" }
    );
    same
}
