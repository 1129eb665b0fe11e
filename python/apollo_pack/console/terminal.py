"""Where people read, and how text is put there."""

from __future__ import annotations

import re

from rich.console import Console
from rich.markup import escape as escape_markup

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
