"""Options that several commands of the command line share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def choice(*names: str) -> click.Choice[str]:
    """Offer one of a few names."""
    return click.Choice(names)


_LEAK_SETTINGS = [
    click.option(
        "--leak-unit",
        type=choice("characters", "words"),
        default="characters",
        show_default=True,
        help="What these lengths are counted in. Words: runs of letters and digits in lower case, and "
        "ideographs.",
    ),
    click.option(
        "--leak-run",
        type=int,
        metavar="N",
        help="Units in a row, shared with a question, that leak. [default: 64 characters, 13 words]",
    ),
    click.option(
        "--leak-question",
        type=int,
        metavar="N",
        help="Units from which on a whole question leaks wherever it stands; a shorter one does where it "
        "stands alone, as a whole text or a line of it. [default: 32 characters, 8 words]",
    ),
    click.option(
        "--leak-fold", is_flag=True, help="Compare in NFKC, in lower case, with white space as one space."
    ),
]

_SETTINGS = [
    click.option(
        "--tokenizer",
        metavar="PATH|NAME",
        help="A tokenizer.json, its folder, or a name on the "
        "Hugging Face hub. [default: tokenizer.json in CORPUS, else $APOLLO_PACK_TOKENIZER, else the "
        "embedded Qwen vocabulary]",
    ),
    click.option(
        "--recipe",
        metavar="NAME|FILE",
        help="Which files are taken, how often, in which order, and how they are treated: apollo "
        "(apollo-qwen, apollo-gemma, apollo-yi, apollo-moe, medjamba), or a .toml file (`apollo-pack recipe` "
        "prints one). Options given beside it go before what it says. [default: all files, once]",
    ),
    click.option("--seq-len", type=int, help="Tokens in a row, a multiple of 8. [default: 4096]"),
    click.option(
        "--packing",
        type=choice("best-fit", "in-order", "groups-of-256", "concat"),
        help="best-fit: each document goes where it fills a row best, and none that fits a row is cut. "
        "in-order: documents keep their order, a row is padded when the next one does not fit. "
        "groups-of-256: the same in groups, as Apollo's original script. "
        "concat: documents run on and are cut at row ends. [default: best-fit]",
    ),
    click.option(
        "--template",
        metavar="NAME|FILE",
        help="How dialogues are "
        "written: apollo, apollo-yi, medjamba, phi3, chatml, or a .toml file with user, assistant and "
        "separator (and follow_up, end). [default: apollo]",
    ),
    click.option(
        "--order",
        type=choice("corpus", "shuffle", "priority", "proportions"),
        help="Of the documents: as they stand, shuffled by --seed, drawn by the recipe's priorities, or so "
        "that its proportions are kept all along. [default: corpus]",
    ),
    click.option("--seed", type=int, help="Of the order. [default: 0]"),
    click.option(
        "--overflow",
        type=choice("auto", "split", "truncate", "drop", "error"),
        help="Of documents longer than a row. auto: split texts, truncate dialogues; "
        "under --packing concat both run on. [default: auto]",
    ),
    click.option(
        "--special-tokens",
        type=choice("text", "parse", "error"),
        help="What <|endoftext|> and the like are where they stand in raw text: characters, their ids, "
        "or a reason to refuse the item. [default: text]",
    ),
    click.option(
        "--bos",
        type=choice("auto", "never", "always"),
        help="Whether documents start with BOS. auto: when the tokenizer's post-processor adds one. "
        "[default: auto]",
    ),
    click.option("--eos", metavar="TOKEN|ID", help="End-of-text, where the tokenizer does not say it."),
    click.option("--pad", metavar="TOKEN|ID", help="Padding, likewise."),
    click.option("--bos-token", metavar="TOKEN|ID", help="BOS, likewise."),
    click.option(
        "--threads",
        type=int,
        help="Threads that encode and write; the output does not depend on them. [default: all cores]",
    ),
    click.option(
        "--on-error",
        type=choice("stop", "skip"),
        default="stop",
        show_default=True,
        help="An item that cannot be read stops the build, or is left out, counted and listed.",
    ),
    click.option(
        "--max-item-bytes",
        type=int,
        default=1 << 30,
        show_default=True,
        help="Items with more bytes of JSON than that are not kept in memory, and cannot be read.",
    ),
    click.option(
        "--order-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help='Draw the documents that FILE lists, in its order; a line is ["path within CORPUS", item].',
    ),
    click.option(
        "--dedup",
        type=choice("off", "exact", "near"),
        default="off",
        show_default=True,
        help="exact: keep out items that say the same as one before them in the order of the corpus, but for "
        "Unicode normalization (NFC) and the amount of white space. near: also those that say nearly the "
        "same, by MinHash.",
    ),
    click.option(
        "--near-threshold",
        type=float,
        metavar="J",
        default=0.8,
        show_default=True,
        help="The Jaccard similarity of their runs of five words from which on items are near-duplicates, "
        "from 0.5 to 1.",
    ),
    click.option(
        "--duplicates",
        type=choice("drop", "mark"),
        default="drop",
        show_default=True,
        help="What becomes of what --dedup finds: it is kept out, or kept, counted in the ledger and marked "
        "in OUT.",
    ),
    click.option(
        "--decontaminate",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="BENCH",
        help="Keep out items that hold a question of this benchmark, or a part of one (see apollo-pack "
        "leakage --help). May be given several times.",
    ),
    click.option(
        "--leaks",
        type=choice("drop", "mark"),
        default="drop",
        show_default=True,
        help="What becomes of what --decontaminate finds, likewise.",
    ),
    *_LEAK_SETTINGS,
]


def settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a build."""
    return _with(_SETTINGS, command)


def leak_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what counts as leaked."""
    return _with(_LEAK_SETTINGS, command)


def _with(
    options: Sequence[Callable[[Callable[..., None]], Callable[..., None]]], command: Callable[..., None]
) -> Callable[..., None]:
    for option in reversed(options):  # decorators are shown from the last that is applied on
        command = option(command)
    return command
