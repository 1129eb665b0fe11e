"""`build` and `plan`: from a corpus to a packed file."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any, Literal

import apollo_pack
from apollo_pack import _core
from apollo_pack.errors import ConfigError
from apollo_pack.tokenizers import find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apollo_pack.leakage import LeakUnit
    from apollo_pack.reports import BuildPlan, BuildReport

    StrPath = str | os.PathLike[str]

Packing = Literal["best-fit", "in-order", "groups-of-256", "concat"]
Order = Literal["corpus", "shuffle", "priority", "proportions"]
Overflow = Literal["auto", "split", "truncate", "drop", "error"]
SpecialTokens = Literal["text", "parse", "error"]
Bos = Literal["auto", "never", "always"]
OnError = Literal["stop", "skip"]
Dedup = Literal["off", "exact", "near"]
Fate = Literal["drop", "mark"]


def build(
    corpus: StrPath,
    out: StrPath,
    *,
    tokenizer: StrPath | None = None,
    recipe: StrPath | None = None,
    seq_len: int | None = None,
    packing: Packing | None = None,
    template: StrPath | None = None,
    order: Order | None = None,
    seed: int | None = None,
    overflow: Overflow | None = None,
    special_tokens: SpecialTokens | None = None,
    bos: Bos | None = None,
    eos: str | int | None = None,
    pad: str | int | None = None,
    bos_token: str | int | None = None,
    order_file: StrPath | None = None,
    write_order: StrPath | None = None,
    threads: int | None = None,
    on_error: OnError = "stop",
    max_item_bytes: int = 1 << 30,
    temp_dir: StrPath | None = None,
    shard_size: int | str | None = None,
    check_encoder: int | None = None,
    dedup: Dedup = "off",
    near_threshold: float = 0.8,
    duplicates: Fate = "drop",
    decontaminate: Sequence[StrPath] = (),
    leaks: Fate = "drop",
    leak_unit: LeakUnit = "characters",
    leak_run: int | None = None,
    leak_question: int | None = None,
    leak_fold: bool = False,
    force: bool = False,
    on_plan: Callable[[BuildPlan], object] | None = None,
    on_progress: Callable[[dict[str, Any]], object] | None = None,
) -> BuildReport:
    r"""Build a packed file from a corpus.

    The output depends on the corpus and the settings alone, not on threads or where it is built. It
    appears under its name only when it is whole. A build that was stopped by a signal, a crash or a full
    disk after more than a few seconds is continued by the same call; the bytes are the same as without a
    stop.

    Args:
        corpus: a folder (read recursively), a zip archive, or a file: JSON arrays (``.json``) of texts or
            of lists ``[question, answer, ...]``, or JSON Lines (``.jsonl``), plain, ``.gz`` or ``.zst``
        out: the file to write; of shards, the name that theirs are made of
        tokenizer: a ``tokenizer.json``, its folder, or a hub name; by default ``tokenizer.json`` in the
            corpus folder, else ``$APOLLO_PACK_TOKENIZER``, else the embedded Qwen vocabulary
        recipe: which files are taken, how often, in which order, and how they are treated: ``"apollo"`` (and
            what else `recipe_names` lists), or a ``.toml`` file. All settings below go before what it says
        seq_len: tokens in a row, a multiple of 8; by default that of the recipe, else 4096
        packing: ``"best-fit"`` cuts no document that fits a row; ``"in-order"`` keeps the order strictly;
            ``"groups-of-256"`` does so in groups, as Apollo's original script; ``"concat"`` lets documents
            run on and cuts them at row ends. By default that of the recipe, else ``"best-fit"``
        template: how dialogues are written: ``"apollo"``, ``"apollo-yi"``, ``"medjamba"``, ``"phi3"``,
            ``"chatml"``, or a ``.toml`` file with ``user``, ``assistant``, ``separator`` and, if wanted,
            ``follow_up`` and ``end``
        order: of the documents: as in the corpus, shuffled by `seed`, drawn by the recipe's priorities, or so
            that its proportions are kept all along. By default that of the recipe, else ``"corpus"``
        seed: of the order; by default that of the recipe, else 0
        overflow: of documents longer than a row: ``"auto"`` splits texts and truncates dialogues
            (and lets both run on under ``"concat"``); ``"split"``, ``"truncate"``, ``"drop"``, or
            ``"error"``, which makes them bad items
        special_tokens: what ``<|endoftext|>`` and the like are where they stand in raw text:
            characters (``"text"``), their ids (``"parse"``), or a bad item (``"error"``)
        bos: whether documents start with BOS: as the tokenizer's post-processor says, or as given
        eos: the end-of-text token, by text or id, where the tokenizer does not say it
        pad: the padding token, likewise
        bos_token: the BOS token, likewise
        order_file: draw the documents that this file lists, in its order: lines of ``["path", item]``
        write_order: write such a list of what was drawn
        threads: that encode and write; all cores by default
        on_error: an item that cannot be read stops the build, or is skipped, counted and listed
        max_item_bytes: items with more bytes of JSON than that are not kept in memory, and cannot be read
        temp_dir: an existing folder for what is encoded (about the size of the output) until rows are made of
            it; by default beside `out`
        shard_size: write shards, each of as many rows as have this many bytes of tokens and masks (a number,
            or ``"500MB"``, ``"2GiB"``), at least one; the rest of a shard is a few percent on top. With `out`
            ``"out.bin"`` they are ``"out-00000-of-00012.bin"`` and so on, and ``"out.bin.index.json"``
            stands for all of them
        check_encoder: how many documents, spread over the corpus, Hugging Face ``tokenizers`` encodes as
            well; the build stops at a difference. By default 16 of corpora from 1 GB on, where it costs next
            to nothing
        dedup: ``"exact"`` finds an item to be a ``duplicate`` when one before it in the order of the corpus
            has the same texts, compared in NFC with white space as one space and none at the ends (letter
            case counts); ``"near"`` also finds a ``near-duplicate``, which says nearly the same as an item
            before it that is neither. Takes one more pass over the corpus, and for as long 64 bytes an item,
            550 with ``"near"``. Items that the recipe's epochs leave out are ``not-drawn`` and the first of
            nothing; limits, proportions and lists draw from what `dedup` and `decontaminate` leave
        near_threshold: the similarity from which on items are near-duplicates, from 0.5 to 1: shared runs of
            five words (NFKC, lower case, an ideograph is a word) among those of either, as MinHash with 128
            bins estimates it (standard deviation at most 0.04)
        duplicates: what becomes of them: they are kept out (``"drop"``), or kept and marked (``"mark"``) in
            the ledger and in what `PackedDataset.documents` says
        decontaminate: benchmarks (folders, zip archives, files as of a corpus) whose questions are looked
            for: an item is ``leaked`` when one of its texts, before the template, holds a whole question or
            shares a run of characters with one; see `find_leaks`, which finds the same items
        leaks: what becomes of leaked items, likewise
        leak_unit: what the next two are counted in, ``"characters"`` or ``"words"``
        leak_run: shared units in a row that make a leak; 64 characters or 13 words by default
        leak_question: units from which on a whole question makes a leak wherever it stands, shorter ones
            where they stand alone (a whole text, or a line of it); 32 characters or 8 words by default
        leak_fold: compare in NFKC, in lower case, with white space as one space
        force: replace an existing output, and begin anew where a build that was stopped cannot be continued
        on_plan: called with the plan before the work begins
        on_progress: called about ten times a second with ``stage`` (``"survey"``, ``"encode"``,
            ``"plan"``, ``"write"``, ``"publish"``), ``done`` and ``total`` in units of the stage,
            ``items`` and ``tokens`` encoded so far

    Returns:
        What was written, with the ledger.

    Raises:
        ApolloPackError: a kind for each thing to do about it; nothing has been written then, and an older
            output is as it was.
        KeyboardInterrupt: on Ctrl-C; a note says if the build can be continued, else nothing is left behind.

    """
    started = time.perf_counter()
    settings = _settings(locals())
    found = find_tokenizer(tokenizer, corpus)
    announce = None if on_plan is None else lambda raw: on_plan(apollo_pack.BuildPlan.from_raw(raw))
    raw = _core.build(corpus, out, found, settings, announce, on_progress)
    path = os.fspath(out) + (_core.INDEX_SUFFIX if raw["shards"] else "")
    return apollo_pack.BuildReport.from_raw({**raw, "path": path}, time.perf_counter() - started)


def plan(
    corpus: StrPath,
    *,
    tokenizer: StrPath | None = None,
    recipe: StrPath | None = None,
    seq_len: int | None = None,
    packing: Packing | None = None,
    template: StrPath | None = None,
    order: Order | None = None,
    seed: int | None = None,
    overflow: Overflow | None = None,
    special_tokens: SpecialTokens | None = None,
    bos: Bos | None = None,
    eos: str | int | None = None,
    pad: str | int | None = None,
    bos_token: str | int | None = None,
    order_file: StrPath | None = None,
    threads: int | None = None,
    on_error: OnError = "stop",
    max_item_bytes: int = 1 << 30,
    dedup: Dedup = "off",
    near_threshold: float = 0.8,
    duplicates: Fate = "drop",
    decontaminate: Sequence[StrPath] = (),
    leaks: Fate = "drop",
    leak_unit: LeakUnit = "characters",
    leak_run: int | None = None,
    leak_question: int | None = None,
    leak_fold: bool = False,
    on_progress: Callable[[dict[str, Any]], object] | None = None,
) -> BuildPlan:
    """Say what `build` would do with the same settings, without encoding.

    Reads the whole corpus, counts the items of every file, and notes those that cannot be read (the first
    few of each file; `bad_items` counts all). What only tokens can tell, such as overflow, is not checked.
    How many tokens there will be, and of what along the training order (`mix`), is estimated from samples.
    Benchmarks are read, but nothing is looked for: what `dedup` and `decontaminate` will keep out counts as
    kept here, and a note says so. `find_leaks` finds what leaks.
    """
    unused = ("check_encoder", "force", "temp_dir", "shard_size", "write_order")
    settings = _settings({**locals(), **dict.fromkeys(unused), "force": False})
    raw = _core.plan(corpus, find_tokenizer(tokenizer, corpus), settings, on_progress)
    return apollo_pack.BuildPlan.from_raw(raw)


def _settings(arguments: dict[str, Any]) -> dict[str, Any]:
    """Pick the core's settings from the arguments of a call."""
    settings = {name: arguments[name] for name in SETTINGS}
    for name in ("template", "recipe"):
        if settings[name] is not None:
            settings[name] = os.fspath(settings[name])
    if settings["order_file"] is not None and settings["order"] is not None:
        raise ConfigError("order and order_file exclude each other")
    if isinstance(settings["decontaminate"], str | os.PathLike):
        raise ConfigError("decontaminate takes a list of benchmarks")
    settings["decontaminate"] = [os.fspath(path) for path in settings["decontaminate"]]
    _check_numbers(settings)
    _check_use(settings)
    if settings["shard_size"] is not None:
        settings["shard_size"] = _bytes(settings["shard_size"])
    for name in ("eos", "pad", "bos_token"):
        if settings[name] is not None:
            settings[name] = str(settings[name])  # the core takes digits as an id
    return settings


def _check_numbers(settings: dict[str, Any]) -> None:
    for name, (least, most) in _INTEGERS.items():
        value = settings[name]
        if value is None and name != "max_item_bytes":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ConfigError(f"{name} must be an integer from {least} to {most}, not {value!r}")
    threshold = settings["near_threshold"]
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise ConfigError(f"near_threshold must be a number from 0.5 to 1, not {threshold!r}")


def _check_use(settings: dict[str, Any]) -> None:
    """Refuse what would be ignored: it was meant to do something."""
    defaults = build.__kwdefaults__ or {}
    leak_settings = ("leaks", "leak_unit", "leak_run", "leak_question", "leak_fold")
    for names, used, reason in (
        (("duplicates",), settings["dedup"] != "off", "dedup is off"),
        (("near_threshold",), settings["dedup"] == "near", "dedup is not near"),
        (leak_settings, bool(settings["decontaminate"]), "there is nothing to decontaminate from"),
    ):
        for name in names:
            if not used and settings[name] != defaults[name]:
                raise ConfigError(f"{name} has no effect here: {reason}")


def _bytes(size: Any) -> int:
    """Read a size: a number of bytes, or one with a unit."""
    found = _SIZE.fullmatch(str(size))
    count = int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if not 1 <= count < 1 << 63:
        raise ConfigError(f"shard_size must be bytes, or a size like 500MB or 2GiB, not {size!r}")
    return count


_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(|[KMGT]i?B)", re.ASCII | re.IGNORECASE)
_UNITS = {"": 1} | {
    prefix + unit: base**power
    for power, prefix in enumerate("KMGT", 1)
    for unit, base in (("B", 1000), ("IB", 1024))
}


def recipe_names() -> tuple[str, ...]:
    """Name the recipes that come along; ``"apollo"`` alone is the first."""
    return tuple(name for name, _ in _core.recipes())


def recipe_text(name: str) -> str:
    """Give the TOML of a recipe that comes along.

    Raises:
        ConfigError: when there is none of that name.

    """
    texts = dict(_core.recipes())
    chosen = next(iter(texts)) if name == "apollo" else name
    if chosen not in texts:
        raise ConfigError(f"there is no recipe {name!r}; choose one of apollo, {', '.join(texts)}")
    return texts[chosen]


SETTINGS = (
    "recipe",
    "order_file",
    "write_order",
    "seq_len",
    "packing",
    "template",
    "order",
    "seed",
    "overflow",
    "special_tokens",
    "bos",
    "eos",
    "pad",
    "bos_token",
    "threads",
    "on_error",
    "max_item_bytes",
    "temp_dir",
    "shard_size",
    "check_encoder",
    "dedup",
    "near_threshold",
    "duplicates",
    "decontaminate",
    "leaks",
    "leak_unit",
    "leak_run",
    "leak_question",
    "leak_fold",
    "force",
)

_INTEGERS = {
    "seq_len": (8, 1 << 24),
    "seed": (0, (1 << 64) - 1),
    "threads": (1, 1024),
    "check_encoder": (0, 1 << 31),
    "max_item_bytes": (1, (1 << 63) - 1),
    "leak_run": (1, 1 << 16),
    "leak_question": (1, 1 << 16),
}
