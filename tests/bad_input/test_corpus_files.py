"""Whatever a corpus holds: one typed error that names the place, or a counted outcome."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from refusal import GOOD, LINES, QA, TEXT, refused

import apollo_pack
from apollo_pack import (
    ApolloPackError,
    CorpusError,
    InputError,
)
from oracle import COLUMNS, File, Oracle, check, expect
from tiny_tokenizers import EOS, tiny

if TYPE_CHECKING:
    from refusal import Make

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
    suite = Path(__file__).resolve().parents[3] / "shared" / "data" / "JSONTestSuite.zip"
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
