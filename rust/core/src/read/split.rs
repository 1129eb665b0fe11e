//! Finds the boundaries of items in a stream of JSON, without parsing them.
//!
//! Only what separates items is checked here (brackets, commas, quotes); an item that is not valid JSON
//! inside its boundaries is found when it is parsed.

use std::ops::Range;

use memchr::{memchr, memchr2};

use crate::discover::Layout;

/// Where the stream stopped being a sequence of items.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SplitProblem {
    pub(super) at: usize,
    pub(super) problem: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the `[` of the file.
    Open,
    /// After `[`: an item or `]`.
    FirstItem,
    /// After a comma: an item.
    NextItem,
    /// Inside an item that is a string.
    Text { start: usize },
    /// Inside an item that is an array or an object.
    Nested { start: usize, depth: usize, in_string: bool },
    /// Inside an item that is anything else: no document, but a boundary all the same.
    Scalar { start: usize },
    /// After an item: a comma or `]`.
    Comma,
    /// After the `]` of the file: nothing more.
    End,
    /// In a file of lines, inside a line.
    Line { start: usize },
}

/// A scan that is fed a growing buffer and remembers where it stands.
#[derive(Debug)]
pub(super) struct Splitter {
    state: State,
    /// Everything before this byte of the buffer has been scanned.
    at: usize,
    /// The beginning of the item at hand has been let go of.
    headless: bool,
}

impl Splitter {
    pub(super) fn new(layout: Layout) -> Self {
        let state = match layout {
            Layout::Array => State::Open,
            Layout::Lines => State::Line { start: 0 },
        };
        Self { state, at: 0, headless: false }
    }

    /// A scan that goes on where an item ended.
    pub(super) fn after_item(layout: Layout) -> Self {
        match layout {
            Layout::Array => Self { state: State::Comma, at: 0, headless: false },
            Layout::Lines => Self::new(layout),
        }
    }

    /// Scans on to the end of `buffer` and appends the items that end in it.
    pub(super) fn scan(&mut self, buffer: &[u8], items: &mut Vec<Range<usize>>) -> Result<(), SplitProblem> {
        while self.at < buffer.len() {
            let byte = buffer[self.at];
            match self.state {
                State::Text { start } => match end_of_string(buffer, self.at) {
                    StringEnd::Closed(end) => self.finish_item(start..end, items),
                    StringEnd::Open(at) => return self.pause(at),
                },
                State::Nested { start, depth, in_string: true } => match end_of_string(buffer, self.at) {
                    StringEnd::Closed(end) => {
                        self.at = end;
                        self.state = State::Nested { start, depth, in_string: false };
                    }
                    StringEnd::Open(at) => return self.pause(at),
                },
                State::Nested { start, depth, in_string: false } => {
                    self.scan_nested(buffer, start, depth, items);
                }
                State::Scalar { start } => {
                    if matches!(byte, b',' | b']') || is_whitespace(byte) {
                        self.finish_item(start..self.at, items);
                    } else {
                        self.at += 1;
                    }
                }
                State::Line { start } if start == self.at && !self.headless && is_whitespace(byte) => {
                    self.at += 1;
                    self.state = State::Line { start: self.at };
                }
                State::Line { start } => {
                    let Some(length) = memchr(b'\n', &buffer[self.at..]) else {
                        return self.pause(buffer.len());
                    };
                    self.finish_line(buffer, start..self.at + length, items);
                    self.at += length + 1;
                    self.state = State::Line { start: self.at };
                }
                _ if is_whitespace(byte) => self.at += 1,
                State::Open | State::FirstItem | State::NextItem | State::Comma | State::End => {
                    self.step(byte)?;
                }
            }
        }
        Ok(())
    }

    /// Between items: one byte that is no white space.
    fn step(&mut self, byte: u8) -> Result<(), SplitProblem> {
        let start = self.at;
        self.state = match (self.state, byte) {
            (State::Open, b'[') => State::FirstItem,
            (State::Open, _) => {
                let hint = "expected a JSON array of items ('['); a file with one item a line is \
                            named .jsonl";
                return Err(self.unexpected(byte, hint));
            }
            (State::FirstItem | State::Comma, b']') => State::End,
            (State::Comma, b',') => State::NextItem,
            (State::Comma, _) => {
                return Err(self.unexpected(byte, "expected ',' or ']' after an item"));
            }
            (State::End, _) => {
                return Err(self.unexpected(byte, "expected nothing after the array"));
            }
            (_, b'"') => State::Text { start },
            (_, b'[' | b'{') => State::Nested { start, depth: 1, in_string: false },
            (_, b',' | b']' | b'}' | b':') => return Err(self.unexpected(byte, "expected an item")),
            _ => State::Scalar { start },
        };
        self.at += 1;
        Ok(())
    }

    /// Inside brackets, outside strings: counts depth to the next quote or the item's end.
    fn scan_nested(&mut self, buffer: &[u8], start: usize, mut depth: usize, items: &mut Vec<Range<usize>>) {
        for (i, byte) in buffer.iter().enumerate().skip(self.at) {
            match byte {
                b'"' => {
                    self.at = i + 1;
                    self.state = State::Nested { start, depth, in_string: true };
                    return;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' if depth == 1 => {
                    self.at = i + 1;
                    return self.finish_item(start..i + 1, items);
                }
                b']' | b'}' => depth -= 1,
                _ => {}
            }
        }
        self.at = buffer.len();
        self.state = State::Nested { start, depth, in_string: false };
    }

    /// The stream has ended.
    pub(super) fn finish(
        &mut self,
        buffer: &[u8],
        items: &mut Vec<Range<usize>>,
    ) -> Result<(), SplitProblem> {
        let at = buffer.len();
        let problem = match self.state {
            State::End => return Ok(()),
            State::Line { start } => {
                self.finish_line(buffer, start..at, items);
                self.at = at;
                self.state = State::Line { start: at };
                return Ok(());
            }
            State::Open => "the file is empty; expected a JSON array of items",
            State::FirstItem | State::NextItem | State::Comma => "the file ends before its closing ']'",
            State::Text { .. } | State::Nested { in_string: true, .. } => "the file ends inside a string",
            State::Nested { .. } | State::Scalar { .. } => "the file ends inside an item",
        };
        Err(SplitProblem { at, problem: problem.into() })
    }

    /// The first `count` bytes of the buffer have been taken away.
    pub(super) fn forget(&mut self, count: usize) {
        self.at -= count;
        match &mut self.state {
            State::Text { start }
            | State::Nested { start, .. }
            | State::Scalar { start }
            | State::Line { start } => *start = start.saturating_sub(count),
            _ => {}
        }
    }

    fn finish_item(&mut self, item: Range<usize>, items: &mut Vec<Range<usize>>) {
        self.at = item.end;
        self.state = State::Comma;
        self.headless = false;
        items.push(item);
    }

    /// A line is an item if there is anything in it.
    fn finish_line(&mut self, buffer: &[u8], mut line: Range<usize>, items: &mut Vec<Range<usize>>) {
        line.end = line.start + trimmed(&buffer[line.clone()]);
        if !line.is_empty() || self.headless {
            items.push(line);
        }
        self.headless = false;
    }

    /// The buffer ends inside an item; scanning goes on at `at`.
    #[allow(clippy::unnecessary_wraps)] // returned from a scan
    fn pause(&mut self, at: usize) -> Result<(), SplitProblem> {
        self.at = at;
        Ok(())
    }

    /// Where the item begins that the buffer ends in; what has been scanned, between items.
    pub(super) fn keep_from(&self) -> usize {
        match self.state {
            State::Text { start }
            | State::Nested { start, .. }
            | State::Scalar { start }
            | State::Line { start } => start,
            _ => self.at,
        }
    }

    /// How many bytes there are of the item that the buffer ends in, if it ends in one; white space that may turn
    /// out to stand after it is not counted.
    pub(super) fn unfinished(&self, buffer: &[u8]) -> Option<usize> {
        match self.state {
            State::Text { start } | State::Nested { start, .. } | State::Scalar { start } => {
                Some(buffer.len() - start)
            }
            State::Line { start } => Some(trimmed(&buffer[start..])),
            _ => None,
        }
    }

    /// The item at hand is too long to be kept: everything before the byte that is returned may be forgotten.
    pub(super) fn behead(&mut self) -> usize {
        self.headless = true;
        self.at
    }

    fn unexpected(&self, byte: u8, expected: &str) -> SplitProblem {
        let found = char::from(byte).escape_default();
        SplitProblem { at: self.at, problem: format!("{expected}, found '{found}'") }
    }
}

enum StringEnd {
    /// The first byte after the closing quote.
    Closed(usize),
    /// The buffer ends first; go on from here when there is more.
    Open(usize),
}

fn end_of_string(buffer: &[u8], mut at: usize) -> StringEnd {
    while let Some(found) = buffer.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if buffer[at] == b'"' {
            return StringEnd::Closed(at + 1);
        }
        if at + 1 == buffer.len() {
            return StringEnd::Open(at); // the escaped byte is still to come
        }
        at += 2;
    }
    StringEnd::Open(buffer.len())
}

/// Length without the white space at the end.
fn trimmed(line: &[u8]) -> usize {
    line.iter().rposition(|byte| !is_whitespace(*byte)).map_or(0, |last| last + 1)
}

fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `json` in pieces that end at `cuts` and collects the items as text.
    fn split(layout: Layout, json: &[u8], cuts: &[usize]) -> Result<Vec<Vec<u8>>, String> {
        let mut splitter = Splitter::new(layout);
        let (mut buffer, mut items, mut fed) = (Vec::new(), Vec::new(), 0);
        for &cut in cuts.iter().chain([&json.len()]) {
            let cut = cut.clamp(fed, json.len());
            buffer.extend_from_slice(&json[fed..cut]);
            fed = cut;
            splitter.scan(&buffer, &mut items).map_err(|e| format!("{} {}", e.at, e.problem))?;
        }
        splitter.finish(&buffer, &mut items).map_err(|e| format!("{} {}", e.at, e.problem))?;
        Ok(items.into_iter().map(|item| buffer[item].to_vec()).collect())
    }

    #[test]
    fn items_of_an_array() {
        let json = br#" [ "a\"]", ["q, ]", "\\"] , {"k": [1, "}"]}, 12,true ] "#;
        let items = split(Layout::Array, json, &[]);
        let expected: Vec<&[u8]> =
            vec![br#""a\"]""#, br#"["q, ]", "\\"]"#, br#"{"k": [1, "}"]}"#, b"12", b"true"];
        assert_eq!(items, Ok(expected.into_iter().map(<[u8]>::to_vec).collect()));
    }

    #[test]
    fn items_of_lines() {
        let items = split(Layout::Lines, b"\"a\"\r\n\n  [\"b\"]\n\"c\"", &[]);
        assert_eq!(items, Ok(vec![b"\"a\"".to_vec(), b"[\"b\"]".to_vec(), b"\"c\"".to_vec()]));
    }

    #[test]
    fn problems_have_a_place() {
        for (json, problem) in [
            ("", "0 the file is empty; expected a JSON array of items"),
            ("[\"a\"", "4 the file ends before its closing ']'"),
            ("[\"a\",", "5 the file ends before its closing ']'"),
            ("[\"a", "3 the file ends inside a string"),
            ("[[\"a\"", "5 the file ends inside an item"),
            ("[\"a\" \"b\"]", "5 expected ',' or ']' after an item, found '\\\"'"),
            ("[,\"b\"]", "1 expected an item, found ','"),
            ("[\"a\",]", "5 expected an item, found ']'"),
            ("[] x", "3 expected nothing after the array, found 'x'"),
        ] {
            assert_eq!(split(Layout::Array, json.as_bytes(), &[]), Err(problem.to_owned()), "{json}");
        }
    }

    proptest! {
        /// Where the buffer happens to end makes no difference, and the items are those of a parser.
        #[test]
        fn any_buffer_boundaries_give_the_items_of_a_parser(
            values in prop::collection::vec(
                prop_oneof![
                    any::<String>().prop_map(serde_json::Value::from),
                    prop::collection::vec(any::<String>(), 0..4).prop_map(serde_json::Value::from),
                ],
                0..6,
            ),
            pretty: bool,
            mut cuts in prop::collection::vec(0usize..200, 0..12),
        ) {
            let value = serde_json::Value::from(values.clone());
            let json = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
            let json = json.map_err(|e| TestCaseError::fail(e.to_string()))?;
            cuts.sort_unstable();
            let items = split(Layout::Array, &json, &cuts).map_err(TestCaseError::fail)?;
            let parsed: Result<Vec<serde_json::Value>, _> =
                items.iter().map(|item| serde_json::from_slice(item)).collect();
            prop_assert_eq!(parsed.map_err(|e| TestCaseError::fail(e.to_string()))?, values);
        }

        /// No input makes it panic, and boundaries never change the outcome.
        #[test]
        fn garbage_is_decided_the_same_at_every_boundary(
            json in "[\\[\\]{}\",:\\\\ a1\n]{0,40}",
            mut cuts in prop::collection::vec(0usize..40, 0..12),
        ) {
            cuts.sort_unstable();
            for layout in [Layout::Array, Layout::Lines] {
                let whole = split(layout, json.as_bytes(), &[]);
                prop_assert_eq!(&split(layout, json.as_bytes(), &cuts), &whole);
            }
        }
    }
}
