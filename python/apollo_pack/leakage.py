"""`find_leaks`: items of a corpus that hold questions of a benchmark."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from apollo_pack import _core
from apollo_pack.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    StrPath = str | os.PathLike[str]

LeakUnit = Literal["characters", "words"]


@dataclass(frozen=True)
class LeakCount:
    """One source in one language: of ``items``, those with a whole question, and others that share a run."""

    source: str
    language: str
    items: int
    questions: int
    runs: int


@dataclass(frozen=True)
class Leak:
    """An item of the corpus that leaks.

    ``kind`` is ``"question"`` or ``"run"``; ``item`` and ``benchmark_item`` are indices in ``file`` and
    ``benchmark``, ``byte`` is where the item begins in its (uncompressed) file; ``shared`` is what item and
    ``question`` have in common, ``before`` and ``after`` what stands around it in the item, all as they are
    compared.
    """

    file: str
    source: str
    language: str
    item: int
    byte: int
    kind: str
    benchmark: str
    benchmark_item: int
    question: str
    shared: str
    before: str
    after: str


@dataclass(frozen=True)
class LeakReport:
    """What a corpus leaks.

    ``rules`` are the settings, ``benchmarks`` the files with their hashes, ``questions`` and ``runs`` how
    many different ones they have, ``counts`` are by source and language, ``leaks`` in the order of the
    corpus; ``bad_items`` could not be read and were not looked at.
    """

    rules: Mapping[str, Any]
    benchmarks: tuple[Mapping[str, Any], ...]
    questions: int
    runs: int
    counts: tuple[LeakCount, ...]
    leaks: tuple[Leak, ...]
    bad_items: int
    raw: Mapping[str, Any]


def find_leaks(
    corpus: StrPath,
    *benchmark: StrPath,
    leak_unit: LeakUnit = "characters",
    leak_run: int | None = None,
    leak_question: int | None = None,
    leak_fold: bool = False,
    threads: int | None = None,
    on_progress: Callable[[dict[str, Any]], object] | None = None,
) -> LeakReport:
    """Look for questions of benchmarks in every item of a corpus.

    An item leaks when one of its texts (a text, or a turn) holds a whole question, or shares a run of units
    with one. The search is exact: no sampling, and every hash that fits is compared with the text.

    Args:
        corpus: as for `build`
        benchmark: folders, zip archives or files: objects with ``question`` (or ``prompt``, ``problem``,
            ``query``, ``instruction``, ``input``), texts, or dialogues, of which the first turn counts
        leak_unit: what the lengths are counted in; words are runs of letters and digits in lower case, and
            ideographs
        leak_run: shared units in a row that make a leak; 64 characters (Apollo's rule) or 13 words (GPT-3's)
            by default
        leak_question: units from which on a whole question makes a leak wherever it stands; a shorter one
            does where it stands alone (a whole text, or a line of it); 32 characters or 8 words by default
        leak_fold: compare in NFKC, in lower case, with white space as one space
        threads: that search; all cores by default
        on_progress: as for `build`

    Raises:
        ApolloPackError: when corpus or benchmarks cannot be read.

    """
    for name, value, most in (
        ("leak_run", leak_run, 1 << 16),
        ("leak_question", leak_question, 1 << 16),
        ("threads", threads, 1024),
    ):
        if value is not None and not 1 <= value <= most:
            raise ConfigError(f"{name} must be from 1 to {most}, not {value}")
    settings = {
        "leak_unit": leak_unit,
        "leak_run": leak_run,
        "leak_question": leak_question,
        "leak_fold": leak_fold,
        "threads": threads,
    }
    raw = _core.find_leaks(corpus, [os.fspath(path) for path in benchmark], settings, on_progress)
    return LeakReport(
        rules=raw["rules"],
        benchmarks=tuple(raw["benchmarks"]),
        questions=raw["questions"],
        runs=raw["runs"],
        counts=tuple(LeakCount(**count) for count in raw["counts"]),
        leaks=tuple(Leak(**leak) for leak in raw["leaks"]),
        bad_items=raw["bad_items"],
        raw=raw,
    )
