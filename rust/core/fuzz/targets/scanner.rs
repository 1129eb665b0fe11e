//! JSON of whatever kind: nothing panics, and where batches end makes no difference.

#![no_main]

use std::path::Path;

use apollo_pack_core::discover::discover;
use apollo_pack_core::read::{Position, Reading, parse_item, read_batches};
use libfuzzer_sys::fuzz_target;

/// The items with their places, and what is wrong with the file.
type Found = (Vec<(u64, u64, Option<Vec<u8>>)>, String);

fn read(path: &Path, batch_bytes: usize) -> Option<Found> {
    let corpus = discover(path).ok()?;
    let reading = Reading { batch_bytes, max_item_bytes: 1000, from: Position::default() };
    let mut items = Vec::new();
    let summary = read_batches(&corpus.inputs[0], &reading, |batch| {
        for item in batch.items() {
            if let Some(bytes) = item.bytes {
                let _ = parse_item(bytes);
            }
            items.push((item.index, item.byte, item.bytes.map(<[u8]>::to_vec)));
        }
        Ok(true)
    });
    Some((items, format!("{summary:?}")))
}

fuzz_target!(|json: &[u8]| {
    let folder = std::env::temp_dir();
    for name in ["x_en_text.json", "x_en_text.jsonl"] {
        let path = folder.join(format!("{}-{name}", std::process::id()));
        std::fs::write(&path, json).expect("a file can be written");
        assert_eq!(read(&path, 1), read(&path, 1 << 20));
    }
});
