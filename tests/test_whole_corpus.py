"""The whole real corpus, every tokenizer, packing and row length; skipped without the shared data."""

import hashlib
import itertools
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import apollo_pack
from apollo_pack import PackedDataset, _core
from shared_data import shared_data

TOKENIZERS = ("qwen2", "gemma", "llama2")
PACKINGS = ("best-fit", "in-order", "concat")


def build(tokenizer, out, **settings):
    data = shared_data()
    tokenizer = data / "tokenizers" / tokenizer
    return apollo_pack.build(settings.pop("corpus", data / "corpus"), out, tokenizer=tokenizer, **settings)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def items():
    """How many items each file has, by a parser of another make."""
    root = shared_data() / "corpus"
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.json"))
    return {name: len(json.loads((root / name).read_bytes())) for name in files}


@pytest.mark.parametrize(("tokenizer", "seq_len"), list(itertools.product(TOKENIZERS, (4096, 512))))
def test_every_packing_holds_every_token_once(tmp_path, items, tokenizer, seq_len):
    tokens = {}
    for packing in PACKINGS:
        out = tmp_path / f"{packing}.bin"
        report = build(tokenizer, out, seq_len=seq_len, packing=packing)
        assert {file["path"]: file["items"] for file in report.raw["inputs"]} == items
        (verified,) = _core.PackedFiles([out]).verify()
        assert verified["content_hash"] == report.content_hash
        tokens[packing] = documents(out, report.raw["inputs"], packing)
        padding = report.totals["padding"] / (report.totals["rows"] * seq_len)
        if packing == "best-fit" and seq_len == 4096:
            assert padding < 0.005
        if packing == "concat":
            assert report.totals["padding"] < seq_len
        out.unlink()
    assert tokens["best-fit"] == tokens["in-order"]
    # What runs on is not cut off: the same documents, to their ends.
    assert set(tokens["best-fit"]) <= set(tokens["concat"])
    assert all(length <= tokens["concat"][key] for key, length in tokens["best-fit"].items())


def documents(out, inputs, packing):
    """Sum the tokens of each document over its segments, and check that these follow each other."""
    arrays = load_file(out)
    seq_len = arrays["tokens"].shape[1]
    counts = np.diff(arrays["segment_offsets"].astype(np.int64))
    ends = arrays["segment_ends"].astype(np.int64)
    first = np.zeros(len(ends), bool)
    first[arrays["segment_offsets"][:-1][counts > 0]] = True
    lengths = ends - np.where(first, 0, np.concatenate([[0], ends[:-1]]))
    assert (lengths > 0).all()
    cut = (arrays["segment_flags"] & 1).astype(bool)
    starts = arrays["segment_starts"].astype(np.int64)
    if packing != "concat":
        whole_rows = lengths == seq_len
        assert (whole_rows | ~cut).all(), "only what is longer than a row is cut"
    order = np.lexsort((starts, arrays["segment_items"], arrays["segment_inputs"]))
    key = np.stack([arrays["segment_inputs"], arrays["segment_items"]], axis=1)[order].astype(np.int64)
    same = (key[1:] == key[:-1]).all(axis=1)
    after = (starts + lengths)[order]
    gaps = starts[order][1:][same] - after[:-1][same]
    assert (gaps == 0).all() or (packing != "concat" and (gaps >= 0).all()), "segments overlap or leave gaps"
    last = np.append(~same, [True])
    return {
        (inputs[i]["path"], int(item)): int(end)
        for (i, item), end in zip(key[last], after[last], strict=True)
    }


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_threads_and_archives_change_nothing(tmp_path, tokenizer):
    data = shared_data()
    archive = tmp_path / "corpus.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
        for path in sorted((data / "corpus").rglob("*.json"), reverse=True):
            zipped.write(path, path.relative_to(data / "corpus"))
    digests = set()
    for threads, corpus in ((1, data / "corpus"), (2, archive), (7, data / "corpus")):
        out = Path(tmp_path / "out.bin")
        build(tokenizer, out, threads=threads, corpus=corpus, seq_len=2048, force=True)
        digests.add(digest(out))
    assert len(digests) == 1
    assert len(PackedDataset(out)) > 0
