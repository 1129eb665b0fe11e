//! Texts that go wrong easily, for property tests.

use proptest::prelude::*;

/// Single characters and short strings with a role in some pattern or rule.
const PIECES: &[&str] = &[
    " ", "  ", "\n", "\r", "\r\n", "\t", "\u{A0}", "\u{3000}", "\u{2028}", "\u{85}", "'", "'s", "'S", "'ſ",
    "'ll", "'Re", "’s", "a", "b", "the", "The", "ing", "A", "Z", "É", "é", "e\u{301}", "ß", "ſ", "ǅ", "ʰ", "1",
    "23", "٣", "½", "Ⅷ", "中", "患者", "，", "。", "あ", "ア", "・", "ー", "゛", "゠", "한", "국", "\u{1100}",
    "\u{1161}", "\u{11A8}", "م", "رَ", "\u{651}\u{64E}", "\u{64E}\u{651}", "क", "क\u{93C}", "\u{94D}", "न\u{93C}", "ज़", "ไ", "\u{E31}",
    "\u{301}", "\u{323}", "\u{316}", "\u{345}", "\u{200D}", "\u{FE0F}", "👩\u{200D}⚕\u{FE0F}", "😀", "\u{1F3FD}", "\u{202E}", "\u{FEFF}",
    "\u{FFFD}", "\0", "\u{1}", "\u{7F}", "\u{378}", "\u{FDD0}", "\u{FFFF}", "\u{10FFFF}", "\u{E000}", "!", "?!", "...", "/", "//", "-",
    "_", "<", ">", "<|", "|>", "[", "]", "▁", "▁▁", "Ġ", "Ċ", "<0x0A>", "<unk>", "<s>", "</s>", "ﬁ", "Å", "Ω", "①", "…",
    "supercalifragilisticexpialidocious", "المستشفيات", "अस्पताल",
];

/// Text of such pieces, of any characters, and of runs.
pub(super) fn any() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => proptest::sample::select(PIECES).prop_map(str::to_owned),
        2 => any_char().prop_map(String::from),
        1 => (proptest::sample::select(PIECES), 1..40usize).prop_map(|(piece, count)| piece.repeat(count)),
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn any_char() -> impl Strategy<Value = char> {
    prop_oneof![
        proptest::char::range('\0', '\u{7F}'),
        proptest::char::range('\u{80}', '\u{7FF}'),
        proptest::char::range('\u{800}', '\u{FFFF}'),
        proptest::char::range('\u{10000}', '\u{1FFFF}'),
        proptest::char::any(),
    ]
}
