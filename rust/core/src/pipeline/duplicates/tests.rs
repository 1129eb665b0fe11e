use std::collections::HashSet;

use super::*;
use crate::discover::discover;
use crate::read::MAX_ITEM_BYTES;

#[test]
fn the_first_is_kept_whatever_the_threads() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    for (name, content) in [
        ("a.json", "[\"x\", \"caf\u{e9}  au\\nlait \", \"y\", \"x\", \"X\"]"),
        ("b.json", "[[\"y\"], [\"y\", \"z\"], \"y\", [\"yz\"]]"),
        ("c.jsonl", "\"y\"\nnull\n\"cafe\u{301} au lait\"\n\"new\"\n\"new\"\n"),
    ] {
        std::fs::write(folder.path().join(name), content)?;
    }
    let inputs = discover(folder.path())?.inputs;
    let marked = |threads, draws: fn(usize, u64) -> bool| -> Result<Vec<_>> {
        let found = Duplicates::find(&inputs, draws, None, threads, MAX_ITEM_BYTES, &Monitor::default())?;
        let all = (0..3).flat_map(|input| (0..200).map(move |item| (input, item)));
        Ok(all.filter(|(input, item)| found.reason(*input, *item).is_some()).collect())
    };
    for threads in 1..4 {
        assert_eq!(marked(threads, |_, _| true)?, [(0, 3), (2, 0), (2, 2), (2, 4)]);
        // What is not drawn is the first of nothing, though it says what its file is of.
        assert_eq!(marked(threads, |_, item| item > 0)?, [(2, 2), (2, 4)]);
        let dialogues = |input, item| input != 1 || item > 1;
        assert_eq!(marked(threads, dialogues)?, [(0, 3), (2, 0), (2, 2), (2, 4)]);
        assert_eq!(marked(threads, |input, item| (input, item) != (2, 3))?, [(0, 3), (2, 0), (2, 2)]);
    }
    Ok(())
}

/// Words of which some are other in each item, so that items are more and less alike.
fn text(seed: u64, length: u64, changed: u64) -> String {
    let word = |i: u64| if changed > 0 && i % changed == seed % changed { i * 1000 + seed } else { i };
    (0..length).map(|i| format!("w{}", word(i))).collect::<Vec<_>>().join(" ")
}

/// All runs of five words.
fn shingles(text: &str) -> HashSet<Vec<&str>> {
    let words: Vec<&str> = text.split(' ').collect();
    words.windows(5.min(words.len())).map(<[&str]>::to_vec).collect()
}

fn jaccard(a: &HashSet<Vec<&str>>, b: &HashSet<Vec<&str>>) -> f64 {
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    count(a.intersection(b).count()) / count(a.union(b).count()).max(1.0)
}

/// By the estimate, so a little beside the threshold either may be.
#[test]
fn near_duplicates_are_those_of_a_brute_force_search() -> std::result::Result<(), Box<dyn std::error::Error>>
{
    let folder = tempfile::tempdir()?;
    let mut texts = Vec::new();
    for seed in 1..40u64 {
        for (length, changed) in [(30, 30), (90, 30), (90, 12), (400, 60), (400, 200), (400, 20)] {
            texts.push(format!("x{} {}", seed % 4, text(seed, length, changed)));
        }
    }
    for (number, part) in texts.chunks(100).enumerate() {
        std::fs::write(folder.path().join(format!("{number}.json")), serde_json::to_vec(part)?)?;
    }
    let inputs = discover(folder.path())?.inputs;
    let sets: Vec<_> = texts.iter().map(|text| shingles(text)).collect();
    for threshold in [0.5, 0.8, 0.95] {
        let find = |threads| {
            let monitor = Monitor::default();
            Duplicates::find(&inputs, |_, _| true, Some(threshold), threads, MAX_ITEM_BYTES, &monitor)
        };
        let (found, again) = (find(1)?, find(3)?);
        let (mut kept, mut near, mut sure): (Vec<usize>, _, _) = (Vec::new(), 0, 0);
        for (number, text) in texts.iter().enumerate() {
            let (input, item) = (number / 100, (number % 100) as u64);
            let reason = found.reason(input, item);
            assert_eq!(reason, again.reason(input, item));
            if reason == Some(DropReason::Duplicate) {
                assert!(texts[..number].contains(text));
                continue;
            }
            let most = kept.iter().map(|other| jaccard(&sets[*other], &sets[number])).fold(0.0, f64::max);
            // Four standard deviations.
            let margin = 4.0 * (threshold * (1.0 - threshold) / 128.0f64).sqrt() + 1e-9;
            match reason {
                Some(_) => assert!(most > threshold - margin, "{number} {threshold} {most}"),
                None => assert!(most < threshold + margin, "{number} {threshold} {most}"),
            }
            near += usize::from(reason.is_some());
            sure += usize::from((most - threshold).abs() >= margin);
            if reason.is_none() {
                kept.push(number);
            }
        }
        assert!(near > 5 && kept.len() > 30 && sure > texts.len() / 3, "{near} {} {sure}", kept.len());
    }
    Ok(())
}

#[test]
fn near_duplicates_whatever_the_letters_and_the_turns() -> std::result::Result<(), Box<dyn std::error::Error>>
{
    let folder = tempfile::tempdir()?;
    let chinese = "心脏是人体最重要的器官之一它把血液输送到全身为各个组织和器官提供氧气和营养物质";
    let files = [
        ("a.json", serde_json::json!(["The heart pumps blood, does it?", chinese, "a b", "!", "?"])),
        (
            "b.json",
            serde_json::json!([["THE HEART pumps", "blood does it"], [format!("\u{ff34}{chinese}。")]]),
        ),
        ("c.json", serde_json::json!(["The heart pumps blood, does it?", "a b c", "A, b."])),
    ];
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content.to_string())?;
    }
    let inputs = discover(folder.path())?.inputs;
    let reasons = |draws: fn(usize, u64) -> bool| -> Result<Vec<_>> {
        let found = Duplicates::find(&inputs, draws, Some(0.8), 2, MAX_ITEM_BYTES, &Monitor::default())?;
        let all = (0..3).flat_map(|input| (0..9).map(move |item| (input, item)));
        Ok(all.filter_map(|(input, item)| Some((input, item, found.reason(input, item)?))).collect())
    };
    let (same, near) = (DropReason::Duplicate, DropReason::NearDuplicate);
    assert_eq!(reasons(|_, _| true)?, [(1, 0, near), (1, 1, near), (2, 0, same), (2, 2, near)]);
    // What is not drawn makes nothing needless.
    assert_eq!(reasons(|input, _| input > 0)?, [(2, 0, near)]);
    Ok(())
}
