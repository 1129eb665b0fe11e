//! Batches hold what the file holds, wherever reading begins and whatever is too long.

use super::*;
use crate::discover::discover;
use std::io::Write;
use std::path::Path;

fn reading(batch_bytes: usize) -> Reading {
    Reading { batch_bytes, max_item_bytes: MAX_ITEM_BYTES, from: Position::default() }
}

/// An item (`None`: too long), and where it begins.
type Found = (Option<String>, u64);

fn read(path: &Path, reading: &Reading) -> Result<(Vec<Found>, FileSummary)> {
    let corpus = discover(path)?;
    let mut found = Vec::new();
    let summary = read_batches(&corpus.inputs[0], reading, |batch| {
        for item in batch.items() {
            assert_eq!(item.index, reading.from.items + found.len() as u64);
            let text = item.bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            found.push((text, item.byte));
        }
        assert_eq!(batch.end.items, reading.from.items + found.len() as u64);
        Ok(true)
    })?;
    Ok((found, summary.ok_or(Error::Interrupted)?))
}

fn items(path: &Path, batch_bytes: usize) -> Result<(Vec<String>, FileSummary)> {
    let (found, summary) = read(path, &reading(batch_bytes))?;
    Ok((found.into_iter().filter_map(|(text, _)| text).collect(), summary))
}

#[test]
fn every_compression_reads_the_same() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let values: Vec<String> = (0..9000).map(|i| format!("document {i} {}", "äöü".repeat(i % 70))).collect();
    let json = serde_json::to_vec(&values)?;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&json)?;
    let files = [
        ("a.json", json.clone()),
        ("b.json.gz", gzip.finish()?),
        ("c.json.zst", zstd::encode_all(json.as_slice(), 1)?),
    ];
    let mut results = Vec::new();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes)?;
        for batch_bytes in [1, 100_000, usize::MAX] {
            results.push(items(&path, batch_bytes)?);
        }
    }
    let expected: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    for (found, summary) in &results {
        assert_eq!(found, &expected);
        assert_eq!(summary, &results[0].1);
    }
    assert_eq!(results[0].1.end.bytes, json.len() as u64);
    Ok(())
}

#[test]
fn white_space_between_items_takes_no_memory() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a.json");
    let blanks = " ".repeat(5_000_000);
    std::fs::write(&path, format!("{blanks}[{blanks}\"a\"{blanks},\n\"b\"{blanks}]{blanks}"))?;
    let corpus = discover(&path)?;
    let mut places = Vec::new();
    read_batches(&corpus.inputs[0], &reading(1), |batch| {
        assert!(batch.bytes.len() < 3 * CHUNK);
        places.extend(batch.items().map(|item| item.byte));
        Ok(true)
    })?;
    assert_eq!(places, [10_000_001, 15_000_006]);
    Ok(())
}

#[test]
fn a_damaged_archive_is_an_input_error() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    for (name, mut bytes) in [
        ("a.json.zst", zstd::encode_all(&b"[\"a long enough text to be cut off\"]"[..], 1)?),
        ("a.json.gz", {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(b"[\"a long enough text to be cut off\"]")?;
            gzip.finish()?
        }),
    ] {
        bytes.truncate(bytes.len() - 6);
        let path = folder.path().join(name);
        std::fs::write(&path, bytes)?;
        let (_, summary) = items(&path, 1)?;
        assert!(summary.damage.is_some_and(|damage| damage.problem.contains("damaged")), "{name}");
    }
    Ok(())
}

#[test]
fn reading_goes_on_from_any_batch() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let values: Vec<String> = (0..3000).map(|i| format!("{i} {}", "é\"x".repeat(i % 200))).collect();
    let mut json = b"\xEF\xBB\xBF".to_vec();
    json.extend(serde_json::to_vec(&values)?);
    let lines: Vec<String> = values.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    for (name, bytes) in [("a.json", json), ("b.jsonl", lines.join("\r\n\n").into_bytes())] {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes)?;
        let (whole, summary) = read(&path, &reading(1))?;
        assert_eq!(summary.end.hash, xxhash_rust::xxh3::xxh3_128(&bytes));
        let mut ends = Vec::new();
        read_batches(&discover(&path)?.inputs[0], &reading(1), |batch| {
            ends.push(batch.end);
            Ok(true)
        })?;
        assert!(ends.len() > 3);
        for from in ends {
            let done = usize::try_from(from.items)?;
            let (rest, again) = read(&path, &Reading { from: from.clone(), ..reading(100_000) })?;
            assert_eq!((&rest[..], &again), (&whole[done..], &summary));
            let input = &discover(&path)?.inputs[0];
            assert!(begins_as_before(input, &from, false)?);
            assert_eq!(begins_as_before(input, &from, true)?, from.bytes == bytes.len() as u64);
            let changed = Position { hash: from.hash ^ 1, ..from };
            assert!(read(&path, &Reading { from: changed, ..reading(1) }).is_err());
        }
    }
    Ok(())
}

#[test]
fn items_that_are_too_long_are_counted_and_not_kept() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let long = format!("\"{}\"", "x\\\"".repeat(700_000));
    let exact = format!("\"{}\"", "y".repeat(98));
    let more = format!("\"{}\"", "y".repeat(99));
    let texts = ["\"a\"", &long, "\"b\"", &exact, &more, &long, &long, "\"c\""];
    let blanks = " ".repeat(2 * CHUNK);
    for (name, begin, between, end) in
        [("a.json", "[", ",", "]"), ("b.jsonl", "", "\n", ""), ("c.jsonl", "\n", " \r\n", &blanks)]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{begin}{}{end}", texts.join(between)))?;
        let (all, _) = read(&path, &reading(1))?;
        assert_eq!(all.len(), texts.len());
        for batch_bytes in [1, 300_000, usize::MAX] {
            let (found, _) = read(&path, &Reading { max_item_bytes: 100, ..reading(batch_bytes) })?;
            for ((text, (found, byte)), (_, place)) in texts.iter().zip(&found).zip(&all) {
                assert_eq!(found.as_deref(), (text.len() <= 100).then_some(*text));
                assert_eq!(byte, place);
            }
            assert_eq!(found.len(), texts.len());
        }
        let limited = Reading { max_item_bytes: 100, ..reading(1) };
        read_batches(&discover(&path)?.inputs[0], &limited, |batch| {
            assert!(batch.size() < 3 * CHUNK);
            Ok(true)
        })?;
    }
    Ok(())
}

/// However much of a file was at hand when it stopped being JSON, what is recorded of it is of all of it.
#[test]
fn a_file_that_is_damaged_in_its_middle_is_hashed_to_its_end()
-> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("x.json");
    let content = format!("[{}\"c\" oh {}]", "\"a text\", ".repeat(200), "\"b\", ".repeat(200_000));
    std::fs::write(&path, &content)?;
    for batch_bytes in [1, 700, 5000, 1 << 20] {
        let (found, summary) = read(&path, &reading(batch_bytes))?;
        assert_eq!(found.len(), 201);
        assert!(summary.damage.is_some());
        assert_eq!(summary.end.bytes, content.len() as u64);
        assert_eq!(summary.end.hash, xxhash_rust::xxh3::xxh3_128(content.as_bytes()));
        assert!(begins_as_before(&discover(&path)?.inputs[0], &summary.end, true)?);
    }
    Ok(())
}
