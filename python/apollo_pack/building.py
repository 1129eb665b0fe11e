"""`build` and `plan`: from a corpus to a packed file."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Literal

from apollo_pack import _core
from apollo_pack.errors import ConfigError
from apollo_pack.leakage import LEAK_SETTINGS, LeakUnit, benchmarks
from apollo_pack.reports import BuildPlan, BuildReport
from apollo_pack.tokenizers import find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    StrPath = str | os.PathLike[str]

Packing = Literal["best-fit", "in-order", "concat"]
Order = Literal["corpus", "shuffle"]
Overflow = Literal["auto", "split", "truncate", "drop", "error"]
SpecialTokens = Literal["text", "parse", "error"]
Bos = Literal["auto", "never", "always"]
OnError = Literal["stop", "skip"]
Dedup = Literal["off", "exact"]


def build(
    corpus: StrPath,
    out: StrPath,
    *,
    tokenizer: StrPath | None = None,
    seq_len: int = 4096,
    packing: Packing = "best-fit",
    template: StrPath = "apollo",
    order: Order = "corpus",
    seed: int = 0,
    overflow: Overflow = "auto",
    special_tokens: SpecialTokens = "text",
    bos: Bos = "auto",
    eos: str | int | None = None,
    pad: str | int | None = None,
    bos_token: str | int | None = None,
    threads: int | None = None,
    on_error: OnError = "stop",
    max_item_bytes: int = 1 << 30,
    temp_dir: StrPath | None = None,
    check_encoder: int | None = None,
    dedup: Dedup = "off",
    decontaminate: Sequence[StrPath] = (),
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
        out: the file to write
        tokenizer: a ``tokenizer.json``, its folder, or a hub name; by default ``tokenizer.json`` in the
            corpus folder, else ``$APOLLO_PACK_TOKENIZER``, else the embedded Qwen vocabulary
        seq_len: tokens in a row, a multiple of 8
        packing: ``"best-fit"`` cuts no document that fits a row; ``"in-order"`` keeps the order strictly;
            ``"concat"`` lets documents run on and cuts them at row ends
        template: how dialogues are written: ``"apollo"``, ``"apollo-yi"``, ``"medjamba"``, ``"phi3"``,
            ``"chatml"``, or a ``.toml`` file with ``user``, ``assistant``, ``separator`` and, if wanted,
            ``follow_up`` and ``end``
        order: of the documents: as in the corpus, or shuffled by `seed`
        seed: of the shuffle
        overflow: of documents longer than a row: ``"auto"`` splits texts and truncates dialogues
            (and lets both run on under ``"concat"``); ``"split"``, ``"truncate"``, ``"drop"``, or
            ``"error"``, which makes them bad items
        special_tokens: what ``<|endoftext|>`` and the like are where they stand in raw text:
            characters (``"text"``), their ids (``"parse"``), or a bad item (``"error"``)
        bos: whether documents start with BOS: as the tokenizer's post-processor says, or as given
        eos: the end-of-text token, by text or id, where the tokenizer does not say it
        pad: the padding token, likewise
        bos_token: the BOS token, likewise
        threads: that encode and write; all cores by default
        on_error: an item that cannot be read stops the build, or is skipped, counted and listed
        max_item_bytes: items with more bytes of JSON than that are not kept in memory, and cannot be read
        temp_dir: an existing folder for what is encoded (about the size of the output) until rows are made of
            it; by default beside `out`
        check_encoder: how many documents, spread over the corpus, the reference encodes as well; the build
            stops at a difference. By default 16 of corpora from 1 GB on, where it costs next to nothing
        dedup: ``"exact"`` drops an item as ``duplicate`` when one before it in the order of the corpus has
            the same texts, compared in NFC with white space as one space and none at the ends (letter case
            counts); takes one more pass over the corpus, and 32 bytes an item for as long
        decontaminate: benchmarks (folders, zip archives, files as of a corpus) whose questions are kept
            out: an item is dropped as ``leaked`` when one of its texts, before the template, holds a whole
            question or shares a run of characters with one; see `find_leaks`, which finds the same items
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
    announce = None if on_plan is None else lambda raw: on_plan(BuildPlan.from_raw(raw))
    raw = _core.build(corpus, out, found, settings, announce, on_progress)
    return BuildReport.from_raw({**raw, "path": os.fspath(out)}, time.perf_counter() - started)


def plan(
    corpus: StrPath,
    *,
    tokenizer: StrPath | None = None,
    seq_len: int = 4096,
    packing: Packing = "best-fit",
    template: StrPath = "apollo",
    order: Order = "corpus",
    seed: int = 0,
    overflow: Overflow = "auto",
    special_tokens: SpecialTokens = "text",
    bos: Bos = "auto",
    eos: str | int | None = None,
    pad: str | int | None = None,
    bos_token: str | int | None = None,
    threads: int | None = None,
    on_error: OnError = "stop",
    max_item_bytes: int = 1 << 30,
    on_progress: Callable[[dict[str, Any]], object] | None = None,
) -> BuildPlan:
    """Say what `build` would do with the same settings, without encoding.

    Reads the whole corpus, counts the items of every file, and notes those that cannot be read (the first
    few of each file; `bad_items` counts all). What only tokens can tell, such as overflow, is not checked.
    """
    unused = {"check_encoder": None, "force": False, "temp_dir": None, "dedup": "off", "decontaminate": ()}
    settings = _settings({**locals(), **unused, **LEAK_SETTINGS})
    raw = _core.plan(corpus, find_tokenizer(tokenizer, corpus), settings, on_progress)
    return BuildPlan.from_raw(raw)


def _settings(arguments: dict[str, Any]) -> dict[str, Any]:
    """Pick the core's settings from the arguments of a call."""
    settings = {name: arguments[name] for name in _SETTINGS}
    settings["template"] = str(settings["template"])
    settings["decontaminate"] = benchmarks(settings["decontaminate"])
    for name, (least, most) in _INTEGERS.items():
        value = settings[name]
        if value is None and name in _OPTIONAL:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ConfigError(f"{name} must be an integer from {least} to {most}, not {value!r}")
    for name in ("eos", "pad", "bos_token"):
        if settings[name] is not None:
            settings[name] = str(settings[name])  # the core takes digits as an id
    return settings


_SETTINGS = (
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
    "check_encoder",
    "dedup",
    "decontaminate",
    "leak_unit",
    "leak_run",
    "leak_question",
    "leak_fold",
    "force",
)

_OPTIONAL = {"threads", "check_encoder", "leak_run", "leak_question"}

_INTEGERS = {
    "seq_len": (8, 1 << 24),
    "seed": (0, (1 << 64) - 1),
    "threads": (1, 1024),
    "check_encoder": (0, 1 << 31),
    "max_item_bytes": (1, (1 << 63) - 1),
    "leak_run": (1, 1 << 16),
    "leak_question": (1, 1 << 16),
}
