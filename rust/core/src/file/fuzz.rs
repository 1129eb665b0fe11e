//! Hostile packed files: mutations whose checksums are made right again, so that every check behind them is reached.
//!
//! Random, from a seed that is printed; `$APOLLO_PACK_FUZZ_SECONDS` says for how long (default: 2).

use std::path::Path;
use std::time::Instant;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::layout::{HEADER_BYTES, Layout, Shape, Tensor};
use super::{Access, PackedSet, Segment, verify};
use crate::ledger::DropReason;
use crate::read::fuzz::{Random, fuzz_time};
use crate::serve::{Column, Numbers, RowSet};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Numbers that overflow, wrap, or are one too many.
const TELLING: [u64; 10] = [0, 1, 7, 16, 255, 1 << 31, u32::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX];

fn seal(file: &mut [u8], layout: &Layout) {
    let place = |tensor| {
        let range = layout.range(tensor);
        usize::try_from(range.start).unwrap_or(0)..usize::try_from(range.end).unwrap_or(0)
    };
    let sums: Vec<u8> = layout
        .blocks()
        .flat_map(|block| {
            let bytes = usize::try_from(block.start).unwrap_or(0)..usize::try_from(block.end).unwrap_or(0);
            xxh3_64(&file[bytes]).to_le_bytes()
        })
        .collect();
    file[place(Tensor::Checksums)].copy_from_slice(&sums);
    file[place(Tensor::RootHash)].copy_from_slice(&xxh3_128(&sums).to_le_bytes());
}

/// Uses a file in every way; it may fail in any, but not panic, and not otherwise when it is read than when mapped.
fn use_it(path: &Path, length: usize) -> bool {
    let [mapped, read] = [Access::Map, Access::Read].map(|access| use_by(path, access, length));
    assert_eq!(mapped, read);
    mapped
}

fn use_by(path: &Path, access: Access, length: usize) -> bool {
    let Ok(set) = RowSet::open(&[path.into()], access) else { return false };
    let (rows, seq_len) = (set.rows(), set.seq_len());
    assert!(rows.saturating_mul(seq_len).saturating_mul(4) <= length, "more than the file holds");
    let mut numbers = vec![0; 5 * seq_len];
    let mut bits = vec![0; seq_len];
    for row in (0..rows).take(50).chain([rows, usize::MAX]) {
        let kinds = [
            Column::InputIds,
            Column::Labels,
            Column::PositionIds,
            Column::SegmentIds,
            Column::AttentionMask,
        ];
        let buffers = kinds.into_iter().zip(numbers.chunks_exact_mut(seq_len));
        let mut columns: Vec<_> = buffers.map(|(kind, buffer)| kind(Numbers::Wide(buffer))).collect();
        columns.push(Column::LossMask(&mut bits));
        let _ = (set.fill(&[row], &mut columns), set.boundaries(&[row]), set.num_loss_tokens(&[row]));
        let _ = set.locate(row).and_then(|(file, row)| file.documents(row));
    }
    verify(&set.sets()[0], |_| Ok(())).is_ok()
}

#[test]
fn no_file_makes_it_panic() -> Outcome {
    let seed = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/reader/small.bin"))?;
    let layout = Layout::parse(&seed[..HEADER_BYTES])?;
    let tensors = [
        Tensor::Tokens,
        Tensor::SegmentOffsets,
        Tensor::SegmentItems,
        Tensor::SegmentEnds,
        Tensor::SegmentInputs,
        Tensor::SegmentStarts,
        Tensor::SegmentEpochs,
        Tensor::SegmentFlags,
        Tensor::LossMask,
        Tensor::Metadata,
    ];
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
    let path = folder.path().join("x.bin");
    std::fs::write(&path, &seed)?;
    assert!(use_it(&path, seed.len()));
    let (mut random, started, mut runs, mut taken) = (Random::seeded(), Instant::now(), 0u32, 0u32);
    while started.elapsed() < fuzz_time() || runs < 1000 {
        let mut file = seed.clone();
        match random.below(4) {
            // Bytes anywhere, header and all, sealed or not.
            0 => random.mutate(&mut file, &[0, 1, 0x7F, 0x80, 0xFF]),
            // Another shape, with as many bytes as it asks for.
            1 => {
                let mut shape = layout.shape;
                let value = match random.below(2) {
                    0 => TELLING[random.below(TELLING.len())],
                    _ => random.below(100) as u64,
                };
                match random.below(4) {
                    0 => shape.rows = value,
                    1 => shape.seq_len = value,
                    2 => shape.segments = value,
                    _ => shape.exceptions = value,
                }
                if let Some(other) = Layout::new(shape) {
                    file[..HEADER_BYTES].copy_from_slice(&other.header().unwrap_or_default());
                    if let Ok(length @ 0..1_000_000) = usize::try_from(other.file_bytes()) {
                        file.resize(length, 1);
                        seal(&mut file, &other);
                    }
                }
            }
            // A number of a tensor, sealed.
            _ => {
                let range = layout.range(tensors[random.below(tensors.len())]);
                let (start, end) = (usize::try_from(range.start)?, usize::try_from(range.end)?);
                for _ in 0..=random.below(3) {
                    let at = start + random.below(end - start);
                    let value = TELLING[random.below(TELLING.len())].to_le_bytes();
                    let width = [1, 4, 8][random.below(3)].min(end - at);
                    file[at..at + width].copy_from_slice(&value[..width]);
                }
                seal(&mut file, &layout);
            }
        }
        std::fs::write(&path, &file)?;
        runs += 1;
        taken += u32::from(use_it(&path, file.len()));
    }
    println!("{runs} files, {taken} of them taken");
    Ok(())
}

#[test]
fn a_mark_that_the_file_does_not_speak_of_is_refused() -> Outcome {
    let mut file = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/reader/small.bin"))?;
    let layout = Layout::parse(&file[..HEADER_BYTES])?;
    file[usize::try_from(layout.range(Tensor::SegmentFlags).start)?] |= Segment::mark(DropReason::Leaked);
    seal(&mut file, &layout);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("x.bin");
    std::fs::write(&path, &file)?;
    let problem =
        verify(&PackedSet::open(&path, Access::Auto)?, |_| Ok(())).map_err(|error| error.to_string());
    assert!(problem.is_err_and(|problem| problem.contains("row 0: a segment bears a mark")));
    Ok(())
}

/// The shape of the kept file says what a reader of the source may want to know.
#[test]
fn the_kept_file_is_of_this_version() -> Outcome {
    let seed = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/reader/small.bin"))?;
    let Shape { rows, seq_len, .. } = Layout::parse(&seed[..HEADER_BYTES])?.shape;
    assert!(rows > 1 && seq_len == 16);
    Ok(())
}
