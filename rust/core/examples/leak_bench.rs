//! How fast texts are looked through for a benchmark of N windows: MB/s of plain text on one thread, medians of five
//! turns, by the processor time of the thread, so that other work on the machine counts less.
//!
//! `cargo run --release --example leak_bench -- CORPUS [N]`: every fifth text of the corpus is cut into questions of 300
//! characters until there are N windows (10,000,000 by default), and the others are looked through; BENCH files may
//! follow instead of N.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use apollo_pack_core::discover::discover;
use apollo_pack_core::leakage::{LeakRules, Leakage, Unit};
use apollo_pack_core::read::{Item, MAX_ITEM_BYTES, Position, Reading, parse_item, read_batches};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let corpus = arguments.next().ok_or("CORPUS is missing")?;
    let rest: Vec<_> = arguments.collect();
    let count = rest.first().map_or(Some(10_000_000), |first| first.to_str()?.parse().ok());
    let texts = texts(&corpus)?;
    let (questions, texts) = if count.is_some() { part(texts) } else { (Vec::new(), texts) };
    let items: Vec<Item> = texts.iter().map(|text| Item::Text(text.as_str().into())).collect();
    let folder = std::env::temp_dir().join(format!("leak_bench-{}", std::process::id()));
    let benchmarks = match count {
        None => rest,
        Some(windows) => {
            std::fs::create_dir_all(&folder)?;
            let path = folder.join("questions.jsonl");
            std::fs::write(&path, benchmark(&questions, windows))?;
            vec![path]
        }
    };
    for (name, rules) in [
        ("characters", LeakRules::usual(Unit::Characters)),
        ("characters, folded", LeakRules { fold: true, ..LeakRules::usual(Unit::Characters) }),
        ("words", LeakRules::usual(Unit::Words)),
    ] {
        let started = processor_time()?;
        let leakage = Leakage::load(&benchmarks, rules)?;
        let seconds = processor_time()? - started;
        println!(
            "{name}: {} questions, {} runs, read in {seconds:.1} s",
            leakage.questions(),
            leakage.runs()
        );
        for (script, chosen) in scripts(&items, &leakage) {
            let bytes: usize = chosen.iter().flat_map(|item| item.texts()).map(|text| text.len()).sum();
            let (mut turns, mut leaked) = (Vec::new(), 0);
            for _ in 0..5 {
                let started = processor_time()?;
                leaked = chosen.iter().filter(|item| black_box(leakage.find(item)).is_some()).count();
                turns.push(processor_time()? - started);
            }
            turns.sort_by(f64::total_cmp);
            let megabytes = f64::from(u32::try_from(bytes / 1000)?) / 1e3;
            let rate = megabytes / turns[2];
            println!("  {script}: {rate:.0} MB/s ({megabytes:.0} MB, {leaked} of {} leak)", chosen.len());
        }
    }
    let _ = std::fs::remove_dir_all(folder);
    Ok(())
}

fn texts(corpus: &Path) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut texts = Vec::new();
    let reading =
        Reading { batch_bytes: 256 * 1024, max_item_bytes: MAX_ITEM_BYTES, from: Position::default() };
    for input in discover(corpus)?.inputs {
        read_batches(&input, &reading, |batch| {
            for item in batch.items().filter_map(|item| parse_item(item.bytes?).ok()) {
                texts.extend(item.texts().iter().map(ToString::to_string));
            }
            Ok(true)
        })?;
    }
    Ok(texts)
}

/// All texts, those that do not leak, and those of them that are mostly ASCII or mostly not.
fn scripts<'a>(items: &'a [Item<'a>], leakage: &Leakage) -> [(&'static str, Vec<&'a Item<'a>>); 4] {
    let clean: Vec<_> = items.iter().filter(|item| leakage.find(item).is_none()).collect();
    let latin = |item: &&Item| item.texts()[0].chars().count() * 5 > item.texts()[0].len() * 4;
    let (ascii, other) = clean.iter().copied().partition(latin);
    [
        ("all", items.iter().collect()),
        ("without leaks", clean),
        ("of them latin", ascii),
        ("other scripts", other),
    ]
}

/// Every fifth text, and the others.
fn part(texts: Vec<String>) -> (Vec<String>, Vec<String>) {
    let (fifth, others): (Vec<_>, Vec<_>) = texts.into_iter().enumerate().partition(|(i, _)| i % 5 == 0);
    let texts = |numbered: Vec<(usize, String)>| numbered.into_iter().map(|(_, text)| text).collect();
    (texts(fifth), texts(others))
}

/// Questions of 300 characters or fewer, as JSON Lines, with so many windows of 64.
fn benchmark(texts: &[String], windows: usize) -> String {
    let (mut lines, mut made) = (String::new(), 0);
    for text in texts {
        let characters: Vec<char> = text.chars().collect();
        for question in characters.chunks(300).filter(|question| question.len() >= 64) {
            if made >= windows {
                return lines;
            }
            made += question.len() - 63;
            lines.push_str(&serde_json::to_string(&question.iter().collect::<String>()).unwrap_or_default());
            lines.push('\n');
        }
    }
    lines
}

/// Seconds that this thread has been at work.
fn processor_time() -> Result<f64, Box<dyn std::error::Error>> {
    let found = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: u64 = found.split(' ').next().unwrap_or_default().parse()?;
    Ok(std::time::Duration::from_nanos(nanoseconds).as_secs_f64())
}
