"""Where people read, and how text and figures are put there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape as escape_markup

if TYPE_CHECKING:
    from collections.abc import Mapping

NARROW = 110  # columns; below that figures are rounded
PIPED_WIDTH = 160  # what is not a terminal has no width of its own

screen = Console(highlight=False)
if not screen.is_terminal:
    screen = Console(highlight=False, width=PIPED_WIDTH)
err = Console(stderr=True, highlight=False)


def visible(text: str) -> str:
    """Spell out what would steer a terminal: control characters, marks that turn the direction of text."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def escape(text: str) -> str:
    """Make any text safe to print among markup."""
    return escape_markup(visible(text))


def print_error(message: str) -> None:
    """Print one line on stderr."""
    err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)


def shown_ids(tokenizer: Mapping[str, Any]) -> str:
    """Say which special ids a tokenizer has."""
    bos = "no BOS" if tokenizer["bos_id"] is None else f"BOS {tokenizer['bos_id']}"
    eos, pad = tokenizer["eos_id"], tokenizer["pad_id"]
    return f"{tokenizer['vocab_size']:,} ids, end-of-text {eos}, pad {pad}, {bos}"


def shown_rate(bytes_per_second: float, tokens_per_second: float) -> str:
    """Say how fast it went."""
    return f"{bytes_per_second / 1e6:.1f} MB/s, {tokens_per_second / 1e6:.2f} M tokens/s"


def counted(count: int, noun: str) -> str:
    """Say how many of something there are."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def rounded(count: int) -> str:
    """Round a count to three digits."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**4)):
        if count >= size:
            return f"{count / min(size, 10**3 if unit == 'k' else size):.3g}{unit}"
    return str(count)


def shown_size(count: float) -> str:
    """Say how much that is in bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - the step between the units
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
