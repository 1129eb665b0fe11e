"""Tokenizers, settings, outputs, disks and packed files that are not what they should be."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from refusal import GOOD, QA, TEXT, refused, tree

import apollo_pack
from apollo_pack import (
    ApolloPackError,
    ConfigError,
    CorpusError,
    FileError,
    FormatError,
    TokenizerError,
)
from apollo_pack._core import PackedFiles
from oracle import COLUMNS, Oracle
from tiny_tokenizers import tiny

if TYPE_CHECKING:
    from refusal import Make

TOKENIZERS = {
    "empty": b"",
    "cut": b'{"version": "1.0", "added',
    "bytes": bytes(range(256)),
    "no tokenizer": b"[1, 2]",
    "no model": b'{"version": "1.0", "added_tokens": []}',
}


@pytest.mark.parametrize("content", TOKENIZERS.values(), ids=TOKENIZERS)
def test_unreadable_tokenizers(content: bytes, corpus: Make, tmp_path: Path, old: bytes) -> None:
    """The error names the tokenizer, wherever it was found."""
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    assert str(path) in str(refused(TokenizerError, corpus(**{TEXT: GOOD}), path, old))
    (corpus() / "tokenizer.json").write_bytes(content)
    assert "tokenizer.json" in str(refused(TokenizerError, corpus(), None, old))


def test_tokenizers_that_are_not_there(corpus: Make, tmp_path: Path, old: bytes) -> None:
    folder = corpus(**{TEXT: GOOD})
    for path in (tmp_path / "nothing.json", tmp_path / "nothing", folder):
        refused(TokenizerError, folder, path, old)


def test_end_of_text_is_never_guessed(corpus: Make, tmp_path: Path, old: bytes) -> None:
    """A tokenizer that does not say it needs ``eos``; one that it does not have is refused."""
    folder, path = corpus(**{TEXT: GOOD}), tmp_path / "tokenizer.json"
    definition = json.loads(tiny("bytes"))
    definition["added_tokens"] = [t for t in definition["added_tokens"] if t["content"] != "<|endoftext|>"]
    path.write_text(json.dumps(definition))
    assert "--eos" in str(refused(TokenizerError, folder, path, old))
    for options in (
        {"eos": "<none>"},
        {"eos": 10**6},
        {"eos": -1},
        {"eos": ""},
        {"eos": "<|end|>", "pad": "?!"},
    ):
        refused(TokenizerError, folder, path, old, **options)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<none>", "pad_token": "<|end|>"}')
    assert "<none>" in str(refused(TokenizerError, folder, path, old))
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": ')
    refused(TokenizerError, folder, path, old)
    path.write_text(tiny("bytes"))
    (tmp_path / "tokenizer_config.json").unlink()
    refused(TokenizerError, folder, path, old, bos="always")
    report = apollo_pack.build(folder, tmp_path / "x.bin", tokenizer=path, seq_len=64, eos="<|end|>", pad=7)
    assert report.plan.tokenizer["eos_id"] == Oracle(tiny("bytes"), eos="<|end|>").eos
    assert apollo_pack.PackedDataset(tmp_path / "x.bin")[-1]["input_ids"][-1] == 7


SETTINGS = [
    *({"seq_len": value} for value in (100, 0, 4, -8, 1 << 25, 1 << 70, 64.0, "64")),
    *({"threads": 0}, {"seed": -1}, {"seed": 1 << 64}, {"packing": "best"}, {"overflow": ""}, {"order": "x"}),
    *({"special_tokens": "x"}, {"bos": "x"}, {"on_error": "x"}, {"template": "x"}),
]


@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_bad_settings(options: dict[str, Any], corpus: Make, tokenizer: Path, old: bytes) -> None:
    """The error names the setting."""
    assert next(iter(options)) in str(refused(ConfigError, corpus(**{TEXT: GOOD}), tokenizer, old, **options))


@pytest.mark.parametrize(
    "content",
    ["user =", 'user = "U"', 'user = 1\nassistant = "A"', 'user = "U"\nassistant = "A"\nusr = "x"', "\0"],
)
def test_bad_templates(content: str, corpus: Make, tmp_path: Path, tokenizer: Path, old: bytes) -> None:
    (tmp_path / "my.toml").write_text(content)
    error = refused(ConfigError, corpus(**{TEXT: GOOD}), tokenizer, old, template=tmp_path / "my.toml")
    assert "my.toml" in str(error)


def test_no_corpus(tmp_path: Path, tokenizer: Path, old: bytes) -> None:
    """Nothing there is an error, and one of Python's kinds too."""
    assert isinstance(refused(FileError, tmp_path / "none", tokenizer, old), FileNotFoundError)
    (tmp_path / "empty").mkdir()
    refused(CorpusError, tmp_path / "empty", tokenizer, old)
    (tmp_path / "empty" / "notes.txt").write_text("hello")
    refused(CorpusError, tmp_path / "empty", tokenizer, old)
    refused(CorpusError, tmp_path / "empty" / "notes.txt", tokenizer, old)
    (tmp_path / "empty" / TEXT).write_text('["", ""]')
    refused(ApolloPackError, tmp_path / "empty", tokenizer, old)
    (tmp_path / "empty" / TEXT).unlink()
    (tmp_path / "empty" / TEXT).symlink_to(tmp_path / "nowhere")
    refused(ApolloPackError, tmp_path / "empty", tokenizer, old)


def test_bad_outputs(corpus: Make, tmp_path: Path, tokenizer: Path, old: bytes) -> None:
    """A folder, a place that is not there, a device, a file of the corpus itself: refused, and left alone."""
    folder = corpus(**{TEXT: GOOD, QA: [["q", "a"]]})
    (tmp_path / "old.bin").write_bytes(old)
    os.mkfifo(tmp_path / "pipe")
    outs = {"folder": folder, "no folder": tmp_path / "no" / "x.bin", "under a file": folder / TEXT / "x.bin"}
    outs |= {
        "pipe": tmp_path / "pipe",
        "input": folder / TEXT,
        "nameless": Path(),
        "long": tmp_path / ("x" * 300),
    }
    before = tree(tmp_path)
    wrong = []
    for name, out in outs.items():
        try:
            apollo_pack.build(folder, out, tokenizer=tokenizer, seq_len=32, force=True)
            wrong.append(f"{name} was written")
        except ApolloPackError:
            pass
    with pytest.raises(apollo_pack.OutputExistsError):
        apollo_pack.build(folder, tmp_path / "old.bin", tokenizer=tokenizer, seq_len=32)
    assert not wrong
    assert tree(tmp_path) == before
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("kib", [16, 64, 256, 1024])
def test_a_full_disk(kib: int, corpus: Make, tmp_path: Path, tokenizer: Path, old: bytes) -> None:
    """No room for the work or the result: a typed error, the older output as it was, nothing else left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", disk],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small tmpfs cannot be mounted here")
    try:
        (disk / "out.bin").write_bytes(old)
        folder = corpus(**{TEXT: [f"{i} text " * 40 for i in range(3000)]})
        with pytest.raises(FileError) as caught:
            apollo_pack.build(folder, disk / "out.bin", tokenizer=tokenizer, seq_len=64, force=True)
        assert caught.value.errno == 28
        assert tree(disk) == {str(disk / "out.bin"): old}
    finally:
        subprocess.run(["umount", disk], check=True)  # noqa: S607


def test_a_file_size_limit(corpus: Make, tmp_path: Path, tokenizer: Path) -> None:
    """The system's limit on the size of files is an error like a full disk."""
    folder = corpus(**{TEXT: [f"{i} text " * 40 for i in range(500)]})
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-m", "apollo_pack", "build", folder, tmp_path / "out" / "out.bin"]
    done = subprocess.run(
        [*command, "--tokenizer", tokenizer],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "panicked" not in done.stderr
    assert tree(tmp_path / "out") == {}


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        (b'["ok", 12]', (), (TEXT, "item 1", "byte")),
        (b'["ok", "a\xff"]', (), (TEXT, "item 1", "byte")),
        (GOOD, ("--seq-len", "100"), ("--seq-len must be",)),
        (GOOD, ("--tokenizer", "/nowhere/tokenizer.json"), ("/nowhere/tokenizer.json",)),
        (b"[]", (), ("nothing to write",)),
    ],
)
def test_the_command_line_says_it_in_one_line(
    content: bytes,
    arguments: tuple[str, ...],
    words: tuple[str, ...],
    corpus: Make,
    tmp_path: Path,
    old: bytes,
) -> None:
    """One line on stderr, exit code 1, no traceback, the older output as it was."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "out.bin").write_bytes(old)
    folder = corpus(**{TEXT: content})
    if "--tokenizer" not in arguments:
        (folder / "tokenizer.json").write_text(tiny("bytes"))
    before = tree(tmp_path)
    command = [sys.executable, "-m", "apollo_pack", "build", folder, tmp_path / "out" / "out.bin", "--force"]
    done = subprocess.run([*command, "--quiet", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert all(word in done.stderr for word in words)
    assert not done.stdout
    assert tree(tmp_path) == before


def read_all(path: Path) -> None:
    """Open the file, read everything, then verify it."""
    ds = apollo_pack.PackedDataset(path, columns=COLUMNS)
    rows = ds[:]
    assert rows["input_ids"].shape == (len(ds), ds.seq_len)
    for i in range(len(ds)):
        ds.documents(i)
    PackedFiles([path]).verify()


def test_every_flipped_byte_and_truncation_of_a_packed_file(old: bytes, tmp_path: Path) -> None:
    """Each is a `FormatError`, from opening, reading or verifying; truncations already from opening."""
    path = tmp_path / "x.bin"
    path.write_bytes(old)
    read_all(path)
    for length in [*range(0, 4200, 50), *range(4096, len(old), 7), *range(len(old) - 64, len(old))]:
        path.write_bytes(old[:length])
        with pytest.raises(FormatError):
            apollo_pack.PackedDataset(path)
    path.write_bytes(old + b"\0" * 8)
    with pytest.raises(FormatError):
        read_all(path)
    missed = []
    blank = range(len(old[:4096].rstrip()) + 16, 4080)  # the header's filling: now and then
    for at in (at for at in range(len(old)) if at not in blank or at % 16 == 0):
        changed = bytearray(old)
        changed[at] ^= 1 << at % 8
        path.write_bytes(changed)
        try:
            read_all(path)
            missed.append(at)
        except FormatError:
            pass
    assert not missed


def test_hostile_headers(old: bytes, tmp_path: Path) -> None:
    """Shapes, types and offsets that do not fit each other or the file."""
    header = json.loads(old[8:4096])
    tensors = [name for name in header if name != "__metadata__"]
    path, accepted = tmp_path / "x.bin", []
    huge = [0, 1, 7, 2**31, 2**32, 2**62, 2**63, 2**64 - 1, 2**64, -1, 1.5, None, "8", []]
    edits = [(name, "shape", [value, *header[name]["shape"][1:]]) for name in tensors for value in huge]
    edits += [(name, "shape", [*header[name]["shape"][:-1], value]) for name in tensors for value in huge]
    edits += [(name, "data_offsets", [0, value]) for name in tensors for value in huge]
    edits += [(name, "data_offsets", [value, 2**64 - 1]) for name in tensors for value in huge]
    edits += [(name, "dtype", value) for name in tensors for value in ("F32", "U64", "U8", "nope", 3)]
    edits += [(name, key, None) for name in tensors for key in ("shape", "dtype", "data_offsets")]
    edits += [(name, None, value) for name in tensors for value in (None, [], {}, "x")]
    for name, key, value in edits:
        changed = json.loads(json.dumps(header))
        if key is None:
            changed[name] = value
        else:
            changed[name][key] = value
        text = json.dumps(changed, separators=(",", ":")).encode()
        if changed == header or len(text) > 4088:
            continue
        path.write_bytes(old[:8] + text.ljust(4088) + old[4096:])
        try:
            apollo_pack.PackedDataset(path)
            accepted.append((name, key, value))
        except FormatError:
            pass
    assert not accepted


def test_what_is_no_packed_file(tmp_path: Path) -> None:
    """Nothing, a folder, an empty file, zeros, another safetensors header."""
    with pytest.raises(FileNotFoundError):
        apollo_pack.PackedDataset(tmp_path / "none.bin")
    with pytest.raises(ApolloPackError):
        apollo_pack.PackedDataset(tmp_path)
    for content in (b"", b"\0" * 10_000, b"\xff" * 10_000, (2).to_bytes(8, "little") + b"{}", b"{" * 5000):
        (tmp_path / "x.bin").write_bytes(content)
        with pytest.raises(FormatError):
            apollo_pack.PackedDataset(tmp_path / "x.bin")
