"""`PackedDataset` as a trainer uses it, and the file as other readers see it."""

import json
import os
import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import apollo_pack
from apollo_pack import PackedDataset
from apollo_pack.batch import NUMBERS

COLUMNS = (*NUMBERS, "loss_mask")


@pytest.fixture(scope="module")
def ds(packed):
    return PackedDataset(packed, columns=COLUMNS)


def test_a_row_is_a_dict_of_arrays(packed):
    row = PackedDataset(packed)[0]
    assert list(row) == ["input_ids", "labels", "position_ids"]
    assert all(values.shape == (64,) and values.dtype == np.int64 for values in row.values())


def test_indices(ds):
    assert len(ds) == ds.metadata["totals"]["rows"] > 3
    last = ds[len(ds) - 1]
    for same in (ds[-1], ds[np.int64(-1)], {name: a[0] for name, a in ds[[-1]].items()}):
        assert all((same[name] == last[name]).all() for name in COLUMNS)
    for index in (len(ds), -len(ds) - 1):
        with pytest.raises(IndexError):
            ds[index]
        with pytest.raises(IndexError):
            ds[[0, index]]
    for wrong in ("0", [True, False], 1.0):
        with pytest.raises(TypeError):
            ds[wrong]


def test_batches(ds):
    rows = [ds[i] for i in range(len(ds))]
    mask = np.zeros(len(ds), bool)
    mask[[1, 3]] = True
    for index, expected in (
        (slice(None), range(len(ds))),
        (slice(-1, 0, -2), range(len(ds) - 1, 0, -2)),
        (slice(5, 5), []),
        ([2, 0, 2], [2, 0, 2]),
        (np.array([1, 3]), [1, 3]),
        (mask, [1, 3]),
    ):
        batch = ds[index]
        for name in COLUMNS:
            assert batch[name].shape == (len(expected), 64)
            assert all((batch[name][at] == rows[i][name]).all() for at, i in enumerate(expected))
    items = ds.__getitems__([1, 2])
    assert [(item["labels"] == rows[i]["labels"]).all() for item, i in zip(items, (1, 2), strict=True)] == [
        True
    ] * 2
    assert sum(1 for _ in ds) == len(ds)


def test_columns_agree_with_each_other_and_with_the_documents(ds):
    counted = 0
    for i, row in enumerate(ds):
        position, segment = np.zeros(64, np.int64), np.zeros(64, np.int64)
        for number, document in enumerate(ds.documents(i), 1):
            start, end = document["start"], document["end"]
            position[start:end], segment[start:end] = np.arange(end - start), number
            assert not row["loss_mask"][start]
        assert (row["position_ids"] == position).all()
        assert (row["segment_ids"] == segment).all()
        assert (row["attention_mask"] == (segment > 0)).all()
        assert (row["labels"] == np.where(row["loss_mask"], row["input_ids"], -100)).all()
        assert not row["loss_mask"][segment == 0].any()
        assert (row["input_ids"][segment == 0] == ds.metadata["tokenizer"]["pad_id"]).all()
        counted += int(row["loss_mask"].sum())
    assert counted == ds.metadata["totals"]["loss_tokens"] == sum(entry.loss_tokens for entry in ds.ledger)


def test_arrays_are_the_callers_own(ds):
    first = ds[0]["input_ids"]
    first[:] = -1
    assert ds[0]["input_ids"][0] != -1


def test_unknown_columns_and_formats_are_refused(packed):
    with pytest.raises(ValueError, match="no column 'ids'"):
        PackedDataset(packed, columns=["ids"])
    with pytest.raises(ValueError, match="format"):
        PackedDataset(packed, format="arrow")
    with pytest.raises(FileNotFoundError):
        PackedDataset(packed.with_name("missing.bin"))


def test_the_file_without_this_library(packed, ds):
    rows = len(ds)
    tokens = np.memmap(packed, "<u4", "r", 4096, (rows, 64))
    assert (tokens == ds[:]["input_ids"]).all()
    arrays = safetensors.numpy.load_file(packed)
    assert (arrays["tokens"] == tokens).all()
    bits = np.unpackbits(arrays["loss_mask"], axis=1, bitorder="little")
    assert (bits == ds[:]["loss_mask"]).all()
    assert json.loads(arrays["metadata"].tobytes()) == ds.metadata
    offsets = arrays["segment_offsets"]
    inputs = [file["path"] for file in ds.metadata["inputs"]]
    for i in range(rows):
        span = slice(int(offsets[i]), int(offsets[i + 1]))
        documents = ds.documents(i)
        assert [d["end"] for d in documents] == arrays["segment_ends"][span].tolist()
        assert [d["item"] for d in documents] == arrays["segment_items"][span].tolist()
        assert [d["source"] for d in documents] == [inputs[f] for f in arrays["segment_inputs"][span]]
        flags = [d["cut"] + 2 * d["continued"] for d in documents]
        assert flags == arrays["segment_flags"][span].tolist()
    with safetensors.safe_open(packed, "numpy") as file:
        assert file.metadata() == {"format": "apollo-pack", "format_version": "1"}
        assert (file.get_slice("tokens")[1:3] == tokens[1:3]).all()


def test_pickling_opens_the_same_file_again(packed, tmp_path, corpus, monkeypatch):
    path = tmp_path / "a.bin"
    shutil.copy(packed, path)
    monkeypatch.chdir(tmp_path)
    relative = PackedDataset("a.bin", columns=["labels"])
    monkeypatch.chdir("/")
    state = pickle.dumps(relative)
    assert len(state) < 1000
    copy = pickle.loads(state)  # noqa: S301 - our own
    assert copy.columns == ("labels",)
    assert (copy[0]["labels"] == PackedDataset(path)[0]["labels"]).all()
    apollo_pack.build(corpus, path, seq_len=128, force=True)
    assert copy.seq_len == 64, "an open dataset keeps the file that it opened"
    with pytest.raises(apollo_pack.FormatError, match="another file"):
        pickle.loads(state)  # noqa: S301


def _sum(ds, i):
    return int(ds[i]["input_ids"].sum())


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_other_processes_read_the_same(ds, method):
    if method == "fork" and os.name != "posix":
        pytest.skip("no fork here")
    expected = [_sum(ds, i) for i in range(6)]
    with ProcessPoolExecutor(2, mp_context=get_context(method)) as pool:
        assert list(pool.map(_sum, [ds] * 6, range(6))) == expected


def test_threads_read_the_same(ds):
    expected = [_sum(ds, i) for i in range(len(ds))]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda i: _sum(ds, i % len(ds)), range(20 * len(ds)))) == 20 * expected


def test_several_files_are_one(packed, corpus, tmp_path):
    other = tmp_path / "b.bin"
    apollo_pack.build(corpus, other, seq_len=64, order="shuffle")
    one, two = PackedDataset(packed), PackedDataset(other)
    both = PackedDataset([packed, other])
    assert len(both) == len(one) + len(two)
    assert (both[len(one) - 1]["input_ids"] == one[-1]["input_ids"]).all()
    assert (both[len(one)]["labels"] == two[0]["labels"]).all()
    assert (both[-1]["position_ids"] == two[-1]["position_ids"]).all()
    assert both.documents(len(one) + 2) == two.documents(2)
    again = pickle.loads(pickle.dumps(both))  # noqa: S301
    assert (again[:]["labels"] == both[:]["labels"]).all()
    apollo_pack.build(corpus, other, seq_len=128, force=True)
    with pytest.raises(apollo_pack.ConfigError, match="seq_len"):
        PackedDataset([packed, other])
    with pytest.raises(apollo_pack.ConfigError):
        PackedDataset([])


def test_torch(packed):
    torch = pytest.importorskip("torch", reason="torch is not installed: it is an extra")
    ds = PackedDataset(packed, format="torch")
    plain = PackedDataset(packed)
    assert ds[0]["input_ids"].dtype == torch.int64
    loader = torch.utils.data.DataLoader(plain, batch_size=4)
    batches = list(loader)
    assert batches[0]["labels"].shape == (4, 64)
    whole = torch.cat([batch["labels"] for batch in batches])
    assert (whole == ds[:]["labels"]).all()
