"""`PackedDataset`: the rows of packed files, ready for a trainer."""

from __future__ import annotations

import operator
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from apollo_pack import _core
from apollo_pack.batch import BatchShape, Rows, as_jax, as_tensor
from apollo_pack.errors import FormatError
from apollo_pack.loader import Loader
from apollo_pack.reports import LedgerEntry, read_ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from apollo_pack.batch import Format, Integer, Pool
    from apollo_pack.sampler import Sampler

    Row = dict[str, Any]

Access = Literal["auto", "map", "read"]


class PackedDataset:
    """A packed file or set of shards, or several as one, as a sequence of rows.

    ``ds[i]`` is a row: a dict of arrays of shape ``(seq_len,)``; ``ds[i:j]`` and ``ds[[i, j]]`` are batches:
    arrays of shape ``(n, seq_len)``. The columns, of type `dtype` where nothing else is said:

    - ``input_ids``: the tokens
    - ``labels``: the token where it counts for the loss, -100 where not; not shifted, as Hugging Face
      trainers expect
    - ``position_ids``: from 0 in every segment; 0 on padding
    - ``segment_ids``: the number of the segment in its row, from 1; 0 on padding
    - ``attention_mask``: 1 on tokens, 0 on padding
    - ``loss_mask`` (bool): where ``labels`` is not -100
    - ``block_mask`` (bool, ``(n, 1, seq_len, seq_len)``): which token (third axis) may attend to which
      (last axis): to those of its own segment up to itself. Padding is a segment here, so that no token is
      without any

    and of a row or batch as a whole:

    - ``cu_seqlens`` (int32, ``(segments + 1,)``): 0 and the ends of all segments when the rows are laid end
      to end, for kernels of variable length; the padding of a row is a segment, so the last is
      ``n * seq_len``
    - ``max_seqlen`` (int): the length of the longest of these
    - ``num_loss_tokens`` (int): how many labels count

    A ``torch.utils.data.DataLoader`` takes the dataset as a map-style one; with ``collate_fn=collate`` no
    batch is copied a second time, and the columns of a whole batch are possible. :meth:`loader` needs no
    torch. The dataset can be pickled and then opens the files again; a file that has been replaced by
    another in between is refused. It starts no threads and may be used from many, and after a fork.

    Args:
        path: a packed file, or the index of a set of shards (``out.bin.index.json``); or a sequence of them
            with the same ``seq_len`` and tokenizer
        columns: which arrays a row has
        format: ``"numpy"``, ``"torch"`` for tensors, or ``"jax"``
        dtype: ``"int64"`` (default), ``"int32"`` (default for JAX), or ``"uint32"``: then ``input_ids`` are
            the words of the file and the other columns int32
        access: ``"map"`` maps the files into memory; ``"read"`` reads rows by position, a batch at once, and
            turns a truncated file into an error; ``"auto"`` maps, unless a file is larger than memory or on
            a network file system

    Raises:
        FileNotFoundError: no such file.
        FormatError: not a packed file, or a damaged one, or a shard is missing or another.

    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        columns: Sequence[str] = ("input_ids", "labels", "position_ids"),
        format: Format = "numpy",  # noqa: A002 - the name `datasets` uses
        dtype: Integer | None = None,
        access: Access = "auto",
    ) -> None:
        """Open the files; checks their headers, metadata and index."""
        paths = [path] if isinstance(path, (str, os.PathLike)) else path
        self._paths = [os.path.abspath(part) for part in paths]  # noqa: PTH100 - keeps links
        self._access = access
        self._files = _core.PackedFiles(self._paths, access)
        self._shape = BatchShape(columns, format, dtype, self._files.seq_len)
        self._metadata = self._files.metadata()

    @property
    def seq_len(self) -> int:
        """Tokens in a row."""
        return self._files.seq_len

    @property
    def columns(self) -> tuple[str, ...]:
        """The arrays that a row has."""
        return self._shape.columns

    @property
    def metadata(self) -> dict[str, Any]:
        """What the file or set says about itself (of several, the first)."""
        return self._metadata[0]

    @property
    def ledger(self) -> tuple[LedgerEntry, ...]:
        """What came in and what became of it, by source and language (of all paths, in turn).

        A shard has that of its whole set.
        """
        return tuple(entry for metadata in self._metadata for entry in read_ledger(metadata["ledger"]))

    @property
    def fingerprint(self) -> str:
        """The hash of all rows: what the state of a loader belongs to."""
        hashes = [metadata["content_hash"] for metadata in self._metadata]
        return hashes[0] if len(hashes) == 1 else sha256(" ".join(hashes).encode()).hexdigest()[:32]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._files)

    def __repr__(self) -> str:
        """Name the first file and the shape."""
        more = f" and {len(self._paths) - 1} more" if len(self._paths) > 1 else ""
        return f"PackedDataset({self._paths[0]!r}{more}, rows={len(self)}, seq_len={self.seq_len})"

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice | Iterable[int]) -> Row: ...
    def __getitem__(self, index: int | slice | Iterable[int]) -> Row:
        """Return a row, or a batch for a slice or a list of indices (negative ones count from the end)."""
        if isinstance(index, slice):
            return self._read(np.arange(*index.indices(len(self)), dtype=np.int64))
        if hasattr(index, "__index__") and getattr(index, "ndim", 0) == 0:
            return self.__getitems__([index])[0]  # type: ignore[list-item]
        return self.batch(index)  # type: ignore[arg-type]  # what it is not, it says

    def __getitems__(self, indices: Iterable[int]) -> Rows:
        """Return rows for a list of indices, read at once: what torch's ``DataLoader`` asks for."""
        return Rows(self._read, self._shape.whole, self._indices(indices))

    def batch(
        self,
        indices: Iterable[int],
        out: Mapping[str, Any] | None = None,
        *,
        pin_memory: bool = False,
        pool: Pool | None = None,
    ) -> Row:
        """Return the rows of these indices, filled in one go without the interpreter's lock.

        Args:
            indices: of rows; negative ones count from the end. An array of bool chooses rows
            out: arrays or tensors of the right shapes and types to write to, such as an earlier batch
            pin_memory: put tensors in pinned memory, where there is a CUDA device
            pool: where arrays come from and come back to, as those of a loader do

        """
        return self._read(self._indices(indices), out=out, pin_memory=pin_memory, pool=pool)

    def __iter__(self) -> Iterator[Row]:
        """Iterate over all rows."""
        return (self[i] for i in range(len(self)))

    def documents(self, index: int) -> list[dict[str, Any]]:
        """Say what stands in a row: one dict for each segment, in order.

        Keys: ``source`` (path of the file within the corpus), ``item`` (index in that file), ``epoch``,
        ``start`` and ``end`` (columns of the row), ``document_start`` (token of the document with which the
        segment begins), ``continued`` (the document began before), ``cut`` (it goes on after),
        ``marks`` (what was found of it and not dropped for: of ``leaked``, ``duplicate``,
        ``near-duplicate``).
        """
        row = _index(index)
        if not -len(self) <= row < len(self):
            raise IndexError(f"there is no row {row}; the rows are 0 to {len(self) - 1}")
        return self._files.documents(row % len(self))

    def with_columns(self, columns: Sequence[str]) -> PackedDataset:
        """Return a view of the same open files with other columns."""
        view = object.__new__(PackedDataset)
        view.__dict__.update(self.__dict__)
        view._shape = BatchShape(columns, self._shape.format, self._shape.dtype, self.seq_len)
        return view

    def loader(
        self,
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
    ) -> Loader:
        """Return an iterable over the batches of one rank; see :class:`apollo_pack.Loader`."""
        return Loader(
            self,
            batch_size,
            rank=rank,
            world_size=world_size,
            shuffle=shuffle,
            seed=seed,
            epoch=epoch,
            drop_last=drop_last,
            prefetch=prefetch,
            pin_memory=pin_memory,
        )

    def sampler(
        self,
        *,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
    ) -> Sampler:
        """Return a ``torch.utils.data.Sampler`` of one rank; see :class:`apollo_pack.sampler.Sampler`."""
        from apollo_pack.sampler import Sampler  # noqa: PLC0415 - torch is an extra, and slow to import

        return Sampler(
            self,
            rank=rank,
            world_size=world_size,
            shuffle=shuffle,
            seed=seed,
            epoch=epoch,
            drop_last=drop_last,
        )

    def _indices(self, indices: Any) -> NDArray[np.int64]:
        """Take indices as an array; the core checks their range."""
        if isinstance(indices, np.ndarray):
            if indices.dtype == np.bool_:
                if indices.shape != (len(self),):
                    raise IndexError(f"a mask of shape {indices.shape} for {len(self)} rows")
                return np.flatnonzero(indices)
            if indices.dtype.kind in "iu" and indices.ndim == 1:
                return indices.astype(np.int64, copy=False)
        return np.array([_index(i) for i in indices], dtype=np.int64)

    def _read(
        self,
        rows: NDArray[np.int64],
        *,
        out: Mapping[str, Any] | None = None,
        format: Format | None = None,  # noqa: A002 - as above
        pin_memory: bool = False,
        shared: bool = False,
        pool: Pool | None = None,
    ) -> Row:
        format = format or self._shape.format  # noqa: A001
        tensors = format == "torch"
        if out is not None:
            batch = self._shape.checked(out, len(rows))
        elif tensors:
            batch = self._shape.empty_tensors(len(rows), pool, pin_memory=pin_memory, shared=shared)
        else:
            # JAX may go on reading what nobody refers to.
            batch = self._shape.empty(len(rows), None if format == "jax" else pool)
        given = tensors or out is not None
        arrays = {name: np.asarray(array) for name, array in batch.items()} if given else batch
        self._files.fill(rows, arrays)
        if self._shape.whole:
            whole = self._whole(rows, tensors=tensors)
            for name in self.columns:  # in their order
                batch[name] = whole[name] if name in whole else batch.pop(name)
        return as_jax(batch) if format == "jax" else batch

    def _whole(self, rows: NDArray[np.int64], *, tensors: bool) -> Row:
        """Read what is of the batch as a whole."""
        whole: Row = {}
        if "cu_seqlens" in self._shape.whole or "max_seqlen" in self._shape.whole:
            ends, longest = self._files.boundaries(rows)
            whole = {"cu_seqlens": as_tensor(ends) if tensors else ends, "max_seqlen": longest}
        if "num_loss_tokens" in self._shape.whole:
            whole["num_loss_tokens"] = self._files.num_loss_tokens(rows)
        return whole

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the paths, not the content."""
        return {
            "paths": self._paths,
            "columns": self.columns,
            "format": self._shape.format,
            "dtype": self._shape.dtype,
            "access": self._access,
            "root_hashes": self._files.root_hashes(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the same files again."""
        settings = (state[name] for name in ("paths", "columns", "format", "dtype", "access"))
        self.__init__(*settings)  # type: ignore[misc]
        if self._files.root_hashes() != state["root_hashes"]:
            raise FormatError(f"{state['paths'][0]}: another file than the one that was pickled")


def _index(index: Any) -> int:
    if isinstance(index, (bool, np.bool_)):
        raise TypeError("a mask of rows is an array of bool, one for each row")
    return operator.index(index)
