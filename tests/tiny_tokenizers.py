"""Tokenizers of a few hundred tokens, trained on the spot: every kind, and no shared data."""

from __future__ import annotations

import functools
import json
from typing import Any

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

_LINES = [
    "The patient has a fever and a cough. It's 38.5 degrees, isn't it?",
    "User: what is it?\nAssistant: rest and water, twice a day.\n\n",
    "患者发烧、咳嗽。请多休息。",
    "المريض يعاني من الحمى والسعال",
    "रोगी को बुखार और खाँसी है",
    "Le malade a de la fièvre ; él también.",
]
CHAT = ["<|im_start|>", "<|im_end|>", "<|user|>", "<|assistant|>", "<|end|>"]
EOS = {"bytes": "<|endoftext|>", "bytes-prefix": "<|endoftext|>", "prepend": "</s>", "metaspace": "</s>"}


@functools.cache
def tiny(name: str) -> str:
    """Train a tokenizer of a few hundred tokens; give its JSON.

    ``bytes``: byte-level BPE, NFC, chat tokens (as Qwen). ``bytes-prefix``: byte-level with a space before
    each text, and special tokens that swallow space around them (as old ones). ``prepend``: SentencePiece
    kind with byte fallback, ``▁`` by normalizer, BOS, chat tokens that swallow space after them (as Llama 2
    and Phi 3). ``metaspace``: the same by pre-tokenizer, ``▁`` only at the beginning, plain chat tokens.
    """
    return _byte_level(prefix=name == "bytes-prefix") if name.startswith("bytes") else _sentence_piece(name)


def _byte_level(*, prefix: bool) -> str:
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tok.decoder = decoders.ByteLevel()
    if not prefix:
        tok.normalizer = normalizers.NFC()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tok.train_from_iterator(
        _LINES * 3, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    )
    tok.add_special_tokens(["<|endoftext|>"])
    tok.add_special_tokens([AddedToken(text, lstrip=prefix, rstrip=prefix) for text in CHAT])
    tok.add_tokens(["<extra>"])  # an added token that is not special is found in any text
    return tok.to_str()


def _sentence_piece(name: str) -> str:
    tok = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))  # noqa: S106 - no password
    if name == "prepend":
        tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    special = ["<unk>", "<s>", "</s>", *fallback]
    trainer = trainers.BpeTrainer(vocab_size=460, special_tokens=special, show_progress=False)
    tok.train_from_iterator([line for text in _LINES * 3 for line in text.splitlines()], trainer)
    definition: dict[str, Any] = json.loads(tok.to_str())
    definition["added_tokens"] = [t for t in definition["added_tokens"] if t["content"] not in fallback]
    tok = Tokenizer.from_str(json.dumps(definition))
    tok.add_special_tokens([AddedToken(text, rstrip=name == "prepend") for text in CHAT])
    tok.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tok.to_str()
