//! Times the native encoder as the comparison with its peers does, without Python.
//!
//! ```text
//! cargo run --release --example encode_bench -- [--tokenizers a,b] [--threads N] [--rounds N] [--cells zh,mix] [--long | --scaling]
//! ```
//!
//! Each language, and the mix of all, is split into two halves of different text. A fresh encoder's
//! sessions read half A (cold), half B (unseen, the figure that counts) and half B again (hot).
//! Medians in MB/s, or with `--best` the best of all rounds.
//!
//! With `--long`, hostile text of 10 MB instead, in turns with the unseen half of the mix: nanoseconds a byte, and how many
//! times what the mix takes, on one thread. With `--scaling`, unseen text on one thread, on two, and on two that have nothing to do with each
//! other (an encoder each, all the text each), in turns: how many times one thread two are, and how many the machine gives.

#![allow(clippy::expect_used)] // an example stops where it cannot go on
#![allow(clippy::cast_precision_loss)] // figures for people

mod encode_support;

use std::sync::Barrier;
use std::time::Instant;

use apollo_pack_core::encode::{Encoder, NativeEncoder, SpecialTokens, encode_batch};
use encode_support::{ALPHABETS, UNITS, at_random, has_option, number, option};

/// Two halves of different text.
type Halves = (Vec<String>, Vec<String>);

fn halves(texts: Vec<String>, cap: usize) -> Halves {
    let total: usize = texts.iter().map(String::len).sum();
    let size = cap.min(total / 2);
    let (mut a, mut b, mut seen) = (Vec::new(), Vec::new(), 0);
    for text in texts {
        let length = text.len();
        if seen < size {
            a.push(text);
        } else {
            b.push(text);
        }
        seen += length;
        if seen >= 2 * size {
            break;
        }
    }
    (a, b)
}

fn pass(encoder: &dyn Encoder, texts: &[String], threads: usize) -> f64 {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let start = Instant::now();
    let encoded = encode_batch(encoder, &texts, Some(threads)).expect("it encodes");
    let seconds = start.elapsed().as_secs_f64();
    drop(encoded);
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    bytes as f64 / seconds / 1e6
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What the machine can do when nothing else runs: for tuning on a busy one, never to be quoted.
fn best(values: &mut [f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// Bytes of a long text.
const LONG: usize = 10_000_000;

/// Text without a single cut, and other text that tempts an encoder to quadratic time.
fn long_texts(fresh: &dyn Fn() -> NativeEncoder, mix: &Halves, rounds: usize) {
    let repeated = UNITS.iter().map(|unit| (format!("{unit:?}"), unit.repeat(LONG / unit.len())));
    let at_random = ALPHABETS.iter().map(|characters| {
        let some: String = characters.chars().take(5).collect();
        (format!("{some:?}... at random"), at_random(characters, LONG))
    });
    for (name, text) in repeated.chain(at_random) {
        let (mut long, mut usual) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let encoder = fresh();
            pass(&encoder, &mix.0, 1);
            usual.push(1e3 / pass(&encoder, &mix.1, 1));
            let mut session = encoder.session();
            let mut ids = Vec::new();
            let start = Instant::now();
            session.encode(&text, &[], &mut ids).expect("it encodes");
            long.push(start.elapsed().as_secs_f64() * 1e9 / text.len() as f64);
        }
        let (long, usual) = (median(&mut long), median(&mut usual));
        println!("  {name}: {long:.1} ns/B, {:.2} times the mix", long / usual);
    }
}

/// Unseen text on two threads.
fn scaling(fresh: &dyn Fn() -> NativeEncoder, cells: &[(String, Halves)], rounds: usize) {
    let unseen = |texts: &Halves, threads| {
        let encoder = fresh();
        pass(&encoder, &texts.0, threads);
        pass(&encoder, &texts.1, threads)
    };
    for (name, texts) in cells {
        let (mut one, mut two, mut apart) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            one.push(unseen(texts, 1));
            two.push(unseen(texts, 2));
            let encoders = [fresh(), fresh()];
            for encoder in &encoders {
                pass(encoder, &texts.0, 1);
            }
            let start = Barrier::new(2);
            let each = |encoder| {
                start.wait();
                pass(encoder, &texts.1, 1)
            };
            apart.push(std::thread::scope(|scope| {
                let other = scope.spawn(|| each(&encoders[0]));
                2.0 * each(&encoders[1]).min(other.join().expect("it encodes"))
            }));
        }
        let one = median(&mut one);
        let [two, apart] = [two, apart].map(|mut speeds| median(&mut speeds) / one);
        println!("  {name:>4}: two threads {two:.2} times {one:.1} MB/s; two apart {apart:.2}");
    }
}

fn main() {
    let (threads, rounds) = (number("--threads", 1), number("--rounds", 5));
    let use_best = has_option("--best");
    let cap = number("--cap", 3_000_000);
    let names = option("--tokenizers").unwrap_or_else(|| "qwen2,gemma,llama2".into());
    let Some(data) = encode_support::data() else {
        println!("no sample data; set APOLLO_PACK_SHARED_DATA");
        return;
    };
    let mut cells: Vec<(String, Halves)> = encode_support::documents(&data.join("corpus"))
        .into_iter()
        .map(|(language, texts)| (language, halves(texts, cap)))
        .collect();
    let mut mix = (Vec::new(), Vec::new());
    for (_, (a, b)) in &cells {
        mix.0.extend_from_slice(a);
        mix.1.extend_from_slice(b);
    }
    encode_support::shuffle(&mut mix.0, 2);
    encode_support::shuffle(&mut mix.1, 2);
    cells.push(("mix".into(), mix.clone()));
    if let Some(only) = option("--cells") {
        cells.retain(|(name, _)| only.split(',').any(|one| one == name));
    }
    for name in names.split(',') {
        let path = data.join("tokenizers").join(name).join("tokenizer.json");
        let json = std::fs::read(path).expect("a tokenizer");
        let fresh = || NativeEncoder::from_json(&json, SpecialTokens::Parse).expect("native");
        let start = Instant::now();
        drop(fresh());
        let load = start.elapsed().as_secs_f64();
        println!("{name}, {rounds} rounds, loaded in {load:.3} s");
        if has_option("--long") {
            long_texts(&fresh, &mix, rounds);
            continue;
        }
        if has_option("--scaling") {
            scaling(&fresh, &cells, rounds);
            continue;
        }
        println!("  {threads} thread(s), MB/s: cold, unseen, hot");
        let mut times = vec![[const { Vec::new() }; 3]; cells.len()];
        for _ in 0..rounds {
            for ((_, (a, b)), times) in cells.iter().zip(&mut times) {
                // Anew, since an encoder keeps the caches of sessions for those to come.
                let encoder = fresh();
                for (which, texts) in [a, b, b].into_iter().enumerate() {
                    times[which].push(pass(&encoder, texts, threads));
                }
                for _ in 0..number("--hot", 0) {
                    times[2].push(pass(&encoder, b, threads)); // for a profile of the hot path alone
                }
            }
        }
        for ((cell, (_, b)), times) in cells.iter().zip(&mut times) {
            let size = b.iter().map(String::len).sum::<usize>() as f64 / 1e6;
            let [cold, unseen, hot] =
                times.each_mut().map(|values| if use_best { best(values) } else { median(values) });
            println!("  {cell:>4} ({size:.1} MB) {cold:7.1} {unseen:7.1} {hot:7.1}");
        }
    }
}
