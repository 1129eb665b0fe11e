"""Apollo's original preprocessing, written again from its description in plain Python lists.

Shares nothing with the product: the encoder is Hugging Face ``tokenizers``. Only the order comes from
outside.
"""

from __future__ import annotations

import fnmatch
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

from tokenizers import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

IGNORED = -100
GROUP = 256
SEPARATOR = "\n"
ROLES = {
    "apollo-qwen": ("User:", "Assistant:"),
    "apollo-gemma": ("User:", "Assistant:"),
    "apollo-yi": ("<|User|>:", "<|Assistant|>:"),
    "apollo-moe": ("User:", "Assistant:"),
    "medjamba": ("<|User|>:\n", "<|Assistant|>:\n"),
}


class Document(NamedTuple):
    """Ids and labels, and how many ids there would be without any cut of them."""

    ids: list[int]
    labels: list[int]
    whole: int


# The SFT files that the original lists, by source.
APOLLO_SFT = {
    "code": "en zh",
    "math": "en zh",
    "general": "ar en es fr hi zh",
    "medicalExam": "en es fr zh",
    "medicalPatient": "ar en zh",
}
MOE_SFT = APOLLO_SFT | {
    "general": "ar de en es fr hi it ja ko pt ru zh",
    "medicalExam": "de en es fr it ja ko ru zh",
    "medicalPatient": "ar en it ja ko pt ru zh",
}


def epochs_of(path: str, variant: str) -> int:
    """How often a file's items come: 0 where the original does not list it."""
    stem = PurePath(path).stem
    if fnmatch.fnmatch(path, "*pretrain/*"):
        return 1 if stem.endswith("_qa") else 0
    listed = MOE_SFT if variant == "apollo-moe" else APOLLO_SFT
    source = next((source for source, of in listed.items() if stem in _named(source, of)), None)
    if source is None or not fnmatch.fnmatch(path, "*sft/*"):
        return 0
    return 1 if source in {"code", "math"} else 2


def _named(source: str, languages: str) -> set[str]:
    return {f"{source}_{language}" for language in languages.split()}


class Original:
    """One variant of the preprocessing with one tokenizer."""

    def __init__(self, tokenizer_json: str, variant: str, seq_len: int, *, eos: str, pad: str) -> None:
        """Read the tokenizer; a `pad` that it has not got is added to it."""
        self.tok = Tokenizer.from_str(tokenizer_json)
        if self.tok.token_to_id(pad) is None:
            self.tok.add_special_tokens([pad])
        self.variant = variant
        self.user, self.assistant = ROLES[variant]
        self.seq_len = seq_len
        self.eos, self.pad = self.tok.token_to_id(eos), self.tok.token_to_id(pad)
        self.ignore_len = len(self.encode([SEPARATOR + self.assistant])[0])

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Encode as `tokenizer.encode(text, add_special_tokens=False)` does."""
        return [found.ids for found in self.tok.encode_batch(texts, add_special_tokens=False)]

    def document(self, turns: Sequence[str]) -> Document:
        """Encode one dialogue."""
        texts = []
        for i, turn in enumerate(turns):
            if i % 2:
                texts.append(SEPARATOR + self.assistant + turn)
            else:
                texts.append((SEPARATOR if i else "") + self.user + turn)
        ids: list[int] = []
        labels: list[int] = []
        cut = 0
        for i, full in enumerate(self.encode(texts)):
            value = full[: self.seq_len]
            cut += len(full) - len(value)
            ids += value
            if i % 2:
                labels += [IGNORED] * min(self.ignore_len, len(value)) + value[self.ignore_len :]
                if len(labels) >= self.seq_len:
                    break
            elif labels:
                labels += [self.eos] + [IGNORED] * (len(value) - 1)
            else:
                labels += [IGNORED] * len(value)
        ids.append(self.eos)
        labels.append(self.eos)
        assert len(ids) == len(labels), "the original falls out of step here"
        return Document(ids[: self.seq_len], labels[: self.seq_len], len(ids) + cut)

    def rows(self, documents: Iterable[Document]) -> Iterator[tuple[list[int], list[int]]]:
        """Pack documents, in order, in groups."""
        listed = list(documents)
        for start in range(0, len(listed), GROUP):
            ids: list[int] = []
            labels: list[int] = []
            for document in listed[start : start + GROUP]:
                if len(ids) + len(document.ids) > self.seq_len:
                    yield self.filled(ids, labels)
                    ids, labels = [], []
                ids = ids + document.ids
                labels = labels + document.labels
            yield self.filled(ids, labels)

    def filled(self, ids: list[int], labels: list[int]) -> tuple[list[int], list[int]]:
        """Fill a row with padding."""
        rest = self.seq_len - len(ids)
        return ids + [self.pad] * rest, labels + [IGNORED] * rest


def accounts(
    documents: Mapping[tuple[str, int], Document], files: Mapping[str, tuple[str, str]], variant: str
) -> dict[tuple[str, str], dict[str, int]]:
    """Count, by source and language, what comes in and what stands in the rows."""
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for (path, _), document in documents.items():
        repeats = epochs_of(path, variant) - 1
        one = {
            "items": 1,
            "items_kept": 1,
            "tokens": document.whole,
            "tokens_kept": len(document.ids),
            "tokens_truncated": document.whole - len(document.ids),
            "loss_tokens": (repeats + 1) * sum(label != IGNORED for label in document.labels),
            "items_repeated": repeats,
            "tokens_repeated": repeats * len(document.ids),
            "items_cut": int(document.whole > len(document.ids)),
            "items_without_loss": int(all(label == IGNORED for label in document.labels)),
        }
        entry = sums.setdefault(files[path], dict.fromkeys(one, 0))
        for name, count in one.items():
            entry[name] += count
    return sums
