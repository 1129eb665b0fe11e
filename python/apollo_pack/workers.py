"""Batches on their way from a worker process of torch's ``DataLoader`` to the trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

ALIGNED = 64  # bytes: what vector units like


class SharedBatch(dict[str, Any]):
    """A batch whose tensors lie side by side in one piece of shared memory.

    torch hands every tensor over by itself, through a connection of its own, which takes longer than making
    it. This one is handed over as a whole, and arrives as a plain dict of tensors on the same memory. What
    else somebody has put into it goes with it.
    """

    def __init__(self, arrays: Sequence[tuple[str, tuple[int, ...], np.dtype[Any]]]) -> None:
        """Make tensors of these names, shapes and types, with any content."""
        super().__init__()
        places, end = [], 0
        for name, shape, dtype in arrays:
            kind = getattr(torch, dtype.name)
            places.append((name, kind, shape, end))
            size = torch.Size(shape).numel() * kind.itemsize
            end += -(-size // ALIGNED) * ALIGNED
        self._memory = torch.UntypedStorage._new_shared(end)  # noqa: SLF001 - as torch's collate does
        for name, kind, shape, start in places:
            self[name] = torch.empty(0, dtype=kind).set_(self._memory, start // kind.itemsize, shape)

    def __reduce__(self) -> tuple[Any, ...]:
        """Give the memory once, and where the tensors are in it."""
        places, others = [], {}
        for name, value in self.items():
            if (
                isinstance(value, torch.Tensor)
                and value.untyped_storage().data_ptr() == self._memory.data_ptr()
            ):
                places.append((name, value.dtype, value.shape, value.stride(), value.storage_offset()))
            else:
                others[name] = value
        whole = torch.empty(0, dtype=torch.uint8).set_(self._memory)
        return _arrived, (whole, places, others, list(self))


def _arrived(
    whole: torch.Tensor, places: Sequence[tuple[Any, ...]], others: dict[str, Any], names: Sequence[str]
) -> dict[str, Any]:
    memory = whole.untyped_storage()
    batch = {
        name: torch.empty(0, dtype=dtype).set_(memory, offset, shape, stride)
        for name, dtype, shape, stride, offset in places
    }
    batch |= others
    return {name: batch[name] for name in names}
