"""How figures are put."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


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
