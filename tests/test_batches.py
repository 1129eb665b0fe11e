"""Batches: every column in every type, from a map and from positioned reads, beside numpy."""

import os

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

import apollo_pack
from apollo_pack import PackedDataset
from apollo_pack.batch import COLUMNS, FLAGS, NUMBERS, Pool

SEQ_LEN = 200  # three words of the mask and a part of one


@pytest.fixture(scope="module")
def packed(corpus, tmp_path_factory):
    """A file whose rows end within a word of the mask."""
    out = tmp_path_factory.mktemp("batches") / "out.bin"
    apollo_pack.build(corpus, out, seq_len=SEQ_LEN)
    return out


@pytest.fixture(scope="module")
def expected(packed):
    """All columns of all rows, from the file's tensors."""
    file = safetensors.numpy.load_file(packed)
    tokens = file["tokens"].astype(np.int64)
    mask = np.unpackbits(file["loss_mask"], axis=1, bitorder="little").astype(bool)
    offsets = file["segment_offsets"].astype(int)
    segment, position = np.zeros_like(tokens), np.zeros_like(tokens)
    ends = []
    for row in range(len(tokens)):
        own = file["segment_ends"][offsets[row] : offsets[row + 1]].astype(int).tolist()
        for number, (start, end) in enumerate(zip([0, *own], own, strict=False), 1):
            segment[row, start:end], position[row, start:end] = number, range(end - start)
        ends.append(own if own and own[-1] == SEQ_LEN else [*own, SEQ_LEN])
    same = segment[:, :, None] == segment[:, None, :]
    block = same & np.tri(SEQ_LEN, dtype=bool)
    return {
        "input_ids": tokens,
        "labels": np.where(mask, tokens, -100),
        "position_ids": position,
        "segment_ids": segment,
        "attention_mask": (segment > 0).astype(np.int64),
        "loss_mask": mask,
        "block_mask": block[:, None],
        "ends": ends,
    }


@given(data=st.data())
def test_any_batch_of_any_columns(packed, expected, data):
    rows = data.draw(st.lists(st.integers(0, len(expected["ends"]) - 1), max_size=9))
    columns = data.draw(st.lists(st.sampled_from(COLUMNS), unique=True, min_size=1))
    dtype = data.draw(st.sampled_from(["int64", "int32", "uint32"]))
    access = data.draw(st.sampled_from(["map", "read"]))
    ds = PackedDataset(packed, columns, dtype=dtype, access=access)
    batch = ds.batch(rows)
    assert list(batch) == columns
    for name in set(columns) & {*NUMBERS, *FLAGS}:
        assert (batch[name] == expected[name][rows]).all()
        assert batch[name].shape == (len(rows), *expected[name].shape[1:])
        narrow = "uint32" if dtype == "uint32" and name == "input_ids" else "int32"
        kind = "bool" if name in FLAGS else "int64" if dtype == "int64" else narrow
        assert batch[name].dtype == kind
    cuts = [0, *(at * SEQ_LEN + end for at, row in enumerate(rows) for end in expected["ends"][row])]
    if "cu_seqlens" in columns:
        assert batch["cu_seqlens"].dtype == np.int32 and batch["cu_seqlens"].tolist() == cuts
    if "max_seqlen" in columns:
        assert batch["max_seqlen"] == max(np.diff(cuts), default=0)
    if "num_loss_tokens" in columns:
        assert batch["num_loss_tokens"] == expected["loss_mask"][rows].sum()


def test_the_corpus_has_what_these_tests_need(expected):
    counted = expected["loss_mask"]
    assert counted.all(axis=1).sum() == 0, "the first token of a row never counts"
    assert (~counted).all(axis=1).any() or (counted.mean(axis=1) < 0.5).any()
    assert (expected["segment_ids"].max(axis=1) > 1).any() and (expected["segment_ids"] == 0).any()


def test_boundaries_say_the_same_in_every_form(packed):
    ds = PackedDataset(packed, ["position_ids", "segment_ids", "cu_seqlens", "block_mask"])
    batch = ds.batch(range(len(ds)))
    starts = batch["cu_seqlens"][:-1]
    positions, segments = batch["position_ids"].reshape(-1), batch["segment_ids"].reshape(-1)
    own = segments > 0
    begins = np.flatnonzero(own & (positions == 0))
    assert set(begins) == {start for start in starts if own[start]}
    sees = batch["block_mask"][:, 0].sum(axis=2).reshape(-1)
    assert (sees[own] == positions[own] + 1).all(), "a token sees its own segment up to itself"


def test_rows_with_columns_of_a_whole_batch(packed, expected):
    ds = PackedDataset(packed, ["cu_seqlens", "max_seqlen", "num_loss_tokens", "labels"])
    rows = ds.__getitems__([3, 1])
    for row, index in zip(rows, [3, 1], strict=True):
        assert row["cu_seqlens"].tolist() == [0, *expected["ends"][index]]
        assert row["num_loss_tokens"] == expected["loss_mask"][index].sum()
        assert row["max_seqlen"] == np.diff(row["cu_seqlens"]).max()
        assert (row["labels"] == expected["labels"][index]).all()
    assert ds[-1]["cu_seqlens"].tolist() == [0, *expected["ends"][-1]]


def test_buffers_of_the_caller(packed, expected):
    ds = PackedDataset(packed, ["input_ids", "labels", "loss_mask"])
    out = ds.batch([0, 1])
    arrays = dict(out)
    again = ds.batch([5, 6], out=out)
    assert all(again[name] is arrays[name] for name in arrays)
    assert all((arrays[name] == expected[name][[5, 6]]).all() for name in arrays)
    wide = np.full((4, SEQ_LEN), -7)
    ds.batch([2, 3], out={**out, "labels": wide[1:3]})
    assert (wide[1:3] == expected["labels"][[2, 3]]).all() and (wide[[0, 3]] == -7).all()
    wrong = [
        {"labels": np.empty((3, SEQ_LEN), np.int64)},
        {"labels": np.empty((2, SEQ_LEN), np.int32)},
        {"labels": np.empty((SEQ_LEN, 2), np.int64).T},
        {"loss_mask": np.empty((2, SEQ_LEN), np.uint8)},
    ]
    for other in wrong:
        with pytest.raises(apollo_pack.ConfigError):
            ds.batch([2, 3], out={**out, **other})
    with pytest.raises(apollo_pack.ConfigError, match="no 'loss_mask'"):
        ds.batch([2, 3], out={"input_ids": out["input_ids"], "labels": out["labels"]})
    frozen = np.empty((2, SEQ_LEN), np.int64)
    frozen.flags.writeable = False
    with pytest.raises(apollo_pack.ConfigError, match="writable"):
        ds.batch([2, 3], out={**out, "labels": frozen})


def test_arrays_come_back_when_nobody_refers_to_them(packed, expected):
    """What is kept, or looked at through a view, stays as it is; the rest is used again."""
    ds = PackedDataset(packed, ["input_ids", "labels"])
    pool = Pool(4)
    first = ds.batch([0, 1], pool=pool)
    place = first["labels"].ctypes.data
    view = first["input_ids"][1]
    del first
    second = ds.batch([2, 3], pool=pool)
    assert second["labels"].ctypes.data != place
    assert (view == expected["input_ids"][1]).all()
    del view
    third = ds.batch([4, 5], pool=pool)
    assert third["labels"].ctypes.data == place
    assert (second["labels"] == expected["labels"][[2, 3]]).all()
    assert (third["labels"] == expected["labels"][[4, 5]]).all()
    del second, third
    other = ds.with_columns(["loss_mask", "labels"]).batch([0, 1], pool=pool)
    assert list(other) == ["loss_mask", "labels"], "a pool keeps shapes apart"
    assert (other["loss_mask"] == expected["loss_mask"][[0, 1]]).all()


def test_arrays_that_have_just_been_taken_are_in_use(packed):
    pool = Pool(4)
    shape = PackedDataset(packed, ["input_ids", "labels"])._shape
    # Another thread may ask before whoever took the first has made a batch of them.
    first, second = pool.take(shape, 2), pool.take(shape, 2)
    for one in first:
        assert all(one is not other for other in second)


def test_a_file_that_shrinks_is_an_error_for_positioned_reads(packed, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(packed.read_bytes())
    ds = PackedDataset(path, access="read")
    assert (ds[3]["labels"] == PackedDataset(packed)[3]["labels"]).all()
    os.truncate(path, 4096 + 2 * SEQ_LEN * 4)
    with pytest.raises(apollo_pack.FileError, match="shorter"):
        ds[3]
    with pytest.raises(apollo_pack.FileError, match="shorter"):
        next(iter(ds.loader(2)))


def test_a_view_with_other_columns(packed, expected):
    ds = PackedDataset(packed, ["labels"])
    view = ds.with_columns(["loss_mask"])
    assert list(ds[0]) == ["labels"] and list(view[0]) == ["loss_mask"]
    assert (view[:]["loss_mask"] == expected["loss_mask"]).all()


def test_settings_are_checked(packed):
    for wrong in ({"access": "mmap"}, {"dtype": "int16"}, {"format": "arrow"}, {"columns": ["x"]}):
        with pytest.raises(apollo_pack.ConfigError):
            PackedDataset(packed, **wrong)


def test_jax(packed, expected):
    jax = pytest.importorskip("jax", reason="jax is not installed: it is an extra")
    batch = PackedDataset(packed, ["input_ids", "labels", "max_seqlen"], format="jax").batch([4, 2])
    assert isinstance(batch["labels"], jax.Array) and batch["labels"].dtype == "int32"
    assert (np.asarray(batch["labels"]) == expected["labels"][[4, 2]]).all()
    assert isinstance(batch["max_seqlen"], int)
