"""What `verify` finds: every flipped bit, rows that mean something else, and a corpus that is another."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys

import pytest

import apollo_pack
from apollo_pack import FormatError
from apollo_pack._core import PackedFiles
from apollo_pack.tokenizers import find_tokenizer
from tiny_tokenizers import tiny

THOROUGH = bool(os.environ.get("APOLLO_PACK_THOROUGH"))


def found(path) -> bool:
    """Whether something is wrong with the file."""
    try:
        PackedFiles([path]).verify()
    except FormatError:
        return True
    return False


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.fixture
def small(tmp_path):
    """A file of a few kilobytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(tiny("bytes"))
    (folder / "x_en_qa.json").write_text(json.dumps([["a question?", "an answer."], ["q", "a"]]))
    apollo_pack.build(folder, tmp_path / "small.bin", seq_len=16)
    return tmp_path / "small.bin"


def test_every_flipped_bit_of_a_small_file(small, tmp_path):
    """Each is found (one of seven is tried, all with APOLLO_PACK_THOROUGH)."""
    content = small.read_bytes()
    assert not found(small)
    bits = range(0, len(content) * 8, 1 if THOROUGH else 7)
    path = tmp_path / "flipped.bin"
    missed = []
    for bit in bits:
        path.write_bytes(flipped(content, bit))
        if not found(path):
            missed.append(bit)
    assert not missed
    print(f"{len(bits)} flips of {len(content)} bytes, all found")


def test_every_truncation_of_a_small_file(small, tmp_path):
    content = small.read_bytes()
    path = tmp_path / "cut.bin"
    for length in range(0, len(content), 1 if THOROUGH else 13):
        path.write_bytes(content[:length])
        assert found(path), length


def test_random_flips_of_a_larger_file(tmp_path):
    """10,000 with APOLLO_PACK_THOROUGH, else a few hundred."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(tiny("bytes"))
    random.seed(3)
    texts = [" ".join(hex(random.getrandbits(60)) for _ in range(30)) for _ in range(1500)]
    (folder / "x_en_text.json").write_text(json.dumps(texts))
    path = tmp_path / "large.bin"
    apollo_pack.build(folder, path, seq_len=512)
    size = path.stat().st_size
    count = 10_000 if THOROUGH else 300
    with path.open("r+b") as file:
        for _ in range(count):
            at, bit = random.randrange(size), random.randrange(8)
            file.seek(at)
            (byte,) = file.read(1)
            file.seek(at)
            file.write(bytes([byte ^ 1 << bit]))
            file.flush()
            assert found(path), (at, bit)
            file.seek(at)
            file.write(bytes([byte]))
            file.flush()
    assert not found(path)
    print(f"{count} random flips of {size} bytes, all found")


def against(path, corpus, rows=None):
    return PackedFiles([path]).check_against(corpus, find_tokenizer(None, corpus), rows)


@pytest.mark.parametrize("packing", ["best-fit", "in-order", "concat"])
@pytest.mark.parametrize("order", ["corpus", "shuffle"])
def test_a_file_agrees_with_its_corpus(corpus, tmp_path, packing, order):
    out = tmp_path / "out.bin"
    report = apollo_pack.build(corpus, out, seq_len=64, packing=packing, order=order)
    totals = report.totals
    assert against(out, corpus) == {"rows": totals["rows"], "segments": totals["segments"], "complete": True}
    some = against(out, corpus, 5)
    assert (some["rows"], some["complete"]) == (5, False)
    assert 5 <= some["segments"] < totals["segments"]


def test_bad_items_and_other_settings_agree_too(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "x_en_qa.json").write_text(
        '[["q", "a"], ["q"], 12, "text", ["q <|im_end|>", "a"], ["q", "a", "b"]]'
    )
    (folder / "y_en_text.json").write_text('["one", "two words", "' + "long " * 500 + '" oh')
    for settings in (
        {"special_tokens": "error"},
        {"special_tokens": "parse", "overflow": "drop"},
        {"overflow": "truncate", "template": "chatml"},
        {"bos": "always", "bos_token": "<|im_start|>"},
    ):
        out = tmp_path / "out.bin"
        apollo_pack.build(folder, out, seq_len=64, on_error="skip", force=True, **settings)
        assert against(out, folder)["complete"]


def test_another_corpus_is_named(corpus, tmp_path):
    mine = tmp_path / "corpus"
    shutil.copytree(corpus, mine)
    out = tmp_path / "out.bin"
    apollo_pack.build(mine, out, seq_len=64)
    path = mine / "train/pretrain/medicalBook_en_text.json"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"blood", b"bload", 1))
    with pytest.raises(FormatError, match=r"row \d+, columns .*medicalBook_en_text.json, item 1"):
        against(out, mine)
    path.write_bytes(content + b" ")
    with pytest.raises(FormatError, match="is not the file"):
        against(out, mine, 1)
    path.unlink()
    with pytest.raises(FormatError, match="other files"):
        against(out, mine)
    path.write_bytes(content)
    (mine / "tokenizer.json").write_text(tiny("bytes"))
    with pytest.raises(apollo_pack.ApolloPackError):
        against(out, mine)


def test_on_the_command_line(corpus, packed):
    command = [sys.executable, "-m", "apollo_pack", "verify", str(packed), "--against", str(corpus)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "nothing of the corpus is missing" in done.stdout
