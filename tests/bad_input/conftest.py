"""A tiny tokenizer, an older output, and a corpus made to measure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from refusal import QA, TEXT

import apollo_pack
from tiny_tokenizers import tiny

if TYPE_CHECKING:
    from pathlib import Path

    from refusal import Make


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(tiny("bytes"))
    return path


@pytest.fixture(scope="session")
def old(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give the bytes of a packed file of several rows and inputs."""
    corpus = tmp_path_factory.mktemp("old")
    (corpus / TEXT).write_text(json.dumps([f"an older text {i} " * (i % 9) for i in range(12)]))
    (corpus / QA).write_text(json.dumps([["a question?", "an answer."]] * 4))
    apollo_pack.build(corpus, corpus / "out.bin", tokenizer=tokenizer, seq_len=32)
    return (corpus / "out.bin").read_bytes()


@pytest.fixture
def corpus(tmp_path: Path) -> Make:
    """Write a corpus folder; what is not bytes is dumped."""

    def make(**files: Any) -> Path:
        for name, content in {name.replace("__", "."): content for name, content in files.items()}.items():
            (tmp_path / "corpus").mkdir(exist_ok=True)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            (tmp_path / "corpus" / name).write_bytes(data)
        return tmp_path / "corpus"

    return make
