//! Hostile JSON: mutations of the kept corpus (`rust/core/fuzz/scanner`), and the JSON test suite.
//!
//! Mutations are random, from a seed that is printed; `$APOLLO_PACK_FUZZ_SECONDS` says for how long (default: 2).

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use super::parse_item;
use super::split::Splitter;
use crate::discover::Layout;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// What a scan comes to: the items, or where and why it ended.
type Found = (Vec<Range<usize>>, Option<String>);

fn scan(layout: Layout, json: &[u8], cuts: impl IntoIterator<Item = usize>) -> Found {
    let (mut splitter, mut items) = (Splitter::new(layout), Vec::new());
    let ends = cuts.into_iter().map(|cut| cut.min(json.len())).chain([json.len()]);
    let mut result = Ok(());
    for end in ends {
        result = result.and_then(|()| splitter.scan(&json[..end], &mut items));
    }
    let result = result.and_then(|()| splitter.finish(json, &mut items));
    (items, result.err().map(|problem| format!("{} {}", problem.at, problem.problem)))
}

/// Scans with the buffer ending once at each place, and byte by byte; gives what it comes to.
fn scan_everywhere(layout: Layout, json: &[u8]) -> Found {
    let whole = scan(layout, json, []);
    for cut in 0..json.len() {
        assert_eq!(scan(layout, json, [cut]), whole, "cut at {cut}: {:?}", String::from_utf8_lossy(json));
    }
    assert_eq!(scan(layout, json, 0..json.len()), whole);
    whole
}

/// A small generator of random numbers (xorshift), so that a seed says everything.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn seeded() -> Self {
        let given = std::env::var("APOLLO_PACK_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or(0x2545_F491_4F6C_DD1D);
        println!("APOLLO_PACK_FUZZ_SEED={seed}");
        Self(seed | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 1).unwrap_or(0) % end.max(1)
    }

    /// Changes some bytes, by other ones of the same file, by ones that mean something, or by any.
    pub(crate) fn mutate(&mut self, bytes: &mut Vec<u8>, telling: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 => bytes.truncate(at),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                3 if at < bytes.len() => {
                    let part = bytes[at..bytes.len().min(at + self.below(40))].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, part);
                }
                _ => bytes.insert(at, telling[self.below(telling.len())]),
            }
        }
    }
}

pub(crate) fn fuzz_time() -> Duration {
    let seconds = std::env::var("APOLLO_PACK_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

#[test]
fn no_json_makes_it_panic_and_boundaries_make_no_difference() -> Outcome {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/scanner");
    let mut seeds: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    seeds.sort_by_key(std::fs::DirEntry::path);
    let seeds: Vec<Vec<u8>> =
        seeds.iter().map(|seed| std::fs::read(seed.path())).collect::<Result<_, _>>()?;
    let (mut random, started, mut runs) = (Random::seeded(), Instant::now(), 0);
    while started.elapsed() < fuzz_time() || runs < seeds.len() {
        let mut json = seeds[runs % seeds.len()].clone();
        if runs >= seeds.len() {
            random.mutate(&mut json, b"[]{}\",:\\u0d8 \n\r\t\0\x80\xe6\xff1-e.");
        }
        runs += 1;
        for layout in [Layout::Array, Layout::Lines] {
            let (items, _) = scan_everywhere(layout, &json);
            let mut at = 0;
            for item in items {
                assert!(at <= item.start && item.start < item.end && item.end <= json.len());
                at = item.end;
                let _ = parse_item(&json[item]);
            }
        }
    }
    println!("{runs} files");
    Ok(())
}

/// What the suite leaves open and is taken here, in a value that is not looked at: numbers of any size, lone
/// surrogates (in a text they are refused), depth. All else that it leaves open (invalid UTF-8, a byte order mark in
/// the middle, UTF-16) is refused.
const OPEN_AND_TAKEN: [&str; 21] = [
    "i_number_double_huge_neg_exp.json",
    "i_number_huge_exp.json",
    "i_number_neg_int_huge_exp.json",
    "i_number_pos_double_huge_exp.json",
    "i_number_real_neg_overflow.json",
    "i_number_real_pos_overflow.json",
    "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json",
    "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
    "i_object_key_lone_2nd_surrogate.json",
    "i_string_1st_surrogate_but_2nd_missing.json",
    "i_string_1st_valid_surrogate_2nd_invalid.json",
    "i_string_incomplete_surrogate_and_escape_valid.json",
    "i_string_incomplete_surrogate_pair.json",
    "i_string_incomplete_surrogates_escape_valid.json",
    "i_string_invalid_lonely_surrogate.json",
    "i_string_invalid_surrogate.json",
    "i_string_inverted_surrogates_U+1D11E.json",
    "i_string_lone_second_surrogate.json",
    "i_structure_500_nested_arrays.json",
];

/// The JSON test suite, if `../shared/data` has it: each case as a value inside an item, at every boundary.
#[test]
fn the_json_test_suite_is_decided_right() -> Outcome {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/JSONTestSuite.zip");
    let Ok(file) = std::fs::File::open(&path) else {
        println!("skipped: there is no {}", path.display());
        return Ok(());
    };
    let mut archive = zip::ZipArchive::new(file)?;
    let (mut cases, mut taken) = (0, Vec::new());
    for index in 0..archive.len() {
        let mut member = archive.by_index(index)?;
        let name = member.name().rsplit('/').next().unwrap_or_default().to_owned();
        if !member.is_file() || !member.name().contains("test_parsing") || name.is_empty() {
            continue;
        }
        let mut content = Vec::new();
        member.read_to_end(&mut content)?;
        let json = [b"[{\"text\":\"a\",\"x\":".as_slice(), &content, b"}]"].concat();
        let (items, problem) = if json.len() < 2000 {
            scan_everywhere(Layout::Array, &json)
        } else {
            scan(Layout::Array, &json, [json.len() / 2])
        };
        let valid = problem.is_none() && items.len() == 1 && parse_item(&json[items[0].clone()]).is_ok();
        cases += 1;
        match name.as_bytes()[0] {
            b'y' => assert!(valid, "{name} is refused"),
            b'n' => assert!(!valid, "{name} is taken"),
            _ if valid => taken.push(name),
            _ => {}
        }
    }
    println!("{cases} cases, of those left open {} taken", taken.len());
    assert!(cases > 300);
    taken.sort();
    assert_eq!(taken, OPEN_AND_TAKEN);
    Ok(())
}
