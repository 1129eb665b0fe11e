//! Builds of sets of shards: what is in them, and what is left when they are stopped.

use std::collections::BTreeMap;
use std::time::Instant;

use xxhash_rust::xxh3::xxh3_128;

use super::*;
use crate::file::Index;
use crate::read::fuzz::{Random, fuzz_time};

pub(super) type Files = BTreeMap<String, Vec<u8>>;

const ROW_BYTES: u64 = 64 * 4 + 8;

fn sharded(rows_each: u64) -> BuildConfig {
    BuildConfig { shard_size: Some(rows_each * ROW_BYTES), ..config() }
}

/// All that a build has left beside the corpus.
pub(super) fn files(scene: &Scene) -> Outcome<Files> {
    let names = scene.names()?.into_iter().filter(|name| name != "corpus");
    names.map(|name| Ok((name.clone(), fs::read(scene.folder.path().join(name))?))).collect()
}

pub(super) fn put_back(scene: &Scene, content: &Files) -> Outcome {
    for name in files(scene)?.into_keys() {
        fs::remove_file(scene.folder.path().join(name))?;
    }
    Ok(content.iter().try_for_each(|(name, content)| fs::write(scene.folder.path().join(name), content))?)
}

fn index(scene: &Scene) -> PathBuf {
    scene.folder.path().join("out.bin.index.json")
}

fn build(scene: &Scene, faults: Faults) -> Result<BuildReport> {
    let means = Means { disk: Disk { faults }, batch_bytes: 50_000, checkpoint_every: Duration::ZERO };
    build_with(&means, &scene.corpus(), &scene.out(), tokenizer(), &scene.config, &Monitor::default())
}

fn built(scene: &Scene) -> Outcome<(PackedSet, Files)> {
    build(scene, Faults::default())?;
    let set = PackedSet::open(&index(scene), Access::Auto)?;
    Ok((set, files(scene)?))
}

#[test]
fn the_rows_are_those_of_one_file_whatever_the_size_of_shards() -> Outcome {
    let mut scene = Scene::before(config())?;
    build(&scene, Faults::default())?;
    let whole = PackedSet::open(&scene.out(), Access::Auto)?;
    fs::remove_file(scene.out())?;
    let hash = verify(&whole, |_| Ok(()))?.content_hash;
    for rows_each in [1, 7, 100, whole.rows() as u64, u64::MAX / ROW_BYTES] {
        put_back(&scene, &Files::new())?;
        scene.config = sharded(rows_each);
        let report = build(&scene, Faults::default())?;
        let set = PackedSet::open(&index(&scene), Access::Auto)?;
        let expected = whole.rows().div_ceil(usize::try_from(rows_each)?);
        assert_eq!((set.files().len(), report.shards), (expected, Some(expected)));
        assert_eq!(verify(&set, |_| Ok(()))?.content_hash, hash);
        assert_eq!(set.metadata(), whole.metadata());
        for row in 0..whole.rows() {
            let ((one, at), (other, there)) = (whole.locate(row)?, set.locate(row)?);
            assert_eq!(one.tokens(at)?, other.tokens(there)?);
            assert_eq!(one.mask(at)?, other.mask(there)?);
            assert_eq!(one.documents(at)?, other.documents(there)?);
        }
        for number in [0, expected - 1] {
            let alone = PackedSet::open(set.files()[number].path(), Access::Read)?;
            assert_eq!(verify(&alone, |_| Ok(()))?.content_hash, alone.metadata().content_hash);
        }
    }
    Ok(())
}

/// The set that stands there is a whole one, or there is none; gives its hash.
fn standing(scene: &Scene) -> Outcome<Option<String>> {
    if !index(scene).exists() {
        return Ok(None);
    }
    Ok(Some(verify(&PackedSet::open(&index(scene), Access::Auto)?, |_| Ok(()))?.content_hash))
}

#[test]
fn killed_at_every_call_a_set_is_the_old_one_the_new_one_or_none() -> Outcome {
    // None only if the new shards take the places of the old ones.
    let mut scene = Scene::before(sharded(60))?;
    let (new_set, new) = built(&scene)?;
    let new_hash = new_set.metadata().content_hash.clone();
    // An old set whose shards have the names of the new ones, and one whose shards have others.
    let mut olds = vec![None];
    for (rows_each, seed) in [(60, 8), (100, 7)] {
        put_back(&scene, &Files::new())?;
        scene.config = BuildConfig { seed, ..sharded(rows_each) };
        let (set, files) = built(&scene)?;
        assert_eq!(files.keys().eq(new.keys()), seed == 8);
        olds.push(Some((set.metadata().content_hash.clone(), files)));
    }
    scene.config = sharded(60);
    let counter = Faults::new(u64::MAX, Fault::Kill);
    build(&scene, counter.clone())?;
    let (mut kills, mut without) = (0, 0);
    for (round, at) in (0..counter.calls() + 10).step_by(step(2)).enumerate() {
        let old = &olds[round % olds.len()];
        put_back(&scene, old.as_ref().map_or(&Files::new(), |(_, files)| files))?;
        let old_hash = old.as_ref().map(|(hash, _)| hash.clone());
        for at in [at, at / 2] {
            let fault = if round % 2 == 0 { Fault::Kill } else { Fault::Tear };
            let faults = Faults::new(at, fault);
            let result = build(&scene, faults.clone());
            kills += u64::from(faults.died());
            let found = standing(&scene)?;
            without += u64::from(found.is_none() && old_hash.is_some());
            assert!(found.is_none() || found == old_hash || found.as_ref() == Some(&new_hash), "{at}");
            let other_names = old.as_ref().is_some_and(|(_, files)| !files.keys().eq(new.keys()));
            assert!(!other_names || found.is_some(), "killed at {at}: no set");
            assert!(result.is_err() || found.as_ref() == Some(&new_hash), "{at}");
        }
        build(&scene, Faults::default())?;
        assert!(files(&scene)? == new, "killed at {at}: other bytes, or files left: {:?}", scene.names()?);
    }
    println!(
        "{kills} kills of builds of {} shards, {without} of them between an old set and the new one",
        new.len() - 1
    );
    assert!(kills >= 100 && without >= 3, "{kills}, {without}");
    Ok(())
}

#[test]
fn a_set_that_was_half_published_is_completed_without_force() -> Outcome {
    let mut scene = Scene::before(BuildConfig { force: false, ..sharded(60) })?;
    let (_, whole) = built(&scene)?;
    let (calls, shards) = (Faults::new(u64::MAX, Fault::Kill), whole.len() - 1);
    put_back(&scene, &Files::new())?;
    build(&scene, calls.clone())?;
    let mut halves = 0;
    for at in 0..calls.calls() {
        put_back(&scene, &Files::new())?;
        let _ = build(&scene, Faults::new(at, Fault::Kill));
        let names = scene.names()?;
        let there = names.iter().filter(|name| name.starts_with("out-")).count();
        let half = (1..=shards).contains(&there) && !index(&scene).exists();
        halves += u64::from(half);
        if half {
            build(&scene, Faults::default())?;
            assert!(files(&scene)? == whole);
        } else {
            scene.config.force = true;
            build(&scene, Faults::default())?;
            scene.config.force = false;
        }
    }
    assert!(halves >= shards as u64, "{halves}");
    // What another has put there stays.
    put_back(&scene, &Files::new())?;
    let foreign = scene.folder.path().join(format!("out-00001-of-{shards:05}.bin"));
    fs::write(&foreign, b"something else")?;
    assert!(matches!(build(&scene, Faults::default()), Err(Error::OutputExists(path)) if path == foreign));
    assert_eq!(fs::read(&foreign)?, b"something else");
    assert!(!index(&scene).exists());
    Ok(())
}

#[test]
fn checking_a_set_says_how_far_it_is_and_can_be_stopped_at_any_time() -> Outcome {
    let scene = Scene::before(sharded(60))?;
    let (set, _) = built(&scene)?;
    let told = std::cell::RefCell::new(Vec::new());
    verify(&set, |rows| {
        told.borrow_mut().push(rows);
        Ok(())
    })?;
    let told = told.into_inner();
    assert!(told.is_sorted() && told[0] == 0 && told.last() == Some(&(set.rows() - 1)), "{told:?}");
    assert!(told.iter().any(|rows| (1..30).contains(rows)), "nothing while checksums are compared: {told:?}");
    for stop in (0..told.len()).step_by(41) {
        let calls = std::cell::Cell::new(0);
        let stopped = verify(&set, |_| {
            calls.set(calls.get() + 1);
            if calls.get() > stop { Err(Error::Interrupted) } else { Ok(()) }
        });
        assert!(matches!(stopped, Err(Error::Interrupted)) && calls.get() == stop + 1);
    }
    Ok(())
}

/// Whoever gives up a set of which some shards have their names, and builds another or one file, finds none of them.
#[test]
fn a_set_that_was_half_published_and_given_up_leaves_nothing() -> Outcome {
    let mut scene = Scene::before(BuildConfig { force: false, ..sharded(60) })?;
    let one_file = BuildConfig { shard_size: None, ..sharded(60) };
    let mut others = Vec::new();
    for config in [sharded(100), one_file] {
        scene.config = config.clone();
        put_back(&scene, &Files::new())?;
        build(&scene, Faults::default())?;
        others.push((BuildConfig { force: false, ..config }, files(&scene)?));
    }
    scene.config = BuildConfig { force: false, ..sharded(60) };
    put_back(&scene, &Files::new())?;
    let counter = Faults::new(u64::MAX, Fault::Kill);
    build(&scene, counter.clone())?;
    let mut halves = 0;
    for at in (counter.calls() / 2..counter.calls()).step_by(3) {
        let _ = fs::remove_dir_all(scene.folder.path().join(".out.bin.building"));
        put_back(&scene, &Files::new())?;
        scene.config = BuildConfig { force: false, ..sharded(60) };
        let _ = build(&scene, Faults::new(at, if at % 2 == 0 { Fault::Kill } else { Fault::Refuse(EIO) }));
        let half = scene.names()?.iter().any(|name| name.starts_with("out-")) && !index(&scene).exists();
        if half {
            let (config, expected) = &others[halves % 2];
            halves += 1;
            scene.config = config.clone();
            let foreign = scene.folder.path().join("out-00000-of-00777.bin");
            fs::write(&foreign, b"something else")?;
            build(&scene, Faults::default())?;
            fs::remove_file(foreign)?;
            assert!(files(&scene)? == *expected, "killed at {at}: {:?}", scene.names()?);
        }
    }
    assert!(halves >= 4, "{halves}");
    Ok(())
}

#[test]
fn a_set_that_is_not_whole_is_refused_by_name() -> Outcome {
    let mut scene = Scene::before(sharded(60))?;
    let (_, whole) = built(&scene)?;
    let name = |number| format!("out-{number:05}-of-{:05}.bin", whole.len() - 1);
    scene.config.seed = 8;
    let (_, other) = built(&scene)?;
    scene.config = BuildConfig { shard_size: None, ..config() };
    let unsharded = {
        build(&scene, Faults::default())?;
        fs::read(scene.out())?
    };
    let refused = |change: &dyn Fn(&mut Files), words: &[&str]| -> Outcome {
        let mut files = whole.clone();
        change(&mut files);
        put_back(&scene, &files)?;
        match PackedSet::open(&index(&scene), Access::Auto) {
            Err(error @ Error::Format { .. }) => {
                let message = error.to_string();
                assert!(words.iter().all(|words| message.contains(words)), "{message}");
            }
            other => panic!("{words:?}: {other:?}"),
        }
        Ok(())
    };
    let (one, two) = (&name(1), &name(2));
    refused(&|files| drop(files.remove(one)), &[one, "missing"])?;
    refused(&|files| drop(files.insert(one.clone(), whole[two].clone())), &[one, "number 2", "mixed up"])?;
    refused(&|files| drop(files.insert(one.clone(), other[one].clone())), &[one, "another set"])?;
    refused(&|files| drop(files.insert(one.clone(), unsharded.clone())), &[one, "no shard"])?;
    refused(
        &|files| drop(files.insert(one.clone(), whole[one][..9000].to_vec())),
        &[one, "9000 bytes long instead of"],
    )?;
    // Of the index, any bit.
    let length = whole["out.bin.index.json"].len();
    for at in (0..length).step_by(step(7)) {
        let change = |files: &mut Files| {
            if let Some(content) = files.get_mut("out.bin.index.json") {
                content[at] ^= 1 << (at % 8);
            }
        };
        refused(&change, &["out.bin.index.json"])?;
    }
    for length in 0..length {
        let change = |files: &mut Files| {
            if let Some(content) = files.get_mut("out.bin.index.json") {
                content.truncate(length);
            }
        };
        if length % step(13) == 0 {
            refused(&change, &["out.bin.index.json"])?;
        }
    }
    Ok(())
}

/// An index whose hash is right but which lies.
#[test]
fn an_index_that_lies_is_refused() -> Outcome {
    let scene = Scene::before(sharded(60))?;
    let (_, _) = built(&scene)?;
    let original = Index::read(&index(&scene))?;
    let refused = |change: &dyn Fn(&mut Index)| -> Outcome {
        let mut changed = original.clone();
        change(&mut changed);
        fs::write(index(&scene), changed.render()?)?;
        let verified = PackedSet::open(&index(&scene), Access::Auto).and_then(|set| verify(&set, |_| Ok(())));
        assert!(matches!(verified, Err(Error::Format { .. })), "{verified:?}");
        Ok(())
    };
    refused(&|index| index.shards[0].file = format!("../{}", index.shards[0].file))?;
    refused(&|index| index.shards[0].file = "/etc/passwd".into())?;
    refused(&|index| index.shards[0].rows += 1)?;
    refused(&|index| index.shards[0].bytes += 1)?;
    refused(&|index| index.shards[0].rows = u64::MAX)?;
    refused(&|index| index.shards.clear())?;
    refused(&|index| drop(index.shards.pop()))?;
    refused(&|index| index.shards.swap(0, 1))?;
    refused(&|index| index.shards[1] = index.shards[0].clone())?;
    refused(&|index| index.shards[0].root_hash = index.shards[1].root_hash.clone())?;
    refused(&|index| index.metadata.seq_len = 128)?;
    refused(&|index| index.metadata.totals.tokens += 1)?;
    refused(&|index| index.metadata.content_hash = "0".repeat(32))?;
    refused(&|index| index.metadata.seed += 1)?;
    refused(&|index| index.metadata.ledger.0.clear())?;
    refused(&|index| index.metadata.format_version += 1)?;
    fs::write(index(&scene), original.render()?)?;
    assert!(standing(&scene)?.is_some());
    Ok(())
}

/// Mutations of an index whose hash is made right again: it may be refused, but nothing panics.
#[test]
fn fuzzed_indexes_are_refused_without_panic() -> Outcome {
    let scene = Scene::before(sharded(200))?;
    let (_, files) = built(&scene)?;
    let original = std::str::from_utf8(&files["out.bin.index.json"])?;
    let hashed = original.rfind("  \"index_hash\"").unwrap_or(0);
    let (mut random, started, mut runs, mut taken) = (Random::seeded(), Instant::now(), 0u32, 0u32);
    while started.elapsed() < fuzz_time() || runs < 300 {
        let mut content = original.as_bytes()[..hashed].to_vec();
        random.mutate(&mut content, b"0129-.\"\\{}[],/eu\0");
        content.extend(format!("  \"index_hash\": \"{:032x}\"\n}}\n", xxh3_128(&content)).bytes());
        fs::write(index(&scene), content)?;
        runs += 1;
        taken += u32::from(standing(&scene).is_ok());
    }
    println!("{runs} indexes, {taken} of them taken");
    Ok(())
}

#[test]
fn shards_are_refused_where_they_cannot_be() -> Outcome {
    let scene = Scene::before(sharded(1 << 40))?;
    let refused = |out: &Path, words: &str| {
        let monitor = Monitor::default();
        match build_with(&Means::default(), &scene.corpus(), out, tokenizer(), &scene.config, &monitor) {
            Err(Error::Config(message)) => assert!(message.contains(words), "{message}"),
            other => panic!("{other:?}"),
        }
    };
    refused(&index(&scene), "index of shards");
    fs::write(scene.corpus().join("a-00000-of-00001.json"), "[\"a text\"]")?;
    refused(&scene.corpus().join("a.json"), "file of the corpus");
    Ok(())
}
