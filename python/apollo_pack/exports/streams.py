"""Formats of streaming libraries, written by these libraries."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from apollo_pack.exports.rows import batches

if TYPE_CHECKING:
    from pathlib import Path

    from apollo_pack.dataset import PackedDataset
    from apollo_pack.exports.rows import Progress, Writer

CHUNK_BYTES = 64 << 20


def write_mds(dataset: PackedDataset, out: Path, progress: Progress) -> None:
    """Write shards of MosaicML's streaming with `input_ids` (int32) and `labels` (int64)."""
    columns = {"input_ids": f"ndarray:int32:{dataset.seq_len}", "labels": f"ndarray:int64:{dataset.seq_len}"}
    writer = import_module("streaming").MDSWriter(out=str(out), columns=columns, exist_ok=True)
    with writer:
        for batch in batches(dataset, ("input_ids", "labels"), progress):
            ids = batch["input_ids"].astype(np.int32)
            for row, labels in zip(ids, batch["labels"], strict=True):
                writer.write({"input_ids": row, "labels": labels})


def write_litdata(dataset: PackedDataset, out: Path, progress: Progress) -> None:
    """Write chunks of LitData with `input_ids` (int32) and `labels` (int64)."""
    cache = import_module("litdata.streaming").Cache(str(out), chunk_bytes=CHUNK_BYTES)
    index = 0
    for batch in batches(dataset, ("input_ids", "labels"), progress):
        ids = batch["input_ids"].astype(np.int32)
        for row, labels in zip(ids, batch["labels"], strict=True):
            cache[index] = {"input_ids": row, "labels": labels}
            index += 1
    cache.done()
    cache.merge()


WRITERS: dict[str, Writer] = {"mds": write_mds, "litdata": write_litdata}
