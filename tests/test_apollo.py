"""`--recipe apollo` and its variants, beside the original preprocessing written again: token for token."""

import collections
import functools
import itertools
import json
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import apollo_pack
from apollo_oracle import IGNORED, ROLES, Original, accounts, epochs_of
from apollo_pack import PackedDataset, _core
from apollo_pack.tokenizers import default_tokenizer
from shared_data import shared_data
from tiny_tokenizers import tiny

THOROUGH = bool(os.environ.get("APOLLO_PACK_THOROUGH"))
PATHS = (
    "train/pretrain/medicalWeb_en_qa.json",
    "train/pretrain/medicalWiki_zh_xiaohe_qa.json",
    "train/sft/math_en.json",
    "train/sft/general_ar.json",
    "train/sft/medicalExam_zh.json",
)
NOT_LISTED = (
    "train/pretrain/medicalBook_en_text.json",
    "train/sft/medicalExam_zh_clean.json",
    "train/sft/generalReading_ar.json",
    "train/sft/medicalExam_ar.json",
    "train/sft/math_fr.json",
    "train/sft/other_en.json",
)
WORDS = [
    *(
        "",
        " ",
        "\n",
        "\n\n",
        ":",
        "::",
        ")",
        "a",
        "A",
        "é",
        "e\u0301",
        "\u3000",
        "-",
        "1",
        "👩‍👩‍👧‍👦",
        "患者发烧",
        "المريض",
    ),
    *("User:", "\nAssistant:", "<|endoftext|>", "</s>", "<s>", "<|im_end|>", "<|extra_0|>", "<|end|> x"),
    *("The patient has a fever", " and a cough", "word " * 9, "long " * 60),
]
TURNS = st.lists(st.lists(st.sampled_from(WORDS), max_size=4).map("".join), max_size=7)
EDGES = [
    [],
    ["only a question"],
    ["", ""],
    ["", "", "", ""],
    ["q", "a", "trailing"],
    ["q", ":merges", "q", "\nmerges", "q", " merges"],
    ["long " * 90, "never read"],
    ["q", "long " * 90, "never read", "a"],
    ["q", "long " * 14, "long " * 14, "a", "b", "c"],
    ["a " * 20, "b " * 20, "c " * 20, "d " * 20],
    [word for i in range(12) for word in (f"question {i}", f" answer {i}")],
]
# What stands for the models' own tokenizers: recipe, tokenizer, end-of-text, padding, what is given too.
TINY = [
    ("apollo-qwen", "bytes", "<|endoftext|>", "<|extra_0|>", {}),
    ("apollo-gemma", "prepend", "</s>", "<unk>", {"eos": "</s>", "pad": "<unk>"}),
    ("apollo-yi", "metaspace", "</s>", "<unk>", {}),
    ("apollo-moe", "bytes", "<|endoftext|>", "<|endoftext|>", {}),
    ("apollo-moe", "prepend", "</s>", "</s>", {}),
    ("medjamba", "prepend", "</s>", "<unk>", {}),
    (
        "medjamba",
        "bytes-prefix",
        "<|endoftext|>",
        "<|endoftext|>",
        {"eos": "<|endoftext|>", "pad": "<|endoftext|>"},
    ),
]


def write(root, corpus):
    for path, items in corpus.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(items, ensure_ascii=False), encoding="utf-8")


def name_of(path):
    source, language, *rest = path.rsplit("/", 1)[-1].removesuffix(".json").removesuffix("_qa").split("_")
    return "_".join([source, *rest]), language


def compare(root, corpus, recipe, tokenizer, original, **settings):
    """Build, and hold every row, the order and the accounts to the original."""
    out, order_file = root / "out.bin", root / "order.jsonl"
    report = apollo_pack.build(
        root / "corpus",
        out,
        recipe=recipe,
        tokenizer=tokenizer,
        write_order=order_file,
        force=True,
        **settings,
    )
    order = [tuple(json.loads(line)) for line in order_file.read_text(encoding="utf-8").splitlines()]
    listed = {path: items for path, items in corpus.items() if epochs_of(path, recipe)}
    documents = {
        (path, i): original.document(item) for path, items in listed.items() for i, item in enumerate(items)
    }
    assert collections.Counter(order) == {key: epochs_of(key[0], recipe) for key in documents}
    rows = list(original.rows(documents[key] for key in order))
    ds = PackedDataset(out, columns=("input_ids", "labels", "loss_mask"))
    assert len(ds) == len(rows)
    for i, (ids, labels) in enumerate(rows):
        found = ds[i]
        np.testing.assert_array_equal(found["input_ids"], ids, err_msg=f"row {i}: ids")
        np.testing.assert_array_equal(found["labels"], labels, err_msg=f"row {i}: labels")
        np.testing.assert_array_equal(found["loss_mask"], np.array(labels) != IGNORED)
    placed = [(d["source"], d["item"]) for i in range(len(ds)) for d in ds.documents(i)]
    assert placed == order
    assert set(report.plan.left_out) == set(corpus) - set(listed)
    _core.PackedFiles([out]).verify()
    found = {(entry.source, entry.language): entry for entry in report.ledger}
    files = {path: name_of(path) for path in listed}
    for key, account in accounts(documents, files, recipe).items():
        assert {name: getattr(found[key], name) for name in account} == account
    return out


@pytest.mark.parametrize(("recipe", "tokenizer", "eos", "pad", "given"), TINY)
@settings(max_examples=100 if THOROUGH else 12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_edge_cases_are_as_the_original_has_them(tmp_path_factory, recipe, tokenizer, eos, pad, given, data):
    root = tmp_path_factory.mktemp("apollo")
    corpus = {path: data.draw(st.lists(TURNS, min_size=1, max_size=8)) for path in PATHS}
    corpus[PATHS[3]] += EDGES * data.draw(st.sampled_from([1, 20]))  # more than a group
    corpus |= {path: [["q", "a"]] for path in NOT_LISTED}
    corpus[NOT_LISTED[0]] = ["a text"]
    write(root / "corpus", corpus)
    (root / "tokenizer.json").write_text(tiny(tokenizer), encoding="utf-8")
    seq_len = data.draw(st.sampled_from([16, 64, 128]))
    original = Original(tiny(tokenizer), recipe, seq_len, eos=eos, pad=pad)
    chosen = root / "tokenizer.json"
    compare(
        root, corpus, recipe, chosen, original, seq_len=seq_len, seed=data.draw(st.integers(0, 9)), **given
    )


REAL = [
    ("apollo-qwen", "qwen2", "<|endoftext|>", "<|extra_0|>"),
    ("apollo-gemma", "gemma", "<eos>", "<pad>"),
    ("apollo-yi", "llama2", "</s>", "<unk>"),
    ("apollo-moe", "qwen2", "<|endoftext|>", "<|endoftext|>"),
    ("apollo-moe", "llama3", None, None),
    ("apollo-moe", "gemma", "<eos>", "<pad>"),
    ("medjamba", "mistral_v3", "</s>", "<unk>"),
]


@functools.cache
def sample():
    """All of the real corpus with $APOLLO_PACK_THOROUGH, else some of every file."""
    root = shared_data() / "corpus"
    corpus = {}
    for path in sorted(root.rglob("*.json")):
        name = path.relative_to(root).as_posix()
        items = json.loads(path.read_bytes())
        if not THOROUGH:
            items = items[:: max(1, len(items) // 60)]
        corpus[name] = items
    return corpus


@pytest.mark.parametrize(("recipe", "tokenizer", "eos", "pad"), REAL)
def test_the_real_corpus_is_as_the_original_has_it(tmp_path, recipe, tokenizer, eos, pad):
    folder = shared_data() / "tokenizers" / tokenizer
    corpus = sample()
    write(tmp_path / "corpus", corpus)
    ids = apollo_pack.plan(tmp_path / "corpus", recipe=recipe, tokenizer=folder).tokenizer
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    if eos is None:
        names = {token["id"]: token["content"] for token in json.loads(text)["added_tokens"]}
        eos = pad = names[ids["eos_id"]]
    original = Original(text, recipe, 4096, eos=eos, pad=pad)
    assert (ids["eos_id"], ids["pad_id"]) == (original.eos, original.pad)
    out = compare(tmp_path, corpus, recipe, folder, original)
    proved = _core.PackedFiles([out]).check_against(
        tmp_path / "corpus", (recipe, text.encode(), config(folder))
    )
    assert proved["complete"]


def config(folder):
    path = folder / "tokenizer_config.json"
    return path.read_bytes() if path.exists() else None


@pytest.fixture
def corpus(tmp_path):
    items = [[f"question {i}", f"answer {i} " * (i % 9 + 1), "again", "yes"] for i in range(300)]
    write(tmp_path / "corpus", dict.fromkeys((*PATHS, *NOT_LISTED[1:]), items))
    return tmp_path / "corpus"


def test_the_bytes_do_not_depend_on_threads_and_the_order_not_on_the_rest(corpus, tmp_path):
    orders, contents = [], set()
    for i, threads in enumerate((1, 2, 5)):
        order = tmp_path / f"order{i}.jsonl"
        out = tmp_path / "out.bin"
        apollo_pack.build(
            corpus, out, recipe="apollo", seq_len=256, threads=threads, write_order=order, force=True
        )
        contents.add(out.read_bytes())
        orders.append(order.read_text())
    assert len(contents) == len(set(orders)) == 1
    (corpus / PATHS[0]).unlink()
    apollo_pack.build(corpus, tmp_path / "less.bin", recipe="apollo", write_order=tmp_path / "less.jsonl")
    less = [line for line in orders[0].splitlines() if PATHS[0] not in line]
    assert (tmp_path / "less.jsonl").read_text().splitlines() == less


def test_priority_is_a_curriculum(corpus, tmp_path):
    apollo_pack.build(corpus, tmp_path / "out.bin", recipe="apollo", write_order=tmp_path / "order.jsonl")
    order = [json.loads(line)[0] for line in (tmp_path / "order.jsonl").read_text().splitlines()]
    assert len(order) == 300 * (3 + 2 * 2)
    knowledge = [path in PATHS[:3] for path in order]
    tenth = len(order) // 10
    assert sum(knowledge[:tenth]) > 0.8 * tenth
    assert sum(knowledge[-tenth:]) < 0.05 * tenth


def test_an_order_of_ones_own(corpus, tmp_path):
    mine = [[path, i] for i, path in itertools.product((7, 3, 299, 3, 7, 7), PATHS[::-1])]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in mine))
    settings = {"recipe": "apollo", "seq_len": 256, "order_file": tmp_path / "mine.jsonl"}
    report = apollo_pack.build(corpus, tmp_path / "out.bin", write_order=tmp_path / "ours.jsonl", **settings)
    ours = [json.loads(line) for line in (tmp_path / "ours.jsonl").read_text().splitlines()]
    assert ours == mine
    ds = PackedDataset(tmp_path / "out.bin")
    documents = [d for i in range(len(ds)) for d in ds.documents(i)]
    assert [[d["source"], d["item"]] for d in documents] == mine
    assert max(d["epoch"] for d in documents) == 2
    assert sum(entry.items_kept for entry in report.ledger) == 3 * len(PATHS)
    assert sum(entry.items_repeated for entry in report.ledger) == 3 * len(PATHS)
    assert {reason for entry in report.ledger for reason in entry.items_dropped} == {"not-drawn"}
    for line, words in ((["nobody.json", 1], "reads no file"), ([1, 2], "line 1"), ("x", "line 1")):
        (tmp_path / "mine.jsonl").write_text(json.dumps(line) + "\n")
        with pytest.raises(apollo_pack.ConfigError, match=words):
            apollo_pack.build(corpus, tmp_path / "other.bin", **settings)
    with pytest.raises(apollo_pack.ConfigError, match="exclude"):
        apollo_pack.build(corpus, tmp_path / "other.bin", order="shuffle", **settings)


def test_padding_that_is_added_is_a_new_token(corpus, tmp_path):
    report = apollo_pack.build(corpus, tmp_path / "out.bin", recipe="apollo")
    tokenizer = report.plan.tokenizer
    assert (tokenizer["pad_id"], tokenizer["vocab_size"], tokenizer["added_pad"]) == (
        151646,
        151647,
        "<|extra_0|>",
    )
    _core.PackedFiles([tmp_path / "out.bin"]).check_against(corpus, default_tokenizer())


def test_what_the_original_has_no_words_for_is_refused(corpus, tmp_path):
    for changes in ({"packing": "concat"}, {"overflow": "split"}, {"bos": "always"}):
        with pytest.raises(apollo_pack.ConfigError, match="by_turn"):
            apollo_pack.build(corpus, tmp_path / "out.bin", recipe="apollo", **changes)


@pytest.mark.parametrize("recipe", sorted(ROLES))
def test_only_files_that_the_original_lists_are_taken(tmp_path, recipe):
    sources = ("code", "general", "generalReading", "math", "medicalExam", "medicalPatient", "medicalWiki")
    languages = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "pt", "ru", "zh")
    names = [f"{source}_{language}" for source in sources for language in languages]
    paths = [f"{folder}/{name}{kind}.json" for name in names for folder, kind in FOLDERS]
    write(tmp_path / "corpus", {path: [["q", "a"]] for path in paths})
    plan = apollo_pack.plan(tmp_path / "corpus", recipe=recipe, eos="0", pad="0")
    taken = {file.path: file.epochs for file in plan.inputs}
    assert taken == {path: epochs for path in paths if (epochs := epochs_of(path, recipe))}
    assert plan.left_out == dict.fromkeys(set(paths) - set(taken), f"not in the recipe {recipe}")
    # In numbers, as the original's list has them: some SFT files, and all of pretraining.
    assert len([path for path in taken if "/sft/" in path]) == (33 if recipe == "apollo-moe" else 17)
    assert len([path for path in taken if "/pretrain/" in path]) == len(names)


FOLDERS = [("train/pretrain", "_qa"), ("train/pretrain", "_text"), ("train/sft", ""), ("train/sft", "_clean")]


def test_every_variant_has_an_oracle():
    assert set(apollo_pack.recipe_names()) == set(ROLES) == {recipe for recipe, *_ in TINY}
