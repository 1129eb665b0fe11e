"""`export`: packed rows in the formats of other projects, each a folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import apollo_pack
from apollo_pack.errors import ConfigError, OutputExistsError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class ExportFormat:
    """A format: who reads it, what is in it, and what it cannot say."""

    reader: str
    module: str
    needs: str | None
    loses: str


_POSITIONS = "where documents begin and end, and which they are"
_PYARROW = "pyarrow (pip install 'apollo-pack[export]')"

FORMATS = {
    "hf": ExportFormat("datasets.load_from_disk", "arrow", _PYARROW, _POSITIONS),
    "parquet": ExportFormat("any reader of Parquet", "arrow", _PYARROW, _POSITIONS),
    "megatron": ExportFormat(
        "Megatron's IndexedDataset, each row a document", "megatron", None, f"the loss mask; {_POSITIONS}"
    ),
    "megatron-sft": ExportFormat(
        "Megatron-Bridge's packed SFT Parquet", "arrow", _PYARROW, "which documents the segments are"
    ),
    "olmo": ExportFormat("OLMo-core's NumpyFSLDataset with label_mask_paths", "flat", None, _POSITIONS),
    "nanogpt": ExportFormat(
        "np.memmap, as in nanoGPT",
        "flat",
        None,
        f"the loss mask; {_POSITIONS}; rows, and their padding is left out",
    ),
    "mds": ExportFormat(
        "MosaicML's StreamingDataset", "streams", "streaming (pip install mosaicml-streaming)", _POSITIONS
    ),
    "litdata": ExportFormat("LitData's StreamingDataset", "streams", "litdata", _POSITIONS),
}


def export(
    path: StrPath | Sequence[StrPath],
    format: str,  # noqa: A002 - the name `datasets` uses
    out: StrPath,
    *,
    on_progress: Callable[[int, int], object] | None = None,
) -> ExportFormat:
    """Write the rows of a packed file in the format of another project.

    Args:
        path: a packed file, the index of a set of shards, or several as one
        format: ``"hf"``, ``"parquet"``, ``"megatron"``, ``"megatron-sft"``, ``"olmo"``, ``"nanogpt"``,
            ``"mds"`` or ``"litdata"``
        out: a folder, which appears when it is whole
        on_progress: called with the rows written and the rows in all

    Returns:
        Who reads it, and what the format cannot say.

    Raises:
        OutputExistsError: `out` exists.
        ConfigError: no such format, a package for it is missing, or it cannot hold these rows.

    """
    if format not in FORMATS:
        raise ConfigError(f"there is no format {format!r}; choose from {', '.join(FORMATS)}")
    chosen, target = FORMATS[format], Path(out)
    if target.exists():
        raise OutputExistsError(f"{target} exists already; remove it, or choose another name")
    dataset = apollo_pack.PackedDataset(path)
    try:
        write = import_module(f"apollo_pack.exports.{chosen.module}").WRITERS[format]
    except ImportError as error:
        raise ConfigError(f"the format {format} needs the package {chosen.needs}: {error}") from error
    part = target.with_name(f".{target.name}.exporting")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        write(dataset, part, on_progress or (lambda _done, _all: None))
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return chosen
