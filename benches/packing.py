"""How many rows packers make of a corpus, and how fast they plan them: ours beside those of other projects.

Usage: ``packing.py CORPUS [--tokenizer PATH] [--seq-len N]``. All get the same lengths, in the order of the
corpus: those of the documents, texts that are longer than a row split, dialogues truncated. Ours are planned
by `cargo run --release --example pack_bench`, which also checks the rows. Beside them, where installed: TRL's
best-fit decreasing (``pip install trl``), over all documents and in the batches that it has by default, and
LLaMA-Factory's greedy knapsack (``pip install --no-deps llamafactory``) likewise. TRL moves tokens while it
plans; it gets them as single bytes, so that this costs it next to nothing. Theirs is processor time, which
other work on the machine does not lengthen; ours, being short, is wall-clock time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import runpy
import statistics
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import apollo_pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ROUNDS = 5
OURS = ("best-fit", "groups-of-256", "in-order")
BATCH = 1000  # documents that TRL, and LLaMA-Factory, pack at a time if nothing else is asked for

Planned = tuple[int, float]  # rows, seconds


def main() -> None:
    """Plan in turns and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--seq-len", type=int, default=4096)
    arguments = parser.parse_args()
    seq_len = arguments.seq_len
    with tempfile.TemporaryDirectory() as name:
        lengths = lengths_of(arguments.corpus, arguments.tokenizer, seq_len, Path(name))
        (Path(name) / "lengths").write_bytes(lengths.astype("<u4").tobytes())
        packers = packers_for(lengths, seq_len, Path(name) / "lengths")
        found: dict[str, list[Planned]] = {packer: [] for packer in packers}
        for _ in range(ROUNDS):
            for packer, run in packers.items():
                found[packer].append(run())
    tokens = int(lengths.sum())
    print(f"{len(lengths):,} pieces, {tokens:,} tokens: at least {-(-tokens // seq_len):,} rows of {seq_len}")
    print("| packer | rows | padding | documents a row | rows, ratio | seconds | time, ratio |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    base = _median(found[f"apollo-pack, {OURS[0]}"])
    for packer, runs in found.items():
        rows, seconds = _median(runs)
        padding = 1 - tokens / (rows * seq_len)
        print(
            f"| {packer} | {rows:,} | {padding:.2%} | {len(lengths) / rows:.1f} | {rows / base[0]:.3f} | "
            f"{seconds:.4f} | {seconds / base[1]:.1f} |"
        )


def _median(runs: list[Planned]) -> Planned:
    return runs[0][0], statistics.median(seconds for _, seconds in runs)


def lengths_of(corpus: Path, tokenizer: Path | None, seq_len: int, folder: Path) -> NDArray[np.int64]:
    """Build the corpus, and read the lengths of its pieces in order."""
    out = folder / "out.bin"
    apollo_pack.build(corpus, out, seq_len=seq_len, packing="in-order", tokenizer=tokenizer)
    ds = apollo_pack.PackedDataset(out)
    documents = (document for row in range(len(ds)) for document in ds.documents(row))
    return np.array([document["end"] - document["start"] for document in documents])


def packers_for(lengths: NDArray[np.int64], seq_len: int, file: Path) -> dict[str, Callable[[], Planned]]:
    """Ours, and those of others as far as they are here."""
    packers = {f"apollo-pack, {name}": partial(ours, name, len(lengths), seq_len, file) for name in OURS}
    if importlib.util.find_spec("trl"):
        table = _table(lengths)
        packers["TRL, bfd"] = partial(trl, table, seq_len, len(lengths))
        packers[f"TRL, bfd, batches of {BATCH}"] = partial(trl, table, seq_len, BATCH)
    for folder in getattr(importlib.util.find_spec("llamafactory"), "submodule_search_locations", ()):
        knapsack = _knapsack(folder)
        packers["LLaMA-Factory"] = partial(llama_factory, knapsack, lengths, seq_len, len(lengths))
        packers[f"LLaMA-Factory, batches of {BATCH}"] = partial(
            llama_factory, knapsack, lengths, seq_len, BATCH
        )
    return packers


def ours(packing: str, count: int, seq_len: int, file: Path) -> Planned:
    """Plan rows in Rust."""
    command = ["cargo", "run", "-q", "--release", "-p", "apollo-pack-core", "--example", "pack_bench", "--"]
    command += [str(count), str(seq_len), packing, str(file)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found["rows"], found["seconds"]


def _table(lengths: NDArray[np.int64]) -> Any:
    import datasets  # type: ignore[import-not-found]  # noqa: PLC0415 - where it is installed
    import pyarrow as pa  # type: ignore[import-not-found]  # noqa: PLC0415 - where it is installed

    datasets.disable_progress_bars()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]))
    values = pa.array(np.zeros(lengths.sum(), np.int8))
    return datasets.Dataset(pa.table({"input_ids": pa.LargeListArray.from_arrays(offsets, values)}))


def trl(table: Any, seq_len: int, batch: int) -> Planned:
    """Pack with TRL."""
    from trl.data_utils import (  # type: ignore[import-not-found]  # noqa: PLC0415 - where it is installed
        pack_dataset,
    )

    started = time.process_time()
    packed = pack_dataset(table, seq_len, strategy="bfd", map_kwargs={"batch_size": batch})
    return len(packed), time.process_time() - started


def _knapsack(folder: str) -> Callable[[list[int], int], list[list[int]]]:
    """LLaMA-Factory's function, from its file: importing the package would want torch."""
    path = Path(folder) / "data" / "processor" / "processor_utils.py"
    return runpy.run_path(str(path))["greedy_knapsack"]  # type: ignore[no-any-return]  # a file run by its path has no types


def llama_factory(
    knapsack: Callable[[list[int], int], list[list[int]]],
    lengths: NDArray[np.int64],
    seq_len: int,
    batch: int,
) -> Planned:
    """Plan rows with LLaMA-Factory."""
    batches = [lengths[start : start + batch].tolist() for start in range(0, len(lengths), batch)]
    started = time.process_time()
    rows = sum(len(knapsack(numbers, seq_len)) for numbers in batches)
    return rows, time.process_time() - started


if __name__ == "__main__":
    main()
