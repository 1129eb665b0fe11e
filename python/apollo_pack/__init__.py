"""The exact way from raw multilingual text to LLM training batches.

>>> import apollo_pack
>>> report = apollo_pack.build("corpus/", "out.bin", seq_len=4096)  # doctest: +SKIP
>>> ds = apollo_pack.PackedDataset("out.bin")  # doctest: +SKIP
>>> ds[0]["input_ids"].shape  # doctest: +SKIP
(4096,)
"""

from typing import TYPE_CHECKING

from apollo_pack._core import __version__
from apollo_pack.building import build, plan, recipe_names, recipe_text
from apollo_pack.errors import (
    ApolloPackError,
    ConfigError,
    CorpusError,
    FileError,
    FormatError,
    InputError,
    InternalError,
    MissingFileError,
    OutputBusyError,
    OutputExistsError,
    TokenizerError,
    UnfinishedBuildError,
)
from apollo_pack.later import importer

if TYPE_CHECKING:
    from apollo_pack.batch import collate
    from apollo_pack.dataset import PackedDataset
    from apollo_pack.encoder import Encoder
    from apollo_pack.exports import ExportFormat, export
    from apollo_pack.leakage import Leak, LeakCount, LeakReport, find_leaks
    from apollo_pack.loader import Loader
    from apollo_pack.reports import BuildPlan, BuildReport, FilePlan, LedgerEntry, Mix, Note

__all__ = [
    "ApolloPackError",
    "BuildPlan",
    "BuildReport",
    "ConfigError",
    "CorpusError",
    "Encoder",
    "ExportFormat",
    "FileError",
    "FilePlan",
    "FormatError",
    "InputError",
    "InternalError",
    "Leak",
    "LeakCount",
    "LeakReport",
    "LedgerEntry",
    "Loader",
    "MissingFileError",
    "Mix",
    "Note",
    "OutputBusyError",
    "OutputExistsError",
    "PackedDataset",
    "TokenizerError",
    "UnfinishedBuildError",
    "__version__",
    "build",
    "collate",
    "export",
    "find_leaks",
    "plan",
    "recipe_names",
    "recipe_text",
]

# Imported when it is asked for. What needs numpy takes as long as all that the command line needs, and starts
# threads; the rest is only needed once a build is under way.
_LATER = {
    "BuildPlan": "reports",
    "BuildReport": "reports",
    "Encoder": "encoder",
    "ExportFormat": "exports",
    "FilePlan": "reports",
    "Leak": "leakage",
    "LeakCount": "leakage",
    "LeakReport": "leakage",
    "LedgerEntry": "reports",
    "Loader": "loader",
    "Mix": "reports",
    "Note": "reports",
    "PackedDataset": "dataset",
    "collate": "batch",
    "export": "exports",
    "find_leaks": "leakage",
}

__getattr__ = importer(__name__, _LATER)


def __dir__() -> list[str]:
    """List what has not been asked for too."""
    return sorted({*globals(), *__all__})
