//! What is put into the tables comes out of them, or nothing does.

use super::*;

/// The ids that a table gives for the piece that is the whole of `text`.
fn short<const S: usize, const M: usize>(cache: &Cache<S, M>, text: &[u8]) -> Vec<u32> {
    let (key, mut out) = (key_of(text, text.len()), [0; SHORT_ROOM]);
    let count = cache.short().find(key, hash_of(key), &mut out);
    out[..count].to_vec()
}

fn middle<const S: usize, const M: usize>(cache: &Cache<S, M>, text: &[u8]) -> Vec<u32> {
    let (keys, mut out) = (keys_of(text, text.len()), [0; MIDDLE_ROOM]);
    let count = cache.middle().find(keys, middle_hash_of(keys), &mut out);
    out[..count].to_vec()
}

#[test]
fn tables_keep_nearly_all_and_never_mistake_one_for_another() {
    let cache = Cache::<{ 1 << 18 }, { 1 << 17 }>::new();
    let pieces = 300_000u32;
    let text = |length: usize, number: u32| format!("{number:0length$}").into_bytes();
    for number in 0..pieces {
        let (piece, ids) = (text(9, number), [number, 7, 8]);
        let key = key_of(&piece, piece.len());
        cache.remember_short(key, hash_of(key), &ids[..=number as usize % 3]);
        if number < 60_000 {
            let piece = text(16 + number as usize % 16, number);
            let keys = keys_of(&piece, piece.len());
            cache.remember_middle(keys, middle_hash_of(keys), &[number; 8][..=number as usize % 8]);
        }
    }
    let mut lost = [0; 2];
    for number in 0..pieces + 1000 {
        let found = short(&cache, &text(9, number));
        if found.is_empty() {
            lost[0] += 1;
        } else {
            assert_eq!(found, [number, 7, 8][..=number as usize % 3]);
        }
        let found = middle(&cache, &text(16 + number as usize % 16, number));
        if found.is_empty() {
            lost[1] += 1;
        } else {
            assert_eq!(found, [number; 8][..=number as usize % 8]);
        }
    }
    let unknown = [1000, pieces + 1000 - 60_000];
    assert!(lost[0] < unknown[0] + pieces * 8 / 100, "{lost:?}");
    assert!(lost[1] < unknown[1] + 60_000 * 15 / 100, "{lost:?}");
}

/// The greatest ids that two bytes hold and three, and how many of them the first table has room for.
const WIDTHS: [(u32, usize); 2] = [(0xFFFF, 7), (0xFF_FFFF, 4)];

#[test]
fn a_run_ends_at_the_first_piece_that_is_not_where_it_is_looked_for() {
    for (greatest, most) in WIDTHS {
        let cache = Cache::<64, 64>::new().for_ids_to(greatest);
        let ids_of = |number: u32| -> Vec<u32> {
            // One that is not there, and one that has more ids than fit.
            let count = if number == 30 { most + 1 } else { number as usize % most + 1 };
            (greatest - 8 * (number + 1)..).take(count).collect()
        };
        let wanted: Vec<Wanted> = (0..40u32)
            .map(|number| {
                let text = format!("piece {number}").into_bytes();
                let key = key_of(&text, text.len());
                let has_room = number == 20 || cache.remember_short(key, hash_of(key), &ids_of(number));
                assert_eq!(has_room, number != 30);
                Wanted::new(key, hash_of(key))
            })
            .collect();
        let (mut at, mut ids, mut stops) = (0, Vec::new(), Vec::new());
        while at < wanted.len() {
            // Little room, so that a run ends for want of it too.
            let mut out = [0; 23];
            let (pieces, count) = cache.short().run(&wanted[at..], &mut out);
            ids.extend_from_slice(&out[..count]);
            at += pieces;
            if pieces == 0 {
                let mut room = [0; SHORT_ROOM];
                let found = cache.short().find(wanted[at].key(), wanted[at].hash, &mut room);
                if (1..=most).contains(&found) {
                    ids.extend_from_slice(&room[..found]); // beside its place
                } else {
                    stops.push((at, found));
                }
                at += 1;
            }
        }
        assert_eq!(stops, [(20, 0), (30, MANY_IDS)]);
        let expected: Vec<u32> =
            (0..40).filter(|number| ![20, 30].contains(number)).flat_map(ids_of).collect();
        assert_eq!(ids, expected);
    }
}

#[test]
fn what_other_threads_write_is_found_whole_or_not() {
    for (greatest, most) in WIDTHS {
        read_while_written(greatest, most);
    }
}

fn read_while_written(greatest: u32, most: usize) {
    // Few lines, so that pieces come and go, with the same first ids, so that states look alike.
    let cache = Cache::<2, 2>::new().for_ids_to(greatest);
    let ids = |number: u32| -> Vec<u32> {
        [1, 2, 4].into_iter().chain((1..).map(|odd| number * odd)).take(2 * most - 1).collect()
    };
    let check = |known: &[u32], ids: &[u32]| {
        assert!(known.is_empty() || known == ids, "{known:?} instead of {ids:?}");
        usize::from(!known.is_empty())
    };
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let cache = &cache;
            scope.spawn(move || {
                let (mut numbers, mut found) = (thread + 1, [0; 2]);
                for _ in 0..200_000 {
                    numbers = numbers.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let number = numbers >> 26;
                    for (of, length) in [(0, 9), (1, 20)] {
                        let text = format!("{number:0length$}").into_bytes();
                        if of == 0 {
                            let key = key_of(&text, length);
                            let few = &ids(number)[..most];
                            found[of] += check(&short(cache, &text), few);
                            let mut room = [0; SHORT_ROOM];
                            let (_, count) = cache.short().run(&[Wanted::new(key, hash_of(key))], &mut room);
                            check(&room[..count], few);
                            cache.remember_short(key, hash_of(key), few);
                        } else {
                            let keys = keys_of(&text, length);
                            found[of] += check(&middle(cache, &text), &ids(number));
                            cache.remember_middle(keys, middle_hash_of(keys), &ids(number));
                        }
                    }
                }
                assert!(found.iter().all(|found| *found > 1000), "{found:?}");
            });
        }
    });
}

#[test]
fn a_short_piece_of_many_ids_is_no_piece_of_sixteen_bytes() {
    let cache = Cache::<64, 64>::new();
    let key = key_of(b"abcde", 5);
    let sixteen = key.to_le_bytes();
    assert_eq!(sixteen[15], 5, "the key holds the bytes and the length");
    for hash in [hash_of(key), middle_hash_of(keys_of(&sixteen, 16))] {
        cache.remember_middle((key, 0), hash, &[1, 2, 3, 4, 5]);
    }
    assert_eq!(middle(&cache, &sixteen), [0; 0]);
}

#[test]
fn what_is_there_from_the_beginning_gives_way_until_it_is_asked_for() {
    for (greatest, _) in WIDTHS {
        seeds_give_way(greatest);
    }
}

fn seeds_give_way(greatest: u32) {
    let cache = Cache::<1, 1>::new().for_ids_to(greatest);
    let piece = |text: &[u8]| {
        let key = key_of(text, text.len());
        (key, hash_of(key))
    };
    let run = |text: &[u8]| {
        let (key, hash) = piece(text);
        cache.short().run(&[Wanted::new(key, hash)], &mut [0; SHORT_ROOM])
    };
    let seed = |text: &[u8], id| cache.seed_short(piece(text).0, piece(text).1, id);
    let remember = |text: &[u8], id| cache.remember_short(piece(text).0, piece(text).1, &[id]);
    seed(b"first", 1);
    seed(b"no room", 2);
    assert!(short(&cache, b"no room").is_empty());
    // Once it has been asked for it is like all others.
    assert_eq!(run(b"first"), (0, 0));
    assert_eq!(short(&cache, b"first"), [1]);
    assert_eq!(run(b"first"), (1, 1));
    assert_eq!(short(&cache, b"first"), [1]);
    // What is left of it gives way.
    remember(b"second", 3);
    assert_eq!((short(&cache, b"first"), short(&cache, b"second")), (vec![1], vec![3]));

    let cache = Cache::<1, 1>::new().for_ids_to(greatest);
    cache.seed_short(piece(b"first").0, piece(b"first").1, 1);
    for (text, id) in [(b"second", 2), (b"third.", 3)] {
        cache.remember_short(piece(text).0, piece(text).1, &[id]);
    }
    assert_eq!(
        [b"first ".as_slice(), b"first", b"second", b"third."].map(|text| short(&cache, text)),
        [vec![], vec![], vec![2], vec![3]]
    );
}
