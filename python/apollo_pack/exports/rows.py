"""Rows to be exported, some at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apollo_pack.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from apollo_pack.dataset import PackedDataset

    Progress = Callable[[int, int], object]
    Writer = Callable[[PackedDataset, Path, Progress], None]

AT_ONCE = 256


def batches(dataset: PackedDataset, columns: tuple[str, ...], progress: Progress) -> Iterator[dict[str, Any]]:
    """Give all rows in order, with the columns wanted, `AT_ONCE` at a time."""
    view = dataset.with_columns(columns)
    for start in range(0, len(view), AT_ONCE):
        end = min(start + AT_ONCE, len(view))
        yield view[start:end]
        progress(end, len(view))


def refuse_other_labels(batch: dict[str, Any]) -> None:
    """Refuse rows with labels that are not their own token: a mask cannot say them."""
    counts = batch["labels"] != -100  # noqa: PLR2004
    if (batch["labels"] != batch["input_ids"])[counts].any():
        raise ConfigError(
            "this format has a mask, no labels, and the file has labels that are not their token"
        )
