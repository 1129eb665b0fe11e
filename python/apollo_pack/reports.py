"""What a build plans and what it did, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Note:
    """Something out of the ordinary, and what becomes of it."""

    what: str
    outcome: str


@dataclass(frozen=True)
class FilePlan:
    """One file of the corpus.

    ``kind`` is ``"text"`` or ``"qa"``, from the content (None where no item can be read); ``items`` is
    counted where ``items_exact``, else estimated from the beginning of the file; ``bytes`` is its size;
    ``bad_items`` counts those found that cannot be read. ``tokens`` are expected in rows if it is taken once
    (None where it was not read as a whole), ``epochs`` says how often the recipe takes it, at the most.
    """

    path: str
    source: str
    language: str
    kind: str | None
    items: int
    items_exact: bool
    bytes: int
    notes: tuple[Note, ...]
    bad_items: int
    tokens: int | None = None
    epochs: float = 1.0


@dataclass(frozen=True)
class Mix:
    """What is expected of a recipe before anything is encoded.

    ``documents`` and ``tokens`` of each file of the plan, repetitions included; ``steps`` are equal parts of
    the training order, each with the share of every file in its tokens.
    """

    documents: tuple[float, ...]
    tokens: tuple[float, ...]
    steps: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class BuildPlan:
    """What a build is going to do.

    ``left_out`` maps files of the corpus that are not read to the reason; ``tokenizer`` and ``template``
    say what they are in a few named values; ``recipe`` is its name, if there is one; ``mix`` is what comes of
    it, where the corpus was read as a whole; ``raw`` is all of it as plain dicts and lists.
    """

    inputs: tuple[FilePlan, ...]
    left_out: Mapping[str, str]
    tokenizer: Mapping[str, Any]
    template: Mapping[str, Any]
    seq_len: int
    packing: str
    overflow: str
    order: str
    seed: int
    threads: int
    recipe: str | None
    mix: Mix | None
    notes: tuple[Note, ...]
    raw: Mapping[str, Any]

    @property
    def has_problems(self) -> bool:
        """Whether an item was found that cannot be read."""
        return any(file.bad_items for file in self.inputs)

    @classmethod
    def from_raw(cls, raw: Mapping[str, Any]) -> BuildPlan:
        """Read what the core reports."""
        values = {field.name: raw[field.name] for field in fields(cls) if field.name in raw}
        values["inputs"] = tuple(
            FilePlan(**{**item, "notes": _notes(item["notes"])}) for item in raw["inputs"]
        )
        values["left_out"] = {item["path"]: item["reason"] for item in raw["left_out"]}
        values["notes"] = _notes(raw["notes"])
        if mix := raw["mix"]:
            steps = tuple(tuple(step) for step in mix["steps"])
            values["mix"] = Mix(tuple(mix["documents"]), tuple(mix["tokens"]), steps)
        return cls(**values, raw=raw)


@dataclass(frozen=True)
class LedgerEntry:
    """The account of one source in one language.

    ``items == items_kept + sum(items_dropped.values())`` and
    ``tokens == tokens_kept + tokens_truncated + sum(tokens_dropped.values())``; reasons are ``bad-item``,
    ``no-answer``, ``no-loss``, ``too-long``, ``not-drawn`` (by the recipe), ``leaked``, ``duplicate`` and
    ``near-duplicate``. Where the last three are not dropped but marked, ``items_marked`` counts those of them
    that are kept, and ``tokens_marked`` all tokens of those; an item may be of two.
    An item that is not drawn is nothing else: its tokens, if it was encoded, are ``not-drawn``.
    ``tokens_kept`` and ``tokens_repeated`` stand in the rows, and ``loss_tokens`` of them count for the loss.
    ``items_repeated`` counts how often items stand there again, ``items_without_loss`` those that are kept
    though nothing of them counts.
    ``items_cut`` of those that are kept were longer than a row and split, or not kept to their end (what runs
    on over a row's end under ``"concat"`` is not cut), ``pieces_without_loss`` are the pieces dropped from
    them, ``trailing_questions`` were cut off because no answer follows, whatever became of the rest.
    """

    source: str
    language: str
    items: int
    items_kept: int
    items_dropped: Mapping[str, int]
    tokens: int
    tokens_kept: int
    tokens_truncated: int
    tokens_dropped: Mapping[str, int]
    loss_tokens: int
    trailing_questions: int
    items_cut: int
    pieces_without_loss: int
    items_without_loss: int = 0
    items_marked: Mapping[str, int] = field(default_factory=dict)
    tokens_marked: Mapping[str, int] = field(default_factory=dict)
    items_repeated: int = 0
    tokens_repeated: int = 0


def read_ledger(raw: list[dict[str, Any]]) -> tuple[LedgerEntry, ...]:
    """Read a ledger as metadata has it."""
    return tuple(LedgerEntry(**entry) for entry in raw)


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    ``totals`` are sums over all rows: ``rows``, ``segments`` (documents and pieces of them; over ``rows``,
    the documents per row), ``most_segments`` (in one row), ``cut_segments`` (after which their document goes
    on, elsewhere or not at all), ``tokens``, ``loss_tokens``, ``padding``, ``rows_without_loss``.
    ``bad_items`` counts what could not be read and was left out (``on_error="skip"``), ``bad_item_list`` has
    the first 100. ``path`` is what is opened to read it, and ``shards`` how many files that stands for (None
    where it is the file itself); ``file_bytes`` is their length. ``seconds`` is wall-clock time.
    ``raw`` is all of it as plain dicts and lists.
    """

    path: Path
    shards: int | None
    file_bytes: int
    content_hash: str
    seq_len: int
    totals: Mapping[str, int]
    ledger: tuple[LedgerEntry, ...]
    input_bytes: int
    bad_items: int
    bad_item_list: tuple[Mapping[str, Any], ...]
    plan: BuildPlan
    seconds: float
    raw: Mapping[str, Any]

    @classmethod
    def from_raw(cls, raw: dict[str, Any], seconds: float) -> BuildReport:
        """Read what the core reports."""
        raw = {**raw, "path": str(raw["path"]), "seconds": seconds}
        values = {field.name: raw[field.name] for field in fields(cls) if field.name in raw}
        values["path"] = Path(raw["path"])
        values["ledger"] = read_ledger(raw["ledger"])
        values["bad_item_list"] = tuple(raw["bad_item_list"])
        values["plan"] = BuildPlan.from_raw(raw["plan"])
        return cls(**values, raw=raw)


def _notes(raw: list[dict[str, str]]) -> tuple[Note, ...]:
    return tuple(Note(**note) for note in raw)
