"""Every export, read back by the project it is for."""

from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner

import apollo_pack
from apollo_pack import PackedDataset, export
from apollo_pack.cli import commands
from apollo_pack.exports import FORMATS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def rows(packed):
    return PackedDataset(packed, ["input_ids", "labels", "loss_mask", "segment_ids", "attention_mask"])[:]


def installed(name):
    return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


def test_hugging_face_datasets(packed, rows, tmp_path):
    installed("pyarrow")
    datasets = installed("datasets")
    export(packed, "hf", tmp_path / "hf")
    read = datasets.load_from_disk(str(tmp_path / "hf"))
    assert read.column_names == ["input_ids", "labels"] and len(read) == len(rows["labels"])
    assert (np.array(read["input_ids"]) == rows["input_ids"]).all()
    assert (np.array(read["labels"]) == rows["labels"]).all()
    assert len(read.shuffle(seed=1).select(range(3)).map(lambda row: row)) == 3


def test_parquet(packed, rows, tmp_path):
    installed("pyarrow")
    import pyarrow.parquet as pq  # noqa: PLC0415 - an extra

    export(packed, "parquet", tmp_path / "p")
    table = pq.read_table(tmp_path / "p")
    assert (np.array(table["input_ids"].to_pylist()) == rows["input_ids"]).all()
    assert (np.array(table["labels"].to_pylist()) == rows["labels"]).all()


def test_megatron_sft(packed, rows, tmp_path):
    """By the rule of its reader: within a sequence, token i predicts i + 1 where the mask of i is 1."""
    installed("pyarrow")
    import pyarrow.parquet as pq  # noqa: PLC0415 - an extra

    export(packed, "megatron-sft", tmp_path / "p")
    table = pq.read_table(tmp_path / "p").to_pylist()
    for at, row in enumerate(table):
        own = rows["segment_ids"][at] > 0
        ids, labels = rows["input_ids"][at], rows["labels"][at]
        assert row["input_ids"] == ids[own].tolist()
        bounds = [*row["seq_start_id"], len(row["input_ids"])]
        assert np.diff(bounds).tolist() == np.bincount(rows["segment_ids"][at])[1:].tolist()
        predicted = []
        for start, end in pairwise(bounds):
            mask = row["loss_mask"][start : end - 1]
            targets = row["input_ids"][start + 1 : end]
            predicted += [token for token, counts in zip(targets, mask, strict=True) if counts]
        assert predicted == labels[labels != -100].tolist()


def test_megatron(packed, rows, tmp_path):
    export(packed, "megatron", tmp_path / "m")
    indexed = installed("megatron.core.datasets.indexed_dataset")
    read = indexed.IndexedDataset(str(tmp_path / "m" / "tokens"))
    assert len(read) == len(rows["input_ids"]) and len(read.document_indices) == len(read) + 1
    assert all((read[i] == row).all() for i, row in enumerate(rows["input_ids"]))
    assert (read.get(2, offset=3, length=5) == rows["input_ids"][2, 3:8]).all()


def test_olmo_core(packed, rows, tmp_path):
    export(packed, "olmo", tmp_path / "o")
    assert (np.fromfile(tmp_path / "o/tokens.npy", "<u4").reshape(-1, 64) == rows["input_ids"]).all()
    assert (np.fromfile(tmp_path / "o/label_mask.npy", "?").reshape(-1, 64) == rows["loss_mask"]).all()
    data = installed("olmo_core.data")
    read = data.NumpyFSLDataset(
        tmp_path / "o/tokens.npy",
        sequence_length=64,
        pad_token_id=0,
        eos_token_id=1,
        vocab_size=200_000,
        dtype=np.uint32,
        label_mask_paths=[tmp_path / "o/label_mask.npy"],
    )
    read.prepare()
    assert len(read) == len(rows["input_ids"])
    for i in (0, 7, len(read) - 1):
        assert (read[i]["input_ids"].numpy() == rows["input_ids"][i]).all()
        assert (read[i]["label_mask"].numpy() == rows["loss_mask"][i]).all()


def test_nanogpt(packed, rows, tmp_path):
    export(packed, "nanogpt", tmp_path / "n")
    read = np.memmap(tmp_path / "n/train.bin", np.uint32, "r")  # the vocabulary is too large for uint16
    assert (read == rows["input_ids"][rows["attention_mask"] == 1]).all()


def test_mosaicml_streaming(packed, rows, tmp_path):
    streaming = installed("streaming")
    export(packed, "mds", tmp_path / "s")
    read = streaming.StreamingDataset(local=str(tmp_path / "s"), batch_size=1)
    assert len(read) == len(rows["labels"])
    for i in (0, 5, len(read) - 1):
        assert (read[i]["input_ids"] == rows["input_ids"][i]).all()
        assert (read[i]["labels"] == rows["labels"][i]).all()


def test_litdata(packed, rows, tmp_path):
    litdata = installed("litdata")
    export(packed, "litdata", tmp_path / "l")
    read = litdata.StreamingDataset(str(tmp_path / "l"))
    assert len(read) == len(rows["labels"])
    for i in (0, 5, len(read) - 1):
        assert (np.asarray(read[i]["input_ids"]) == rows["input_ids"][i]).all()
        assert (np.asarray(read[i]["labels"]) == rows["labels"][i]).all()


def test_refusals_leave_nothing_behind(packed, tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    with pytest.raises(apollo_pack.OutputExistsError):
        export(packed, "olmo", tmp_path / "there")
    with pytest.raises(apollo_pack.ConfigError, match="no format"):
        export(packed, "csv", tmp_path / "x")

    def full(_done, _all):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        export(packed, "olmo", tmp_path / "x", on_progress=full)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.delitem(__import__("sys").modules, "apollo_pack.exports.arrow", raising=False)
    with pytest.raises(apollo_pack.ConfigError, match=r"needs the package pyarrow \(pip .*\[export\]"):
        export(packed, "hf", tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_command(packed, tmp_path):
    run = CliRunner().invoke(commands, ["export", "megatron", str(packed), str(tmp_path / "out")])
    assert run.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tokens.bin", "tokens.idx"]
    text = CliRunner().invoke(commands, ["export", "--help"]).output
    assert all(name in text for name in FORMATS)
    assert "loss mask" in run.output
