"""`PackedDataset`: the rows of packed files, ready for a trainer."""

from __future__ import annotations

import json
import operator
import os
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from apollo_pack import _core
from apollo_pack.errors import ConfigError, FormatError
from apollo_pack.reports import LedgerEntry, read_ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Row = dict[str, Any]

COLUMNS = ("input_ids", "labels", "position_ids", "segment_ids", "attention_mask", "loss_mask")


class PackedDataset:
    """A packed file, or several as one, as a sequence of rows.

    A row is a dict of arrays of shape ``(seq_len,)``, a batch one of shape ``(n, seq_len)``:

    - ``input_ids`` (int64): the tokens
    - ``labels`` (int64): the token where it counts for the loss, -100 where not; not shifted, as Hugging
      Face trainers expect
    - ``position_ids`` (int64): from 0 in every segment; 0 on padding
    - ``segment_ids`` (int64): the number of the segment in its row, from 1; 0 on padding
    - ``attention_mask`` (int64): 1 on tokens, 0 on padding
    - ``loss_mask`` (bool): where ``labels`` is not -100

    ``ds[i]`` is a row, ``ds[i:j]`` and ``ds[[i, j]]`` are batches. A ``torch.utils.data.DataLoader`` takes
    it as a map-style dataset. It can be pickled and then opens the files again; a file that has been
    replaced by another in between is refused.

    Args:
        path: a packed file, or a sequence of them with the same ``seq_len`` and tokenizer
        columns: which arrays a row has
        format: ``"numpy"``, or ``"torch"`` for tensors

    Raises:
        FileNotFoundError: no such file.
        FormatError: not a packed file, or a damaged one.

    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        columns: Sequence[str] = ("input_ids", "labels", "position_ids"),
        format: Literal["numpy", "torch"] = "numpy",  # noqa: A002 - the name `datasets` uses
    ) -> None:
        """Open the files; checks their headers, metadata and index."""
        paths = [path] if isinstance(path, (str, os.PathLike)) else path
        self._paths = [os.path.abspath(part) for part in paths]  # noqa: PTH100 - keeps links
        self._columns = [columns] if isinstance(columns, str) else list(columns)
        unknown = [column for column in self._columns if column not in COLUMNS]
        if unknown:
            raise ConfigError(f"there is no column {unknown[0]!r}; choose from {', '.join(COLUMNS)}")
        if format not in ("numpy", "torch"):
            raise ConfigError(f"format must be numpy or torch, not {format!r}")
        self._format = format
        self._files = _core.PackedFiles(self._paths)
        self._metadata = [json.loads(raw) for raw in self._files.metadata_json()]

    @property
    def seq_len(self) -> int:
        """Tokens in a row."""
        return self._files.seq_len

    @property
    def columns(self) -> tuple[str, ...]:
        """The arrays that a row has."""
        return tuple(self._columns)

    @property
    def metadata(self) -> dict[str, Any]:
        """What the file says about itself (of several files, the first)."""
        return self._metadata[0]  # type: ignore[no-any-return]  # JSON

    @property
    def ledger(self) -> tuple[LedgerEntry, ...]:
        """What came in and what became of it, by source and language (of all files, in turn)."""
        return tuple(entry for metadata in self._metadata for entry in read_ledger(metadata["ledger"]))

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
            return self._read(list(range(*index.indices(len(self)))))
        if hasattr(index, "__index__") and getattr(index, "ndim", 0) == 0:
            return {name: values[0] for name, values in self._read([self._row(index)]).items()}
        if isinstance(index, np.ndarray) and index.dtype == np.bool_:
            if index.shape != (len(self),):
                raise IndexError(f"a mask of shape {index.shape} for {len(self)} rows")
            index = np.flatnonzero(index)
        return self._read([self._row(i) for i in index])  # type: ignore[union-attr]

    def __getitems__(self, indices: Sequence[int]) -> list[Row]:
        """Return rows for a list of indices, read at once: what torch's ``DataLoader`` asks for."""
        batch = self[indices]
        return [{name: values[i] for name, values in batch.items()} for i in range(len(indices))]

    def __iter__(self) -> Iterator[Row]:
        """Iterate over all rows."""
        return (self[i] for i in range(len(self)))

    def documents(self, index: int) -> list[dict[str, Any]]:
        """Say what stands in a row: one dict for each segment, in order.

        Keys: ``source`` (path of the file within the corpus), ``item`` (index in that file), ``epoch``,
        ``start`` and ``end`` (columns of the row), ``document_start`` (token of the document with which the
        segment begins), ``continued`` (the document began before), ``cut`` (it goes on after).
        """
        return self._files.documents(self._row(index))

    def _row(self, index: Any) -> int:
        if isinstance(index, (bool, np.bool_)):
            raise TypeError("a mask of rows is an array of bool, one for each row")
        row = operator.index(index)
        if not -len(self) <= row < len(self):
            raise IndexError(f"there is no row {row}; the rows are 0 to {len(self) - 1}")
        return row % len(self)

    def _read(self, rows: list[int]) -> Row:
        batch = self._files.read(rows, self._columns)
        if self._format == "torch":
            import torch  # noqa: PLC0415 - an extra, and slow to import

            return {name: torch.from_numpy(values) for name, values in batch.items()}
        return batch

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the paths, not the content."""
        return {
            "paths": self._paths,
            "columns": self._columns,
            "format": self._format,
            "root_hashes": self._files.root_hashes(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the same files again."""
        self.__init__(state["paths"], state["columns"], state["format"])  # type: ignore[misc]
        if self._files.root_hashes() != state["root_hashes"]:
            raise FormatError(f"{state['paths'][0]}: another file than the one that was pickled")
