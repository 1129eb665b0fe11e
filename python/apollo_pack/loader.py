"""`Loader`: the batches of one rank, in order, made ahead by threads."""

from __future__ import annotations

import os
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from apollo_pack.errors import ConfigError
from apollo_pack.order import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apollo_pack.dataset import PackedDataset

    Batch = dict[str, Any]

READY = 2  # batches that a thread makes ahead


class Loader(Order):
    """The batches of one rank of a training run, without torch.

    Each iteration is one epoch from its beginning (or, the first time after :meth:`load_state_dict`, from
    where the state was taken) to its end; the next one has the next epoch's order. All ranks make the same
    number of steps: see :class:`apollo_pack.order.Order` for the rest of an epoch. Of the global batch of a
    step, which are the next ``batch_size * world_size`` rows of the order, rank r has every `world_size`-th
    row from the r-th on.

    :meth:`state_dict` counts batches that were handed out, not those that are ready. It is a dict of a few
    numbers, the same on all ranks, and any other number of ranks goes on from it. Loaders can be registered
    with Accelerate (``register_for_checkpointing``), and Lightning saves their state by itself.

    Args:
        dataset: whose rows
        batch_size: rows in a batch
        rank: of this process
        world_size: number of processes
        shuffle: permute the rows, in each epoch differently
        seed: of the permutation
        epoch: with which to begin
        drop_last: leave out what is left at the end of an epoch and fills no step
        prefetch: threads that make batches ahead, each two; 0 makes each when it is asked for
        pin_memory: put tensors in pinned memory, where there is a CUDA device

    """

    def __init__(
        self,
        dataset: PackedDataset,
        batch_size: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
        prefetch: int = 1,
        pin_memory: bool = False,
    ) -> None:
        """Check the numbers."""
        super().__init__(
            len(dataset),
            dataset.fingerprint,
            rank=rank,
            world_size=world_size,
            shuffle=shuffle,
            seed=seed,
            epoch=epoch,
            drop_last=drop_last,
        )
        if batch_size < 1 or prefetch < 0:
            raise ConfigError("batch_size must be 1 or more, prefetch 0 or more")
        self.dataset = dataset
        self.batch_size = batch_size
        self._prefetch = prefetch
        self._pin_memory = pin_memory

    def __len__(self) -> int:
        """Return the number of steps in an epoch."""
        return self._steps(0, self.batch_size * self.world_size)

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the batches of an epoch."""
        step_rows = self.batch_size * self.world_size
        start = self._begin(step_rows)
        epoch, steps = self.epoch, self._steps(start, step_rows)

        def make(step: int) -> Batch:
            at = start + step * step_rows
            count = min(self.batch_size, -(-(self._rows - at) // self.world_size))
            return self.dataset.batch(self._share(epoch, at, count), pin_memory=self._pin_memory)

        for step, batch in enumerate(_ahead(make, steps, min(self._prefetch, steps)), 1):
            self.epoch, self._position = epoch, min(start + step * step_rows, self._rows)
            yield batch
        self._end()


def _ahead(make: Callable[[int], Batch], steps: int, threads: int) -> Iterator[Batch]:
    """Make the steps in turn on some threads, each a few ahead, and give them in order.

    Threads do not live on in a process that is forked off: there each step is made when it is asked for.
    """
    owner = os.getpid()
    lanes = [_Lane(make) for _ in range(threads)]
    try:
        for step in range(min(steps, READY * threads)):
            lanes[step % threads].asked.put(step)
        for step in range(steps):
            if not lanes or os.getpid() != owner:
                yield make(step)
                continue
            lane = lanes[step % threads]
            made = lane.ready.get()
            if isinstance(made, BaseException):
                raise made
            if step + READY * threads < steps:
                lane.asked.put(step + READY * threads)
            yield made
    finally:
        for lane in lanes:
            lane.asked.put(None)


class _Lane:
    """A thread that makes the steps it is asked for, one after the other."""

    def __init__(self, make: Callable[[int], Batch]) -> None:
        self.asked: SimpleQueue[int | None] = SimpleQueue()
        self.ready: SimpleQueue[Batch | BaseException] = SimpleQueue()
        Thread(target=_work, args=(make, self.asked, self.ready), name="apollo-pack", daemon=True).start()


def _work(
    make: Callable[[int], Batch],
    asked: SimpleQueue[int | None],
    ready: SimpleQueue[Batch | BaseException],
) -> None:
    while (step := asked.get()) is not None:
        try:
            ready.put(make(step))
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            ready.put(error)
