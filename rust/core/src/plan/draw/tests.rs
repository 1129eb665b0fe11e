use super::*;
use crate::error::Result;

const ONCE: Share = Share { epochs: 1.0, priority: 1.0, group: 0, limit: None };

fn plain() -> Target {
    Target { tokens: None, temperature: 1.0, weights: Vec::new() }
}

type Given<'a> = (&'a str, Share, Vec<(u64, u32)>);
type Drawn = Vec<(String, u64, u32)>;

/// Draws from inputs with these shares and items of these lengths; fragments are items, unless listed twice.
fn draw(order: Order, seed: u64, inputs: &[Given], target: &Target) -> Result<Drawn> {
    let shares: Vec<Share> = inputs.iter().map(|(_, share, _)| share.clone()).collect();
    let mut sampler = Sampler::new(order, seed, &shares, inputs.iter().map(|(path, ..)| *path));
    let (mut lengths, mut names) = (Vec::new(), Vec::new());
    for (number, (path, _, items)) in (0u32..).zip(inputs) {
        for (item, length) in items {
            sampler.push(number, *item);
            lengths.push(*length);
            names.push(((*path).to_owned(), *item));
        }
    }
    let draws = sampler.finish(&lengths, target)?;
    let drawn = |at| {
        let (path, item) = names[draws.fragment(at) as usize].clone();
        (path, item, draws.epoch(at))
    };
    Ok((0u32..).take(draws.len()).map(drawn).collect())
}

fn items(count: u64) -> Vec<(u64, u32)> {
    (0..count).map(|item| (item, 10)).collect()
}

#[test]
fn an_order_depends_on_seed_and_names_alone() -> Result<()> {
    let halves: Vec<(u64, u32)> = (0..100).map(|i| (i / 2, 10)).collect();
    for order in [Order::Shuffle, Order::Priority] {
        let draw = |seed, inputs: &[_]| draw(order, seed, inputs, &plain());
        let one = draw(1, &[("a", ONCE, items(100)), ("b", ONCE, halves.clone())])?;
        assert_ne!(one, draw(2, &[("a", ONCE, items(100)), ("b", ONCE, halves.clone())])?);
        assert_eq!(one, draw(1, &[("b", ONCE, halves.clone()), ("a", ONCE, items(100))])?);
        let less: Vec<_> = one.iter().filter(|(path, ..)| path == "a").cloned().collect();
        assert_eq!(less, draw(1, &[("a", ONCE, items(100))])?);
        // The halves of a document stay together.
        let b: Vec<u64> = one.iter().filter(|(path, ..)| path == "b").map(|(_, item, _)| *item).collect();
        assert!(b.chunks(2).all(|pair| pair[0] == pair[1]));
    }
    Ok(())
}

#[test]
fn epochs_are_counted_to_the_item() -> Result<()> {
    for (epochs, items_of_file) in [(1.0, 7), (2.0, 7), (0.3, 10), (1.5, 9), (0.0, 5), (2.7, 101)] {
        for order in [Order::Corpus, Order::Shuffle, Order::Priority] {
            let share = Share { epochs, ..ONCE };
            let drawn = draw(order, 3, &[("a", share, items(items_of_file))], &plain())?;
            #[allow(clippy::cast_precision_loss)] // a few items
            let expected = (items_of_file as f64 * epochs).floor();
            assert_eq!(drawn.len().to_string(), expected.to_string());
            let distinct: std::collections::BTreeSet<_> = drawn.iter().collect();
            assert_eq!(distinct.len(), drawn.len());
        }
    }
    Ok(())
}

#[test]
fn what_has_priority_comes_sooner_by_the_law_of_drawing() -> Result<()> {
    let urgent = Share { priority: 16.0, ..ONCE };
    let late = Share { priority: 2.0, ..ONCE };
    let drawn =
        draw(Order::Priority, 42, &[("a", urgent, items(20_000)), ("b", late, items(20_000))], &plain())?;
    let share = |part: &[(String, u64, u32)]| part.iter().filter(|(path, ..)| path == "a").count();
    // Of the first thousand 16 of 18 are urgent ones, give or take; of the last thousand hardly any.
    assert!((850..=925).contains(&share(&drawn[..1000])), "{}", share(&drawn[..1000]));
    assert!(share(&drawn[39_000..]) < 20);
    Ok(())
}

#[test]
fn proportions_are_kept_from_the_first_to_the_last() -> Result<()> {
    let (a, b) = (Share { epochs: 3.0, ..ONCE }, Share { group: 1, ..ONCE });
    let target =
        |weights: [f64; 2], tokens| Target { tokens, temperature: 1.0, weights: weights.map(Some).to_vec() };
    let inputs = [("a", a, items(1000)), ("b", b, items(5000))];
    // a may come three times: 30,000 tokens, so b gives 10,000.
    let drawn = draw(Order::Proportions, 1, &inputs, &target([3.0, 1.0], None))?;
    assert_eq!(drawn.len(), 4000);
    for part in drawn.chunks(400) {
        let a = part.iter().filter(|(path, ..)| path == "a").count();
        assert!((298..=302).contains(&a), "{a}");
    }
    assert_eq!(drawn.iter().filter(|(path, _, epoch)| path == "a" && *epoch == 2).count(), 1000);
    let refused = draw(Order::Proportions, 1, &inputs, &target([3.0, 1.0], Some(50_000)));
    assert!(refused.is_err_and(|error| error.to_string().contains("40000")));
    // At temperature 2 the shares go with the square roots.
    let flat = Target { tokens: Some(2000), temperature: 2.0, weights: vec![None, None] };
    let drawn = draw(Order::Proportions, 1, &inputs, &flat)?;
    let a = drawn.iter().filter(|(path, ..)| path == "a").count();
    assert_eq!((drawn.len(), a), (201, 62)); // 1 : sqrt(5) of 200 is 61.8 : 138.2, each rounded up
    Ok(())
}

#[test]
fn a_limit_is_shared_and_never_passed() -> Result<()> {
    for (limit, expected) in [
        (Limit { documents: 30, tokens: u64::MAX }, 30),
        (Limit { documents: u64::MAX, tokens: 305 }, 30),
        (Limit { documents: u64::MAX, tokens: 300 }, 30),
        (Limit { documents: 0, tokens: 10 }, 0),
    ] {
        let share = Share { limit: Some((0, limit)), ..ONCE };
        let inputs = [("a", share.clone(), items(100)), ("b", share, items(100)), ("c", ONCE, items(10))];
        let drawn = draw(Order::Shuffle, 5, &inputs, &plain())?;
        assert_eq!(drawn.iter().filter(|(path, ..)| path != "c").count(), expected);
        assert_eq!(drawn.iter().filter(|(path, ..)| path == "c").count(), 10);
    }
    Ok(())
}
