"""What leaks, or is there twice or nearly so, is dropped or marked, as is asked."""

import json
import random
import subprocess
import sys
from collections import Counter

import pytest

import apollo_pack
from apollo_pack import PackedDataset, _core
from apollo_pack.tokenizers import find_tokenizer

LEAK = "Which of the following vitamins is stored in the liver for several months?"
ROW_BYTES = 64 * 4 + 8


def words(seed, count):
    """Give words of which no two items have many in a row in common."""
    return [f"w{random.Random(f'{seed} {i}').randrange(10**6)}" for i in range(count)]


def changed(seed, count, *places):
    """Give the same words with others in some places."""
    return [f"x{i}" if i in places else word for i, word in enumerate(words(seed, count))]


# What is found of each item of the two files; the rest is only there.
FOUND = {
    ("a_en.json", 1): ["leaked"],
    ("b_en.jsonl", 0): ["duplicate"],
    ("b_en.jsonl", 1): ["leaked", "duplicate"],
    ("b_en.jsonl", 3): ["near-duplicate"],
    ("b_en.jsonl", 5): ["near-duplicate"],
}


@pytest.fixture
def scene(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    a = [
        ["What does the heart do?", "It pumps blood."],
        [LEAK, "B12"],
        ["Tell me.", " ".join(words("long", 120))],
        ["Go on.", " ".join(words("other", 120))],
    ]
    b = [
        ["What  does the heart do? ", "It pumps blood."],
        [LEAK, "B12"],
        ["Tell me.", " ".join(changed("long", 120, 20, 40, 60, 80, 100))],  # 93 shingles of 143: 0.65
        ["Tell me,", " ".join(changed("long", 120, 60))],  # 113 of 123: 0.92
        ["Something else.", "Quite."],
        ["go", "on " + " ".join(words("other", 120)).upper()],
    ]
    (corpus / "a_en.json").write_text(json.dumps(a))
    (corpus / "b_en.jsonl").write_text("".join(json.dumps(item) + "\n" for item in b))
    (tmp_path / "bench.json").write_text(json.dumps([{"question": LEAK}]))
    return tmp_path


def build(scene, **settings):
    """Build, prove, and give what is marked of the items in the rows, and the ledger by source."""
    settings = {"dedup": "near", "decontaminate": [scene / "bench.json"], **settings}
    report = apollo_pack.build(scene / "corpus", scene / "out.bin", seq_len=64, force=True, **settings)
    files, tokenizer = _core.PackedFiles([report.path]), find_tokenizer(None, scene / "corpus")
    files.verify()
    assert files.check_against(scene / "corpus", tokenizer, None, None, settings["decontaminate"])["complete"]
    assert files.check_against(scene / "corpus", tokenizer, 2)["rows"] == 2
    ds = PackedDataset(report.path)
    marks = {}
    for row in range(len(ds)):
        for document in ds.documents(row):
            place = document["source"], document["item"]
            assert marks.setdefault(place, document["marks"]) == document["marks"]
    return marks, {entry.source: entry for entry in report.ledger}, report


def test_what_is_dropped_or_marked(scene):
    everything, plain, _ = build(scene, dedup="off", decontaminate=[])
    assert len(everything) == 10
    assert not any(everything.values())
    dropped, ledger, _ = build(scene)
    assert dropped == {place: [] for place in everything if place not in FOUND}
    # Of several reasons the first counts.
    assert ledger["a"].items_dropped == {"leaked": 1}
    assert ledger["b"].items_dropped == {"leaked": 1, "duplicate": 1, "near-duplicate": 2}
    marked, entries, report = build(scene, leaks="mark", duplicates="mark")
    assert marked == {place: FOUND.get(place, []) for place in everything}
    assert entries["a"].items_marked == {"leaked": 1}
    assert entries["b"].items_marked == {"leaked": 1, "duplicate": 2, "near-duplicate": 2}
    for source, entry in entries.items():
        assert (entry.items_dropped, entry.tokens_kept) == ({}, plain[source].tokens_kept)
        assert entry.tokens_marked["leaked"] == ledger[source].tokens_dropped["leaked"]
    assert entries["b"].tokens_marked["near-duplicate"] == ledger["b"].tokens_dropped["near-duplicate"]
    metadata = PackedDataset(report.path).metadata
    assert metadata["dedup"] == {"near": 0.8, "found": "mark"}
    assert metadata["decontamination"]["found"] == "mark"


def test_each_as_it_is_asked(scene):
    marked, ledger, _ = build(scene, leaks="mark")
    assert marked["a_en.json", 1] == ["leaked"]
    assert ledger["b"].items_dropped == {"duplicate": 2, "near-duplicate": 2}
    assert not ledger["b"].items_marked  # what is dropped is not marked too
    marked, ledger, _ = build(scene, duplicates="mark")
    assert marked["b_en.jsonl", 3] == ["near-duplicate"]
    assert ledger["b"].items_dropped == {"leaked": 1}
    assert ledger["b"].items_marked == {"duplicate": 1, "near-duplicate": 2}


@pytest.mark.parametrize(("threshold", "near"), [(0.5, {2, 3, 5}), (0.8, {3, 5}), (0.97, {5}), (1.0, {5})])
def test_the_threshold(scene, threshold, near):
    marked, _, _ = build(scene, near_threshold=threshold, duplicates="mark", decontaminate=[])
    assert {item for (_, item), marks in marked.items() if "near-duplicate" in marks} == near


@pytest.mark.parametrize("by_turn", ["false", "true"])
def test_recipes_and_shards_keep_the_marks(scene, by_turn):
    (scene / "mine.toml").write_text(
        f"[build]\norder = 'shuffle'\nby_turn = {by_turn}\npacking = 'in-order'\n"
        "[[mix]]\nsource = 'b'\nepochs = 2\n[[mix]]\nloss = false\n"
    )
    settings = {"recipe": scene / "mine.toml", "leaks": "mark", "duplicates": "mark"}
    marked, ledger, one = build(scene, **settings)
    assert {place: marks for place, marks in marked.items() if marks} == FOUND
    assert ledger["b"].items_marked == {"leaked": 1, "duplicate": 2, "near-duplicate": 2}  # not twice
    again, _, many = build(scene, shard_size=2 * ROW_BYTES, threads=1, **settings)
    assert (again, many.content_hash) == (marked, one.content_hash)
    assert many.shards > 1


def test_whatever_the_threads_and_the_order_of_the_folder(scene):
    settings = {"leaks": "mark", "duplicates": "mark"}
    first = build(scene, threads=1, **settings)[2].path.read_bytes()
    content = (scene / "corpus" / "a_en.json").read_bytes()
    (scene / "corpus" / "a_en.json").unlink()
    (scene / "corpus" / "a_en.json").write_bytes(content)  # now the last of its folder
    assert build(scene, threads=3, **settings)[2].path.read_bytes() == first


@pytest.mark.parametrize("overflow", ["split", "truncate"])
@pytest.mark.parametrize("order", ["corpus", "shuffle"])
def test_what_a_limit_leaves_out_counts_as_nothing_else(scene, order, overflow):
    (scene / "mine.toml").write_text(
        f"[build]\norder = '{order}'\n[[mix]]\nsource = 'b'\nepochs = 2.5\nmax_documents = 4\n"
        "[[mix]]\nmax_documents = 2\n"
    )
    settings = {"recipe": scene / "mine.toml", "leaks": "mark", "duplicates": "mark", "overflow": overflow}
    _, ledger, report = build(scene, **settings)
    ds = PackedDataset(report.path)
    documents = [document for row in range(len(ds)) for document in ds.documents(row)]
    for source, entry in ledger.items():
        here = [document for document in documents if document["source"].startswith(f"{source}_")]
        items = {document["item"]: document["marks"] for document in here}
        marked = Counter(mark for marks in items.values() for mark in marks)
        assert entry.items_marked == marked
        assert entry.items_kept == len(items) < entry.items
        assert entry.items_repeated == len({(at["item"], at["epoch"]) for at in here}) - len(items)
        cut = {document["item"] for document in here if document["cut"] or document["continued"]}
        assert entry.items_cut == len(cut)
        assert (entry.tokens_truncated > 0) == (overflow == "truncate" and len(cut) > 0)
        assert entry.items_dropped == {"not-drawn": entry.items - entry.items_kept}
        kept = sum(at["end"] - at["start"] for at in here if at["epoch"] == first_epoch(here, at["item"]))
        assert entry.tokens_kept == kept
        assert entry.tokens == kept + entry.tokens_truncated + sum(entry.tokens_dropped.values())


def first_epoch(documents, item):
    return min(document["epoch"] for document in documents if document["item"] == item)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"near_threshold": 0.3}, "near_threshold must be from 0.5 to 1, not 0.3"),
        ({"near_threshold": float("nan")}, "near_threshold must be from"),
        ({"near_threshold": "high"}, "near_threshold must be a number"),
        ({"duplicates": "count"}, "duplicates must be one of drop, mark"),
        ({"leaks": "keep", "decontaminate": ["bench.json"]}, "leaks must be one of drop, mark"),
        ({"dedup": "off", "duplicates": "mark"}, "duplicates has no effect here: dedup is off"),
        ({"dedup": "exact", "near_threshold": 0.9}, "near_threshold has no effect here: dedup is not near"),
        ({"leaks": "mark"}, "leaks has no effect here: there is nothing to decontaminate from"),
        ({"leak_run": 20}, "leak_run has no effect here"),
        ({"leak_fold": True}, "leak_fold has no effect here"),
    ],
)
def test_settings_that_make_no_sense(scene, settings, message):
    settings = {"dedup": "near", **settings}
    if "decontaminate" in settings:
        settings["decontaminate"] = [scene / name for name in settings["decontaminate"]]
    with pytest.raises(apollo_pack.ConfigError, match=message):
        apollo_pack.build(scene / "corpus", scene / "out.bin", **settings)


def run(*arguments):
    command = [sys.executable, "-m", "apollo_pack", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_commands_say_so(scene):
    corpus, bench = scene / "corpus", scene / "bench.json"
    options = ("--decontaminate", bench, "--dedup", "near", "--seq-len", 64, "--leaks", "mark")
    planned = run("plan", corpus, *options)
    assert "questions of benchmarks are marked: 1" in planned
    assert "near-duplicates are kept out -> items that have a MinHash similarity of 0.8 or more" in planned
    built = run("build", corpus, scene / "set.bin", *options)
    for words in ("items dropped: 2 duplicate, 2 near-duplicate", "items kept and marked: 1 leaked"):
        assert words in built
    shown = run("inspect", scene / "set.bin")
    for words in ("near (from 0.8 on), dropped", "bench.json, marked", "near-duplicate"):
        assert words in shown
    rows = range(len(PackedDataset(scene / "set.bin")))
    assert sum("a_en.json, item 1, leaked" in run("inspect", scene / "set.bin", "--row", row) for row in rows)
