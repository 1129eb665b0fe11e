"""A sample of every real file, built and compared with the oracle; skipped without the shared data."""

from __future__ import annotations

import functools
import itertools
import json
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file
from tokenizers import Tokenizer

import apollo_pack
from apollo_pack.tokenizers import default_tokenizer
from oracle import COLUMNS, File, Oracle, check, expect
from shared_data import shared_data

if TYPE_CHECKING:
    from pathlib import Path

SEQ_LEN = 512
EOS = {"qwen2": "<|endoftext|>", "gemma": "<eos>", "llama2": "</s>"}
LANGUAGES = {"en", "zh", "es", "fr", "hi", "ar"}


@functools.cache
def whole() -> dict[str, File]:
    """Read the corpus, in the order of its paths."""
    train = shared_data() / "corpus" / "train"
    corpus = {}
    for path in sorted(train.rglob("*.json")):
        words = path.stem.split("_")
        language = next(word for word in words if word in LANGUAGES)
        name = path.relative_to(train.parent).as_posix()
        source = "_".join(word for word in words if word not in {language, "qa", "text"})
        corpus[name] = File(source, language, json.loads(path.read_bytes()))
    return corpus


@functools.cache
def sample() -> dict[str, File]:
    """Take the first items of every file, and some from all over it."""
    chosen = {}
    for name, file in whole().items():
        every = max(1, len(file.items) // 12)
        items = file.items[:25] + file.items[25::every]
        chosen[name] = File(file.source, file.language, items)
    return chosen


@functools.cache
def oracle(tokenizer: str) -> Oracle:
    """Make the oracle; it remembers what it has encoded."""
    text = (shared_data() / "tokenizers" / tokenizer / "tokenizer.json").read_text(encoding="utf-8")
    made = Oracle(text, eos=EOS[tokenizer])
    made.encode = functools.lru_cache(made.encode)  # type: ignore[method-assign]
    return made


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the sample as a corpus: compact, pretty-printed and escaped by turns."""
    root = tmp_path_factory.mktemp("sample")
    styles = itertools.cycle(
        [{}, {"indent": 4}, {"ensure_ascii": False}, {"ensure_ascii": False, "indent": 1}]
    )
    for name, file in sample().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(file.items, **next(styles)), encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def built(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sample with qwen2."""
    out = tmp_path_factory.mktemp("built") / "out.bin"
    apollo_pack.build(folder, out, tokenizer=shared_data() / "tokenizers" / "qwen2", seq_len=SEQ_LEN)
    return out


def test_the_sample_is_of_everything() -> None:
    """Every file is there, both kinds, six languages, single and many turns, long and short items."""
    items = [item for file in sample().values() for item in file.items]
    assert len(sample()) == len(whole()) == 34
    assert {file.language for file in sample().values()} == LANGUAGES
    assert {isinstance(item, str) for item in items} == {True, False}
    turns = {len(item) for item in items if not isinstance(item, str)}
    assert min(turns) == 2
    assert max(turns) > 10


@pytest.mark.parametrize(
    ("tokenizer", "packing"),
    [*((name, "best-fit") for name in EOS), ("qwen2", "concat"), ("llama2", "in-order"), ("gemma", "concat")],
)
def test_every_file(tokenizer: str, packing: str, folder: Path, tmp_path: Path) -> None:
    """Every document of the sample stands in the rows as the oracle has it."""
    path = shared_data() / "tokenizers" / tokenizer
    report = apollo_pack.build(folder, tmp_path / "out.bin", tokenizer=path, seq_len=SEQ_LEN, packing=packing)
    ds = apollo_pack.PackedDataset(tmp_path / "out.bin", columns=COLUMNS)
    check(ds, expect(sample(), oracle(tokenizer), SEQ_LEN, packing), sample(), packing)
    assert [entry["path"] for entry in ds.metadata["inputs"]] == list(sample())
    if packing != "in-order":
        assert report.totals["padding"] <= 0.005 * len(ds) * SEQ_LEN
    else:
        assert report.totals["padding"] < 0.4 * len(ds) * SEQ_LEN


def test_default_tokenizer_is_qwen2(folder: Path, built: Path, tmp_path: Path) -> None:
    """The embedded vocabulary gives the rows of the shared one, and the same ids on any text."""
    apollo_pack.build(folder, tmp_path / "out.bin", seq_len=SEQ_LEN)
    ours, theirs = (
        apollo_pack.PackedDataset(path, columns=COLUMNS) for path in (tmp_path / "out.bin", built)
    )
    assert len(ours) == len(theirs)
    for name in COLUMNS:
        np.testing.assert_array_equal(ours[:][name], theirs[:][name])
    embedded = Tokenizer.from_str(default_tokenizer().tokenizer_json.decode())
    shared = Tokenizer.from_file(str(shared_data() / "tokenizers" / "qwen2" / "tokenizer.json"))
    assert embedded.get_vocab(with_added_tokens=True) == shared.get_vocab(with_added_tokens=True)
    for file in whole().values():
        items = file.items[7 :: max(1, len(file.items) // 40)]
        texts = [item if isinstance(item, str) else "\n".join(item) for item in items]
        for text, a, b in zip(texts, embedded.encode_batch(texts), shared.encode_batch(texts), strict=True):
            assert a.ids == b.ids, text


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_is_the_folder(compression: int, folder: Path, built: Path, tmp_path: Path) -> None:
    """A zip of the corpus, its entries in another order, gives the content of the folder."""
    with zipfile.ZipFile(tmp_path / "ApolloCorpus.zip", "w", compression) as archive:
        for name in reversed(sample()):
            archive.write(folder / name, name)
    settings = {"tokenizer": shared_data() / "tokenizers" / "qwen2", "seq_len": SEQ_LEN, "threads": 3}
    report = apollo_pack.build(tmp_path / "ApolloCorpus.zip", tmp_path / "out.bin", **settings)
    assert report.content_hash == apollo_pack.PackedDataset(built).metadata["content_hash"]
    assert (tmp_path / "out.bin").read_bytes() == built.read_bytes()


def test_safetensors_reads_the_same(built: Path) -> None:
    """Safetensors opens the file, and its tensors are what `PackedDataset` gives."""
    ds = apollo_pack.PackedDataset(built, columns=COLUMNS)
    rows = ds[:]
    tensors = load_file(built)
    with safe_open(built, "np") as opened:
        assert set(opened.keys()) == set(tensors)
        np.testing.assert_array_equal(opened.get_tensor("tokens"), tensors["tokens"])
        np.testing.assert_array_equal(opened.get_slice("tokens")[3:5], rows["input_ids"][3:5])
    np.testing.assert_array_equal(tensors["tokens"], rows["input_ids"])
    mask = np.unpackbits(tensors["loss_mask"], axis=1, bitorder="little").astype(bool)
    np.testing.assert_array_equal(mask, rows["loss_mask"])
    np.testing.assert_array_equal(np.where(mask, tensors["tokens"].astype(np.int64), -100), rows["labels"])
    assert json.loads(tensors["metadata"].tobytes()) == ds.metadata
    offsets, inputs = tensors["segment_offsets"], ds.metadata["inputs"]
    assert offsets[0] == 0
    assert offsets[-1] == len(tensors["segment_ends"]) == ds.metadata["totals"]["segments"]
    for i in range(len(ds)):
        of_row = slice(int(offsets[i]), int(offsets[i + 1]))
        found = [
            (inputs[source]["path"], item, start, end, bool(flags & 2), bool(flags & 1))
            for source, item, start, end, flags in zip(
                *(
                    tensors[f"segment_{name}"][of_row]
                    for name in ("inputs", "items", "starts", "ends", "flags")
                ),
                strict=True,
            )
        ]
        names = ("source", "item", "document_start", "end", "continued", "cut")
        assert found == [tuple(segment[name] for name in names) for segment in ds.documents(i)]


def test_memmap_gives_the_tokens(built: Path) -> None:
    """One line of numpy reads the rows, with no library of ours."""
    ds = apollo_pack.PackedDataset(built)
    tokens = np.memmap(built, "<u4", "r", 4096, (len(ds), SEQ_LEN))
    np.testing.assert_array_equal(tokens, ds[:]["input_ids"])
