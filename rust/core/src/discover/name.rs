//! What the name of a file says about its content: `{source}_{lang}[_more][_qa|_text].json`.

use serde::{Deserialize, Serialize};

/// What the items of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Plain text: every token counts for the loss.
    Text,
    /// Questions and answers in turn: only the answers count.
    Qa,
}

impl Kind {
    /// `text` or `qa`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Qa => "qa",
        }
    }
}

/// The parts of a file name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileName {
    /// `medicalWiki`, `medicalExam_tiku`, …: all that is neither language nor kind.
    pub source: String,
    /// Two letters, or `und` (undetermined, ISO 639-2) where the name has none.
    pub language: String,
    /// The kind, where the name says it.
    pub kind: Option<Kind>,
}

impl FileName {
    /// Reads a file name without its extensions.
    #[must_use]
    pub fn parse(stem: &str) -> Self {
        let mut parts: Vec<&str> = stem.split('_').collect();
        let kind = match parts.last() {
            Some(&"qa") if parts.len() > 1 => Some(Kind::Qa),
            Some(&"text") if parts.len() > 1 => Some(Kind::Text),
            _ => None,
        };
        if kind.is_some() {
            parts.pop();
        }
        let is_language = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_lowercase());
        // A source name comes first, so a two-letter first part is the language only if no other is.
        let at = (1..parts.len())
            .find(|&i| is_language(parts[i]))
            .or_else(|| parts.first().is_some_and(|part| is_language(part)).then_some(0));
        let language = at.map_or("und", |at| parts.remove(at)).to_owned();
        let source = if parts.is_empty() { stem.to_owned() } else { parts.join("_") };
        Self { source, language, kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(stem: &str) -> (String, String, Option<Kind>) {
        let name = FileName::parse(stem);
        (name.source, name.language, name.kind)
    }

    #[test]
    fn names_of_the_published_corpus() {
        let qa = Some(Kind::Qa);
        let text = Some(Kind::Text);
        for (stem, source, language, kind) in [
            ("medicalBook_en_text", "medicalBook", "en", text),
            ("medicalPaper_zh_qa", "medicalPaper", "zh", qa),
            ("medicalExam_fr", "medicalExam", "fr", None),
            ("medicalWiki_zh_xiaohe_qa", "medicalWiki_xiaohe", "zh", qa),
            ("medicalExam_zh_clean", "medicalExam_clean", "zh", None),
            ("notes", "notes", "und", None),
            ("hi", "hi", "hi", None),
            ("en_notes", "notes", "en", None),
            ("qa", "qa", "qa", None),
            ("text", "text", "und", None),
        ] {
            assert_eq!(parse(stem), (source.into(), language.into(), kind), "{stem}");
        }
    }
}
