"""`Encoder`: the encoder of a tokenizer, on its own."""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Literal, SupportsIndex

import numpy as np
from tokenizers import Tokenizer

from apollo_pack import _core
from apollo_pack.errors import ConfigError, TokenizerError
from apollo_pack.tokenizers import find_tokenizer

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from apollo_pack.tokenizers import FoundTokenizer

    Ids = NDArray[np.uint32]
    Offsets = NDArray[np.uint64]

MOST_THREADS = 1024
MOST_ID = 2**32 - 1


class Encoder:
    """Turns text into the ids that Hugging Face ``tokenizers`` gives, and fast.

    No special tokens are added around a text, and nothing is cut or padded: truncation and padding that a
    ``tokenizer.json`` may ask for are left aside. The encoder can be shared by threads, and what it has
    learnt of frequent pieces lives as long as it does; memory is bounded. Pickled it takes the tokenizer's
    files along: make one in each process rather than send it with every call.

    Args:
        tokenizer: a ``tokenizer.json``, its folder, or a name on the Hugging Face hub; None for
            ``$APOLLO_PACK_TOKENIZER`` or else the embedded Qwen vocabulary
        special_tokens: special tokens that stand in a text become their ids (``"parse"``, as ``tokenizers``
            has it by default), or are ordinary characters (``"text"``); added tokens that the file does not
            call special become their ids in any case

    Attributes:
        name: which encoder serves: ``"native"``, or ``"huggingface"`` for tokenizers it does not know
        why_not_native: what the native encoder does not understand about the tokenizer, or None

    Raises:
        TokenizerError: when the tokenizer cannot be found or read.
        ConfigError: for another `special_tokens`.

    """

    def __init__(
        self,
        tokenizer: str | os.PathLike[str] | None = None,
        *,
        special_tokens: Literal["parse", "text"] = "parse",
    ) -> None:
        """Load the tokenizer."""
        self._load(find_tokenizer(tokenizer), special_tokens)

    def _load(self, found: FoundTokenizer, special_tokens: Literal["parse", "text"]) -> None:
        if special_tokens not in {"parse", "text"}:
            raise ConfigError(f"special_tokens is 'parse' or 'text', not {special_tokens!r}")
        self._found = found
        self._special_tokens = special_tokens
        self._core = _core.Encoder(found.label, found.tokenizer_json, special_tokens)
        self.name: str = self._core.name
        self.why_not_native: str | None = self._core.why_not_native

    def __getstate__(self) -> tuple[FoundTokenizer, Literal["parse", "text"]]:
        """Go to another process as the tokenizer's files."""
        return self._found, self._special_tokens

    def __setstate__(self, state: tuple[FoundTokenizer, Literal["parse", "text"]]) -> None:
        """Read them anew there."""
        self._load(*state)

    def __repr__(self) -> str:
        """Name the tokenizer."""
        return f"Encoder({self._found.label!r}, special_tokens={self._special_tokens!r}, name={self.name!r})"

    def encode(self, text: str) -> Ids:
        """Return the ids of a text: uint32, shape ``(n,)``.

        Raises:
            TypeError: when the text is no str.
            UnicodeEncodeError: when it has a surrogate alone, which is no character.
            TokenizerError: when the tokenizer cannot encode it (a character that it has no token for, say).

        """
        return self._core.encode(text)

    def encode_batch(
        self,
        texts: Sequence[str] | NDArray[np.uint8],
        offsets: ArrayLike | None = None,
        *,
        num_threads: int | None = None,
    ) -> tuple[Ids, Offsets]:
        """Encode many texts on all cores; other Python threads go on meanwhile.

        Args:
            texts: a list of texts; or one buffer of UTF-8 (uint8) that holds them all
            offsets: for a buffer, at which byte each text begins, and where the last ends: one more. What
                stands before the first or behind the last is left out
            num_threads: from 1 to 1024, all cores by default; the result does not depend on it

        Returns:
            The ids of all texts in one array (uint32), and where each text's begin (uint64, one more than
            texts): text ``i`` has ``ids[offsets[i]:offsets[i + 1]]``.

        Raises:
            ConfigError: for arguments that do not fit together; the message says which.
            TypeError: when one of the texts is no str; a note says which.
            UnicodeEncodeError: when one has a surrogate alone, which is no character; a note says which.
            TokenizerError: when the tokenizer cannot encode one (a character that it has no token for, say).

        """
        if num_threads is not None and not (
            isinstance(num_threads, (int, np.integer)) and 1 <= num_threads <= MOST_THREADS
        ):
            raise ConfigError(
                f"num_threads must be a whole number from 1 to {MOST_THREADS}, not {num_threads!r}"
            )
        if isinstance(texts, (str, bytes, bytearray, memoryview)):
            raise ConfigError(
                f"texts is one {type(texts).__name__}; encode takes one text, encode_batch a list of str, "
                "or a buffer as np.frombuffer(texts, np.uint8) with offsets"
            )
        if isinstance(texts, (Mapping, AbstractSet)):
            raise ConfigError(
                f"texts is a {type(texts).__name__}, not a list: only its keys or members would be encoded; "
                "encode_batch takes a list of str"
            )
        if isinstance(texts, np.ndarray) and texts.dtype == np.uint8:
            if texts.ndim != 1:
                raise ConfigError("a buffer of texts has one dimension")
            return self._core.encode_buffer(
                np.ascontiguousarray(texts), checked_offsets(offsets), num_threads
            )
        if isinstance(texts, np.ndarray) and texts.size > 0 and texts.dtype.kind in "biufcS":
            raise ConfigError(f"a buffer of texts is an array of uint8, not of {texts.dtype}")
        if offsets is not None:
            raise ConfigError("offsets belong to a buffer (an array of uint8); a list of texts has none")
        return self._core.encode_list(texts if isinstance(texts, list) else list(texts), num_threads)

    def encode_with_spans(self, text: str) -> tuple[Ids, NDArray[np.int64]]:
        """Return the ids of a text and the characters ``text[start:end]`` each stands for: int64, ``(n, 2)``.

        The spans are those of ``tokenizers``, which is asked for them: it is much slower than `encode`, and
        other Python threads wait.

        Raises:
            TypeError: when the text is no str.
            UnicodeEncodeError: when it has a surrogate alone, which is no character.
            TokenizerError: when ``tokenizers`` cannot encode it, or panics on it.

        """
        if not isinstance(text, str):
            raise TypeError(f"a text is a str, not {type(text).__name__}")
        text.encode()  # what says of a surrogate that it is one, where the reference says it is no str
        with errors_of_the_library():
            encoding = self._reference.encode(text, add_special_tokens=False)
        spans = np.array(encoding.offsets, np.int64).reshape(-1, 2)
        return np.array(encoding.ids, np.uint32), spans

    def decode(self, ids: Sequence[int] | Ids, *, skip_special_tokens: bool = False) -> str:
        """Return the text of ids, as ``tokenizers`` decodes them: ids that no token has are left out.

        Special tokens are kept, which ``tokenizers`` leaves out if it is not told otherwise.

        Raises:
            ConfigError: for what no id can be; the message says which.
            TokenizerError: when ``tokenizers`` cannot decode them, or panics on them.

        """
        values = [as_id(value) for value in (ids.tolist() if isinstance(ids, np.ndarray) else ids)]
        with errors_of_the_library():
            return self._reference.decode(values, skip_special_tokens=skip_special_tokens)

    @functools.cached_property
    def _reference(self) -> Tokenizer:
        reference = Tokenizer.from_buffer(self._found.tokenizer_json)
        reference.no_truncation()
        reference.no_padding()
        reference.encode_special_tokens = self._special_tokens == "text"
        return reference


@contextlib.contextmanager
def errors_of_the_library() -> Iterator[None]:
    """Make `TokenizerError` of what ``tokenizers`` raises: a bare `Exception`, or panics, which are none."""
    try:
        yield
    except BaseException as error:
        if type(error) is Exception:
            raise TokenizerError(str(error)) from error
        if type(error).__name__ == "PanicException":  # it has no name that could be imported
            raise TokenizerError("the library `tokenizers` panicked on this") from error
        raise


def as_id(value: SupportsIndex) -> int:
    """Return what may be an id as a number, if it may be one."""
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if not 0 <= number <= MOST_ID:
        raise ConfigError(f"{value!r} is no id: those are whole numbers from 0 to {MOST_ID}")
    return number


def checked_offsets(offsets: ArrayLike | None) -> Offsets:
    """Return the offsets of texts in a buffer as uint64, if they are what they have to be."""
    if offsets is None:
        raise ConfigError("a buffer of texts comes with offsets")
    given = np.asarray(offsets)
    if given.ndim != 1 or given.size == 0 or given.dtype.kind not in "iu" or given.min() < 0:
        raise ConfigError(
            "offsets are whole numbers from 0 on, in one dimension, one more than texts; given are "
            f"{given.dtype} of shape {given.shape}"
            + (f" from {given.min()} on" if given.size and given.dtype.kind in "iuf" else "")
        )
    return np.ascontiguousarray(given, np.uint64)
