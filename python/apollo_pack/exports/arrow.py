"""Formats of Arrow: a folder of Hugging Face `datasets`, Parquet, Megatron-Bridge's packed Parquet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from apollo_pack.exports.rows import batches, refuse_other_labels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from apollo_pack.dataset import PackedDataset
    from apollo_pack.exports.rows import Progress, Writer

# What tokenizers and trainers of Hugging Face use: losses want labels of 64 bits.
_LABELLED = pa.schema([("input_ids", pa.list_(pa.int32())), ("labels", pa.list_(pa.int64()))])
_PACKED = pa.schema(
    [
        ("input_ids", pa.list_(pa.int32())),
        ("loss_mask", pa.list_(pa.uint8())),
        ("seq_start_id", pa.list_(pa.int32())),
    ]
)


def _lists(values: np.ndarray, lengths: Any, kind: Any) -> Any:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1), kind))


def _labelled(dataset: PackedDataset, progress: Progress) -> Iterator[Any]:
    for batch in batches(dataset, ("input_ids", "labels"), progress):
        lengths = np.full(len(batch["labels"]), dataset.seq_len)
        arrays = [
            _lists(batch["input_ids"].astype(np.int32), lengths, pa.int32()),
            _lists(batch["labels"], lengths, pa.int64()),
        ]
        yield pa.record_batch(arrays, schema=_LABELLED)


def _packed(dataset: PackedDataset, progress: Progress) -> Iterator[Any]:
    """Rows without their padding; the mask of a token tells whether the loss of the next one counts."""
    columns = ("input_ids", "labels", "loss_mask", "position_ids", "attention_mask")
    for batch in batches(dataset, columns, progress):
        refuse_other_labels(batch)
        own = batch["attention_mask"] == 1
        lengths = own.sum(axis=1)
        next_counts = np.zeros_like(batch["loss_mask"])
        next_counts[:, :-1] = batch["loss_mask"][:, 1:]  # the first of a segment never counts
        begins = own & (batch["position_ids"] == 0)
        arrays = [
            _lists(batch["input_ids"][own].astype(np.int32), lengths, pa.int32()),
            _lists(next_counts[own].astype(np.uint8), lengths, pa.uint8()),
            _lists(np.nonzero(begins)[1].astype(np.int32), begins.sum(axis=1), pa.int32()),
        ]
        yield pa.record_batch(arrays, schema=_PACKED)


def _parquet(schema: Any, parts: Iterator[Any], path: Path) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for part in parts:
            writer.write_batch(part)


def write_parquet(dataset: PackedDataset, out: Path, progress: Progress) -> None:
    """Write one Parquet file with `input_ids` and `labels`."""
    _parquet(_LABELLED, _labelled(dataset, progress), out / "train-00000-of-00001.parquet")


def write_packed_parquet(dataset: PackedDataset, out: Path, progress: Progress) -> None:
    """Write one Parquet file with `input_ids`, `loss_mask` and `seq_start_id`."""
    _parquet(_PACKED, _packed(dataset, progress), out / "shard_000000.parquet")


def write_datasets(dataset: PackedDataset, out: Path, progress: Progress) -> None:
    """Write what ``Dataset.save_to_disk`` writes: an Arrow stream and two small JSON files."""
    name = "data-00000-of-00001.arrow"
    with pa.OSFile(str(out / name), "wb") as file, pa.ipc.new_stream(file, _LABELLED) as stream:
        for part in _labelled(dataset, progress):
            stream.write_batch(part)
    state: dict[str, Any] = {
        "_data_files": [{"filename": name}],
        "_fingerprint": dataset.fingerprint[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    (out / "state.json").write_text(json.dumps(state, indent=2), encoding="utf-8")
    feature = {"_type": "Sequence", "length": -1}
    features = {
        "input_ids": {"feature": {"dtype": "int32", "_type": "Value"}, **feature},
        "labels": {"feature": {"dtype": "int64", "_type": "Value"}, **feature},
    }
    info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    (out / "dataset_info.json").write_text(json.dumps(info, indent=2), encoding="utf-8")


WRITERS: dict[str, Writer] = {
    "hf": write_datasets,
    "parquet": write_parquet,
    "megatron-sft": write_packed_parquet,
}
