//! One item of a file: a text, or the turns of a dialogue.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::discover::Kind;

/// A parsed item. Strings without escapes borrow from the file's bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A plain text.
    Text(Cow<'a, str>),
    /// Question, answer, question, answer, …
    Dialogue(Vec<Cow<'a, str>>),
}

impl<'a> Item<'a> {
    /// Its texts: one, or the turns.
    #[must_use]
    pub fn texts(&self) -> &[Cow<'a, str>] {
        match self {
            Item::Text(text) => std::slice::from_ref(text),
            Item::Dialogue(turns) => turns,
        }
    }

    /// What kind of document it makes.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Item::Text(_) => Kind::Text,
            Item::Dialogue(_) => Kind::Qa,
        }
    }
}

/// Why an item is no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemProblem {
    /// Byte of the item at which it shows.
    pub at: usize,
    /// What is wrong.
    pub problem: String,
}

/// Parses one item: a string; a list of strings; an object with `text`, `conversations` or `messages`.
///
/// # Errors
/// Invalid UTF-8 or JSON, a lone surrogate, another shape, a duplicate key, turns out of order.
pub fn parse_item(bytes: &[u8]) -> Result<Item<'_>, ItemProblem> {
    // The standard library is slow where text is not ASCII, but tells the place.
    let text = simdutf8::basic::from_utf8(bytes)
        .or_else(|_| std::str::from_utf8(bytes))
        .map_err(|error| ItemProblem { at: error.valid_up_to(), problem: "invalid UTF-8".into() })?;
    serde_json::from_str::<Item>(text).map_err(|error| ItemProblem {
        at: byte_of(bytes, error.line(), error.column()),
        problem: in_plain_words(&error.to_string()),
    })
}

/// `serde_json` counts lines and columns, both from 1, columns in bytes.
fn byte_of(bytes: &[u8], line: usize, column: usize) -> usize {
    let newlines = memchr::memchr_iter(b'\n', bytes);
    let start = match line {
        0 | 1 => 0,
        _ => newlines.take(line - 1).last().map_or(0, |newline| newline + 1),
    };
    (start + column.saturating_sub(1)).min(bytes.len())
}

fn in_plain_words(message: &str) -> String {
    match message.rsplit_once(" at line ").map_or(message, |(what, _)| what) {
        "unexpected end of hex escape" | "lone leading surrogate in hex escape" => {
            "a lone surrogate: \\ud800 to \\udfff stand for characters only in pairs".into()
        }
        what => what.to_owned(),
    }
}

impl<'de> Deserialize<'de> for Item<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a text, a list of texts, or an object with \"text\", \"conversations\" or \"messages\"")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Item::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Item::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut turns = Vec::with_capacity(2);
        while let Some(Text(turn)) = list.next_element()? {
            turns.push(turn);
        }
        Ok(Item::Dialogue(turns))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut item = None;
        let mut seen: Vec<Cow<'de, str>> = Vec::new();
        while let Some(Text(key)) = object.next_key()? {
            if seen.contains(&key) {
                return Err(de::Error::custom(format_args!("duplicate key {key:?}")));
            }
            let value = match key.as_ref() {
                "text" => Some(Item::Text(object.next_value::<Text>()?.0)),
                "conversations" | "messages" => Some(Item::Dialogue(object.next_value::<Turns>()?.0)),
                _ => {
                    object.next_value::<IgnoredAny>()?;
                    None
                }
            };
            seen.push(key);
            if value.is_some() && item.replace(value).is_some() {
                let both = "more than one of \"text\", \"conversations\" and \"messages\"";
                return Err(de::Error::custom(both));
            }
        }
        item.flatten().ok_or_else(|| {
            de::Error::custom("no key \"text\", \"conversations\" or \"messages\" in the object")
        })
    }
}

/// A string, borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The list behind `conversations` or `messages`: texts in turn, or objects with a role and a content.
struct Turns<'a>(Vec<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Turns<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TurnsVisitor;
        impl<'de> Visitor<'de> for TurnsVisitor {
            type Value = Turns<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of turns")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut turns = Vec::with_capacity(2);
                while let Some(Turn { role, content }) = list.next_element()? {
                    let expected = if turns.len() % 2 == 0 { Role::User } else { Role::Assistant };
                    if role.is_some_and(|role| role != expected) {
                        return Err(de::Error::custom(format_args!(
                            "turn {} should be of the {expected}",
                            turns.len()
                        )));
                    }
                    turns.push(content);
                }
                Ok(Turns(turns))
            }
        }
        deserializer.deserialize_seq(TurnsVisitor)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Assistant,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        })
    }
}

impl Role {
    fn parse<E: de::Error>(role: &str) -> Result<Self, E> {
        match role {
            "user" | "human" => Ok(Self::User),
            "assistant" | "gpt" => Ok(Self::Assistant),
            _ => Err(E::custom(format_args!("a turn of the role {role:?} has no place in a template"))),
        }
    }
}

struct Turn<'a> {
    role: Option<Role>,
    content: Cow<'a, str>,
}

impl<'de> Deserialize<'de> for Turn<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TurnVisitor;
        impl<'de> Visitor<'de> for TurnVisitor {
            type Value = Turn<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text, or an object with \"role\" and \"content\" (or \"from\" and \"value\")")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Turn { role: None, content: Cow::Borrowed(text) })
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Turn { role: None, content: Cow::Owned(text.to_owned()) })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
                let (mut role, mut content) = (None, None);
                let mut seen: Vec<Cow<'de, str>> = Vec::new();
                while let Some(Text(key)) = object.next_key()? {
                    if seen.contains(&key) {
                        return Err(de::Error::custom(format_args!("duplicate key {key:?}")));
                    }
                    match key.as_ref() {
                        "role" | "from" => role = Some(object.next_value::<Text>()?.0),
                        "content" | "value" => content = Some(object.next_value::<Text>()?.0),
                        _ => drop(object.next_value::<IgnoredAny>()?),
                    }
                    seen.push(key);
                }
                let role = role.ok_or_else(|| de::Error::missing_field("role"))?;
                let content = content.ok_or_else(|| de::Error::missing_field("content"))?;
                Ok(Turn { role: Some(Role::parse(&role)?), content })
            }
        }
        deserializer.deserialize_any(TurnVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialogue(turns: &[&'static str]) -> Item<'static> {
        Item::Dialogue(turns.iter().map(|turn| Cow::Borrowed(*turn)).collect())
    }

    #[test]
    fn every_shape() {
        assert_eq!(parse_item(br#""a\u00e9""#), Ok(Item::Text("aé".into())));
        assert_eq!(parse_item(br#"["q", "a"]"#), Ok(dialogue(&["q", "a"])));
        assert_eq!(parse_item(br#"{"id": 7, "text": "t"}"#), Ok(Item::Text("t".into())));
        assert_eq!(parse_item(br#"{"messages": ["q", "a"]}"#), Ok(dialogue(&["q", "a"])));
        let chat =
            br#"{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}"#;
        assert_eq!(parse_item(chat), Ok(dialogue(&["q", "a"])));
        let chat = br#"{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}"#;
        assert_eq!(parse_item(chat), Ok(dialogue(&["q", "a"])));
    }

    #[test]
    fn problems_name_the_byte() {
        for (json, at, problem) in [
            (&b"[\"q\",\n 12]"[..], 8, "invalid type: integer `12`, expected a text"),
            (b"[\"\xff\"]", 2, "invalid UTF-8"),
            (b"\"\\ud800\"", 7, "a lone surrogate: \\ud800 to \\udfff stand for characters only in pairs"),
            (b"{\"text\": \"a\", \"text\": \"b\"}", 19, "duplicate key \"text\""),
            (
                b"{\"question\": \"a\"}",
                16,
                "no key \"text\", \"conversations\" or \"messages\" in the object",
            ),
            (
                b"12",
                1,
                "invalid type: integer `12`, expected a text, a list of texts, or an object with \"text\", \"conversations\" or \"messages\"",
            ),
        ] {
            let found = parse_item(json);
            assert_eq!(
                found,
                Err(ItemProblem { at, problem: problem.into() }),
                "{}",
                String::from_utf8_lossy(json)
            );
        }
    }
}
