"""Whatever comes in: one typed error that names the place, and nothing written, or a counted outcome."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import pickle
import resource
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import apollo_pack
from apollo_pack import (
    ApolloPackError,
    ConfigError,
    CorpusError,
    FileError,
    FormatError,
    InputError,
    TokenizerError,
)
from apollo_pack._core import PackedFiles
from oracle import COLUMNS, File, Oracle, check, expect
from shared_data import EOS, tiny

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Path]

TEXT, QA, LINES = "medicalWiki_en_text.json", "medicalExam_en.json", "medicalWeb_en_text.jsonl"
GOOD = b'["hello world", "second text"]'


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(tiny("bytes"))
    return path


@pytest.fixture(scope="session")
def old(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give the bytes of a packed file of several rows and inputs."""
    corpus = tmp_path_factory.mktemp("old")
    (corpus / TEXT).write_text(json.dumps([f"an older text {i} " * (i % 9) for i in range(12)]))
    (corpus / QA).write_text(json.dumps([["a question?", "an answer."]] * 4))
    apollo_pack.build(corpus, corpus / "out.bin", tokenizer=tokenizer, seq_len=32)
    return (corpus / "out.bin").read_bytes()


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.fixture
def corpus(tmp_path: Path) -> Make:
    """Write a corpus folder; what is not bytes is dumped."""

    def make(**files: Any) -> Path:
        for name, content in {name.replace("__", "."): content for name, content in files.items()}.items():
            (tmp_path / "corpus").mkdir(exist_ok=True)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            (tmp_path / "corpus" / name).write_bytes(data)
        return tmp_path / "corpus"

    return make


def refused(
    kind: type[ApolloPackError], corpus: Path, tokenizer: Path | None, old: bytes, **options: Any
) -> Any:
    """Build over an older output; see that the error is of this kind and all files are as they were."""
    out = corpus.parent / "out"
    out.mkdir(exist_ok=True)
    (out / "out.bin").write_bytes(old)
    before = tree(corpus.parent)
    with pytest.raises(kind) as caught:
        apollo_pack.build(
            corpus, out / "out.bin", **{"tokenizer": tokenizer, "seq_len": 32, "force": True, **options}
        )
    assert tree(corpus.parent) == before
    assert str(caught.value).strip()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own
    return caught.value


BROKEN = [  # content, item, where the error begins, where it ends
    (b"", 0, 0, 0),
    (b" \n\t ", 0, 0, 4),
    (b'"text"', 0, 0, 1),
    (b'{"text": "ok"}', 0, 0, 1),
    (b"12", 0, 0, 1),
    (b"[", 0, 0, 1),
    (b'[,"b"]', 0, 1, 2),
    (b'["ok",]', 1, 5, 6),
    (b'["ok" "b"]', 1, 5, 7),
    (b'["ok"', 1, 5, 5),
    (b'["ok"] x', 1, 7, 8),
    (b'["ok"]["b"]', 1, 6, 7),
    (b'["ok", 12, "b"]', 1, 7, 9),
    (b'["ok", null]', 1, 7, 11),
    (b'["ok", truth]', 1, 7, 12),
    (b"['ok']", 0, 1, 2),
    (b'["ok", ["q", "a"]]', 1, 7, 17),
    (b'[["q", "a"], "ok"]', 1, 13, 17),
    (b'[["q", "a"], ["q", 1]]', 1, 13, 21),
    (b'[["q", ["a"]]]', 0, 1, 13),
    (b'["ok", "a\nb"]', 1, 9, 11),
    (b'["ok", "a\0b"]', 1, 9, 11),
    (b'["ok", "a\\qb"]', 1, 9, 12),
    (b'["ok", "a\\u12g4b"]', 1, 9, 15),
    (b'["ok", "a\xffb"]', 1, 9, 10),
    (b'["ok", "a\xed\xa0\x80b"]', 1, 9, 12),
    (b'["ok", "\xc0\xaf"]', 1, 8, 10),
    (b'["ok", "\xf4\x90\x80\x80"]', 1, 8, 12),
    (b'["ok", \xff"a"]', 1, 7, 8),
    (b'["ok", "a\\ud800b"]', 1, 9, 16),
    (b'["ok", "a\\ud800"]', 1, 9, 17),
    (b'["ok", "a\\udc00b"]', 1, 9, 16),
    (b'["ok", "\\udc00\\ud800"]', 1, 8, 20),
    (b'["ok", {"text": "a", "text": "b"}]', 1, 7, 33),
    (b'["ok", {"txt": "a"}]', 1, 7, 19),
    (b"[" * 200_000, 0, 1, 200_000),
    (b'["ok", ' + b"[" * 5000 + b"]" * 5000 + b"]", 1, 7, 10_007),
    (GOOD.decode().encode("utf-16"), 0, 0, 1),
    (b"\x1f\x8b\x08\0 garbage", 0, 0, 1),
]


@pytest.mark.parametrize(
    ("content", "item", "first", "last"), BROKEN, ids=[repr(case[0][:24]) for case in BROKEN]
)
@pytest.mark.parametrize("name", [TEXT, QA])
def test_broken_json(
    content: bytes, item: int, first: int, last: int, name: str, corpus: Make, tokenizer: Path, old: bytes
) -> None:
    """The error names file, item and byte, and the plan has it too."""
    folder = corpus(**{name: content, "zz_en.json": [["q", "a"]]})
    error = refused(InputError, folder, tokenizer, old)
    assert (error.file, error.item) == (name, item)
    assert first <= error.byte <= last
    assert name in str(error)
    plan = apollo_pack.plan(folder, tokenizer=tokenizer, seq_len=32)
    notes = {file.path: file.notes for file in plan.inputs}
    assert [note.outcome for note in notes[name]][-1:] == ["stops the build"]
    assert not notes["zz_en.json"]


LINE_CASES = [  # content, item; None: it is read
    (b'"one"\n{"text": "two"}\n\n{"text": "three", "x": [1, {"y": 2}]}\r\n"four"', None),
    (b'\xef\xbb\xbf"one"\n', None),
    (b'"one"\n["q", "a"]\n', 1),
    (b'"one"\n{"text": "a", "text": "b"}\n', 1),
    (b'"one"\n{"text": "a", "te\\u0078t": "b"}\n', 1),
    (b'"one"\n{"txt": "a"}\n', 1),
    (b'"one"\n{"text": null}\n', 1),
    (b'"one"\n{"text": "a", "messages": []}\n', 1),
    (b'"one"\n{"text":\n"two"}\n', 1),
    (b'"one" "two"\n', 0),
    (b'"one"\n{"text": "a"', 1),
    (b'"one"\n{"text": "a", "deep": ' + b"[" * 200_000 + b"\n", 1),
    (b'"one"\n\xff\n', 1),
    (b'{"messages": [{"role": "user", "content": "q"}, {"role": "user", "content": "q"}]}\n', 0),
    (b'{"messages": [{"role": "assistant", "content": "a"}]}\n', 0),
    (b'{"messages": [{"role": "user", "content": 7}]}\n', 0),
    (b'{"conversations": [{"from": "human"}]}\n', 0),
    (b'{"conversations": "q"}\n', 0),
]


@pytest.mark.parametrize(("content", "item"), LINE_CASES, ids=[repr(case[0][:40]) for case in LINE_CASES])
def test_lines(content: bytes, item: int | None, corpus: Make, tokenizer: Path, old: bytes) -> None:
    """JSON Lines: good lines are read, a bad one is named."""
    folder = corpus(**{LINES: content})
    if item is None:
        apollo_pack.build(folder, folder / "out.bin", tokenizer=tokenizer, seq_len=32)
        return
    error = refused(InputError, folder, tokenizer, old)
    start = content.split(b"\n")[0:item]
    assert (error.file, error.item) == (LINES, item)
    assert sum(map(len, start)) + item <= error.byte <= len(content)


MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, 200), st.integers(0, 3), st.sampled_from(list(b'[]{}",:\\u0d8 \n\0\x80\xe6\xffa1'))
    ),
    min_size=1,
    max_size=3,
)
BASES = [
    ['first "text"\n', "患者 é 😀", "", "x\\u"],
    [["q 1", "a \U0001f600"], ["ق", "ج", "再", "b"], ["only"]],
]


@given(base=st.sampled_from(BASES), escaped=st.booleans(), mutations=MUTATIONS)
@settings(max_examples=250, deadline=None)
def test_read_as_python_reads(
    base: list[Any],
    escaped: bool,  # noqa: FBT001 - hypothesis gives it
    mutations: list[tuple[int, int, int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """What Python's parser takes is built as it reads it, what it refuses is refused."""
    data = bytearray(json.dumps(base, ensure_ascii=escaped).encode())
    for at, what, byte in mutations:
        at %= len(data) + 1  # noqa: PLW2901
        # Insert, replace, delete, or cut off.
        data[at : (at, at + 1, at + 1, len(data))[what]] = [byte] if what < 2 else []
    folder = tmp_path_factory.mktemp("mutated")
    (folder / TEXT).write_bytes(data)
    (folder / "tokenizer.json").write_text(tiny("bytes"))
    try:
        items = json.loads(bytes(data).decode("utf-8-sig"))
        json.dumps(items, ensure_ascii=False).encode()  # no lone surrogates
        kinds = {str if isinstance(item, str) else list for item in items}
        flat = itertools.chain.from_iterable([item] if isinstance(item, str) else item for item in items)
        valid = isinstance(items, list) and len(kinds) <= 1 and all(isinstance(text, str) for text in flat)
    except (ValueError, TypeError):
        valid = False
    if not valid:
        with pytest.raises(InputError) as caught:
            apollo_pack.build(folder, folder / "out.bin", seq_len=16)
        assert 0 <= caught.value.byte <= len(data)
        assert not (folder / "out.bin").exists()
        return
    wanted = {TEXT: File("medicalWiki", "en", items)}
    expected = expect(wanted, Oracle(tiny("bytes"), eos=EOS["bytes"]), 16)
    if expected.documents:
        apollo_pack.build(folder, folder / "out.bin", seq_len=16)
        check(apollo_pack.PackedDataset(folder / "out.bin", columns=COLUMNS), expected, wanted)


def test_every_truncation(corpus: Make, tokenizer: Path, old: bytes) -> None:
    """A file that ends too early is refused at its end, plain or compressed."""
    content = '[["q \\n", "a é"], ["患者", "b"]]'.encode()
    for length in range(len(content)):
        error = refused(InputError, corpus(**{QA: content[:length]}), tokenizer, old)
        assert error.byte == length
    (corpus() / QA).unlink()
    for name, data in {"gz": gzip.compress(content), "zst": zstandard.compress(content)}.items():
        for length in range(len(data)):
            error = refused(InputError, corpus(**{f"{QA}.{name}": data[:length]}), tokenizer, old)
            assert error.file == f"{QA}.{name}"
        (corpus() / f"{QA}.{name}").unlink()


def test_compressed_data_that_changed(corpus: Make, tokenizer: Path) -> None:
    """A byte flipped in compressed data is found, or makes no difference."""
    content = json.dumps(["a text", "another one"] * 3).encode()
    checked = zstandard.ZstdCompressor(write_checksum=True).compress(content)
    for name, data in {"gz": gzip.compress(content, mtime=0), "zst": checked}.items():
        path = f"{TEXT}.{name}"
        tokens = set()
        for at in [None, *range(len(data))]:
            changed = bytearray(data)
            if at is not None:
                changed[at] ^= 1 << at % 8
            out = corpus(**{path: bytes(changed)}) / "out.bin"
            try:
                apollo_pack.build(out.parent, out, tokenizer=tokenizer, seq_len=64, force=True)
            except InputError:
                continue
            tokens.add(apollo_pack.PackedDataset(out)[:]["input_ids"].tobytes())
        assert len(tokens) == 1
        out.unlink()
        (corpus() / path).unlink()


def archive(entries: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as opened:
        for name, content in entries:
            opened.writestr(zipfile.ZipInfo(name), content, compression)
    return data.getvalue()


def test_broken_zips(tmp_path: Path, tokenizer: Path, old: bytes) -> None:
    """Every truncation is refused; of flipped bytes each is found or makes no difference to the texts."""
    data = archive([(f"train/{TEXT}", GOOD), (f"train/{QA}", b'[["q", "a"]]')])
    path = tmp_path / "corpus.zip"
    for length in range(0, len(data), 3):
        path.write_bytes(data[:length])
        refused(CorpusError, path, tokenizer, old)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        path.write_bytes(changed)
        try:
            apollo_pack.build(path, tmp_path / "x.bin", tokenizer=tokenizer, seq_len=32, force=True)
        except ApolloPackError:
            continue
        rows = apollo_pack.PackedDataset(tmp_path / "x.bin")
        items = {
            (segment["source"], segment["item"]) for i in range(len(rows)) for segment in rows.documents(i)
        }
        assert items, at


@pytest.mark.parametrize("flag", ["encrypted", "bzip2"])
def test_zips_of_other_kinds(flag: str, tmp_path: Path, tokenizer: Path, old: bytes) -> None:
    """Encryption and rare methods are refused by name."""
    data = bytearray(archive([(TEXT, GOOD)], zipfile.ZIP_BZIP2 if flag == "bzip2" else zipfile.ZIP_STORED))
    if flag == "encrypted":
        for sign, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            data[data.index(sign) + offset] |= 1
    (tmp_path / "corpus.zip").write_bytes(data)
    error = refused(ApolloPackError, tmp_path / "corpus.zip", tokenizer, old)
    assert isinstance(error, CorpusError | InputError)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_in_a_zip(tmp_path: Path, tokenizer: Path) -> None:
    """Neither is dropped without a word."""
    (tmp_path / "corpus.zip").write_bytes(archive([(TEXT, GOOD), (TEXT, b'["other text"]')]))
    try:
        plan = apollo_pack.plan(tmp_path / "corpus.zip", tokenizer=tokenizer, seq_len=32)
    except CorpusError:
        return
    said = [plan.left_out, plan.notes, *(file.notes for file in plan.inputs)]
    assert any(said) or sum(file.items for file in plan.inputs) == 3


def test_skipping_counts_and_lists(corpus: Make, tokenizer: Path) -> None:
    """Bad items are left out, counted, listed up to a hundred; good ones stay."""
    texts = [f"text {i}" if i % 3 else i for i in range(450)]
    dialogues = [["q", "a"], ["q", None], "text", ["q", "b"]]
    source = {TEXT: texts, QA: dialogues, LINES: b'"one"\n{}\n"two"\n'}
    folder = corpus(**source)
    report = apollo_pack.build(folder, folder / "out.bin", tokenizer=tokenizer, seq_len=32, on_error="skip")
    bad = [(QA, 1), (QA, 2), (LINES, 1), *((TEXT, i) for i in range(0, 450, 3))]
    assert report.bad_items == len(bad) == 153
    assert [(entry["file"], entry["item"]) for entry in report.bad_item_list] == bad[:100]
    assert all(entry["problem"] and entry["byte"] >= 0 for entry in report.bad_item_list)
    dropped = {
        entry.source: (entry.items, entry.items_kept, dict(entry.items_dropped)) for entry in report.ledger
    }
    assert dropped == {
        "medicalExam": (4, 2, {"bad-item": 2}),
        "medicalWeb": (3, 2, {"bad-item": 1}),
        "medicalWiki": (450, 300, {"bad-item": 150}),
    }
    ds = apollo_pack.PackedDataset(folder / "out.bin", columns=COLUMNS)
    found = {(segment["source"], segment["item"]) for i in range(len(ds)) for segment in ds.documents(i)}
    assert len(found) == 304
    assert not found & set(bad)


def test_a_break_in_a_file_ends_it_when_skipping(corpus: Make, tokenizer: Path) -> None:
    """Where the array itself is broken its rest is left out, and both the plan and the report say so."""
    folder = corpus(**{TEXT: b'["text one", "text two" "text three"]', QA: [["q", "a"]]})
    options = {"tokenizer": tokenizer, "seq_len": 32, "on_error": "skip"}
    report = apollo_pack.build(folder, folder / "out.bin", **options)
    assert (report.bad_items, report.totals["segments"]) == (1, 3)
    assert "rest" in report.bad_item_list[0]["problem"]
    notes = [note for file in apollo_pack.plan(folder, **options).inputs for note in file.notes]
    assert len(notes) == 1
    assert "rest" in notes[0].what + notes[0].outcome


def test_the_plan_tells_what_is_odd(corpus: Make, tokenizer: Path) -> None:
    """Names that disagree with the content, empty files, unknown shapes, things that are no input."""
    files = {
        "medicalWiki_fr_text.json": [["q", "a"]],
        "medicalWeb_es_qa.json": ["a text"],
        "medicalExam_hi.json": [],
        "general_ar.json": [{"input": "q", "output": "a"}],
        "math_en.jsonl": b'{"text": "a", "text": "b"}\n',
        "fine_zh.json": [["q", "a"]],
        "notes.txt": b"hello",
    }
    plan = apollo_pack.plan(corpus(**files), tokenizer=tokenizer, seq_len=32)
    inputs = {file.path: file for file in plan.inputs}
    assert set(inputs) == set(files) - {"notes.txt"}
    assert "notes.txt" in plan.left_out
    for path, words in {
        "medicalWiki_fr_text.json": "name",
        "medicalWeb_es_qa.json": "name",
        "medicalExam_hi.json": "no items",
        "general_ar.json": "item 0",
        "math_en.jsonl": "duplicate key",
    }.items():
        assert [words in note.what and bool(note.outcome) for note in inputs[path].notes] == [True], path
    assert not inputs["fine_zh.json"].notes
    kinds = {path: (inputs[path].kind, inputs[path].language) for path in files if path in inputs}
    assert kinds["medicalWiki_fr_text.json"] == ("qa", "fr")
    assert kinds["medicalWeb_es_qa.json"] == ("text", "es")


def test_bom_and_nul(tmp_path: Path, tokenizer: Path) -> None:
    """A BOM before the array is no text; NUL in a text is a character like others."""
    rows = []
    for name, content in {
        "a": b"\xef\xbb\xbf" + GOOD,
        "b": GOOD,
        "c": b'["hello\\u0000world", "second text"]',
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / TEXT).write_bytes(content)
        apollo_pack.build(tmp_path / name, tmp_path / f"{name}.bin", tokenizer=tokenizer, seq_len=32)
        rows.append(apollo_pack.PackedDataset(tmp_path / f"{name}.bin", columns=COLUMNS))
    assert (rows[0][:]["input_ids"] == rows[1][:]["input_ids"]).all()
    corpus = {TEXT: File("medicalWiki", "en", ["hello\0world", "second text"])}
    check(rows[2], expect(corpus, Oracle(tiny("bytes"), eos=EOS["bytes"]), 32), corpus)


@pytest.mark.parametrize("name", ["n", "y", "i"])
def test_json_test_suite(name: str, corpus: Make, tokenizer: Path) -> None:
    """As a value that is not used, the suite's valid cases are read and its invalid ones refused."""
    suite = Path(__file__).resolve().parents[2] / "shared" / "data" / "JSONTestSuite.zip"
    if not suite.is_file():
        pytest.skip("no shared data: no ../shared/data/JSONTestSuite.zip")
    with zipfile.ZipFile(suite) as opened:
        files = [entry for entry in opened.namelist() if entry.split("/")[-1].startswith(f"{name}_")]
        cases = {entry: opened.read(entry) for entry in files if entry.endswith(".json")}
    assert len(cases) > 20
    wrong = []
    for entry, content in cases.items():
        folder = corpus(**{TEXT: b'[{"text": "ok", "meta": ' + content + b"}]"})
        try:
            apollo_pack.build(folder, folder / "out.bin", tokenizer=tokenizer, seq_len=32, force=True)
            outcome = "y"
        except InputError:
            outcome = "n"
        wrong += [entry] if name not in {outcome, "i"} else []
    assert not wrong


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
        (GOOD, ("--seq-len", "100"), ("seq_len",)),
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
