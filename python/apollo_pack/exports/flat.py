"""Formats that are numbers and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from apollo_pack.exports.rows import batches, refuse_other_labels

if TYPE_CHECKING:
    from pathlib import Path

    from apollo_pack.dataset import PackedDataset
    from apollo_pack.exports.rows import Progress, Writer


def write_olmo(dataset: PackedDataset, out: Path, progress: Progress) -> None:
    """Write `tokens.npy` (uint32) and `label_mask.npy` (bool), both without a header, as OLMo-core reads."""
    with (out / "tokens.npy").open("wb") as tokens, (out / "label_mask.npy").open("wb") as mask:
        for batch in batches(dataset, ("input_ids", "labels", "loss_mask"), progress):
            refuse_other_labels(batch)
            tokens.write(batch["input_ids"].astype("<u4").tobytes())
            mask.write(batch["loss_mask"].tobytes())


def write_nanogpt(dataset: PackedDataset, out: Path, progress: Progress) -> None:
    """Write `train.bin`: the tokens without padding, uint16 where the vocabulary allows, else uint32."""
    small = dataset.metadata["tokenizer"]["vocab_size"] <= np.iinfo(np.uint16).max + 1
    with (out / "train.bin").open("wb") as file:
        for batch in batches(dataset, ("input_ids", "attention_mask"), progress):
            own = batch["input_ids"][batch["attention_mask"] == 1]
            file.write(own.astype("<u2" if small else "<u4").tobytes())


WRITERS: dict[str, Writer] = {"olmo": write_olmo, "nanogpt": write_nanogpt}
