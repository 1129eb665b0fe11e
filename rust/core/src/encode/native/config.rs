//! Which tokenizers are fully understood, and what they come down to.

use super::json::{
    Behavior, File, Normalizer, Part, Pattern, PostProcessor, PreTokenizer, PrependScheme, SequenceId,
};

/// One step of normalization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nfc,
    Nfkc,
    /// Every occurrence of the first by the second.
    Replace(String, String),
    /// Before any text that is not empty.
    Prepend(String),
}

/// A known split pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Gpt2,
    Llama3,
    Qwen2,
    Qwen35,
    O200k,
    Tekken,
    DeepSeek,
}

/// One stage of pre-tokenization; each works on the pieces of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Known(Known),
    /// `Digits`: every one alone, or in runs.
    Digits {
        alone: bool,
    },
    /// A literal string, and what becomes of it.
    Literal(String, Behavior),
}

/// How spaces become visible (`▁`) where that is the pre-tokenizer's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Metaspace {
    pub(super) replacement: char,
    pub(super) prepend: PrependScheme,
    pub(super) split: bool,
}

/// What a file says about the way from text to pieces.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) stages: Vec<Stage>,
    pub(super) metaspace: Option<Metaspace>,
    pub(super) byte_level: bool,
    /// `ByteLevel` puts a space before a text that does not begin with one.
    pub(super) prefix_space: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The three patterns of `DeepSeek` V3, in order.
pub(super) const DEEPSEEK: [&str; 3] = [
    r"\p{N}{1,3}",
    "[一-龥\u{3040}-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
];

impl Known {
    /// The single patterns with their text.
    pub(super) const SINGLE: [(Known, &'static str); 6] = [
        (Known::Gpt2, GPT2),
        (Known::Llama3, LLAMA3),
        (Known::Qwen2, QWEN2),
        (Known::Qwen35, QWEN35),
        (Known::O200k, O200K),
        (Known::Tekken, TEKKEN),
    ];
}

/// What the file comes down to, or why it is not understood.
#[allow(clippy::too_many_lines)] // one arm for every kind of pre-tokenizer
pub(super) fn plan_of(file: &File) -> Result<Plan, String> {
    if file.version != "1.0" {
        return Err(format!("version {:?} of the format", file.version));
    }
    check_model(file)?;
    if let Some(post) = &file.post_processor {
        check_post_processor(post)?;
    }
    let mut steps = Vec::new();
    if let Some(normalizer) = &file.normalizer {
        flatten_normalizer(normalizer, &mut steps)?;
    }
    let mut flat = Vec::new();
    if let Some(pre_tokenizer) = &file.pre_tokenizer {
        flatten_pre_tokenizer(pre_tokenizer, &mut flat);
    }
    let mut plan =
        Plan { steps, stages: Vec::new(), metaspace: None, byte_level: false, prefix_space: false };
    let count = flat.len();
    let mut deepseek = 0;
    for (index, pre_tokenizer) in flat.into_iter().enumerate() {
        if plan.byte_level {
            return Err("a pre-tokenizer after ByteLevel".into());
        }
        match pre_tokenizer {
            PreTokenizer::ByteLevel { add_prefix_space, use_regex, .. } => {
                if add_prefix_space && index > 0 {
                    return Err("ByteLevel with add_prefix_space after another pre-tokenizer".into());
                }
                plan.byte_level = true;
                plan.prefix_space = add_prefix_space;
                if use_regex {
                    plan.stages.push(Stage::Known(Known::Gpt2));
                }
            }
            PreTokenizer::Split {
                pattern: Pattern::Regex(regex),
                behavior: Behavior::Isolated,
                invert: false,
            } => {
                if deepseek < 3 && regex == DEEPSEEK[deepseek] && index == deepseek {
                    deepseek += 1;
                    if deepseek == 3 {
                        plan.stages.push(Stage::Known(Known::DeepSeek));
                    }
                } else if let Some((known, _)) = Known::SINGLE.iter().find(|(_, text)| *text == regex) {
                    plan.stages.push(Stage::Known(*known));
                } else {
                    return Err(format!("the split pattern {regex:?}"));
                }
            }
            PreTokenizer::Split { pattern: Pattern::String(text), behavior, invert: false }
                if !text.is_empty() && behavior != Behavior::Removed =>
            {
                if !never_left(&plan.steps, &text) {
                    plan.stages.push(Stage::Literal(text, behavior));
                }
            }
            PreTokenizer::Split { .. } => return Err("this kind of Split".into()),
            PreTokenizer::Digits { individual_digits } => {
                plan.stages.push(Stage::Digits { alone: individual_digits });
            }
            PreTokenizer::Metaspace { replacement, add_prefix_space, prepend_scheme, split, .. } => {
                if count != 1 {
                    return Err("Metaspace beside another pre-tokenizer".into());
                }
                if add_prefix_space == Some(false) && prepend_scheme != PrependScheme::Never {
                    return Err("Metaspace that contradicts itself".into());
                }
                plan.metaspace =
                    Some(Metaspace { replacement, prepend: prepend_scheme, split: split.unwrap_or(true) });
            }
            PreTokenizer::Sequence { .. } => return Err("a nested sequence".into()),
        }
    }
    if deepseek != 0 && deepseek != 3 {
        return Err("part of the DeepSeek patterns".into());
    }
    check_first(&plan)?;
    Ok(plan)
}

/// `prepend_scheme: first` asks where in the original text a piece began, which replacements blur.
fn check_first(plan: &Plan) -> Result<(), String> {
    let first = plan.metaspace.is_some_and(|metaspace| metaspace.prepend == PrependScheme::First);
    if first && !plan.steps.is_empty() {
        return Err("prepend_scheme first after a normalizer".into());
    }
    Ok(())
}

/// Whether no text can hold the string once it is normalized: the last step replaces it by others.
fn never_left(steps: &[Step], text: &str) -> bool {
    matches!(steps.last(), Some(Step::Replace(from, to))
        if from == text && text.chars().count() == 1 && !to.contains(text))
}

fn check_model(file: &File) -> Result<(), String> {
    let model = &file.model;
    if model.dropout.is_some() {
        return Err("dropout".into());
    }
    for (name, affix) in [
        ("continuing_subword_prefix", &model.continuing_subword_prefix),
        ("end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        if affix.as_ref().is_some_and(|affix| !affix.is_empty()) {
            return Err(name.into());
        }
    }
    Ok(())
}

fn check_post_processor(post: &PostProcessor) -> Result<(), String> {
    match post {
        PostProcessor::ByteLevel | PostProcessor::RobertaProcessing | PostProcessor::BertProcessing => Ok(()),
        PostProcessor::TemplateProcessing { single } => {
            let texts = single.iter().filter_map(|part| match part {
                Part::Sequence { id } => Some(*id == SequenceId::A),
                Part::SpecialToken(_) => None,
            });
            if texts.eq([true]) {
                Ok(())
            } else {
                Err("a template without the text, or with more than one".into())
            }
        }
        PostProcessor::Sequence { processors } => processors.iter().try_for_each(check_post_processor),
    }
}

fn flatten_normalizer(normalizer: &Normalizer, steps: &mut Vec<Step>) -> Result<(), String> {
    match normalizer {
        Normalizer::Nfc {} => steps.push(Step::Nfc),
        Normalizer::Nfkc {} => steps.push(Step::Nfkc),
        // The reference repeats the first character for an empty one.
        Normalizer::Prepend { prepend } if prepend.is_empty() => {
            return Err("Prepend of nothing".into());
        }
        Normalizer::Prepend { prepend } => steps.push(Step::Prepend(prepend.clone())),
        Normalizer::Replace { pattern: Pattern::String(from), content }
            if !from.is_empty() && !content.is_empty() =>
        {
            steps.push(Step::Replace(from.clone(), content.clone()));
        }
        Normalizer::Replace { .. } => return Err("this kind of Replace".into()),
        Normalizer::Sequence { normalizers } => {
            for normalizer in normalizers {
                flatten_normalizer(normalizer, steps)?;
            }
        }
    }
    Ok(())
}

fn flatten_pre_tokenizer(pre_tokenizer: &PreTokenizer, flat: &mut Vec<PreTokenizer>) {
    if let PreTokenizer::Sequence { pretokenizers } = pre_tokenizer {
        for pre_tokenizer in pretokenizers {
            flatten_pre_tokenizer(pre_tokenizer, flat);
        }
    } else {
        flat.push(pre_tokenizer.clone());
    }
}
