"""A set of shards is the one file that the same build writes without them, to whoever opens its index."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import apollo_pack
from apollo_pack import PackedDataset
from apollo_pack._core import PackedFiles
from apollo_pack.batch import NUMBERS
from apollo_pack.tokenizers import find_tokenizer

COLUMNS = (*NUMBERS, "loss_mask", "cu_seqlens", "max_seqlen", "num_loss_tokens")
ROW_BYTES = 64 * 4 + 8


def run(*arguments):
    command = [sys.executable, "-m", "apollo_pack", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def sharded(corpus, tmp_path_factory):
    """The index of a set of some shards."""
    out = tmp_path_factory.mktemp("sharded") / "out.bin"
    report = apollo_pack.build(corpus, out, seq_len=64, shard_size=20 * ROW_BYTES)
    assert report.path == out.with_name("out.bin.index.json")
    return report.path


@pytest.fixture(scope="module")
def sets(corpus, packed, tmp_path_factory):
    """The same rows in one file, and in shards of several sizes."""
    rows = len(PackedDataset(packed))
    opened = []
    for size in (ROW_BYTES, 7 * ROW_BYTES, (rows - 1) * ROW_BYTES, "1GB"):
        out = tmp_path_factory.mktemp("set") / "out.bin"
        report = apollo_pack.build(corpus, out, seq_len=64, shard_size=size)
        each = 10**9 if size == "1GB" else size // ROW_BYTES
        assert report.shards == -(-rows // each)
        assert sorted(os.listdir(out.parent)) == [
            *(f"out-{number:05}-of-{report.shards:05}.bin" for number in range(report.shards)),
            "out.bin.index.json",
        ]
        assert report.file_bytes == sum(path.stat().st_size for path in out.parent.glob("*.bin"))
        opened += [PackedDataset(report.path, COLUMNS, access=access) for access in ("map", "read")]
    return opened


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_set_is_read_like_the_file(packed, sets, data):
    whole = PackedDataset(packed, COLUMNS)
    rows = st.integers(-len(whole), len(whole) - 1)
    indices = data.draw(st.one_of(st.lists(rows, max_size=40), st.slices(len(whole))))
    seed = data.draw(st.integers(0, 2**63 - 1))
    for ds in sets:
        assert len(ds) == len(whole)
        assert same(ds[indices], whole[indices])
        for row in indices[:3] if isinstance(indices, list) else ():
            assert ds.documents(row) == whole.documents(row)
        batches = zip(
            ds.loader(8, shuffle=True, seed=seed), whole.loader(8, shuffle=True, seed=seed), strict=True
        )
        assert all(same(one, other) for one, other in batches)


def test_what_it_says_about_itself_is_the_same(packed, sets):
    whole = PackedDataset(packed)
    for ds in sets:
        assert ds.metadata == whole.metadata
        assert ds.ledger == whole.ledger
        assert ds.fingerprint == whole.fingerprint == whole.metadata["content_hash"]


def test_a_loader_goes_on_whatever_the_rows_are_stored_in(packed, sets):
    loader = PackedDataset(packed, COLUMNS).loader(4, shuffle=True, seed=3)
    batches = iter(loader)
    next(batches)
    state = json.loads(json.dumps(loader.state_dict()))
    rest = list(batches)
    for ds in sets:
        other = ds.loader(4, shuffle=True, seed=3)
        other.load_state_dict(state)
        assert all(same(one, two) for one, two in zip(other, rest, strict=True))


def test_each_shard_is_a_file_of_its_own(corpus, sharded):
    ds = PackedDataset(sharded, COLUMNS)
    rows = 0
    for number, path in enumerate(sorted(sharded.parent.glob("*.bin"))):
        shard = PackedDataset(path, COLUMNS)
        assert shard.metadata["shard"]["number"] == number
        assert shard.metadata["shard"]["content_hash"] == ds.fingerprint != shard.fingerprint
        assert same(shard[:], ds[rows : rows + len(shard)])
        (verified,) = PackedFiles([path]).verify()
        assert verified["content_hash"] == shard.fingerprint
        rows += len(shard)
        against = PackedFiles([path]).check_against(corpus, find_tokenizer(None, corpus))
        assert against["rows"] == len(shard)
        assert not against["complete"], "a shard is not all of the corpus"
    assert rows == len(ds)
    arrays = np.memmap(path, "<u4", "r", 4096, (len(shard), 64))
    assert (arrays == shard[:]["input_ids"]).all()


def test_sets_files_and_shards_are_one_sequence(packed, sharded):
    paths = [packed, sharded, next(sharded.parent.glob("*.bin"))]
    ds, parts = PackedDataset(paths), [PackedDataset(path) for path in paths]
    assert len(ds) == sum(map(len, parts))
    assert np.array_equal(ds[:]["labels"], np.concatenate([part[:]["labels"] for part in parts]))


def test_pickling_a_set(corpus, tmp_path):
    out = tmp_path / "out.bin"
    ds = PackedDataset(apollo_pack.build(corpus, out, seq_len=64, shard_size="4KB").path)
    state = pickle.dumps(ds)
    assert same(pickle.loads(state)[:], ds[:])  # noqa: S301 - our own
    apollo_pack.build(corpus, out, seq_len=64, shard_size="4KB", seed=1, order="shuffle", force=True)
    with pytest.raises(apollo_pack.FormatError, match="another file"):
        pickle.loads(state)  # noqa: S301


READER = """
import sys
from apollo_pack import FormatError, PackedDataset
from apollo_pack._core import PackedFiles
print("ready", flush=True)
hashes, refused = {}, 0
while not PackedDataset(sys.argv[2]).metadata["seed"]:
    try:
        ds = PackedDataset(sys.argv[1])
    except (FileNotFoundError, FormatError):
        refused += 1
        continue
    rows = ds[:]["input_ids"].tobytes()
    assert hashes.setdefault(ds.fingerprint, rows) == rows
print(len(hashes), refused)
"""


def test_readers_see_one_set_or_the_other_or_are_refused(corpus, tmp_path):
    """A set is replaced while it is opened and read: its shards have the same names."""
    out, end = tmp_path / "out.bin", tmp_path / "end.bin"
    apollo_pack.build(corpus, end, seq_len=64)
    index = apollo_pack.build(corpus, out, seq_len=64, shard_size="8KB").path
    reader = subprocess.Popen([sys.executable, "-c", READER, index, end], stdout=subprocess.PIPE, text=True)
    reader.stdout.readline()
    for i in range(6):
        apollo_pack.build(
            corpus, out, seq_len=64, shard_size="8KB", force=True, order="shuffle", seed=i % 2 + 1
        )
    apollo_pack.build(corpus, end, seq_len=64, seed=1, force=True)
    said, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0
    found, refused = map(int, said.split())
    print(f"{found} sets seen, refused {refused} times")
    assert found > 1


def test_the_command_line(corpus, packed, tmp_path):
    out, index = tmp_path / "out.bin", tmp_path / "out.bin.index.json"
    built = run("build", corpus, out, "--seq-len", 64, "--shard-size", "8KB")
    assert built.returncode == 0, built.stderr
    shards = len(os.listdir(tmp_path)) - 1
    assert shards > 2
    assert f"in {shards} shards" in built.stdout
    assert "out.bin.index.json" in built.stdout
    content = PackedDataset(packed).metadata["content_hash"]
    verified = run("verify", index, tmp_path / f"out-00001-of-{shards:05}.bin", "--json")
    assert [result["content_hash"] == content for result in json.loads(verified.stdout)] == [True, False]
    against = run("verify", index, "--against", corpus)
    assert "nothing of the corpus is missing" in against.stdout
    assert content in run("inspect", index).stdout
    last = json.loads(run("inspect", index, "--row", -1, "--json").stdout)
    assert last["input_ids"] == PackedDataset(packed)[-1]["input_ids"].tolist()
    assert f"shard 1 of {shards}" in run("inspect", tmp_path / f"out-00001-of-{shards:05}.bin").stdout
    for name, path in (("one", packed), ("set", index)):
        assert run("export", "olmo", path, tmp_path / name).returncode == 0
    exported = [(tmp_path / name / "tokens.npy").read_bytes() for name in ("one", "set")]
    assert exported[0] == exported[1]
    report = json.loads(
        run("build", corpus, out, "--seq-len", 64, "--shard-size", "1 gib", "--force", "--json").stdout
    )
    assert (report["path"], report["shards"]) == (str(index), 1)
    assert sorted(os.listdir(tmp_path)) == ["one", "out-00000-of-00001.bin", "out.bin.index.json", "set"]


def test_errors_say_what_to_do(corpus, sharded, tmp_path):
    shutil.copytree(sharded.parent, tmp_path / "set")
    index = tmp_path / "set" / sharded.name
    second = sorted(index.parent.glob("*.bin"))[1]
    for arguments, words in (
        (("build", corpus, index.with_name("out.bin"), "--shard-size", "1MB"), "index.json exists already"),
        (("build", corpus, index, "--force"), "index of shards"),
        (("build", corpus, tmp_path / "x", "--shard-size", "many"), "a size like 500MB"),
        (("build", corpus, tmp_path / "x", "--shard-size", 0), "a size like 500MB"),
        (("verify", index.with_name("out.bin")), "open "),
        (("verify", tmp_path / "x.index.json"), "no such file"),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stderr.count("\n"), words in done.stderr) == (1, 1, True), done.stderr
    content = bytearray(second.read_bytes())
    content[5000] ^= 1
    second.write_bytes(content)
    done = run("verify", index)
    assert f"{second.name}: damaged" in done.stderr
    second.unlink()
    with pytest.raises(apollo_pack.FormatError, match=f"its shard {second.name} is missing"):
        PackedDataset(index)


def test_one_name_is_one_output(corpus, tmp_path):
    """A file and a set of the same name do not stand side by side."""
    out, index = tmp_path / "out.bin", tmp_path / "out.bin.index.json"

    def names():
        return sorted(os.listdir(tmp_path))

    apollo_pack.build(corpus, out, seq_len=64, shard_size="8KB")
    of_the_set = names()
    with pytest.raises(apollo_pack.OutputExistsError, match=r"index\.json exists already"):
        apollo_pack.build(corpus, out, seq_len=64)
    assert names() == of_the_set
    content = apollo_pack.build(corpus, out, seq_len=64, force=True).content_hash
    assert names() == ["out.bin"]
    with pytest.raises(apollo_pack.OutputExistsError, match=r"out\.bin exists already"):
        apollo_pack.build(corpus, out, seq_len=64, shard_size="8KB")
    assert apollo_pack.build(corpus, out, seq_len=64, shard_size="8KB", force=True).content_hash == content
    assert names() == of_the_set
    index.write_text("no index")  # whatever it was
    apollo_pack.build(corpus, out, seq_len=64, force=True)
    assert "out.bin.index.json" not in names()


def test_a_file_of_the_corpus_is_not_replaced_by_shards(tmp_path):
    corpus = tmp_path / "x_en_qa.json"
    corpus.write_text('[["q", "a"]]')
    with pytest.raises(apollo_pack.ConfigError, match="is a file of the corpus"):
        apollo_pack.build(corpus, corpus, shard_size="1MB", force=True)
    assert os.listdir(tmp_path) == ["x_en_qa.json"]


def test_an_index_in_the_corpus_is_no_document(corpus, tmp_path):
    folder = tmp_path / "corpus"
    shutil.copytree(corpus, folder)
    report = apollo_pack.build(folder, folder / "out.bin", seq_len=64, shard_size="1MB")
    again = apollo_pack.build(folder, folder / "out.bin", seq_len=64, shard_size="1MB", force=True)
    assert again.content_hash == report.content_hash
    assert again.plan.left_out["out.bin.index.json"] == "an index of other files"
