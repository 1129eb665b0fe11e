"""Builds that are killed, interrupted, raced and watched: as processes, with real signals."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import apollo_pack
from apollo_pack import PackedDataset
from tiny_tokenizers import tiny

if TYPE_CHECKING:
    from pathlib import Path

THOROUGH = bool(os.environ.get("APOLLO_PACK_THOROUGH"))
WAIT = 0.02
MEGABYTES = 16


def command(*arguments):
    return [sys.executable, "-m", "apollo_pack", *map(str, arguments)]


def start(*arguments):
    return subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(WAIT)


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A corpus that takes seconds: its tokenizer is one that the (slow) reference encoder serves."""
    root = tmp_path_factory.mktemp("large")
    definition = json.loads(tiny("bytes"))
    definition["normalizer"] = {"type": "Replace", "pattern": {"Regex": "never there"}, "content": "x"}
    (root / "tokenizer.json").write_text(json.dumps(definition))
    random.seed(0)
    for name in ("a_en_text", "b_fr_text", "c_ar_text"):
        texts = [" ".join(hex(random.getrandbits(60)) for _ in range(60)) for _ in range(MEGABYTES * 300)]
        (root / f"{name}.json").write_text(json.dumps(texts))
    return root


@pytest.fixture(scope="module")
def whole(large, tmp_path_factory) -> tuple[str, float]:
    """The digest of its build, and how long it takes."""
    out = tmp_path_factory.mktemp("whole") / "out.bin"
    started = time.monotonic()
    report = apollo_pack.build(large, out)
    assert report.plan.tokenizer["encoder"] == "huggingface"
    return digest(out), time.monotonic() - started


def test_killed_at_random_it_goes_on_to_the_same_bytes(large, whole, tmp_path):
    """Kill -9, again and again; nothing half-made stands under the name at any time."""
    random.seed(1)
    out, kills, outputs = tmp_path / "out.bin", 0, 0
    expected, seconds = whole
    while kills < (100 if THOROUGH else 5):
        process = start("build", large, out, "--quiet", "--force")
        try:
            process.wait(timeout=random.uniform(0.3, 1.2 * seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        process.communicate()
        if out.exists():
            assert digest(out) == expected
            out.unlink()
            outputs += 1
    apollo_pack.build(large, out, force=True)
    assert digest(out) == expected
    assert os.listdir(tmp_path) == ["out.bin"]
    print(f"{kills} kills, {outputs + 1} outputs; a build takes {seconds:.1f} s")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal_it_goes_on(large, whole, tmp_path, sent):
    out = tmp_path / "out.bin"
    checkpoint = tmp_path / ".out.bin.building" / "checkpoint"
    process = start("build", large, out, "--quiet", "--threads", 1)
    wait_for(lambda: checkpoint.exists() or process.poll() is not None)
    time.sleep(0.3)  # until the build knows of it
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("this machine builds faster than checkpoints are made")
    assert process.returncode == 128 + sent
    assert sent != signal.SIGINT or "goes on from here" in stderr
    with pytest.raises(apollo_pack.UnfinishedBuildError, match="seq_len 4096, not 1024"):
        apollo_pack.build(large, out, seq_len=1024)
    seen = []
    apollo_pack.build(large, out, on_progress=lambda progress: seen.append(progress["items"]))
    assert next(items for items in seen if items) > 500, "it began anew"
    assert digest(out) == whole[0]
    assert os.listdir(tmp_path) == ["out.bin"]


def test_an_interrupt_does_not_wait_for_a_long_item(tmp_path):
    """A word of 40 MB is one piece for any encoder."""
    (tmp_path / "x_en_text.json").write_text(json.dumps(["ab" * 20_000_000]))
    process = start("build", tmp_path / "x_en_text.json", tmp_path / "out.bin", "--quiet")
    wait_for(lambda: (tmp_path / ".out.bin.building" / "tokens").exists() or process.poll() is not None)
    time.sleep(0.3)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    print(f"stopped after {time.monotonic() - sent:.3f} s")
    assert process.returncode in (0, 130)
    assert (process.returncode == 130) == ("interrupted" in stderr)
    assert not (tmp_path / "out.bin").exists() or process.returncode == 0


def test_one_of_many_builders_wins(corpus, tmp_path):
    """The others get a clear error; the output is whole."""
    out = tmp_path / "out.bin"
    processes = [start("build", corpus, out, "--seq-len", 64, "--quiet") for _ in range(6)]
    errors = [(process.communicate()[1], process.returncode) for process in processes]
    won = [error for error, code in errors if code == 0]
    assert len(won) == 1
    for error, code in errors:
        assert code in (0, 1)
        assert code == 0 or "another build is writing" in error or "exists already" in error
    PackedDataset(out)[0]
    assert os.listdir(tmp_path) == ["out.bin"]


def test_readers_never_see_a_torn_file(corpus, tmp_path):
    """A file is replaced a few dozen times while it is opened, read and verified."""
    out = tmp_path / "out.bin"
    apollo_pack.build(corpus, out, seq_len=64)
    reader = (
        "import sys, apollo_pack\n"
        "from apollo_pack._core import PackedFiles\n"
        "count = 0\n"
        "while not sys.stdin.closed and count < 10_000:\n"
        "    ds = apollo_pack.PackedDataset(sys.argv[1])\n"
        "    ds[:]\n"
        "    PackedFiles([sys.argv[1]]).verify()\n"
        "    count += 1\n"
        "    if count % 5 == 0 and apollo_pack.PackedDataset(sys.argv[2]).seq_len == 8: break\n"
        "print(count)\n"
    )
    end = tmp_path / "end.bin"
    apollo_pack.build(corpus, end, seq_len=16)
    readers = [
        subprocess.Popen([sys.executable, "-c", reader, out, end], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for i in range(12):
        apollo_pack.build(corpus, out, seq_len=(64, 128)[i % 2], force=True)
    apollo_pack.build(corpus, end, seq_len=8, force=True)
    for process in readers:
        read, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert int(read) > 0


def test_a_folder_that_cannot_be_written(corpus, tmp_path):
    """A read-only file system is a typed error; as root permissions do not hold, a mount has to."""
    place = tmp_path / "ro"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a read-only tmpfs cannot be mounted here")
    try:
        with pytest.raises(apollo_pack.FileError, match="read-only"):
            apollo_pack.build(corpus, place / "out.bin", seq_len=64)
    finally:
        subprocess.run(["umount", place], check=True)  # noqa: S607


LIMITED = """
import resource, sys
import apollo_pack
from apollo_pack import tokenizers
found = tokenizers.default_tokenizer()
tokenizers.default_tokenizer = lambda: found
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
try:
    apollo_pack.build(sys.argv[1], sys.argv[2], seq_len=64)
    print("whole")
except apollo_pack.FileError as error:
    print(error.errno)
except apollo_pack.CorpusError as error:
    print("open files" in str(error))
"""


def test_no_more_files_may_be_open(corpus, tmp_path):
    """However few a process may open: a typed error, or a whole output, and nothing else."""
    out = tmp_path / "out.bin"
    outcomes = set()
    for limit in range(4, 40, 1 if THOROUGH else 5):
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, corpus, out, str(limit)],
            capture_output=True,
            text=True,
            check=True,
        )
        outcomes.add(done.stdout.strip())
        assert (done.stdout.strip() == "whole") == out.exists(), done
        assert [name for name in os.listdir(tmp_path) if name != "out.bin"] == []
        if out.exists():
            PackedDataset(out)[0]
            out.unlink()
    assert outcomes <= {"24", "True", "whole"}
    assert "whole" in outcomes
    assert len(outcomes) > 1, "no limit was too low"


def test_the_spool_elsewhere(large, whole, tmp_path):
    temp = tmp_path / "temp"
    with pytest.raises(FileNotFoundError):
        apollo_pack.build(large, tmp_path / "out.bin", temp_dir=temp)
    temp.mkdir()
    seen = set()
    apollo_pack.build(
        large, tmp_path / "out.bin", temp_dir=temp, on_progress=lambda _: seen.update(os.listdir(temp))
    )
    assert len(seen) == 1
    assert digest(tmp_path / "out.bin") == whole[0]
    assert os.listdir(temp) == []


def test_items_that_are_too_long(tmp_path):
    """A typed error that names the place, or left out and counted; the same however it is stored."""
    texts = ["short", "long " * 200_000, "short again"]
    (tmp_path / "x_en_text.json").write_text(json.dumps(texts))
    with pytest.raises(apollo_pack.InputError, match="max-item-bytes") as caught:
        apollo_pack.build(tmp_path, tmp_path / "out.bin", seq_len=64, max_item_bytes=1000)
    assert (caught.value.item, caught.value.byte) == (1, 10)
    report = apollo_pack.build(
        tmp_path, tmp_path / "out.bin", seq_len=64, max_item_bytes=1000, on_error="skip"
    )
    assert (report.totals["segments"], report.bad_items) == (2, 1)


def test_no_room_is_seen_before_the_work(tmp_path):
    """A corpus that is larger than the disk (here one with a hole) is refused at once."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small tmpfs cannot be mounted here")
    try:
        corpus = tmp_path / "x_en_text.json"
        corpus.write_text(json.dumps(["words and words " * 100] * 5000))
        with pytest.raises(apollo_pack.FileError, match="are needed") as caught:
            apollo_pack.build(corpus, place / "out.bin")
        assert caught.value.errno == 28
        assert os.listdir(place) == []
    finally:
        subprocess.run(["umount", place], check=True)  # noqa: S607
