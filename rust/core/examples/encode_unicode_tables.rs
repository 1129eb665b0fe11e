//! Writes `src/encode/native/unicode_data.rs`: what the reference's regex engine and normalizer
//! say about every code point.
//!
//! ```text
//! cargo run --release --example encode_unicode_tables > rust/core/src/encode/native/unicode_data.rs
//! ```

#![allow(clippy::expect_used)] // an example stops where it cannot go on
#![allow(clippy::cast_precision_loss)] // figures for people

use std::collections::HashSet;

use tokenizers::utils::SysRegex;
use unicode_normalization_alignments::UnicodeNormalization;
use unicode_normalization_alignments::char::{canonical_combining_class, decompose_canonical};

fn main() {
    let text: String = ('\0'..=char::MAX).collect();
    let mut flags = vec![0u16; 0x11_0000];
    let classes = [r"\p{L}", r"\p{N}", r"\s", r"\p{M}", r"\p{P}", r"\p{S}", r"[\p{Lu}\p{Lt}]", r"\p{Ll}"];
    for (bit, class) in classes.iter().enumerate() {
        let regex = SysRegex::new(class).expect("a valid class");
        for (start, _) in regex.find_iter(&text) {
            let c = text[start..].chars().next().expect("a character");
            flags[c as usize] |= 1 << bit;
        }
    }
    let word = regex::Regex::new(r"\w").expect("a valid class");
    for found in word.find_iter(&text) {
        let c = found.as_str().chars().next().expect("a character");
        flags[c as usize] |= 1 << 8;
    }
    let mut seconds: HashSet<char> = HashSet::new();
    for c in '\0'..=char::MAX {
        let mut first = true;
        let mut note = |d: char| {
            if !std::mem::take(&mut first) {
                seconds.insert(d);
            }
        };
        decompose_canonical(c, &mut note);
    }
    for c in '\0'..=char::MAX {
        if canonical_combining_class(c) != 0 {
            flags[c as usize] |= 1 << 9;
        }
        let one = c.to_string();
        let composed: String = one.nfc().map(|(c, _)| c).collect();
        let compatible: String = one.nfkc().map(|(c, _)| c).collect();
        if seconds.contains(&c) || composed != one {
            flags[c as usize] |= 1 << 10;
        }
        if seconds.contains(&c) || compatible != one {
            flags[c as usize] |= 1 << 11;
        }
    }
    let mut runs: Vec<(u32, u16)> = Vec::new();
    for (code, &flag) in flags.iter().enumerate() {
        if runs.last().is_none_or(|last| last.1 != flag) {
            runs.push((u32::try_from(code).expect("a code point"), flag));
        }
    }
    println!("//! Written by `examples/encode_unicode_tables.rs`; a test compares it with the reference.");
    println!();
    println!("/// Where a run of code points with the same flags begins, and the flags.");
    println!("#[rustfmt::skip]");
    println!("pub(super) static RUNS: [(u32, u16); {}] = [", runs.len());
    for line in runs.chunks(8) {
        let cells: Vec<String> =
            line.iter().map(|(start, flag)| format!("({start:#x}, {flag:#x})")).collect();
        println!("    {},", cells.join(", "));
    }
    println!("];");
}
