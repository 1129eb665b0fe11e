"""`Loader`: the batches of one rank, in order, made ahead by threads."""

from __future__ import annotations

import os
from queue import Empty, SimpleQueue
from threading import Thread
from time import perf_counter
from typing import TYPE_CHECKING, Any

from apollo_pack.batch import Pool
from apollo_pack.errors import ConfigError
from apollo_pack.order import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apollo_pack.dataset import PackedDataset

    Batch = dict[str, Any]

READY = 2  # batches that a thread makes ahead
LONG = 20e-6  # seconds for which waking a thread pays


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
        pool = Pool(READY * self._prefetch + 4)  # what is ready, being made, in use, and just let go of

        def make(step: int) -> Batch:
            at = start + step * step_rows
            count = min(self.batch_size, -(-(self._rows - at) // self.world_size))
            rows = self._share(epoch, at, count)
            return self.dataset.batch(rows, pin_memory=self._pin_memory, pool=pool)

        for step, batch in enumerate(_ahead(make, steps, min(self._prefetch, steps)), 1):
            self.epoch, self._position = epoch, min(start + step * step_rows, self._rows)
            yield batch
            del batch  # or its arrays could not come back before the next is made
        self._end()


def _ahead(make: Callable[[int], Batch], steps: int, threads: int) -> Iterator[Batch]:
    """Make the steps on some threads, a few ahead, and give them in order.

    Threads are asked while the caller leaves them time; one that comes back at once is faster alone. Whoever
    asks for a step that nobody has begun makes it (or the next that nobody has begun, while a thread is at
    it), so that threads are never waited for in vain. They do not live on in a process that is forked off:
    there each step is made when it is asked for.
    """
    owner = os.getpid()
    made: dict[int, Batch] = {}
    asked: SimpleQueue[int | None] = SimpleQueue()
    done: SimpleQueue[tuple[int, Batch | BaseException]] = SimpleQueue()
    for _ in range(threads):
        Thread(target=_work, args=(make, asked, done), name="apollo-pack", daemon=True).start()
    unasked = 0  # the first step that no thread was asked for
    away = LONG
    try:
        for step in range(steps):
            unasked = max(unasked, step)
            if threads and away >= LONG:
                end = min(step + READY * threads + 1, steps)
                for later in range(unasked, end):
                    asked.put(later)
                unasked = max(unasked, end)
            while step not in made:
                alone = step >= unasked or os.getpid() != owner
                at = step if alone else _begin_next(asked, done)
                if at is not None:
                    made[at] = make(at)
                    continue
                at, result = done.get()
                if isinstance(result, BaseException):
                    raise result
                made[at] = result
            left = perf_counter()
            yield made.pop(step)
            away = perf_counter() - left
    finally:
        for _ in range(threads):
            asked.put(None)


def _begin_next(asked: SimpleQueue[int | None], done: SimpleQueue[Any]) -> int | None:
    """Take a step that nobody has begun, unless one is done meanwhile."""
    if not done.empty():
        return None
    try:
        return asked.get_nowait()
    except Empty:
        return None


def _work(
    make: Callable[[int], Batch],
    asked: SimpleQueue[int | None],
    done: SimpleQueue[tuple[int, Batch | BaseException]],
) -> None:
    while (step := asked.get()) is not None:
        try:
            done.put((step, make(step)))
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            done.put((step, error))
