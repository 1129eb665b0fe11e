"""Datasets in threads and processes: nothing leaks, nothing hangs."""

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from apollo_pack import PackedDataset
from apollo_pack.batch import COLUMNS

PROC = Path("/proc/self")


@pytest.fixture(autouse=True)
def _threads_are_asked(monkeypatch):
    """A test comes back at once, and threads would be left alone."""
    monkeypatch.setattr("apollo_pack.loader.LONG", 0.0)


def resident_kib():
    fields = (PROC / "status").read_text().split("VmRSS:")[1]
    return int(fields.split()[0])


def end_of_threads():
    for thread in threading.enumerate():
        if thread.name == "apollo-pack":
            thread.join(30)


@pytest.mark.parametrize("access", ["map", "read"])
def test_a_thousand_opens_leak_nothing(packed, access):
    if not PROC.is_dir():
        pytest.skip("no /proc here")

    def use():
        ds = PackedDataset(packed, COLUMNS, access=access)
        for batch in ds.loader(8, prefetch=1):
            assert len(batch["labels"])
            break

    def held():
        gc.collect()
        end_of_threads()  # one that still makes a batch holds its dataset
        return len(os.listdir(PROC / "fd")), len((PROC / "maps").read_text().splitlines())

    for _ in range(100):
        use()
    (files, maps), memory = held(), resident_kib()
    for _ in range(1000):
        use()
    after = held()
    assert after[0] <= files
    assert after[1] <= maps + 20, "maps of files are kept"
    assert resident_kib() - memory < 8 << 10, "memory is kept"


def test_threads_of_a_loader_end_with_its_iteration(packed):
    ds = PackedDataset(packed)
    names = lambda: [thread.name for thread in threading.enumerate()]  # noqa: E731
    loader = ds.loader(4, prefetch=3)
    batches = iter(loader)
    next(batches)
    assert names().count("apollo-pack") == 3
    del batches
    end_of_threads()
    assert "apollo-pack" not in names()


def test_many_threads_fill_batches_of_one_dataset(packed):
    ds = PackedDataset(packed, ["input_ids", "labels", "cu_seqlens"])
    expected = ds.batch(range(len(ds)))
    with ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda at: (at, ds.batch([at % len(ds)] * 3)), range(400))
        for at, batch in results:
            assert (batch["labels"] == expected["labels"][at % len(ds)]).all()


def _work(ds, loader, out):
    rows = ds.batch([1, 2])["labels"]
    out.send((rows, [batch["labels"] for batch in loader]))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("access", ["map", "read"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_fork_while_threads_work_does_not_hang(packed, method, access):
    ds = PackedDataset(packed, ["labels"], access=access)
    loader = ds.loader(8, shuffle=True, prefetch=2)
    expected = list(ds.loader(8, shuffle=True))
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            ds.batch(range(len(ds)))

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        context = get_context(method)
        for _ in range(5 if method == "fork" else 1):
            receive, send = context.Pipe(duplex=False)
            child = context.Process(target=_work, args=(ds, loader, send))
            child.start()
            assert receive.poll(120), "the child hangs"
            rows, batches = receive.recv()
            child.join()
            assert (rows == ds.batch([1, 2])["labels"]).all()
            assert all(np.array_equal(a, b["labels"]) for a, b in zip(batches, expected, strict=True))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
