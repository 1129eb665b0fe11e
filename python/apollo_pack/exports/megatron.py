"""Megatron's `.bin` and `.idx`: a sequence of tokens a row, int32."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from apollo_pack.exports.rows import batches

if TYPE_CHECKING:
    from pathlib import Path

    from apollo_pack.dataset import PackedDataset
    from apollo_pack.exports.rows import Progress, Writer

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
INT32 = 4  # its code there


def write_megatron(dataset: PackedDataset, out: Path, progress: Progress) -> None:
    """Write `tokens.bin` and `tokens.idx`, each row a sequence and a document of its own."""
    with (out / "tokens.bin").open("wb") as file:
        for batch in batches(dataset, ("input_ids",), progress):
            file.write(batch["input_ids"].astype("<i4").tobytes())
    rows = len(dataset)
    with (out / "tokens.idx").open("wb") as file:
        file.write(MAGIC + struct.pack("<QBQQ", VERSION, INT32, rows, rows + 1))
        file.write(np.full(rows, dataset.seq_len, "<i4").tobytes())
        file.write((np.arange(rows, dtype="<i8") * dataset.seq_len * 4).tobytes())
        file.write(np.arange(rows + 1, dtype="<i8").tobytes())


WRITERS: dict[str, Writer] = {"megatron": write_megatron}
