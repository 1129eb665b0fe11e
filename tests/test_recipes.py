"""Recipes: what is taken, how often, in which order, how it is treated, and what is said of it before."""

import collections
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from tokenizers import Tokenizer

import apollo_pack
from apollo_pack import PackedDataset, _core
from apollo_pack.tokenizers import default_tokenizer

FILES = {
    "pretrain/medicalWiki_en_text.json": [f"Text {i} about the heart. " * (1 + i % 4) for i in range(100)],
    "pretrain/medicalWiki_zh_text.json": [f"第{i}篇:心脏把血液送到全身。" for i in range(60)],
    "sft/general_en.json": [[f"question {i}", f"answer {i}"] for i in range(80)],
    "sft/general_zh.json": [[f"问题{i}", f"回答{i}。" * 3] for i in range(40)],
    "sft/code_en.jsonl": [[f"write {i}", f"print({i})"] for i in range(30)],
}


@pytest.fixture
def build(tmp_path):
    """Build the corpus with a recipe; gives the report, the dataset, and the documents as they stand."""
    for path, items in FILES.items():
        (tmp_path / "corpus" / path).parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(item) + "\n" for item in items)
        content = lines if path.endswith("l") else json.dumps(items)
        (tmp_path / "corpus" / path).write_text(content, encoding="utf-8")

    def run(recipe, **settings):
        (tmp_path / "mine.toml").write_text(recipe, encoding="utf-8")
        out = tmp_path / "out.bin"
        settings = {"seq_len": 128, "packing": "in-order", **settings}
        recipe = tmp_path / "mine.toml"
        report = apollo_pack.build(tmp_path / "corpus", out, recipe=recipe, force=True, **settings)
        _core.PackedFiles([out]).verify()
        proved = _core.PackedFiles([out]).check_against(tmp_path / "corpus", default_tokenizer())
        assert proved["complete"]
        ds = PackedDataset(out)
        documents = [document for i in range(len(ds)) for document in ds.documents(i)]
        check_ledger(report, documents)
        return report, ds, documents

    return run


def check_ledger(report, documents):
    """What came in was kept, cut off or dropped; the rows hold what was kept, and repetitions."""
    placed = collections.Counter()
    sources = {file["path"]: (file["source"], file["language"]) for file in report.raw["inputs"]}
    for document in documents:
        placed[sources[document["source"]]] += document["end"] - document["start"]
    for entry in report.ledger:
        assert entry.items == entry.items_kept + sum(entry.items_dropped.values())
        dropped = sum(entry.tokens_dropped.values())
        assert entry.tokens == entry.tokens_kept + entry.tokens_truncated + dropped
        assert entry.tokens_kept + entry.tokens_repeated == placed[entry.source, entry.language]
    items = sum(entry.items_kept + entry.items_repeated for entry in report.ledger)
    assert items == len({(d["source"], d["item"], d["epoch"]) for d in documents})


def per_file(documents):
    return collections.Counter(document["source"] for document in documents)


def test_rules_take_files_by_name_path_and_content(build):
    report, _, documents = build(
        """
        [[mix]]
        path = "**/sft/*_en*"
        kind = "qa"
        source = ["gen*", "x"]
        [[mix]]
        kind = "text"
        language = "zh"
        [[mix]]
        source = "nobody"
        """
    )
    taken = ["pretrain/medicalWiki_zh_text.json", "sft/general_en.json"]
    assert sorted(per_file(documents)) == taken == [file["path"] for file in report.raw["inputs"]]
    assert set(report.plan.left_out) == set(FILES) - set(taken)
    assert set(report.plan.left_out.values()) == {"not in the recipe mine"}
    assert [note.what for note in report.plan.notes] == ["rule 3 of the recipe matches no file"]
    with pytest.raises(apollo_pack.CorpusError, match="takes no file"):
        build("[[mix]]\nsource = 'nobody'")


@pytest.mark.parametrize("order", ["corpus", "shuffle", "priority"])
def test_epochs_are_counted_and_repetitions_accounted_for(build, order):
    report, _, documents = build(
        f"""
        [build]
        order = "{order}"
        [[mix]]
        source = "general"
        language = "en"
        epochs = 2.5
        priority = 3
        [[mix]]
        source = "general"
        epochs = 0.3
        """
    )
    assert per_file(documents) == {"sft/general_en.json": 200, "sft/general_zh.json": 12}
    keys = [(d["source"], d["item"], d["epoch"]) for d in documents]
    assert len(set(keys)) == len(keys)
    assert {epoch for *_, epoch in keys} == {0, 1, 2}
    english, chinese = report.ledger
    assert (english.items, english.items_kept, english.items_repeated) == (80, 80, 120)
    assert (chinese.items, chinese.items_kept, chinese.items_dropped) == (40, 12, {"not-drawn": 28})


def test_a_rule_has_its_own_template_and_loss(build):
    report, ds, _ = build(
        """
        [[mix]]
        source = "code"
        loss = false
        [[mix]]
        source = "general"
        language = "zh"
        template = { user = "Q:", assistant = "A:", separator = " " }
        [[mix]]
        source = "general"
        """
    )
    code, english, chinese = report.ledger
    assert (code.items_without_loss, code.items_kept, code.loss_tokens) == (30, 30, 0)
    assert (english.items_without_loss, chinese.items_without_loss) == (0, 0)
    assert english.loss_tokens > 80
    tokenizer = Tokenizer.from_buffer(default_tokenizer().tokenizer_json)
    text = "".join(tokenizer.decode(row.tolist(), skip_special_tokens=False) for row in ds[:]["input_ids"])
    for i in range(40):
        assert f"Q:问题{i} A:回答{i}。" in text
    assert "User:问题" not in text
    assert "User:question 3\nAssistant:answer 3" in text
    assert "User:write 3\nAssistant:print(3)" in text


@pytest.mark.parametrize("overflow", ["drop", "truncate", "split", "error"])
def test_a_rule_has_its_own_overflow(build, overflow):
    seq_len = 16
    recipe = f"""
        [[mix]]
        kind = "text"
        language = "en"
        overflow = "{overflow}"
        [[mix]]
        kind = "qa"
        overflow = "drop"
        """
    if overflow == "error":
        with pytest.raises(apollo_pack.InputError, match="more than the 16 of a row"):
            build(recipe, seq_len=seq_len)
        return
    report, _, documents = build(recipe, seq_len=seq_len)
    texts = FILES["pretrain/medicalWiki_en_text.json"]
    tokenizer = Tokenizer.from_buffer(default_tokenizer().tokenizer_json)
    lengths = [len(tokenizer.encode(text).ids) + 1 for text in texts]
    long = sum(length > seq_len for length in lengths)
    assert 20 < long < 80
    found = [d for d in documents if d["source"] == "pretrain/medicalWiki_en_text.json"]
    whole = [d["item"] for d in found if not (d["cut"] or d["continued"])]
    assert whole == [i for i, length in enumerate(lengths) if length <= seq_len]
    account = report.ledger[-1]
    assert (account.source, account.items) == ("medicalWiki", 100)
    if overflow == "drop":
        assert (len(found), account.items_dropped) == (100 - long, {"too-long": long})
    elif overflow == "truncate":
        assert [d["item"] for d in found] == list(range(100))
        assert account.tokens_truncated == sum(max(0, length - seq_len) for length in lengths)
    else:
        alone = sum(length > seq_len and length % seq_len == 1 for length in lengths)  # a token without loss
        assert sum(d["end"] - d["start"] for d in found) == sum(lengths) - alone
    # The other rule goes on as it says.
    assert {reason for entry in report.ledger[:-1] for reason in entry.items_dropped} == {"too-long"}
    assert not any(d["cut"] for d in documents if "sft" in d["source"])


def test_limits_hold(build):
    _, _, documents = build(
        """
        [build]
        order = "shuffle"
        [[mix]]
        source = "general"
        max_documents = 50
        [[mix]]
        kind = "text"
        max_tokens = 1000
        """
    )
    counts = per_file(documents)
    assert counts["sft/general_en.json"] + counts["sft/general_zh.json"] == 50
    assert counts["sft/general_zh.json"] > 5
    tokens = sum(d["end"] - d["start"] for d in documents if "text" in d["source"])
    assert 900 < tokens <= 1000


def test_proportions_are_kept_along_the_order(build):
    recipe = """
        [build]
        order = "proportions"
        [[mix]]
        language = "en"
        weight = 3
        [[mix]]
        language = "zh"
        weight = 1
        epochs = 2
        """
    report, ds, documents = build(recipe)
    share = collections.Counter()
    for i in range(len(ds)):
        for d in ds.documents(i):
            share[i * 4 // len(ds), "_zh" in d["source"]] += d["end"] - d["start"]
    for part in range(4):
        assert abs(share[part, True] / (share[part, True] + share[part, False]) - 0.25) < 0.05
    again = [(d["source"], d["item"], d["epoch"]) for d in documents]
    other = [(d["source"], d["item"], d["epoch"]) for d in build(recipe, seed=1)[2]]
    assert again != other
    assert report.content_hash == build(recipe)[0].content_hash
    with pytest.raises(apollo_pack.ConfigError, match="more than there are"):
        build("[sampling]\ntokens = 1000000" + recipe)


def test_temperature_lifts_the_small(build):
    def shares(temperature):
        recipe = f"""
            [build]
            order = "proportions"
            [sampling]
            by = "language"
            temperature = {temperature}
            tokens = 1500
            [[mix]]
            epochs = 3
            """
        report, *_ = build(recipe)
        tokens = collections.Counter()
        for entry in report.ledger:
            tokens[entry.language] += entry.tokens_kept + entry.tokens_repeated
        return tokens["zh"] / tokens.total()

    natural, flat = shares(1), shares(1000)
    assert natural < 0.47 < flat < 0.53 or natural > 0.53 > flat > 0.47


@pytest.mark.parametrize("order", ["corpus", "shuffle", "priority", "proportions"])
def test_the_bytes_do_not_depend_on_threads(build, order, tmp_path):
    recipe = f"""
        [build]
        order = "{order}"
        [[mix]]
        epochs = 1.7
        priority = 2
        max_documents = 400
        """
    contents = set()
    for threads in (1, 2, 7):
        build(recipe, threads=threads, packing="best-fit")
        contents.add((tmp_path / "out.bin").read_bytes())
    assert len(contents) == 1


def test_without_a_recipe_nothing_is_said_of_one(build, tmp_path):
    report, ds, _ = build("[[mix]]")
    plain = apollo_pack.build(tmp_path / "corpus", tmp_path / "plain.bin", seq_len=128, packing="in-order")
    for name in ("recipe", "order_file"):
        assert name not in PackedDataset(tmp_path / "plain.bin").metadata
    assert plain.content_hash == report.content_hash
    np.testing.assert_array_equal(ds[:]["labels"], PackedDataset(tmp_path / "plain.bin")[:]["labels"])


def test_what_is_asked_for_goes_before_the_recipe(build):
    recipe = "[build]\nseq_len = 64\norder = 'shuffle'\nseed = 4\npacking = 'concat'\n[[mix]]"
    _, ds, _ = build(recipe, seq_len=32)
    metadata = ds.metadata
    assert (metadata["seq_len"], metadata["packing"]) == (32, "in-order")
    assert (metadata["order"], metadata["seed"], metadata["recipe"]["name"]) == ("shuffle", 4, "mine")


def run(*arguments):
    command = [sys.executable, "-m", "apollo_pack", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_plan_tells_the_mix_before_anything_is_encoded(build, tmp_path):
    report, _, documents = build(apollo_pack.recipe_text("apollo"), packing="groups-of-256")
    done = run("plan", tmp_path / "corpus", "--recipe", tmp_path / "mine.toml", "--json")
    mix = json.loads(done.stdout)["mix"]
    names = [file["path"] for file in json.loads(done.stdout)["inputs"]]
    assert dict(zip(names, map(round, mix["documents"]), strict=True)) == per_file(documents)
    tokens = sum(entry.tokens_kept + entry.tokens_repeated for entry in report.ledger)
    assert abs(sum(mix["tokens"]) / tokens - 1) < 0.1
    assert len(mix["steps"]) == 20
    code = names.index("sft/code_en.jsonl")
    assert mix["steps"][0][code] > 2 * mix["steps"][-1][code]
    shown = run("plan", tmp_path / "corpus", "--recipe", "apollo").stdout
    for words in ("left out", "Expected", "Along the training order", "recipe apollo-qwen", "general"):
        assert words in shown
    assert not (tmp_path / "order.jsonl").exists()


@pytest.mark.parametrize("order", ["corpus", "shuffle", "priority"])
def test_a_plan_knows_limits(build, tmp_path, order):
    recipe = f"""
        [build]
        order = "{order}"
        [[mix]]
        source = "general"
        max_documents = 90
        [[mix]]
        kind = "text"
        epochs = 2
        max_tokens = 1500
        """
    report, _, documents = build(recipe)
    mix = apollo_pack.plan(tmp_path / "corpus", recipe=tmp_path / "mine.toml").mix
    drawn = per_file(documents)
    for file, expected in zip(report.raw["inputs"], mix.documents, strict=True):
        assert abs(expected - drawn[file["path"]]) < 12, (file["path"], expected)
    general = [i for i, file in enumerate(report.raw["inputs"]) if file["source"] == "general"]
    assert round(sum(mix.documents[i] for i in general)) == 90


def picture(*arguments):
    """Name, bars and ends of every line of the picture of a plan."""
    lines = run("plan", *arguments).stdout.split("Along the training order")[1].splitlines()
    return {line.split()[0]: line.split("|")[1:] for line in lines if line.count("|") == 2}


def test_the_picture_of_a_mix_is_readable_with_many_sources(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for i in range(30):
        dialogues = [[f"question {j}", f"answer {j}"] for j in range(2000 if i == 7 else 20)]
        (corpus / f"source{i:02}_en.json").write_text(json.dumps(dialogues), encoding="utf-8")
    (tmp_path / "mine.toml").write_text(
        '[build]\norder = "priority"\n[[mix]]\nsource = "source0*"\npriority = 16\n[[mix]]\n',
        encoding="utf-8",
    )
    shown = picture(corpus, "--recipe", tmp_path / "mine.toml")
    assert list(shown) == [f"source{i:02}" for i in range(30)]
    assert {len(bars) for bars, _ in shown.values()} == {20}
    first, last = {}, {}
    for name, (_, ends) in shown.items():
        first[name], last[name] = (int(word.strip("%")) for word in re.findall(r"\d+%", ends))
    bars = shown["source07"][0]
    assert "█" in bars, "the largest share is a full bar"
    assert bars == "".join(sorted(bars, reverse=True)), "and becomes less"
    assert (first["source07"] > 80, last["source07"] < 5) == (True, True)
    assert "▁" in shown["source20"][0], "a small share is seen"
    assert first["source20"] == 0 < last["source20"], "and comes later"


def test_the_picture_of_one_source_is_by_language(tmp_path):
    for language, count in {"en": 30, "zh": 10}.items():
        dialogues = [["question", "answer"]] * count
        (tmp_path / f"general_{language}.json").write_text(json.dumps(dialogues), encoding="utf-8")
    shown = picture(tmp_path)
    assert {name: bars.strip() for name, (bars, _) in shown.items()} == {"en": "█" * 15, "zh": "█" * 5}


def test_recipes_are_printed_as_they_are():
    names = run("recipe").stdout.split()
    assert names == ["apollo", *apollo_pack.recipe_names()]
    for name in names:
        assert run("recipe", name).stdout == apollo_pack.recipe_text(name)
    assert apollo_pack.recipe_text("apollo") == apollo_pack.recipe_text("apollo-qwen")
    assert run("recipe", "nobody").returncode == 1


def test_a_recipe_by_turn_in_shards(tmp_path):
    """Labels that are not their own token are where they are in the one file, in whichever shard."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    dialogues = [[f"q{i}", f"a{i}", "and then?", "that " * (1 + i % 5)] for i in range(60)]
    (corpus / "general_en.json").write_text(json.dumps(dialogues), encoding="utf-8")
    recipe = tmp_path / "turns.toml"
    recipe.write_text(
        '[build]\nby_turn = true\npacking = "in-order"\n[[mix]]\nepochs = 2\n', encoding="utf-8"
    )
    settings = {"seq_len": 64, "recipe": recipe}
    one = apollo_pack.build(corpus, tmp_path / "one.bin", **settings)
    many = apollo_pack.build(corpus, tmp_path / "many.bin", shard_size=3 * 64 * 4, **settings)
    assert many.shards > 3
    assert many.content_hash == one.content_hash
    _core.PackedFiles([many.path]).verify()
    whole, parts = PackedDataset(one.path), PackedDataset(many.path)
    labels = np.stack([whole[i]["labels"] for i in range(len(whole))])
    assert np.array_equal(labels, [parts[i]["labels"] for i in range(len(parts))])
    tokens = np.stack([whole[i]["input_ids"] for i in range(len(whole))])
    assert ((labels != -100) & (labels != tokens)).any(), "some label is not its own token"
