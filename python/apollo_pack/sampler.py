"""`Sampler`: the rows of one rank for a torch ``DataLoader``. Needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.utils.data

from apollo_pack.order import Order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apollo_pack.dataset import PackedDataset

CHUNK = 1024  # indices computed at once


class Sampler(Order, torch.utils.data.Sampler[int]):  # type: ignore[misc]  # an extra
    """The rows of one rank in the order of :class:`apollo_pack.Loader`, for a torch ``DataLoader``.

    With worker processes a ``DataLoader`` asks ahead, and :meth:`state_dict` with it: give the position
    that was used, or use torchdata's ``StatefulDataLoader``, which keeps the state of each batch.

    Args:
        dataset: a `PackedDataset`, or a number of rows
        rank: of this process
        world_size: number of processes
        shuffle: permute the rows, in each epoch differently
        seed: of the permutation
        epoch: with which to begin
        drop_last: leave out the last rows where they are fewer than ranks; else some come again

    """

    def __init__(
        self,
        dataset: PackedDataset | int,
        *,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
    ) -> None:
        """Check the numbers."""
        rows, fingerprint = (
            (dataset, None) if isinstance(dataset, int) else (len(dataset), dataset.fingerprint)
        )
        super().__init__(
            rows,
            fingerprint,
            rank=rank,
            world_size=world_size,
            shuffle=shuffle,
            seed=seed,
            epoch=epoch,
            drop_last=drop_last,
        )

    def __len__(self) -> int:
        """Return the number of rows of this rank in an epoch."""
        return self._steps(0, self.world_size)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the rows of an epoch."""
        start = self._begin(self.world_size)
        epoch, count = self.epoch, self._steps(start, self.world_size)
        for first in range(0, count, CHUNK):
            at = start + first * self.world_size
            rows = self._share(epoch, at, min(CHUNK, count - first)).tolist()
            for done, row in enumerate(rows, 1):
                self.epoch, self._position = epoch, min(at + done * self.world_size, self._rows)
                yield row
        self._end()
