"""Rows a second of shuffled batches: `PackedDataset` beside the loaders that people use now.

    python benches/loaders.py FILE [--rounds 5] [--batch-size 8]

FILE is a packed file. Its rows are exported to the formats of those readers that are installed, to a folder
that is removed at the end. Every reader gives int64 `input_ids` and `labels` of the same rows, one process,
torch on one thread, warm cache; in turns, medians. Readers of another kind are as their documentation shows
them: nothing of theirs is switched off. Our exports for streaming hold ids of 32 bits, which the reader
widens; LitData is measured with int64 tensors in its chunks too, which it hands on as they are.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from apollo_pack import PackedDataset, collate, export

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Reader = Callable[[int], int]  # a seed: rows that were read

STEP = 0.0002  # seconds that a step waits for a device


def count(batches: Iterable[Any]) -> int:
    """Go through batches as a trainer does, which holds one at a time."""
    rows = 0
    for batch in batches:
        rows += len(batch["input_ids"])
    return rows


def floors(path: Path, rows: int, seq_len: int, size: int) -> dict[str, Reader]:
    """Give what numpy's copying alone takes."""
    tokens = np.memmap(path, "<u4", "r", 4096, (rows, seq_len))
    wide = tokens.astype(np.int64)
    ids, labels = np.empty((size, seq_len), np.int64), np.empty((size, seq_len), np.int64)

    def copies(source: np.ndarray) -> Reader:
        def read(seed: int) -> int:
            order = np.random.default_rng(seed).permutation(rows)
            for start in range(0, rows, size):
                for at, row in enumerate(order[start : start + size]):
                    np.copyto(ids[at], source[row])
                    np.copyto(labels[at], source[row])
            return rows

        return read

    return {"np.copyto of the map, widened, twice": copies(tokens), "np.copyto of int64, twice": copies(wide)}


def own(path: Path, size: int) -> dict[str, Reader]:
    """Give our loaders."""
    two, four = ("input_ids", "labels"), ("input_ids", "labels", "position_ids", "cu_seqlens")

    def loader(columns: tuple[str, ...], prefetch: int, access: str = "map") -> Reader:
        ds = PackedDataset(path, columns, access=access)  # type: ignore[arg-type]
        return lambda seed: count(ds.loader(size, shuffle=True, seed=seed, prefetch=prefetch))

    def waiting(prefetch: int) -> Reader:
        ds = PackedDataset(path, two)

        def read(seed: int) -> int:
            rows = 0
            for batch in ds.loader(size, shuffle=True, seed=seed, prefetch=prefetch):
                rows += len(batch["input_ids"])
                time.sleep(STEP)
            return rows

        return read

    return {
        "apollo-pack": loader(two, 0),
        "apollo-pack, 1 thread ahead": loader(two, 1),
        "apollo-pack, 2 threads ahead": loader(two, 2),
        "apollo-pack, positioned reads": loader(two, 0, "read"),
        "apollo-pack, with position_ids and cu_seqlens": loader(four, 0),
        "apollo-pack, steps that wait": waiting(0),
        "apollo-pack, steps that wait, 1 thread ahead": waiting(1),
    }


def under_torch(path: Path, rows: int, seq_len: int, size: int, folder: Path) -> dict[str, Reader]:
    """Give readers under torch's DataLoader."""
    import torch  # noqa: PLC0415 - where it is installed
    from torch.utils.data import DataLoader, Dataset  # noqa: PLC0415

    torch.set_num_threads(1)
    tokens = np.memmap(path, "<u4", "r", 4096, (rows, seq_len))

    class OverMap(Dataset[Any]):
        def __len__(self) -> int:
            return rows

        def __getitem__(self, index: int) -> dict[str, Any]:
            ids = tokens[index].astype(np.int64)
            return {"input_ids": ids, "labels": ids.copy()}

    def loader(dataset: Any, workers: int, **settings: Any) -> Reader:
        def read(seed: int) -> int:
            order = np.random.default_rng(seed).permutation(rows).tolist()
            return count(DataLoader(dataset, size, sampler=order, num_workers=workers, **settings))

        return read

    ds = PackedDataset(path, ("input_ids", "labels"), "torch")
    readers = {
        "apollo-pack, DataLoader(0)": loader(ds, 0, collate_fn=collate),
        "apollo-pack, DataLoader(0), default collate": loader(ds, 0),
        "apollo-pack, DataLoader(2)": loader(ds, 2, collate_fn=collate),
        "memmap, DataLoader(0)": loader(OverMap(), 0),
        "memmap, DataLoader(2)": loader(OverMap(), 2),
    }
    if find_spec("megatron"):
        from megatron.core.datasets.indexed_dataset import IndexedDataset  # noqa: PLC0415

        export(path, "megatron", folder / "megatron")
        indexed = IndexedDataset(str(folder / "megatron" / "tokens"))

        class OverIndexed(OverMap):
            def __getitem__(self, index: int) -> dict[str, Any]:
                ids = indexed[index].astype(np.int64)
                return {"input_ids": ids, "labels": ids.copy()}

        readers["Megatron IndexedDataset, DataLoader(0)"] = loader(OverIndexed(), 0)
    if find_spec("datasets") and find_spec("pyarrow"):
        from datasets import load_from_disk  # noqa: PLC0415

        export(path, "hf", folder / "hf")
        arrow = load_from_disk(str(folder / "hf")).with_format("torch")
        readers["Hugging Face Arrow, DataLoader(0)"] = loader(arrow, 0)
    return readers


def streaming(path: Path, size: int, folder: Path) -> dict[str, Reader]:
    """Give LitData and MosaicML streaming, which shuffle by themselves."""
    from torch.utils.data import DataLoader  # noqa: PLC0415 - where it is installed

    readers: dict[str, Reader] = {}

    def widened(batches: Iterable[Any]) -> Iterable[Any]:
        return ({**batch, "input_ids": batch["input_ids"].long()} for batch in batches)

    if find_spec("litdata"):
        import litdata  # noqa: PLC0415 - where it is installed
        from litdata.streaming import Cache  # noqa: PLC0415 - where it is installed

        export(path, "litdata", folder / "litdata")
        lit = litdata.StreamingDataset(str(folder / "litdata"), shuffle=True)
        readers["LitData, ids of 32 bits widened"] = lambda _: count(
            widened(litdata.StreamingDataLoader(lit, batch_size=size))
        )
        (folder / "litdata64").mkdir()
        cache = Cache(str(folder / "litdata64"), chunk_bytes=64 << 20)
        for index, row in enumerate(PackedDataset(path, ("input_ids", "labels"), "torch")):
            cache[index] = row
        cache.done()
        cache.merge()
        lit64 = litdata.StreamingDataset(str(folder / "litdata64"), shuffle=True)
        readers["LitData"] = lambda _: count(litdata.StreamingDataLoader(lit64, batch_size=size))
    if find_spec("streaming"):
        from streaming import StreamingDataset  # noqa: PLC0415 - where it is installed

        export(path, "mds", folder / "mds")
        mosaic = StreamingDataset(local=str(folder / "mds"), batch_size=size, shuffle=True)
        readers["MosaicML streaming, ids of 32 bits widened"] = lambda _: count(
            widened(DataLoader(mosaic, batch_size=size))
        )
    return readers


def main() -> None:
    """Measure in turns and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=8)
    arguments = parser.parse_args()
    path, size = arguments.file, arguments.batch_size
    ds = PackedDataset(path)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        readers = {**floors(path, len(ds), ds.seq_len, size), **own(path, size)}
        if find_spec("torch"):
            readers |= under_torch(path, len(ds), ds.seq_len, size, folder)
            readers |= streaming(path, size, folder)
        speeds: dict[str, list[float]] = {name: [] for name in readers}
        for seed in range(arguments.rounds + 1):
            for reader_name, read in readers.items():
                started = time.perf_counter()
                rows = read(seed)
                if seed:  # the first round warms up
                    speeds[reader_name].append(rows / (time.perf_counter() - started))
            print(f"round {seed} of {arguments.rounds}", file=sys.stderr)
    ours = statistics.median(speeds["apollo-pack"])
    print(f"{len(ds):,} rows of {ds.seq_len}, batches of {size}, {arguments.rounds} rounds\n")
    print("| reader | rows/s | apollo-pack is |\n|---|--:|--:|")
    for reader_name, values in sorted(speeds.items(), key=lambda item: -statistics.median(item[1])):
        median = statistics.median(values)
        print(f"| {reader_name} | {median:,.0f} | {ours / median:.2f} x |")


if __name__ == "__main__":
    main()
