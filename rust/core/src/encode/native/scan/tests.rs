//! Every scanner against the reference's pre-tokenizer with the very regexes.

#![allow(clippy::expect_used)] // tests say what went wrong by failing

use proptest::prelude::*;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::pattern::Pattern;
use tokenizers::utils::SysRegex;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior};

use super::super::config::{DEEPSEEK, Known, Stage};
use super::super::stages::ends;

/// The reference for one known pattern.
struct Oracle {
    known: Known,
    regexes: Vec<&'static str>,
    sequence: Sequence,
}

fn oracles() -> Vec<Oracle> {
    let single = Known::SINGLE.iter().map(|(known, text)| (*known, vec![*text]));
    single
        .chain([(Known::DeepSeek, DEEPSEEK.to_vec())])
        .map(|(known, regexes)| {
            let splits = regexes.iter().map(|regex| {
                let pattern = SplitPattern::Regex((*regex).to_owned());
                Split::new(pattern, SplitDelimiterBehavior::Isolated, false).expect("a known pattern").into()
            });
            Oracle { known, sequence: Sequence::new(splits.collect()), regexes }
        })
        .collect()
}

impl Oracle {
    fn ends(&self, text: &str) -> Vec<usize> {
        let mut split = PreTokenizedString::from(text);
        self.sequence.pre_tokenize(&mut split).expect("the reference splits");
        split
            .get_splits(OffsetReferential::Original, OffsetType::Byte)
            .into_iter()
            .map(|(_, offsets, _)| offsets.1)
            .collect()
    }

    fn check(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let ours = ends(&[Stage::Known(self.known)], text.as_bytes());
        assert_eq!(ours, self.ends(text), "{:?} of {text:?}", self.known);
    }

    /// The same for long texts, for which the reference's pre-tokenizer takes too much memory.
    fn check_long(&self, text: &str) {
        let [regex] = self.regexes[..] else {
            return self.check(text);
        };
        let regex = SysRegex::new(regex).expect("a known pattern");
        let theirs: Vec<usize> =
            (&regex).find_matches(text).expect("it matches").into_iter().map(|((_, end), _)| end).collect();
        let ours = ends(&[Stage::Known(self.known)], text.as_bytes());
        assert!(ours == theirs, "{:?} of {} bytes", self.known, text.len());
    }
}

#[test]
fn every_character_in_every_surrounding() {
    for oracle in oracles() {
        let mut text = String::new();
        for c in '\0'..=char::MAX {
            for (before, after) in [
                (" ", " "),
                ("a", "b"),
                ("A", "\n"),
                ("  ", "1"),
                ("'", " "),
                ("'l", "x"),
                ("!", "?"),
                ("\u{301}", "\u{301}"),
            ] {
                // Everything in turn for what is likely to matter, a sample for the rest.
                let matters = u32::from(c) < 0x3400 || u32::from(c) % 13 == 0;
                if matters {
                    text.push_str(before);
                    text.push(c);
                    text.push_str(after);
                }
            }
            if text.len() > 60_000 || c == char::MAX {
                oracle.check_long(&text);
                text.clear();
            }
        }
    }
}

#[test]
fn what_each_pattern_is_about() {
    let texts = [
        "I'm you're we've he'd it's can't we'll I'M YOU'RE 'S 'ſ 'LL 'Ll ' s '' 's's",
        "Hello, world!\n\nNext   line\r\n \r\n  \t end  ",
        "  leading\n  \n mixed \u{A0}\u{2003}spaces \u{85}\u{3000}x",
        "12345678 ٣٤٥ ½ Ⅷ 1a2b 3.14",
        "HTTPServer iPhone XMLHttpRequest ÀÉÎ àéî ǅungla ʰa aʰB あA Aあ AあB AあBc\u{301}",
        "患者，男，56岁。\n诊断：高血压\u{3000}病。 アルコール・テスト ゛゜゠",
        "मरीज़ को बुखार है। ١٢٣ مَرَض",
        "a//b /*c*/ \"//\n/\n!\n\n/ ...\r\n/",
        "\0\0a\u{FFFF}\u{378}b\u{10FFFF} \u{E000}x",
        "e\u{301}e\u{301} \u{301}a\u{301}\u{301} 1\u{301} .\u{301}.",
        " \n",
        "\n ",
        " ",
        "a ",
        "a  ",
        "a \n",
        "\r",
        "\r\n\r\n a",
        "\t\tx",
        "x\u{3000}\u{3000}y",
        "'",
        "''",
        "a'",
        "'sa",
        "'re'",
        "don't'",
        "x's' 'tis",
        "#include <a.h> @user $100 50% _under_score",
    ];
    for oracle in oracles() {
        for text in texts {
            oracle.check(text);
        }
    }
}

#[test]
fn long_runs() {
    for oracle in oracles() {
        for unit in [
            "a", "A", " ", "\n", "'", "1", "中", "\u{301}", "a中", "aA", " a", "\r\n", "!", "\0", "a't",
            "I'll be ",
        ] {
            let mut text = unit.repeat(20_000 / unit.len());
            oracle.check_long(&text);
            text.push('x');
            oracle.check_long(&text);
        }
    }
}

/// Letters with case, without and with marks, and what may stand between them; hardly anything that is left to going piece by
/// piece.
const CASED: [&str; 40] = [
    "a", "b", "s", "L", "T", "é", "ß", "É", "À", "я", "Я", "ǅ", "ʰ", "ª", "中", "文", "あ", "ا", "क", "कि",
    "가", "e\u{301}", "E\u{301}", "'s", "'T", "'ll", "'lL", "'RE", "'ſ", "'", " ", " ", "  ", "\n", "!", "/",
    "1", "٣", "\u{3000}", "’",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn letters_of_any_case(units in proptest::collection::vec(proptest::sample::select(&CASED), 1..120)) {
        for oracle in oracles_once() {
            oracle.check(&units.concat());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in crate::encode::native::texts::any()) {
        for oracle in oracles_once() {
            oracle.check(&text);
        }
    }
}

fn oracles_once() -> &'static [Oracle] {
    static ORACLES: std::sync::OnceLock<Vec<Oracle>> = std::sync::OnceLock::new();
    ORACLES.get_or_init(oracles)
}
