"""`build` and `plan`: what depends on what, and what is left behind."""

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import apollo_pack
from apollo_pack import PackedDataset, build, plan
from apollo_pack.tokenizers import DEFAULT_LABEL, default_tokenizer, find_tokenizer


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.mark.parametrize("packing", ["best-fit", "in-order", "concat"])
def test_the_same_bytes_for_any_number_of_threads(corpus, tmp_path, packing):
    out = tmp_path / "out.bin"
    digests = set()
    for threads in (1, 2, 7):
        build(corpus, out, seq_len=64, packing=packing, threads=threads, force=True)
        digests.add(digest(out))
    assert len(digests) == 1
    assert os.listdir(tmp_path) == ["out.bin"]


def test_a_zip_and_its_folder_are_the_same_bytes(corpus, packed, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "corpus"), "zip", corpus)
    build(archive, tmp_path / "out.bin", seq_len=64)
    assert digest(tmp_path / "out.bin") == digest(packed)
    with zipfile.ZipFile(tmp_path / "stored.zip", "w", zipfile.ZIP_STORED) as stored:
        for path in sorted(corpus.rglob("*.*"), reverse=True):
            stored.write(path, path.relative_to(corpus))
    build(tmp_path / "stored.zip", tmp_path / "out2.bin", seq_len=64)
    assert digest(tmp_path / "out2.bin") == digest(packed)


def test_single_files(corpus, tmp_path):
    path = corpus / "train/sft/general_hi.jsonl"
    report = build(path, tmp_path / "out.bin", seq_len=256)
    assert [file["path"] for file in report.raw["inputs"]] == ["general_hi.jsonl"]
    assert report.ledger[0].source == "general"
    assert report.ledger[0].items == 25


def test_the_report(corpus, tmp_path):
    plans, stages = [], []
    report = build(
        corpus,
        tmp_path / "out.bin",
        seq_len=64,
        on_plan=plans.append,
        on_progress=lambda p: stages.append(p["stage"]),
    )
    assert plans == [report.plan]
    assert {"publish"} <= set(stages) <= {"survey", "encode", "plan", "write", "publish"}
    assert [(file.path, file.kind, file.items) for file in report.plan.inputs] == [
        ("train/pretrain/medicalBook_en_text.json", "text", 41),
        ("train/pretrain/medicalWeb_zh_text.jsonl.zst", "text", 30),
        ("train/pretrain/medicalWiki_zh_text.json", "text", 30),
        ("train/sft/code_hi.jsonl.gz", "qa", 25),
        ("train/sft/general_hi.jsonl", "qa", 25),
        ("train/sft/medicalExam_ar.json", "qa", 30),
    ]
    totals, ledger = report.totals, report.ledger
    assert (ledger[0].source, ledger[0].language, ledger[0].items) == ("code", "hi", 25)
    assert sum(entry.tokens_kept for entry in ledger) == totals["tokens"]
    for entry in ledger:
        assert entry.items == entry.items_kept + sum(entry.items_dropped.values())
        dropped = sum(entry.tokens_dropped.values())
        assert entry.tokens == entry.tokens_kept + entry.tokens_truncated + dropped
    assert totals["rows"] * 64 == totals["tokens"] + totals["padding"]
    assert report.file_bytes == (tmp_path / "out.bin").stat().st_size
    assert json.loads(json.dumps(report.raw))["content_hash"] == report.content_hash


def test_packings_keep_what_they_promise(corpus, tmp_path):
    def ends(packing, order="corpus"):
        out = tmp_path / f"{packing}-{order}.bin"
        build(corpus, out, seq_len=64, packing=packing, order=order)
        ds = PackedDataset(out)
        return ds, [ds.documents(i) for i in range(len(ds))]

    best, rows = ends("best-fit")
    for documents in rows:
        for document in documents:
            if document["end"] - document["start"] < 64 and not document["continued"]:
                assert not document["cut"]
    in_order, rows = ends("in-order")
    flat = [(d["source"], d["item"], d["document_start"]) for documents in rows for d in documents]
    assert flat == sorted(flat)
    concat, rows = ends("concat")
    assert all(documents[-1]["end"] == 64 for documents in rows[:-1])
    assert concat.metadata["totals"]["padding"] == 64 - rows[-1][-1]["end"]
    assert len(concat) <= len(best) <= len(in_order)
    _, shuffled = ends("concat", "shuffle")
    seen = [(d["source"], d["item"]) for documents in shuffled for d in documents]
    whole = list(dict.fromkeys(seen))
    assert len([key for i, key in enumerate(seen) if i == 0 or seen[i - 1] != key]) == len(whole), (
        "documents run on"
    )
    assert whole != sorted(whole)


def test_a_shuffle_is_decided_by_its_seed(corpus, tmp_path):
    hashes = [
        build(corpus, tmp_path / f"{i}.bin", seq_len=64, order="shuffle", seed=seed).content_hash
        for i, seed in enumerate((1, 1, 2, 2**64 - 1))
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_an_existing_output_is_safe(corpus, tmp_path):
    out = tmp_path / "out.bin"
    out.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="force"):
        build(corpus, out, seq_len=64)
    with pytest.raises(apollo_pack.ConfigError):
        build(corpus, out, seq_len=100, force=True)
    assert out.read_bytes() == b"precious"
    build(corpus, out, seq_len=64, force=True)
    assert len(PackedDataset(out)) > 0


def test_an_exception_in_a_callback_stops_the_build(corpus, tmp_path):
    def fail(_):
        raise RuntimeError("enough")

    for callback in ("on_plan", "on_progress"):
        with pytest.raises(RuntimeError, match="enough"):
            build(corpus, tmp_path / f"{callback}.bin", seq_len=64, **{callback: fail})
    # The work may have been quicker than the first look at it; then the file is whole.
    assert set(os.listdir(tmp_path)) <= {"on_plan.bin", "on_progress.bin"}


def test_an_interrupt_that_comes_too_late_says_so(corpus, tmp_path):
    out = tmp_path / "out.bin"

    def interrupt(_):
        if out.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        build(corpus, out, seq_len=64, on_progress=interrupt)
    assert caught.value.__notes__ == ["too late: the output was written"]
    assert len(PackedDataset(out)) > 0


def test_plan_counts_exactly_and_writes_nothing(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = plan(corpus, seq_len=64)
    assert all(file.items_exact for file in found.inputs)
    assert sum(file.items for file in found.inputs) == 181
    assert found.tokenizer["eos_id"] == found.tokenizer["pad_id"] == 151643
    assert not found.has_problems
    assert os.listdir(tmp_path) == []


def test_where_the_tokenizer_comes_from(corpus, tmp_path, monkeypatch):
    default = default_tokenizer()
    assert find_tokenizer(None, corpus).label == DEFAULT_LABEL
    folder = tmp_path / "tok"
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes(default.tokenizer_json)
    (folder / "tokenizer_config.json").write_text(
        '{"eos_token": "<|im_end|>", "pad_token": {"content": "!"}}'
    )
    for given in (folder, folder / "tokenizer.json"):
        assert find_tokenizer(given).label == str(folder / "tokenizer.json")
    monkeypatch.setenv("APOLLO_PACK_TOKENIZER", str(folder))
    assert find_tokenizer(None, corpus).label == str(folder / "tokenizer.json")
    shutil.copytree(corpus, tmp_path / "corpus")
    shutil.copy(folder / "tokenizer.json", tmp_path / "corpus")
    assert find_tokenizer(None, tmp_path / "corpus").label == str(tmp_path / "corpus" / "tokenizer.json")
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path / "corpus")
    assert find_tokenizer(None, archive).tokenizer_json == default.tokenizer_json
    assert find_tokenizer(None, archive).label.endswith("zipped.zip/tokenizer.json")
    ids = plan(tmp_path / "corpus", tokenizer=folder).tokenizer
    assert (ids["eos_id"], ids["pad_id"]) == (151645, 0)
    ids = plan(corpus, eos=5, pad="<|im_start|>", bos="always", bos_token="<|im_end|>").tokenizer  # noqa: S106
    assert (ids["eos_id"], ids["pad_id"], ids["bos_id"]) == (5, 151644, 151645)
    monkeypatch.delenv("APOLLO_PACK_TOKENIZER")
    with pytest.raises(apollo_pack.TokenizerError, match="BOS token is not known"):
        plan(corpus, bos="always")
    with pytest.raises(apollo_pack.TokenizerError, match="<nope>"):
        plan(corpus, eos="<nope>")
    with pytest.raises(apollo_pack.TokenizerError, match="no such file"):
        find_tokenizer(tmp_path / "missing.json")


def test_hub_names(tmp_path, monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    (tmp_path / "tokenizer.json").write_bytes(default_tokenizer().tokenizer_json)

    def download(name, file):
        assert name == "owner/model"
        if not (tmp_path / file).exists():
            raise OSError("404")
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    found = find_tokenizer("owner/model")
    assert (found.label, found.tokenizer_config_json) == ("owner/model", None)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(apollo_pack.TokenizerError, match="hub"):
        find_tokenizer("owner/model")


def test_custom_templates(tmp_path):
    (tmp_path / "data.json").write_text(json.dumps([["q", "a", "r", "b"]]))
    template = tmp_path / "mine.toml"
    template.write_text(
        'user = "Q "\nassistant = "A "\nseparator = "|"\nfollow_up = "#"\nend = "<|im_end|>"\n'
    )
    build(tmp_path / "data.json", tmp_path / "out.bin", seq_len=64, template=template)
    ds = PackedDataset(tmp_path / "out.bin")
    assert ds.metadata["template"]["name"] == "mine"
    from tokenizers import Tokenizer  # noqa: PLC0415

    tokenizer = Tokenizer.from_buffer(default_tokenizer().tokenizer_json)
    ids = [
        *tokenizer.encode("Q q|A ").ids,
        *tokenizer.encode("a").ids,
        151645,
        *tokenizer.encode("#Q r|A ").ids,
        *tokenizer.encode("b").ids,
        151645,
    ]
    assert ds[0]["input_ids"][: len(ids)].tolist() == ids
    assert np.flatnonzero(ds[0]["labels"] == 151645).size == 2


def test_bad_settings_are_named(corpus, tmp_path):
    for settings in (
        {"seq_len": 100},
        {"seq_len": 0},
        {"seq_len": 2**40},
        {"seq_len": 64.0},
        {"seed": -1},
        {"threads": 0},
        {"packing": "worst-fit"},
        {"template": "nobody"},
        {"order": "random"},
        {"overflow": "cut"},
        {"on_error": "ignore"},
        {"bos": "yes"},
        {"special_tokens": "drop"},
    ):
        with pytest.raises(apollo_pack.ConfigError, match=next(iter(settings))):
            build(corpus, tmp_path / "out.bin", **settings)
    assert os.listdir(tmp_path) == []


def test_the_reference_can_be_asked_to_check(corpus, tmp_path, packed):
    build(corpus, tmp_path / "out.bin", seq_len=64, check_encoder=50)
    assert digest(tmp_path / "out.bin") == digest(packed)
    with pytest.raises(apollo_pack.ConfigError, match="check_encoder"):
        build(corpus, tmp_path / "out.bin", check_encoder=-1)


def test_a_reference_that_panics_is_an_error(tmp_path):
    """The library panics where a pattern is empty; a build of many batches must not wait for the lost one."""
    definition = json.loads(default_tokenizer().tokenizer_json)
    definition["normalizer"] = {"type": "Replace", "pattern": {"Regex": "z*"}, "content": "b"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(definition))
    (tmp_path / "x_en_text.json").write_text(json.dumps(["some words " * 2000] * 200))
    with pytest.raises(apollo_pack.InputError, match="panicked"):
        build(tmp_path, tmp_path / "out.bin", threads=2)
    assert not (tmp_path / "out.bin").exists()


def test_the_first_readable_item_decides_however_far_it_is(tmp_path):
    items = [1] * 300_000 + ["a text", ["q", "a"], "more text"]
    (tmp_path / "x_en.json").write_text(json.dumps(items))
    report = build(tmp_path, tmp_path / "out.bin", seq_len=64, on_error="skip")
    assert (report.plan.inputs[0].kind, report.bad_items) == ("text", 300_001)
    assert plan(tmp_path, on_error="skip").inputs[0].bad_items == 300_001


def test_a_broken_file_is_recorded_as_far_as_it_was_read(tmp_path):
    content = b'["one text", "another text" "and a comma is missing"]'
    (tmp_path / "x_en_text.json").write_bytes(content)
    report = build(tmp_path, tmp_path / "out.bin", seq_len=64, on_error="skip")
    (file,) = report.raw["inputs"]
    assert (file["items"], file["bytes"], report.input_bytes) == (3, len(content), len(content))
    assert int(file["xxh3_128"], 16) != 0
    assert (report.ledger[0].items_kept, report.ledger[0].items_dropped) == (2, {"bad-item": 1})
