"""The order of rows and the share of a rank: against the specification, and over stops and restarts."""

import json
import os
import pickle
import random
from itertools import islice
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import apollo_pack
from apollo_pack import Loader, PackedDataset, _core
from apollo_pack.order import Order

ALL = (1 << 64) - 1
STEP = 0x9E3779B97F4A7C15

# (rows, seed, epoch, first position), and the rows from there on. These never change.
VECTORS = [
    ((10, 0, 0, 0), [5, 1, 4, 7, 6, 8, 9, 2, 0, 3]),
    ((10, 0, 1, 0), [0, 7, 8, 1, 5, 4, 6, 3, 9, 2]),
    ((10, 1, 0, 0), [3, 4, 9, 8, 7, 1, 6, 5, 0, 2]),
    ((1000, 42, 7, 990), [559, 759, 458, 25, 962, 484, 446, 713, 665, 978]),
    ((10**9, 0, 0, 0), [826488219, 128171015, 343787757, 756917602]),
    ((10**9, 2**63 - 1, 3, 10**9 - 4), [974542486, 780809238, 84631151, 911849865]),
    ((10**15, 7, 0, 123456789), [397590724788872, 379665162923235, 843362918103222]),
]


def mix(x):
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & ALL
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & ALL
    return x ^ x >> 31


def row_at(rows, seed, epoch, position):
    """The specification in `rust/core/src/serve/order.rs`, in Python."""
    key = mix((mix((seed + STEP) & ALL) + epoch + STEP) & ALL)
    k = next(k for k in range(4, 33) if 2 ** (2 * k) >= rows)
    row = position
    while True:
        left, right = row >> k, row & (2**k - 1)
        for i in range(8):
            round_key = mix((key + (i + 1) * STEP) & ALL)
            left, right = right, left ^ mix(right ^ round_key) >> 64 - k
        row = left << k | right
        if row < rows:
            return row


@pytest.mark.parametrize(("arguments", "expected"), VECTORS)
def test_vectors(arguments, expected):
    rows, seed, epoch, start = arguments
    assert _core.rows_in_order(rows, seed, epoch, start, 1, len(expected)).tolist() == expected
    assert [row_at(rows, seed, epoch, start + i) for i in range(len(expected))] == expected


@given(
    rows=st.integers(1, 1 << 62), seed=st.integers(0, ALL), epoch=st.integers(0, ALL), at=st.integers(0, ALL)
)
def test_the_specification(rows, seed, epoch, at):
    assert _core.rows_in_order(rows, seed, epoch, at % rows, 1, 1)[0] == row_at(rows, seed, epoch, at % rows)


@pytest.fixture(autouse=True)
def _threads_are_asked(monkeypatch):
    """A test comes back at once, and threads would be left alone."""
    monkeypatch.setattr("apollo_pack.loader.LONG", 0.0)


@pytest.fixture(scope="module")
def ds(packed):
    return PackedDataset(packed, columns=["input_ids"])


def content(loader):
    return np.concatenate([batch["input_ids"] for batch in loader])


def test_an_epoch_in_order_and_shuffled(ds):
    rows = ds[:]["input_ids"]
    assert (content(ds.loader(8)) == rows).all()
    loader = ds.loader(8, shuffle=True, seed=3)
    for epoch in (0, 1):
        order = [row_at(len(ds), 3, epoch, i) for i in range(len(ds))]
        assert (content(loader) == rows[order]).all()
        assert sorted(order) == list(range(len(ds)))
    assert loader.epoch == 2
    loader.set_epoch(0)
    assert (content(loader) == rows[[row_at(len(ds), 3, 0, i) for i in range(len(ds))]]).all()


def test_an_iteration_that_is_broken_off_begins_again(ds):
    loader = ds.loader(4, shuffle=True)
    first = next(iter(loader))["input_ids"]
    assert (next(iter(loader))["input_ids"] == first).all()
    assert loader.epoch == 0


@given(
    rows=st.integers(0, 60),
    world_size=st.integers(1, 7),
    batch_size=st.integers(1, 5),
    drop_last=st.booleans(),
    start=st.integers(0, 60),
)
def test_ranks_make_equal_steps(rows, world_size, batch_size, drop_last, start):
    start = min(start, rows)
    settings = {"shuffle": True, "seed": 1, "epoch": 0, "drop_last": drop_last}
    ranks = [Order(rows, None, rank=r, world_size=world_size, **settings) for r in range(world_size)]
    steps = {rank._steps(start, batch_size * world_size) for rank in ranks}
    assert len(steps) == 1
    left = rows - start
    assert steps == {
        left // (batch_size * world_size) if drop_last else -(-left // (batch_size * world_size))
    }


class _Virtual:
    """A dataset of any number of rows whose batches are their indices."""

    fingerprint = "virtual"

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return self.rows

    def batch(self, rows, *, pin_memory, pool):  # noqa: ARG002
        return {"rows": rows}


def run(world_size, state, steps, global_batch, prefetch=0, rows=101):
    """Some steps of all ranks: their global batches, and the state after them, the same on all ranks."""
    loaders = []
    for rank in range(world_size):
        loader = Loader(
            _Virtual(rows),
            global_batch // world_size,
            rank=rank,
            world_size=world_size,
            shuffle=True,
            seed=5,
            prefetch=prefetch,
        )
        if state is not None:
            loader.load_state_dict(state)
        loaders.append(loader)
    batches = []
    while len(batches) < steps:
        some = islice(zip(*loaders, strict=True), steps - len(batches))
        batches += [[part["rows"] for part in parts] for parts in some]
    states = [loader.state_dict() for loader in loaders]
    assert all(other == states[0] for other in states)
    return batches, states[0]


def interleaved(parts):
    """The rows of a step in the global order."""
    return np.stack(parts, axis=1).reshape(-1).tolist()


@pytest.mark.parametrize("prefetch", [0, 1, 4])
def test_a_resumed_run_sees_what_it_has_not_seen(prefetch):
    global_batch, rows = 24, 24 * 4 + 5
    whole, _ = run(1, None, 15, global_batch, rows=rows)
    whole = [interleaved(parts) for parts in whole]
    choose = random.Random(prefetch)
    for world_size in (1, 2, 3, 4, 6, 8):
        stops = sorted(choose.sample(range(1, 15), 3))
        done, state = [], None
        for start, end in zip([0, *stops], [*stops, 15], strict=True):
            # Another number of ranks after each stop.
            ranks = world_size if start == 0 else choose.choice([1, 2, 3, 4, 6, 8])
            part, state = run(ranks, state, end - start, global_batch, prefetch, rows)
            state = json.loads(json.dumps(state))
            assert len(json.dumps(state)) < 1000
            done += [interleaved(parts) for parts in part]
        for step, (batch, expected) in enumerate(zip(done, whole, strict=True)):
            # The last step of an epoch is filled up to a number that all ranks share.
            assert batch[: len(expected)] == expected, (world_size, stops, step)
        for epoch in range(3):
            seen = [row for batch in done[epoch * 5 : epoch * 5 + 5] for row in batch][:rows]
            assert sorted(seen) == list(range(rows))


def test_what_is_left_of_an_epoch():
    rows = 4 * 3 * 2 + 5  # two steps of 3 ranks with 4 rows each, and 5 rows
    for drop_last, steps, last in ((True, 2, 4), (False, 3, 2)):
        loaders = [
            Loader(_Virtual(rows), 4, rank=rank, world_size=3, drop_last=drop_last) for rank in range(3)
        ]
        batches = [[batch["rows"].tolist() for batch in loader] for loader in loaders]
        assert [len(own) for own in batches] == [steps] * 3 == [len(loader) for loader in loaders]
        assert [len(own[-1]) for own in batches] == [last] * 3
        if not drop_last:
            assert [own[-1] for own in batches] == [[24, 27], [25, 28], [26, 0]]  # one row comes again


def test_a_state_at_the_end_of_an_epoch_goes_on_with_the_next():
    loader = Loader(_Virtual(8), 4, shuffle=True)
    batches = iter(loader)
    next(batches)
    next(batches)
    state = loader.state_dict()
    assert state["position"] == 8
    other = Loader(_Virtual(8), 4, shuffle=True)
    other.load_state_dict(state)
    assert [len(batch["rows"]) for batch in other] == [4, 4]
    assert other.epoch == 2


def test_a_state_of_something_else_is_refused(ds, packed, corpus, tmp_path):
    state = ds.loader(4, shuffle=True, seed=2).state_dict()
    other = tmp_path / "other.bin"
    apollo_pack.build(corpus, other, seq_len=64, template="chatml")
    for loader, problem in (
        (PackedDataset(other).loader(4, shuffle=True, seed=2), "another dataset"),
        (PackedDataset([packed, packed]).loader(4, shuffle=True, seed=2), "another dataset"),
        (ds.loader(4, shuffle=False, seed=2), "another shuffle"),
        (ds.loader(4, shuffle=True, seed=3), "another seed"),
    ):
        with pytest.raises(apollo_pack.ConfigError, match=problem):
            loader.load_state_dict(state)
    with pytest.raises(apollo_pack.ConfigError, match="not a state"):
        ds.loader(4).load_state_dict({"epoch": 3})


def test_settings_are_checked(ds):
    for wrong in (
        {"rank": 2, "world_size": 2},
        {"rank": -1},
        {"world_size": 0},
        {"seed": -1},
        {"epoch": -1},
        {"prefetch": -1},
        {"batch_size": 0},
    ):
        with pytest.raises(apollo_pack.ConfigError):
            ds.loader(**{"batch_size": 4, **wrong})


def test_a_virtual_file_of_a_billion_rows():
    loader = Loader(_Virtual(10**9), 8, rank=3, world_size=4, shuffle=True, seed=9)
    loader.load_state_dict({**loader.state_dict(), "epoch": 2, "position": 10**9 - 7 * 32})
    assert next(iter(loader))["rows"].tolist() == [
        row_at(10**9, 9, 2, 10**9 - 7 * 32 + 3 + 4 * i) for i in range(8)
    ]


def test_an_error_in_a_thread_reaches_the_caller(ds):
    class Broken(_Virtual):
        def batch(self, rows, *, pin_memory, pool):  # noqa: ARG002
            raise OSError("gone") if 7 in rows else KeyError

    with pytest.raises(OSError, match="gone"):
        list(Loader(Broken(8), 8, prefetch=2))
    assert len(ds) > 7


def _child(batches, out):
    out.send([batch["rows"].tolist() for batch in batches])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_is_forked_off_goes_on_by_itself():
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    context = get_context("fork")
    batches = iter(Loader(_Virtual(40), 4, prefetch=3))
    first = next(batches)["rows"].tolist()
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(batches, send))
    child.start()
    assert receive.poll(60), "the child hangs"
    rest = receive.recv()
    child.join()
    assert first + [row for batch in rest for row in batch] == list(range(40))
    assert [row for batch in batches for row in batch["rows"].tolist()] == list(range(4, 40))


@pytest.mark.parametrize("prefetch", [0, 2])
def test_batches_that_are_kept_are_left_alone(ds, prefetch):
    """Memory comes back only when nobody refers to it, by a view neither."""
    expected = [batch["input_ids"].copy() for batch in ds.loader(4)]
    kept, views, addresses = [], [], set()
    for at, batch in enumerate(ds.loader(4, prefetch=prefetch)):
        ids = batch["input_ids"]
        addresses.add(ids.ctypes.data)
        if at % 3 == 0:
            kept.append((at, ids))
        elif at % 3 == 1:
            views.append((at, ids[1:]))
    assert len(addresses) < len(expected), "memory comes back"
    assert all((ids == expected[at]).all() for at, ids in kept)
    assert all((ids == expected[at][1:]).all() for at, ids in views)


def test_loaders_can_be_pickled(ds):
    loader = ds.loader(4, shuffle=True, seed=1)
    batches = iter(loader)
    next(batches)
    copy = pickle.loads(pickle.dumps(loader))  # noqa: S301
    copy.load_state_dict(loader.state_dict())
    assert (next(iter(copy))["input_ids"] == next(batches)["input_ids"]).all()
