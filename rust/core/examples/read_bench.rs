//! How fast items are found (and all is hashed), beside reading the file alone: MB/s, medians of seven turns.
//!
//! `cargo run --release --example read_bench -- FILE…`; plain, `.gz` or `.zst`.

use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use apollo_pack_core::discover::discover;
use apollo_pack_core::read::{MAX_ITEM_BYTES, Position, Reading, read_batches};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args_os().skip(1).map(PathBuf::from) {
        let input = discover(&path)?.inputs.remove(0);
        let reading =
            Reading { batch_bytes: 256 * 1024, max_item_bytes: MAX_ITEM_BYTES, from: Position::default() };
        let (mut scans, mut reads, mut bytes) = (Vec::new(), Vec::new(), 0);
        for _ in 0..7 {
            let started = Instant::now();
            let summary = read_batches(&input, &reading, |batch| {
                black_box(&batch);
                Ok(true)
            })?;
            scans.push(started.elapsed().as_secs_f64());
            bytes = summary.map_or(0, |summary| summary.end.bytes);
            let started = Instant::now();
            read_alone(&path)?;
            reads.push(started.elapsed().as_secs_f64());
        }
        let [scan, read] = [scans, reads].map(median);
        let megabytes = f64::from(u32::try_from(bytes / 1000)?) / 1e3;
        let rate = |seconds: f64| megabytes / seconds;
        println!("{}: items found {:.0} MB/s, file read {:.0} MB/s", path.display(), rate(scan), rate(read));
    }
    Ok(())
}

fn read_alone(path: &Path) -> std::io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 256 * 1024];
    while file.read(&mut buffer)? > 0 {
        black_box(&buffer);
    }
    Ok(())
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
