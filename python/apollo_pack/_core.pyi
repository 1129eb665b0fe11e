# The Rust core, as Python sees it. Use the package `apollo_pack`; this module may change.

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "INDEX_SUFFIX",
    "Encoder",
    "PackedFiles",
    "__version__",
    "build",
    "find_leaks",
    "plan",
    "qwen_tokenizer_json",
    "recipes",
    "rows_in_order",
]

__version__: str
INDEX_SUFFIX: str

_Tokenizer: TypeAlias = tuple[str, bytes, bytes | None]

def build(
    corpus: object,
    out: object,
    tokenizer: _Tokenizer,
    settings: dict[str, Any],
    on_plan: Callable[[dict[str, Any]], object] | None = None,
    on_progress: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]: ...
def plan(
    corpus: object,
    tokenizer: _Tokenizer,
    settings: dict[str, Any],
    on_progress: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]: ...
def find_leaks(
    corpus: object,
    benchmarks: Sequence[object],
    settings: dict[str, Any],
    on_progress: Callable[[dict[str, Any]], object] | None = None,
) -> dict[str, Any]: ...
def recipes() -> list[tuple[str, str]]: ...
def qwen_tokenizer_json(tiktoken: bytes) -> bytes: ...
def rows_in_order(
    rows: int, seed: int | None, epoch: int, start: int, step: int, count: int
) -> NDArray[np.int64]: ...

@final
class PackedFiles:
    def __new__(cls, paths: Sequence[object], access: str = "auto") -> PackedFiles: ...
    def __len__(self) -> int: ...
    @property
    def seq_len(self) -> int: ...
    def metadata(self) -> list[dict[str, Any]]: ...
    def root_hashes(self) -> list[str]: ...
    @property
    def mapped(self) -> bool: ...
    def fill(self, rows: NDArray[np.int64], columns: dict[str, NDArray[Any]]) -> None: ...
    def boundaries(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], int]: ...
    def num_loss_tokens(self, rows: NDArray[np.int64]) -> int: ...
    def documents(self, row: int) -> list[dict[str, Any]]: ...
    def verify(self, on_progress: Callable[[int, int], object] | None = None) -> list[dict[str, Any]]: ...
    def check_against(
        self,
        corpus: object,
        tokenizer: _Tokenizer,
        rows: int | None = None,
        on_progress: Callable[[dict[str, Any]], object] | None = None,
        decontaminate: Sequence[object] = ...,
    ) -> dict[str, Any]: ...

@final
class Encoder:
    def __new__(cls, label: str, tokenizer_json: bytes, special_tokens: str) -> Encoder: ...
    @property
    def name(self) -> str: ...
    @property
    def why_not_native(self) -> str | None: ...
    def encode(self, text: str) -> NDArray[np.uint32]: ...
    def encode_list(
        self, texts: list[str], num_threads: int | None = None
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]: ...
    def encode_buffer(
        self, buffer: NDArray[np.uint8], offsets: NDArray[np.uint64], num_threads: int | None = None
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]: ...
