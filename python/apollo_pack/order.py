"""In which order rows come, on which rank, and where a run goes on after it was stopped.

The order of an epoch is a sequence of all rows: as they stand, or permuted by a function of seed and epoch
(its specification is in ``rust/core/src/serve/order.rs``) that takes no memory. With `world_size` ranks,
rank r takes the positions r, r + world_size, r + 2 world_size, … of what is left of it. So a step takes the
next ``batch_size * world_size`` rows of the one global order, whoever takes them; to be remembered
is the epoch and how many of its rows have been handed out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apollo_pack import _core
from apollo_pack.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

_MOST = (1 << 63) - 1


class Order:
    """What loaders and samplers have in common: the share of a rank, and the state.

    Every rank makes the same number of steps. What is left at the end of an epoch and is less than a full
    step is dropped with `drop_last`; without it the ranks share it evenly, and where it does not come out
    even, up to ``world_size - 1`` rows from the beginning of the order come again, so that every rank has as
    many.
    """

    def __init__(
        self,
        rows: int,
        fingerprint: str | None,
        *,
        rank: int,
        world_size: int,
        shuffle: bool,
        seed: int,
        epoch: int,
        drop_last: bool,
    ) -> None:
        """Check the numbers."""
        least = {"rows": rows, "rank": rank, "seed": seed, "epoch": epoch, "world_size": world_size - 1}
        for name, value in least.items():
            if not 0 <= value <= _MOST:
                raise ConfigError(f"{name} is out of range")
        if rank >= world_size:
            raise ConfigError(f"rank must be below world_size {world_size}, not {rank}")
        self.rank = rank
        self.world_size = world_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = epoch
        self._rows = rows
        self._fingerprint = fingerprint
        self._position = 0
        self._resumed = False

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch, unless it is this one; without it, each iteration to the end goes to the next."""
        if epoch != self.epoch:
            self.epoch, self._position, self._resumed = epoch, 0, False

    def state_dict(self, position: int | None = None) -> dict[str, Any]:
        """Say where the run is: the epoch, and how many rows of it were handed out on all ranks together.

        Args:
            position: that number, where whoever iterates has asked ahead for more than was used, as a torch
                ``DataLoader`` with worker processes does: ``steps * batch_size * world_size``

        """
        return {
            "version": 1,
            "dataset": self._fingerprint,
            "rows": self._rows,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "epoch": self.epoch,
            "position": self._position if position is None else min(position, self._rows),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration go on where the state was taken, with any number of ranks.

        Raises:
            ConfigError: the state is of another file, of another order, or no state.

        """
        own = self.state_dict()
        if set(state) != set(own):
            raise ConfigError(f"not a state of a loader: it has {', '.join(map(str, state))}")
        for name in ("version", "dataset", "rows", "shuffle", "seed"):
            if state[name] != own[name]:
                raise ConfigError(f"the state has another {name}: {state[name]!r} instead of {own[name]!r}")
        self.epoch, self._position, self._resumed = int(state["epoch"]), int(state["position"]), True

    def _begin(self, step_rows: int) -> int:
        """Start an iteration of steps of so many rows: give the position where it begins."""
        if not self._resumed:
            self._position = 0
        self._resumed = False
        if self._position and self._steps(self._position, step_rows) == 0:
            self._end()
        return self._position

    def _end(self) -> None:
        """Go to the next epoch."""
        self.epoch, self._position = self.epoch + 1, 0

    def _steps(self, start: int, step_rows: int) -> int:
        left = self._rows - start
        return left // step_rows if self.drop_last else -(-left // step_rows)

    def _share(self, epoch: int, start: int, count: int) -> NDArray[np.int64]:
        """Give the next `count` rows of this rank from a position on; after the end, the first."""
        seed = self.seed if self.shuffle else None
        return _core.rows_in_order(self._rows, seed, epoch, start + self.rank, self.world_size, count)
