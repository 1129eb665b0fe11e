"""What leaks and what is there twice is kept out whatever the recipe, and whatever the output is made of."""

import collections
import json
import subprocess
import sys

import pytest

import apollo_pack
from apollo_pack import PackedDataset, _core
from apollo_pack.tokenizers import find_tokenizer

LEAK = "Which of the following vitamins is stored in the liver for several months?"
ROW_BYTES = 64 * 4 + 8


def item(number):
    """Give a dialogue; every fifth leaks."""
    return [f"{LEAK} ({number})" if number % 5 == 0 else f"question {number}", f"answer {number}"]


@pytest.fixture
def scene(tmp_path):
    """A corpus of two files, of which the second has the first half of the first again, and its benchmark."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a_en.json").write_text(json.dumps([item(i) for i in range(40)]))
    (corpus / "b_en.json").write_text(
        json.dumps([item(i) for i in range(20)] + [item(i + 40) for i in range(20)])
    )
    (tmp_path / "bench.json").write_text(json.dumps([{"question": LEAK}]))
    return tmp_path


def build(scene, recipe=None, **settings):
    """Build with what is kept out; gives how often each item stands in the rows, and the ledger by source."""
    if recipe is not None:
        (scene / "mine.toml").write_text(recipe)
        settings["recipe"] = scene / "mine.toml"
    report = apollo_pack.build(scene / "corpus", scene / "out.bin", seq_len=64, force=True, **settings)
    files = _core.PackedFiles([report.path])
    files.verify()
    tokenizer = find_tokenizer(None, scene / "corpus")
    benchmarks = settings.get("decontaminate", [])
    assert files.check_against(scene / "corpus", tokenizer, None, None, benchmarks)["complete"]
    ds = PackedDataset(report.path)
    found = {(d["source"], d["item"], d["epoch"]) for row in range(len(ds)) for d in ds.documents(row)}
    placed = collections.Counter((source, number) for source, number, _ in found)
    for entry in report.ledger:
        assert entry.items == entry.items_kept + sum(entry.items_dropped.values())
        assert entry.tokens == entry.tokens_kept + sum(entry.tokens_dropped.values())
    return placed, {entry.source: entry for entry in report.ledger}, report


@pytest.mark.parametrize("by_turn", ["false", "true"])
def test_by_whatever_rule_an_item_goes(scene, by_turn):
    recipe = f"""
        [build]
        order = "shuffle"
        packing = "in-order"
        by_turn = {by_turn}
        [[mix]]
        source = "b"
        epochs = 2
        template = "chatml"
        [[mix]]
        source = "a"
        epochs = 3
        loss = false
        """
    placed, ledger, _ = build(scene, recipe, decontaminate=[scene / "bench.json"], dedup="exact")
    clean = {i for i in range(40) if i % 5}
    assert placed == collections.Counter(
        {("a_en.json", i): 3 for i in clean} | {("b_en.json", i): 2 for i in range(20, 40) if i % 5}
    )
    assert ledger["a"].items_dropped == {"leaked": 8}
    assert ledger["b"].items_dropped == {"leaked": 8, "duplicate": 16}
    assert set(ledger["b"].tokens_dropped) == {"leaked", "duplicate"}


@pytest.mark.parametrize("epochs", [0.5, 0])
def test_what_is_not_drawn_is_the_first_of_nothing(scene, epochs):
    recipe = f"[[mix]]\nsource = 'a'\nepochs = {epochs}\n[[mix]]\n"
    placed, ledger, _ = build(scene, recipe, decontaminate=[scene / "bench.json"], dedup="exact")
    drawn = {i for i in range(40) if i % 2} if epochs else set()
    first = {("a_en.json", i) for i in drawn if i % 5}
    second = {("b_en.json", i) for i in range(40) if i % 5 and not (i < 20 and i in drawn)}
    assert set(placed) == first | second
    leaked = {"leaked": sum(i % 5 == 0 for i in drawn)} if drawn else {}
    assert ledger["a"].items_dropped == {"not-drawn": 40 - len(drawn)} | leaked
    duplicates = sum(i % 5 > 0 for i in drawn if i < 20)
    assert ledger["b"].items_dropped == {"leaked": 8} | ({"duplicate": duplicates} if drawn else {})


def test_limits_and_lists_draw_from_what_is_left(scene):
    placed, ledger, _ = build(scene, "[[mix]]\nmax_documents = 40\n", dedup="exact")
    assert len(placed) == 40
    assert ledger["b"].items_dropped["duplicate"] == 20
    listed = [["b_en.json", 1], ["b_en.json", 21], ["a_en.json", 1], ["a_en.json", 5]]
    (scene / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in listed))
    settings = {"order_file": scene / "list.jsonl", "dedup": "exact", "decontaminate": [scene / "bench.json"]}
    placed, *_ = build(scene, **settings)
    assert set(placed) == {("b_en.json", 21), ("a_en.json", 1)}


@pytest.mark.parametrize("threads", [1, 3])
def test_shards_are_the_one_file(scene, threads):
    settings = {"dedup": "exact", "decontaminate": [scene / "bench.json"], "threads": threads}
    one, _, whole = build(scene, **settings)
    many, ledger, report = build(scene, shard_size=2 * ROW_BYTES, **settings)
    assert report.shards > 3
    assert (many, report.content_hash) == (one, whole.content_hash)
    assert ledger["b"].items_dropped == {"leaked": 8, "duplicate": 16}
    for path in [report.path, *sorted(scene.glob("out-*.bin"))]:
        metadata = PackedDataset(path).metadata
        assert metadata["dedup"] == {"found": "drop"}
        assert metadata["decontamination"]["benchmarks"][0]["path"] == "bench.json"


def run(*arguments):
    command = [sys.executable, "-m", "apollo_pack", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_commands_know_each_other(scene):
    corpus, bench = scene / "corpus", scene / "bench.json"
    (scene / "mine.toml").write_text("[[mix]]\nepochs = 1.5\n")
    options = ("--recipe", scene / "mine.toml", "--decontaminate", bench, "--dedup", "exact", "--seq-len", 64)
    planned = run("plan", corpus, *options)
    assert (planned.returncode, planned.stderr) == (0, "")
    assert "questions of benchmarks are kept out: 1" in planned.stdout
    assert "duplicates are kept out" in planned.stdout
    dry = run("build", corpus, scene / "set.bin", *options, "--dry-run")
    assert dry.stdout == planned.stdout
    done = run("build", corpus, scene / "set.bin", *options, "--shard-size", 3 * ROW_BYTES, "--quiet")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    index = scene / "set.bin.index.json"
    proved = run("verify", index, "--against", corpus, "--decontaminate", bench)
    assert "nothing of the corpus is missing" in proved.stdout
    assert run("verify", index, "--against", corpus, "--rows", 3).returncode == 0
    for rows, benchmarks in (((), ()), (("--rows", 3), ("--decontaminate", scene / "other.json"))):
        (scene / "other.json").write_text('["Another question?"]')
        refused = run("verify", index, "--against", corpus, *rows, *benchmarks)
        assert (refused.returncode, "name those with --decontaminate" in refused.stderr) == (1, True)
    shown = run("inspect", index).stdout
    for words in ("exact", "bench.json", "leaked", "duplicate"):
        assert words in shown
    missing = run("plan", corpus, "--decontaminate", scene / "nobody.json")
    assert (missing.returncode, "nobody.json" in missing.stderr) == (1, True)
