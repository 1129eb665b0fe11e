"""The examples are what is tested: they can be imported here."""

import sys
from pathlib import Path

import pytest

import apollo_pack
from tiny_tokenizers import EOS, tiny

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "trainers"


@pytest.fixture(autouse=True)
def _examples(monkeypatch):
    """Other projects may warn, and look for the network in vain."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES), prepend=":")
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    sys.modules.pop("small_model", None)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory) -> Path:
    """A tokenizer of a few hundred tokens: with a large one a small model does little else than logits."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(tiny("bytes"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def packed(corpus, tokenizer, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "out.bin"
    apollo_pack.build(corpus, out, seq_len=128, tokenizer=tokenizer, eos=EOS["bytes"], pad=EOS["bytes"])
    return out
