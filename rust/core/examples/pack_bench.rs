//! How fast pieces are planned into rows, and in how much memory: `pack_bench COUNT SEQ_LEN PACKING [LENGTHS]`, as JSON.
//!
//! Lengths come from a file of little-endian u32, over and over, or else from a fixed log-normal-like mix. What is
//! planned is checked apart from the planning: every piece has to be in exactly one row, and no row too full.

use std::error::Error;
use std::time::Instant;

use apollo_pack_core::plan::{Packing, Rows, pack};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, seq_len, packing, file @ ..] = arguments.as_slice() else {
        return Err("usage: pack_bench COUNT SEQ_LEN best-fit|in-order|groups-of-256 [LENGTHS]".into());
    };
    let (count, seq_len): (usize, u32) = (count.parse()?, seq_len.parse()?);
    let packing: Packing = serde_json::from_value(packing.as_str().into())?;
    let given: Vec<u32> = match file {
        [] => Vec::new(),
        [path, ..] => {
            let bytes = std::fs::read(path)?;
            bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]).min(seq_len)).collect()
        }
    };
    let mut state = 1u64;
    let made = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (octave, rest) = (state >> 61, state >> 33 & 0xFFFF_FFFF);
        u32::try_from((16 << octave) + rest % (16 << octave)).unwrap_or(1).clamp(1, seq_len)
    };
    let lengths: Vec<u32> = if given.is_empty() {
        (0..count).map(made).collect()
    } else {
        given.into_iter().cycle().take(count).collect()
    };
    let before = memory("VmRSS")?;
    let started = Instant::now();
    let rows = pack(packing, lengths.len(), |i| lengths[i as usize], seq_len)?;
    let seconds = started.elapsed().as_secs_f64();
    let peak = memory("VmHWM")?;
    check(&rows, &lengths, seq_len)?;
    let tokens: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
    let room = rows.len() as u64 * u64::from(seq_len);
    #[allow(clippy::cast_precision_loss)] // figures for people
    let (padding, each) = ((room - tokens) as f64 / room as f64, (peak - before) as f64 / count as f64);
    let report = serde_json::json!({
        "pieces": count, "tokens": tokens, "rows": rows.len(), "padding": padding, "seconds": seconds,
        "bytes_a_piece_beside_the_lengths": each,
    });
    println!("{report}");
    Ok(())
}

/// Every piece is in exactly one row, whole, and no row is too full.
fn check(rows: &Rows, lengths: &[u32], seq_len: u32) -> Result<(), Box<dyn Error>> {
    let mut seen = vec![false; lengths.len()];
    for row in 0..rows.len() {
        let mut filled = 0;
        for slice in rows.slices(row, seq_len, |i| lengths[i as usize]) {
            let piece = slice.piece as usize;
            if std::mem::replace(&mut seen[piece], true) || (slice.start, slice.length) != (0, lengths[piece])
            {
                return Err(format!("piece {piece} is twice in the rows, or not whole").into());
            }
            filled += u64::from(slice.length);
        }
        if filled > u64::from(seq_len) || filled == 0 {
            return Err(format!("row {row} holds {filled} tokens").into());
        }
    }
    if seen.iter().all(|seen| *seen) { Ok(()) } else { Err("a piece is missing".into()) }
}

/// A figure of this process, in bytes.
fn memory(name: &str) -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name)).ok_or("no such figure")?;
    let kilobytes = line.split_whitespace().nth(1).ok_or("no figure")?.parse::<u64>()?;
    Ok(kilobytes * 1024)
}
