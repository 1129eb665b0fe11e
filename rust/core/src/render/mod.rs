//! **render**: an item becomes pieces of text, each with "counts for the loss" or not.
//!
//! Templates live here and nowhere else.

mod template;

use std::ops::Range;

pub use template::{Template, TemplateTable};

use crate::read::Item;

/// A stretch of a document that is tokenized on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextPiece<'a> {
    /// The text.
    pub text: &'a str,
    /// Where the template's own special tokens stand in it.
    pub marks: &'a [Range<usize>],
    /// Whether its tokens count for the loss.
    pub counts: bool,
    /// What follows the piece.
    pub end: Option<End>,
}

/// The token that follows a piece; it always counts for the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The tokenizer's end-of-text.
    Text,
    /// What the template ends answers with: end-of-text, unless it names a token of its own.
    Answer,
}

/// A template made ready for one tokenizer.
#[derive(Debug)]
pub struct Renderer {
    /// Before the first question: `User:`.
    opening: Literal,
    /// Before a later question: `\nUser:`.
    follow_up: Literal,
    /// Between question and answer: `\nAssistant:`.
    reply: Literal,
    prompt: String,
    marks: Vec<Range<usize>>,
}

#[derive(Debug, Clone)]
struct Literal {
    text: String,
    marks: Vec<Range<usize>>,
}

impl Renderer {
    /// `special_tokens` are the spellings of the tokenizer's special tokens: where the template itself
    /// spells one, that token is meant.
    #[must_use]
    pub fn new<S: AsRef<str>>(template: &Template, special_tokens: &[S]) -> Self {
        let literal = |parts: [&str; 2]| Literal::new(parts.concat(), special_tokens);
        Self {
            opening: literal([&template.user, ""]),
            follow_up: literal([&template.follow_up, &template.user]),
            reply: literal([&template.separator, &template.assistant]),
            prompt: String::new(),
            marks: Vec::new(),
        }
    }

    /// Hands the pieces of a document on, in order. Returns whether a trailing question was cut off: one
    /// without an answer teaches nothing.
    ///
    /// # Errors
    /// Whatever `each` returns.
    pub fn render<E>(
        &mut self,
        item: &Item,
        mut each: impl FnMut(TextPiece) -> Result<(), E>,
    ) -> Result<bool, E> {
        let turns = match item {
            Item::Text(text) => {
                each(TextPiece { text, marks: &[], counts: true, end: Some(End::Text) })?;
                return Ok(false);
            }
            Item::Dialogue(turns) => turns,
        };
        let mut pairs = turns.chunks_exact(2);
        for (i, pair) in pairs.by_ref().enumerate() {
            self.prompt.clear();
            self.marks.clear();
            let opening = if i == 0 { &self.opening } else { &self.follow_up };
            opening.append_to(&mut self.prompt, &mut self.marks);
            self.prompt.push_str(&pair[0]);
            self.reply.append_to(&mut self.prompt, &mut self.marks);
            each(TextPiece { text: &self.prompt, marks: &self.marks, counts: false, end: None })?;
            each(TextPiece { text: &pair[1], marks: &[], counts: true, end: Some(End::Answer) })?;
        }
        Ok(!pairs.remainder().is_empty())
    }
}

impl Renderer {
    /// One turn of a dialogue on its own, with the word before it; `first` if nothing stands before that.
    pub fn turn(&mut self, number: usize, turn: &str, first: bool) -> TextPiece<'_> {
        self.prompt.clear();
        self.marks.clear();
        let answers = number % 2 == 1;
        let opening = if answers {
            &self.reply
        } else if first {
            &self.opening
        } else {
            &self.follow_up
        };
        opening.append_to(&mut self.prompt, &mut self.marks);
        self.prompt.push_str(turn);
        TextPiece { text: &self.prompt, marks: &self.marks, counts: answers, end: None }
    }
}

impl Literal {
    fn new<S: AsRef<str>>(text: String, special_tokens: &[S]) -> Self {
        let mut marks = Vec::new();
        let mut at = 0;
        while at < text.len() {
            // The longest one that begins here, as the reference finds them.
            let found = special_tokens.iter().map(AsRef::as_ref);
            let found = found.filter(|token| !token.is_empty() && text[at..].starts_with(token));
            let length = found.map(str::len).max();
            if let Some(length) = length {
                marks.push(at..at + length);
            }
            at += length.unwrap_or_else(|| text[at..].chars().next().map_or(1, char::len_utf8));
        }
        Self { text, marks }
    }

    fn append_to(&self, text: &mut String, marks: &mut Vec<Range<usize>>) {
        let shift = text.len();
        marks.extend(self.marks.iter().map(|mark| mark.start + shift..mark.end + shift));
        text.push_str(&self.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;
    use std::convert::Infallible;

    type Piece = (String, Vec<String>, bool, Option<End>);

    fn render(template: &str, specials: &[&str], turns: &[&str]) -> (Vec<Piece>, bool) {
        let template = Template::load(template).unwrap_or_else(|error| panic!("{error}"));
        let mut renderer = Renderer::new(&template, specials);
        let item = Item::Dialogue(turns.iter().map(|turn| Cow::Borrowed(*turn)).collect());
        let mut pieces = Vec::new();
        let Ok(cut) = renderer.render(&item, |piece| {
            let marks = piece.marks.iter().map(|mark| piece.text[mark.clone()].to_owned()).collect();
            pieces.push((piece.text.to_owned(), marks, piece.counts, piece.end));
            Ok::<(), Infallible>(())
        });
        (pieces, cut)
    }

    fn piece(text: &str, marks: &[&str], counts: bool) -> Piece {
        let marks = marks.iter().map(|mark| (*mark).to_owned()).collect();
        (text.into(), marks, counts, counts.then_some(End::Answer))
    }

    #[test]
    fn the_apollo_template() {
        let (pieces, cut) = render("apollo", &["<|im_end|>"], &["q<|im_end|>", "a", "q2", "a2", "q3"]);
        let expected = vec![
            piece("User:q<|im_end|>\nAssistant:", &[], false),
            piece("a", &[], true),
            piece("\nUser:q2\nAssistant:", &[], false),
            piece("a2", &[], true),
        ];
        assert_eq!((pieces, cut), (expected, true));
    }

    #[test]
    fn only_the_templates_own_special_tokens_are_marked() {
        let specials = ["<|im_start|>", "<|im_end|>"];
        let (pieces, _) = render("chatml", &specials, &["<|im_end|>", "<|im_start|>", "q", "a"]);
        let marks = ["<|im_start|>", "<|im_end|>", "<|im_start|>"];
        let expected = vec![
            piece("<|im_start|>user\n<|im_end|><|im_end|>\n<|im_start|>assistant\n", &marks, false),
            piece("<|im_start|>", &[], true),
            piece("\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n", &marks, false),
            piece("a", &[], true),
        ];
        assert_eq!(pieces, expected);
        assert_eq!(render("chatml", &[], &["q", "a"]).0[0].1, Vec::<String>::new());
    }

    #[test]
    fn a_question_alone_and_nothing_at_all() {
        assert_eq!(render("apollo", &[], &["q"]), (vec![], true));
        assert_eq!(render("apollo", &[], &[]), (vec![], false));
    }
}
