"""The arrays of a batch: which there are, their shapes and types, and the libraries that take them."""

from __future__ import annotations

from functools import cached_property
from sys import getrefcount
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from apollo_pack.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import DTypeLike

    Arrays = dict[str, Any]

Format = Literal["numpy", "torch", "jax"]
Integer = Literal["int64", "int32", "uint32"]

#: One value a token: arrays of shape (rows, seq_len).
NUMBERS = ("input_ids", "labels", "position_ids", "segment_ids", "attention_mask")
#: Whether; `block_mask` has shape (rows, 1, seq_len, seq_len).
FLAGS = ("loss_mask", "block_mask")
#: Of the batch as a whole.
WHOLE = ("cu_seqlens", "max_seqlen", "num_loss_tokens")

COLUMNS = (*NUMBERS, *FLAGS, *WHOLE)


class BatchShape:
    """How the batches of a dataset look, and how their memory is come by."""

    def __init__(self, columns: Sequence[str], format: Format, dtype: Integer | None, seq_len: int) -> None:  # noqa: A002 - the name `datasets` uses
        """Check the names."""
        self.columns = (columns,) if isinstance(columns, str) else tuple(columns)
        for column in self.columns:
            if column not in COLUMNS:
                raise ConfigError(f"there is no column {column!r}; choose from {', '.join(COLUMNS)}")
        if format not in ("numpy", "torch", "jax"):
            raise ConfigError(f"format must be numpy, torch or jax, not {format!r}")
        if dtype not in (None, "int64", "int32", "uint32"):
            raise ConfigError(f"dtype must be int64, int32 or uint32, not {dtype!r}")
        self.format = format
        # JAX has no 64-bit integers unless they are switched on.
        self.dtype: Integer = dtype or ("int32" if format == "jax" else "int64")
        numbers: dict[str, DTypeLike] = dict.fromkeys(
            NUMBERS, np.int64 if self.dtype == "int64" else np.int32
        )
        types = {**numbers, **dict.fromkeys(FLAGS, np.bool_), "input_ids": np.dtype(self.dtype)}
        self._arrays = [
            (name, (1, seq_len, seq_len) if name == "block_mask" else (seq_len,), np.dtype(types[name]))
            for name in self.columns
            if name in types
        ]
        self._names = [name for name, *_ in self._arrays]
        self.whole = [name for name in self.columns if name in WHOLE]

    def empty(self, rows: int, pool: Pool | None = None) -> Arrays:
        """Make arrays for so many rows, with any content, or take them from a pool."""
        arrays = self.plain(rows) if pool is None else pool.take(self, rows)
        return dict(zip(self._names, arrays, strict=True))

    def plain(self, rows: int) -> tuple[np.ndarray, ...]:
        """Make arrays for so many rows, in the order of their columns."""
        return tuple([np.empty((rows, *shape), dtype) for _, shape, dtype in self._arrays])

    def empty_tensors(
        self, rows: int, pool: Pool | None = None, *, pin_memory: bool = False, shared: bool = False
    ) -> Arrays:
        """Make tensors.

        Torch keeps a pool of its own for pinned memory. Shared memory is what a worker process of torch hands
        over without another copy.
        """
        import torch  # noqa: PLC0415 - an extra, and slow to import

        arrays = [(name, (rows, *shape), dtype) for name, shape, dtype in self._arrays]
        if shared:
            from apollo_pack.workers import SharedBatch  # noqa: PLC0415 - as torch

            return SharedBatch(arrays)
        if pin_memory and torch.cuda.is_available():
            return {
                name: torch.empty(shape, dtype=getattr(torch, dtype.name), pin_memory=True)
                for name, shape, dtype in arrays
            }
        return {name: torch.from_numpy(array) for name, array in self.empty(rows, pool).items()}

    def checked(self, out: Mapping[str, Any], rows: int) -> Arrays:
        """Take arrays (or tensors) of the caller, which have to be what `empty` makes."""
        arrays = {}
        for name, shape, dtype in self._arrays:
            if name not in out:
                raise ConfigError(f"out has no {name!r}")
            array = arrays[name] = out[name]
            found = np.asarray(array)
            if found.shape != (rows, *shape) or found.dtype != dtype:
                raise ConfigError(
                    f"out[{name!r}] has to be {dtype} of shape {(rows, *shape)}, "
                    f"not {found.dtype} of shape {found.shape}"
                )
        return arrays


class Pool:
    """Batches whose arrays come back: those that nobody refers to but the pool are handed out again.

    A batch that is freed and made anew costs as much in page faults as in filling. Views and tensors refer to
    their array, so it comes back only when the last of them is gone; a batch that is kept is left alone.
    """

    def __init__(self, most: int) -> None:
        """Keep up to `most` batches of a shape and size."""
        self._most = most
        self._kept: dict[tuple[BatchShape, int], list[tuple[np.ndarray, ...]]] = {}

    def take(self, shape: BatchShape, rows: int) -> tuple[np.ndarray, ...]:
        """Give arrays with any content. Threads may ask at once: taking out of a list is atomic."""
        kept = self._kept.setdefault((shape, rows), [])
        in_use = []
        arrays = None
        while kept and arrays is None:
            try:
                last = kept.pop()
            except IndexError:  # another thread took it
                break
            if _references(last) <= _OURS:
                arrays = last
            else:
                in_use.append(last)
        if arrays is None:
            arrays = shape.plain(rows)
        # Another thread may ask at once, and must find them referred to by more than what is kept.
        taken = (*arrays,)
        # Those of late come first again: they are still near the processor.
        kept += in_use[::-1]
        if len(kept) < self._most:
            kept.append(arrays)
        return taken


def _references(arrays: tuple[Any, ...]) -> int:
    return max(map(getrefcount, arrays), default=0)


_OURS = _references((object(),))  # those of the tuple, and of asking


class Rows:
    """The rows of a batch as a list of dicts, filled at once when the first of them is looked at.

    torch's own collate function stacks them; :func:`collate` takes the batch as it is.
    """

    def __init__(self, read: Callable[..., Arrays], whole: Sequence[str], rows: np.ndarray) -> None:
        """Remember how to read them."""
        self._read = read
        self._whole = whole
        self._rows = rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def __getitem__(self, index: int) -> Arrays:
        """Return a row."""
        if self._whole:
            batch = self._read(self._rows[index : index + 1 or None])
            return {name: value if name in self._whole else value[0] for name, value in batch.items()}
        return {name: values[index] for name, values in self._batch.items()}

    def __iter__(self) -> Iterator[Arrays]:
        """Iterate over the rows."""
        return (self[i] for i in range(len(self)))

    @cached_property
    def _batch(self) -> Arrays:
        return self._read(self._rows)

    def collated(self, *, shared: bool) -> Arrays:
        """Read the batch as tensors, in memory that other processes see if `shared`."""
        return self._read(self._rows, format="torch", shared=shared)


def collate(rows: Sequence[Arrays]) -> Arrays:
    """Hand a batch of a `PackedDataset` on as tensors, without a second copy: a ``collate_fn`` for torch.

    Rows that come from anywhere else are stacked by torch's own function.
    """
    import torch.utils.data as torch_data  # noqa: PLC0415 - an extra, and slow to import

    if isinstance(rows, Rows):
        return rows.collated(shared=torch_data.get_worker_info() is not None)
    return torch_data.default_collate(list(rows))  # type: ignore[no-any-return]


def as_tensor(array: np.ndarray) -> Any:
    """Make a tensor on the memory of an array."""
    import torch  # noqa: PLC0415 - an extra, and slow to import

    return torch.from_numpy(array)


def as_jax(batch: Arrays) -> Arrays:
    """Hand the arrays to JAX."""
    import jax.numpy as jnp  # noqa: PLC0415 - an extra, and slow to import

    return {
        name: jnp.asarray(value) if isinstance(value, np.ndarray) else value for name, value in batch.items()
    }
