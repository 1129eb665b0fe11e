//! Builds that are stopped at every point, and go on: what is published is whole, and the bytes are the same.

mod rows;
mod shards;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::disk::faults::{Fault, Faults};
use crate::file::{Access, Dedup, Fate, PackedSet, verify};
use crate::ledger::DropReason;
use crate::plan::Order;
use crate::recipe::Recipe;
use crate::tokenizer::BosMode;

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const EMFILE: i32 = 24;
const EROFS: i32 = 30;

type Outcome<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A folder in memory, where there is one: these tests flush to disk thousands of times.
fn folder() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// Every call is tried if `$APOLLO_PACK_THOROUGH` is set, else every so many-th.
fn step(usual: usize) -> usize {
    if std::env::var_os("APOLLO_PACK_THOROUGH").is_some() { 1 } else { usual }
}

/// Every byte is a token.
fn tokenizer() -> TokenizerSource {
    let printable = (0x21..=0x7E).chain(0xA1..=0xAC).chain(0xAE..=0xFF);
    let shifted = (0..=0xFFu32).filter(|byte| !printable.clone().any(|printable| printable == *byte));
    let chars =
        printable.clone().chain(shifted.zip(0x100..).map(|(_, code)| code)).filter_map(char::from_u32);
    let vocab: serde_json::Map<_, _> = chars.zip(0u32..).map(|(c, id)| (c.to_string(), id.into())).collect();
    let json = json!({
        "version": "1.0",
        "added_tokens": [{"id": 256, "content": "<|endoftext|>", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    });
    TokenizerSource { label: "bytes".into(), json: json.to_string().into_bytes(), config: None }
}

fn config() -> BuildConfig {
    BuildConfig {
        seq_len: 64,
        order: Order::Shuffle,
        seed: 7,
        bos: BosMode::Never,
        threads: Some(2),
        on_error: OnError::Skip,
        max_item_bytes: 1 << 20,
        force: true,
        ..BuildConfig::default()
    }
}

/// A corpus of several files, in batches of a few items, with a checkpoint after each, and after each block of rows.
struct Scene {
    folder: tempfile::TempDir,
    config: BuildConfig,
    batch_bytes: usize,
    /// What a build gives that nothing happens to.
    whole: Vec<u8>,
}

impl Scene {
    fn new(config: BuildConfig) -> Outcome<Self> {
        let mut scene = Self::before(config)?;
        scene.build(Faults::default())?;
        scene.whole = fs::read(scene.out())?;
        fs::remove_file(scene.out())?;
        assert_eq!(scene.names()?, ["corpus"]);
        Ok(scene)
    }

    /// A corpus, and nothing built.
    fn before(config: BuildConfig) -> Outcome<Self> {
        let folder = folder()?;
        fs::create_dir_all(folder.path().join("corpus/sub"))?;
        let text = |i: usize| format!("{i}: {}", "words and é ".repeat(i % 23));
        let texts: Vec<String> = (0..500).map(text).collect();
        let dialogues: Vec<_> = (0..200).map(|i| json!([text(i), text(i + 1)])).collect();
        let lines: Vec<String> = (0..200).map(|i| json!({ "text": text(2 * i) }).to_string()).collect();
        fs::write(folder.path().join("corpus/a_en.json"), serde_json::to_vec(&texts)?)?;
        fs::write(folder.path().join("corpus/sub/b_en_qa.json"), serde_json::to_vec_pretty(&dialogues)?)?;
        fs::write(folder.path().join("corpus/c_fr.jsonl"), lines.join("\n") + "\n12\n\"end\n")?;
        fs::write(folder.path().join("corpus/d_fr.json"), "[\"a text\", \"another\" oh")?;
        Ok(Self { folder, config, batch_bytes: 512, whole: Vec::new() })
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out.bin")
    }

    fn corpus(&self) -> PathBuf {
        self.folder.path().join("corpus")
    }

    fn build(&self, faults: Faults) -> Result<BuildReport> {
        let (batch_bytes, checkpoint_every) = (self.batch_bytes, Duration::ZERO);
        let means = Means { disk: Disk { faults }, batch_bytes, checkpoint_every };
        build_with(&means, &self.corpus(), &self.out(), tokenizer(), &self.config, &Monitor::default())
    }

    fn names(&self) -> Outcome<Vec<String>> {
        let entries = fs::read_dir(self.folder.path())?;
        let mut names: Vec<String> =
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into())).collect::<Outcome<_>>()?;
        names.sort();
        Ok(names)
    }

    /// The output is the old one, the new one or absent; returns whether it is the new one.
    fn is_new(&self, old: Option<&[u8]>) -> bool {
        match fs::read(self.out()) {
            Ok(found) if found == self.whole => true,
            Ok(found) => {
                assert_eq!(Some(&found[..]), old, "another output");
                false
            }
            Err(_) => {
                assert_eq!(old, None, "the old output is gone");
                false
            }
        }
    }

    fn put_back(&self, old: Option<&[u8]>) -> Outcome {
        match old {
            Some(old) => fs::write(self.out(), old)?,
            None => drop(fs::remove_file(self.out())),
        }
        Ok(())
    }
}

fn calls_of_a_build(scene: &Scene) -> Outcome<u64> {
    let counter = Faults::new(u64::MAX, Fault::Kill);
    scene.build(counter.clone())?;
    Ok(counter.calls())
}

/// Kills builds at points that lie `step` apart, lets each go on with another kill at the same point, and then to
/// its end.
fn kill_and_go_on(scene: &Scene, fault: Fault, step: usize) -> Outcome<(u64, u64)> {
    let old = b"an older output".as_slice();
    let (mut kills, mut gone_on) = (0, 0);
    for at in (0..calls_of_a_build(scene)? + 20).step_by(step) {
        let before = (at % 3 != 0).then_some(old);
        scene.put_back(before)?;
        let faults = Faults::new(at, fault);
        let first = scene.build(faults.clone());
        kills += u64::from(faults.died());
        let published = scene.is_new(before);
        assert!(published || first.is_err());
        // Killed once more while it goes on.
        let faults = Faults::new(at / 2, fault);
        let _ = scene.build(faults.clone());
        kills += u64::from(faults.died());
        scene.is_new(if published { Some(&scene.whole) } else { before });
        let monitor = Monitor::default();
        let means = Means { batch_bytes: 5000, ..Means::default() };
        build_with(&means, &scene.corpus(), &scene.out(), tokenizer(), &scene.config, &monitor)?;
        gone_on += u64::from(monitor.is_continuable());
        assert!(scene.is_new(None), "killed at {at}: other bytes");
        assert_eq!(scene.names()?, ["corpus", "out.bin"], "killed at {at}");
    }
    Ok((kills, gone_on))
}

#[test]
fn killed_at_every_call_it_goes_on_to_the_same_bytes() -> Outcome {
    let scene = Scene::new(config())?;
    fs::write(scene.out(), &scene.whole)?;
    verify(&PackedSet::open(&scene.out(), Access::Auto)?, |_| Ok(()))?;
    let (kills, gone_on) = kill_and_go_on(&scene, Fault::Kill, step(3))?;
    println!("{kills} kills, {gone_on} builds went on from a checkpoint");
    assert!(kills >= 500 && gone_on >= 150, "{kills} kills, {gone_on} continued");
    Ok(())
}

#[test]
fn with_a_recipe_and_items_kept_out_too() -> Outcome {
    let recipe = "[build]\norder = 'priority'\nby_turn = true\npacking = 'groups-of-256'\n\
                  [[mix]]\nkind = 'qa'\nepochs = 1.5\npriority = 4\n[[mix]]\nmax_documents = 300";
    let recipe = Recipe::parse("mine".into(), recipe)?;
    let plain = config();
    let given = Choices { seq_len: Some(64), bos: Some(BosMode::Never), ..Choices::default() };
    let config = BuildConfig::new(given, recipe)?;
    let benchmark = folder()?;
    let question = format!("7: {}", "words and é ".repeat(4));
    fs::write(benchmark.path().join("bench.json"), serde_json::to_vec(&[question])?)?;
    let scene = Scene::new(BuildConfig {
        threads: plain.threads,
        on_error: plain.on_error,
        max_item_bytes: plain.max_item_bytes,
        dedup: Some(Dedup::default()),
        decontaminate: vec![benchmark.path().into()],
        force: true,
        ..config
    })?;
    fs::write(scene.out(), &scene.whole)?;
    let built = PackedSet::open(&scene.out(), Access::Auto)?;
    verify(&built, |_| Ok(()))?;
    let dropped = built.metadata().ledger.total().items_dropped;
    for reason in [DropReason::NotDrawn, DropReason::Leaked, DropReason::Duplicate] {
        assert!(dropped.contains_key(&reason), "{dropped:?}");
    }
    let (kills, gone_on) = kill_and_go_on(&scene, Fault::Kill, step(17))?;
    assert!(kills >= 60 && gone_on >= 15, "{kills} kills, {gone_on} continued");
    Ok(())
}

#[test]
fn killed_in_the_middle_of_a_write_too() -> Outcome {
    let scene = Scene::new(config())?;
    let (kills, _) = kill_and_go_on(&scene, Fault::Tear, step(11))?;
    assert!(kills >= 60, "{kills}");
    Ok(())
}

#[test]
fn with_its_spool_in_another_folder_too() -> Outcome {
    let temp = folder()?;
    // And with items that are marked.
    let dedup = Some(Dedup { near: Some(0.5), found: Fate::Mark });
    let scene = Scene::new(BuildConfig { temp_dir: Some(temp.path().into()), dedup, ..config() })?;
    fs::write(scene.out(), &scene.whole)?;
    let built = PackedSet::open(&scene.out(), Access::Auto)?;
    verify(&built, |_| Ok(()))?;
    assert!(built.metadata().ledger.total().items_marked.len() == 2, "{:?}", built.metadata().ledger.total());
    let (kills, gone_on) = kill_and_go_on(&scene, Fault::Kill, step(11))?;
    assert!(kills >= 40 && gone_on >= 10, "{kills} kills, {gone_on} continued");
    assert_eq!(fs::read_dir(temp.path())?.count(), 0);
    Ok(())
}

#[test]
fn whatever_the_system_refuses_is_a_typed_error_and_the_old_output_stays() -> Outcome {
    let scene = Scene::new(config())?;
    let old = b"an older output".as_slice();
    let calls = calls_of_a_build(&scene)?;
    for (number, fault) in [
        (ENOSPC, Fault::RefuseFromHere(ENOSPC)),
        (EIO, Fault::Refuse(EIO)),
        (EMFILE, Fault::Refuse(EMFILE)),
        (EROFS, Fault::RefuseFromHere(EROFS)),
    ] {
        for at in (0..calls).step_by(step(13)) {
            scene.put_back(Some(old))?;
            match scene.build(Faults::new(at, fault)) {
                // What was refused came after the output, or does not matter.
                Ok(_) => assert!(scene.is_new(Some(old))),
                Err(Error::Io { source, .. }) => {
                    assert_eq!(source.raw_os_error(), Some(number), "{fault:?} at {at}");
                    assert!(!scene.is_new(Some(old)));
                }
                Err(error) => panic!("{fault:?} at {at}: {error}"),
            }
            if at % 7 == 0 {
                scene.build(Faults::default())?;
                assert!(scene.is_new(None));
                assert_eq!(scene.names()?, ["corpus", "out.bin"]);
            }
        }
    }
    Ok(())
}

/// A build that was killed in the middle.
fn stopped(config: BuildConfig) -> Outcome<Scene> {
    let scene = Scene::new(config)?;
    let half = calls_of_a_build(&scene)? / 2;
    fs::remove_file(scene.out())?;
    assert!(scene.build(Faults::new(half, Fault::Kill)).is_err());
    assert_eq!(scene.names()?, [".out.bin.building", "corpus"]);
    Ok(scene)
}

fn message(result: Result<BuildReport>) -> String {
    match result {
        Err(error @ Error::Unfinished { .. }) => error.to_string(),
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("it went on"),
    }
}

#[test]
fn other_settings_and_another_corpus_are_refused_unless_forced() -> Outcome {
    let mut scene = stopped(BuildConfig { force: false, ..config() })?;
    scene.config.seed = 8;
    assert!(message(scene.build(Faults::default())).contains("seed 7, not 8"));
    scene.config.seed = 7;
    scene.config.dedup = Some(Dedup { near: None, found: Fate::Mark });
    assert!(message(scene.build(Faults::default())).contains("dedup off, not exact"));
    scene.config.dedup = None;
    scene.config.threads = Some(1);
    let first = scene.corpus().join("a_en.json");
    let added = scene.corpus().join("e_fr.json");
    fs::write(&added, "[\"new\"]")?;
    assert!(message(scene.build(Faults::default())).contains("e_fr.json was not in the corpus"));
    fs::remove_file(added)?;
    let content = fs::read_to_string(&first)?;
    fs::write(&first, content.replacen("words", "sword", 1))?;
    assert!(message(scene.build(Faults::default())).contains("a_en.json has changed"));
    fs::write(&first, format!("{content} "))?;
    assert!(message(scene.build(Faults::default())).contains("a_en.json has changed"));
    // Written anew with the same content: it goes on.
    fs::write(&first, &content)?;
    scene.build(Faults::default())?;
    assert!(scene.is_new(None));
    Ok(())
}

#[test]
fn by_force_it_begins_anew() -> Outcome {
    let mut scene = stopped(BuildConfig { force: false, ..config() })?;
    scene.config.seq_len = 128;
    assert!(message(scene.build(Faults::default())).contains("seq_len 64, not 128"));
    scene.config.force = true;
    scene.build(Faults::default())?;
    assert_eq!(PackedSet::open(&scene.out(), Access::Auto)?.seq_len(), 128);
    assert_eq!(scene.names()?, ["corpus", "out.bin"]);
    Ok(())
}

fn flip(path: &Path, at: usize) -> Outcome {
    let mut content = fs::read(path)?;
    content[at] ^= 1;
    Ok(fs::write(path, content)?)
}

#[test]
fn a_damaged_spool_or_checkpoint_is_not_used() -> Outcome {
    for name in ["tokens", "fragments", "checkpoint"] {
        for at in [0, 100, 500] {
            let scene = stopped(config())?;
            flip(&scene.folder.path().join(".out.bin.building").join(name), at)?;
            scene.build(Faults::default())?;
            assert!(scene.is_new(None), "{name}");
        }
    }
    Ok(())
}

#[test]
fn a_build_that_is_past_stopping_ends_well() -> Outcome {
    let monitor = Monitor::default();
    assert!(monitor.cancel());
    assert!(monitor.check().is_err() && monitor.publishing().is_err());
    let monitor = Monitor::default();
    monitor.publishing()?;
    assert!(!monitor.cancel());
    assert!(monitor.check().is_ok());
    Ok(())
}
