//! The search beside an oracle that compares everything with everything.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{LeakKind, LeakRules, Leakage, Unit};
use crate::read::Item;

fn leakage(questions: &[String], rules: LeakRules) -> Option<Leakage> {
    let prepare = |text: &String| rules.unit.prepare(text, rules.fold, true).text.trim().to_owned();
    let found: BTreeMap<_, _> = questions
        .iter()
        .map(prepare)
        .filter(|question| !question.is_empty())
        .zip((0..).map(|i| (0, i)))
        .collect();
    Leakage::new(found, vec![], rules).ok()
}

fn units(unit: Unit, text: &str) -> Vec<String> {
    match unit {
        Unit::Characters => text.chars().map(String::from).collect(),
        Unit::Words => text.split(' ').filter(|word| !word.is_empty()).map(String::from).collect(),
    }
}

fn holds(text: &[String], part: &[String]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn oracle(questions: &[String], texts: &[String], rules: LeakRules) -> Option<LeakKind> {
    let LeakRules { unit, run, question: least, fold } = rules;
    let ready = |text: &str| unit.prepare(text, fold, false).text.trim().to_owned();
    let questions: Vec<_> = questions.iter().map(|question| units(unit, &ready(question))).collect();
    let (mut whole, mut runs) = (false, false);
    for text in texts {
        let lines: Vec<_> =
            text.split('\n').chain([text.as_str()]).map(|line| units(unit, &ready(line))).collect();
        // As it stands: what is around it does not count as a match of a question that has been trimmed.
        let content = units(unit, &unit.prepare(text, fold, true).text);
        for question in questions.iter().filter(|question| !question.is_empty()) {
            whole |= question.len() >= least && holds(&content, question) || lines.contains(question);
            runs |= question.windows(run).any(|window| holds(&content, window));
        }
    }
    if whole { Some(LeakKind::Question) } else { runs.then_some(LeakKind::Run) }
}

fn compare(questions: &[String], texts: &[String], rules: LeakRules) -> Result<(), TestCaseError> {
    let Some(leakage) = leakage(questions, rules) else { return Ok(()) };
    let item = Item::Dialogue(texts.iter().map(|text| Cow::Borrowed(text.as_str())).collect());
    let found = leakage.find(&item);
    prop_assert_eq!(found.as_ref().map(|leak| leak.kind), oracle(questions, texts, rules));
    if let Some(leak) = found {
        let text = rules.unit.prepare(&texts[leak.turn], rules.fold, true).text;
        let question = leakage.question(leak.question);
        prop_assert_eq!(&text[leak.text.clone()], &question[leak.shared.clone()]);
        match leak.kind {
            LeakKind::Question => prop_assert_eq!(leak.shared, 0..question.len()),
            LeakKind::Run => prop_assert!(units(rules.unit, &text[leak.text]).len() >= rules.run),
        }
    }
    Ok(())
}

fn rules() -> impl Strategy<Value = LeakRules> {
    (any::<bool>(), 1usize..9, 1usize..9, any::<bool>()).prop_map(|(words, run, question, fold)| LeakRules {
        unit: if words { Unit::Words } else { Unit::Characters },
        run,
        question,
        fold,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Few characters, so that much is shared: of one to four bytes, spaces and line ends, and some that folding
    /// changes in length.
    #[test]
    fn small_alphabets(
        questions in proptest::collection::vec("[ab \né心😀]{0,12}|[aAﬁİ ,\n]{0,8}", 0..5),
        texts in proptest::collection::vec("[ab \né心😀]{0,40}|[aAﬁİ ,\n]{0,20}", 0..3),
        rules in rules(),
    ) {
        compare(&questions, &texts, rules)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The usual lengths: a part of a question, about as long as the rule says, anywhere in another text.
    #[test]
    fn the_usual_lengths(
        question in "[a-y ]{120}|[a-dé-ü ]{120}|[一-龥,。]{120}|[अ-ह ]{120}|[a😀-😎]{120}",
        before in "[z ]{0,90}|[z龥]{0,70}",
        after in "[z ]{0,90}|[z龥]{0,70}",
        from in 0usize..60,
        length in 58usize..70,
        words in any::<bool>(),
    ) {
        let part: String = question.chars().skip(from).take(length).collect();
        let text = [before, part, after].concat();
        let unit = if words { Unit::Words } else { Unit::Characters };
        compare(&[question.clone(), "another".into()], std::slice::from_ref(&text), LeakRules::usual(unit))?;
        let whole: String = question.chars().take(30 + from % 5).collect();
        compare(&[question, whole.clone()], &[[&text, whole.as_str(), &text].concat()], LeakRules::usual(unit))?;
    }
}

fn kind(questions: &[&str], text: &str, rules: LeakRules) -> Option<LeakKind> {
    let questions: Vec<_> = questions.iter().map(|question| (*question).to_owned()).collect();
    let leak = leakage(&questions, rules)?.find(&Item::Text(text.into()));
    leak.map(|leak| leak.kind)
}

#[test]
fn short_questions_count_where_they_stand_alone() {
    let rules = LeakRules::usual(Unit::Characters);
    assert_eq!(
        kind(&["女性生殖腺是"], "女性生殖腺是\n(A) 卵巢\n(B) 前庭大腺", rules),
        Some(LeakKind::Question)
    );
    assert_eq!(kind(&["女性生殖腺是"], " \t女性生殖腺是 ", rules), Some(LeakKind::Question));
    assert_eq!(kind(&["女性生殖腺是"], "问:女性生殖腺是什么?", rules), None);
    assert_eq!(kind(&["two\nlines"], "two\nlines\n", rules), Some(LeakKind::Question));
}

#[test]
fn folding_and_words() {
    let question = "Which of the following vitamins is stored in the LIVER for months?";
    let text = "1. which of the  following vitamins\nis stored in the liver for months?";
    let rules = LeakRules::usual(Unit::Characters);
    assert_eq!(kind(&[question], text, rules), None);
    assert_eq!(kind(&[question], text, LeakRules { fold: true, ..rules }), Some(LeakKind::Question));
    assert_eq!(kind(&[question], text, LeakRules::usual(Unit::Words)), Some(LeakKind::Question));
    let long = "One, two three four five six seven: eight nine ten eleven twelve thirteen fourteen.";
    let thirteen =
        "zero TWO three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen";
    assert_eq!(kind(&[long], thirteen, LeakRules::usual(Unit::Words)), Some(LeakKind::Run));
    assert_eq!(kind(&[long], &thirteen[9..], LeakRules::usual(Unit::Words)), None);
}

/// One character over and over is the worst case of filters and hash tables.
#[test]
fn monotonous_texts() {
    let questions: Vec<String> = (60..90).map(|length| "a".repeat(length)).collect();
    let leakage = leakage(&questions, LeakRules { question: 70, ..LeakRules::usual(Unit::Characters) });
    let Some(leakage) = leakage else { panic!("no question") };
    assert_eq!((leakage.questions(), leakage.runs()), (30, 1));
    for (length, expected) in [(59, None), (63, Some(63)), (69, Some(69)), (1 << 16, Some(89))] {
        let leak = leakage.find(&Item::Text("a".repeat(length).into()));
        assert_eq!(leak.map(|leak| leakage.question(leak.question).len()), expected, "{length}");
    }
}
