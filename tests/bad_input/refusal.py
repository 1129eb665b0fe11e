"""What the tests of bad input have in common: names, and what it means to be refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import apollo_pack
from apollo_pack import ApolloPackError

Make = Callable[..., Path]

TEXT, QA, LINES = "medicalWiki_en_text.json", "medicalExam_en.json", "medicalWeb_en_text.jsonl"
GOOD = b'["hello world", "second text"]'


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def refused(
    kind: type[ApolloPackError], corpus: Path, tokenizer: Path | None, old: bytes, **options: Any
) -> Any:
    """Build over an older output; see that the error is of this kind and all files are as they were."""
    out = corpus.parent / "out"
    out.mkdir(exist_ok=True)
    (out / "out.bin").write_bytes(old)
    before = tree(corpus.parent)
    with pytest.raises(kind) as caught:
        apollo_pack.build(
            corpus, out / "out.bin", **{"tokenizer": tokenizer, "seq_len": 32, "force": True, **options}
        )
    assert tree(corpus.parent) == before
    assert str(caught.value).strip()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own
    return caught.value
