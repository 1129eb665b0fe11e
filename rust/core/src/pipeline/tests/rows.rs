//! Builds that are stopped while rows are made: those that were on the disk are not made again.

use super::shards::{Files, files, put_back};
use super::*;
use crate::plan::Packing;
use crate::recipe::Recipe;

/// So long that every row is a block of its own, and is mostly padding.
const SEQ_LEN: u32 = 1 << 18;
const BLOCK_BYTES: u64 = 4 << 18;

/// Rows of 256 small documents.
fn scene(rows: usize, config: BuildConfig) -> Outcome<(Scene, Files)> {
    let folder = folder()?;
    let corpus = folder.path().join("corpus");
    fs::create_dir_all(&corpus)?;
    let dialogue = |i: usize| [i.to_string(), "b".into(), "c".repeat(i % 3), "d".into()];
    let dialogues: Vec<_> = (0..rows * 128).map(dialogue).collect();
    let texts: Vec<_> = (0..rows * 128).map(|i| i.to_string()).collect();
    fs::write(corpus.join("a_en_qa.json"), serde_json::to_vec(&dialogues)?)?;
    fs::write(corpus.join("b_fr.json"), serde_json::to_vec(&texts)?)?;
    let scene = Scene { folder, config, batch_bytes: 20_000, whole: Vec::new() };
    scene.build(Faults::default())?;
    let whole = files(&scene)?;
    put_back(&scene, &Files::new())?;
    Ok((scene, whole))
}

/// On one thread, so that it is certain how many blocks are in hand when a build is killed.
fn long_rows() -> BuildConfig {
    BuildConfig { seq_len: SEQ_LEN, packing: Packing::Groups, threads: Some(1), ..config() }
}

/// Labels that are not their own tokens have their places in the file too.
fn by_turn() -> Outcome<BuildConfig> {
    let recipe = "[build]\nby_turn = true\npacking = 'groups-of-256'\n[[mix]]\nepochs = 1.5";
    let given = Choices { seq_len: Some(SEQ_LEN), bos: Some(BosMode::Never), ..Choices::default() };
    let made = BuildConfig::new(given, Recipe::parse("mine".into(), recipe)?)?;
    let BuildConfig { threads, on_error, max_item_bytes, force, .. } = long_rows();
    Ok(BuildConfig { threads, on_error, max_item_bytes, force, ..made })
}

/// Kills builds at points that lie `step` apart, lets each go on (every other one with two kills more on the way), and
/// compares all that is left. Gives how many bytes a kill cost at the most: those that were written before it and after
/// it, beyond those that are written where there is none.
fn kill_and_go_on(scene: &Scene, whole: &Files, fault: Fault, step: usize) -> Outcome<u64> {
    let undisturbed = Faults::new(u64::MAX, Fault::Kill);
    scene.build(undisturbed.clone())?;
    let (mut kills, mut most) = (0, 0);
    for (round, at) in (0..undisturbed.calls()).step_by(step).enumerate() {
        put_back(scene, &Files::new())?;
        let first = Faults::new(at, fault);
        let _ = scene.build(first.clone());
        kills += u64::from(first.died());
        let published = whole.keys().any(|name| scene.folder.path().join(name).exists());
        for at in [5, 10 + at % 89].into_iter().filter(|_| round % 2 == 1) {
            let again = Faults::new(at, fault);
            let _ = scene.build(again.clone());
            kills += u64::from(again.died());
        }
        let last = Faults::new(u64::MAX, Fault::Kill);
        scene.build(last.clone())?;
        assert!(files(scene)? == *whole, "killed at {at}: other bytes, or files left: {:?}", scene.names()?);
        if round % 2 == 0 && !published {
            most = most.max((first.written() + last.written()).saturating_sub(undisturbed.written()));
        }
    }
    println!("{kills} kills; one cost {most} bytes of {} at the most", undisturbed.written());
    assert!(kills >= 100 / step as u64, "{kills}");
    Ok(most)
}

/// The block in hand, and those whose checkpoints are waiting or on their way; and all that is no row.
const AT_MOST: u64 = 4 * BLOCK_BYTES;

#[test]
fn rows_that_are_on_the_disk_are_not_made_again() -> Outcome {
    let (mut scene, whole) = scene(9, long_rows())?;
    let most = kill_and_go_on(&scene, &whole, Fault::Kill, step(3))?;
    assert!(most <= AT_MOST, "{most}");
    scene.config.threads = Some(3);
    kill_and_go_on(&scene, &whole, Fault::Tear, step(7))?;
    Ok(())
}

#[test]
fn nor_are_those_of_shards() -> Outcome {
    let (scene, whole) =
        scene(9, BuildConfig { shard_size: Some(2 * (BLOCK_BYTES + BLOCK_BYTES / 32)), ..long_rows() })?;
    assert_eq!(whole.len(), 6);
    let most = kill_and_go_on(&scene, &whole, Fault::Kill, step(5))?;
    assert!(most <= AT_MOST, "{most}");
    Ok(())
}

#[test]
fn nor_are_those_with_labels_of_their_own() -> Outcome {
    let (scene, whole) = scene(6, by_turn()?)?;
    put_back(&scene, &whole)?;
    let set = PackedSet::open(&scene.out(), Access::Auto)?;
    let labels = |row| set.files()[0].label_exceptions(row).map(|labels| labels.len());
    assert!((0..3).all(|row| labels(row).is_ok_and(|labels| labels > 10)), "a row has no label of its own");
    let most = kill_and_go_on(&scene, &whole, Fault::Kill, step(5))?;
    assert!(most <= AT_MOST, "{most}");
    Ok(())
}

/// A build that was killed when most rows were written.
fn stopped(scene: &Scene) -> Outcome {
    put_back(scene, &Files::new())?;
    let calls = calls_of_a_build(scene)?;
    put_back(scene, &Files::new())?;
    assert!(scene.build(Faults::new(calls * 3 / 4, Fault::Kill)).is_err());
    assert_eq!(scene.names()?, [".out.bin.building", "corpus"]);
    Ok(())
}

/// How many bytes the build writes that goes on.
fn rest(scene: &Scene, whole: &Files) -> Outcome<u64> {
    let last = Faults::new(u64::MAX, Fault::Kill);
    scene.build(last.clone())?;
    assert!(files(scene)? == *whole, "other bytes");
    Ok(last.written())
}

#[test]
fn rows_that_are_not_as_they_were_are_made_again() -> Outcome {
    let (scene, whole) = scene(9, long_rows())?;
    let output = scene.folder.path().join(".out.bin.building/output");
    stopped(&scene)?;
    let all = whole["out.bin"].len() as u64;
    assert!(rest(&scene, &whole)? < all * 2 / 3);
    let (rows, segments) = (9, 9 * 256);
    let block = usize::try_from(BLOCK_BYTES)?;
    let offsets = 4096 + rows * block;
    let items = offsets + (rows + 1) * 8;
    let ends = items + segments * 8;
    let flags = ends + 4 * segments * 4;
    let numbers = (0..4).map(|tensor| ends + tensor * segments * 4 + 3);
    for at in [4096, offsets - 4 * block, offsets, offsets + 9, items, flags, flags + segments]
        .into_iter()
        .chain(numbers)
    {
        stopped(&scene)?;
        flip(&output, at)?;
        assert!(rest(&scene, &whole)? >= all, "a bit of byte {at} went unseen");
    }
    stopped(&scene)?;
    fs::File::options().write(true).open(&output)?.set_len(offsets as u64)?;
    assert!(rest(&scene, &whole)? >= all);
    stopped(&scene)?;
    fs::remove_file(&output)?;
    assert!(rest(&scene, &whole)? >= all);
    Ok(())
}

#[test]
fn shards_of_another_size_begin_with_what_is_encoded() -> Outcome {
    let (mut scene, whole) = scene(9, long_rows())?;
    let (one, three) = (scene.config.clone(), BuildConfig { shard_size: Some(3 << 20), ..long_rows() });
    scene.config = three.clone();
    put_back(&scene, &Files::new())?;
    scene.build(Faults::default())?;
    let shards = files(&scene)?;
    for (before, after, expected) in [(&one, &three, &shards), (&three, &one, &whole)] {
        scene.config = before.clone();
        stopped(&scene)?;
        scene.config = after.clone();
        let monitor = Monitor::default();
        let means = Means { checkpoint_every: Duration::from_secs(1000), ..Means::default() };
        build_with(&means, &scene.corpus(), &scene.out(), tokenizer(), &scene.config, &monitor)?;
        assert!(monitor.is_continuable(), "it began with encoding");
        assert!(files(&scene)? == *expected);
    }
    Ok(())
}

/// What an error of the disk leaves is as good as what a kill leaves; and who is refused leaves it as it is.
#[test]
fn an_error_leaves_what_the_next_build_goes_on_from() -> Outcome {
    for shard_size in [None, Some(3 << 20)] {
        let temp = folder()?;
        let temp_dir = Some(temp.path().into());
        let (mut scene, whole) = scene(9, BuildConfig { shard_size, temp_dir, force: false, ..long_rows() })?;
        let counter = Faults::new(u64::MAX, Fault::Refuse(EIO));
        scene.build(counter.clone())?;
        put_back(&scene, &Files::new())?;
        for at in [counter.calls() * 3 / 4, 0, 3, 7, 10, 30] {
            let refused = scene.build(Faults::new(at, Fault::Refuse(EIO)));
            assert!(matches!(refused, Err(Error::Io { .. })), "{at}");
        }
        scene.config.seed += 1;
        message(scene.build(Faults::default()));
        scene.config.seed -= 1;
        assert!(rest(&scene, &whole)? < 8 * BLOCK_BYTES, "rows were made again");
        assert_eq!(fs::read_dir(temp.path())?.count(), 0);
    }
    Ok(())
}
