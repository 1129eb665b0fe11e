"""The command line, as a shell runs it."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

import apollo_pack


def run(*arguments, **options):
    command = [sys.executable, "-m", "apollo_pack", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_build_inspect_verify(corpus, tmp_path):
    out = tmp_path / "out.bin"
    built = run("build", corpus, out, "--seq-len", 64)
    assert built.returncode == 0, built.stderr
    for words in ("medicalExam_ar.json", "default (Qwen)", "rows of 64", "Ledger", "count for loss", "wrote"):
        assert words in built.stdout
    row = run("inspect", out, "--row", -1)
    assert row.returncode == 0, row.stderr
    assert "[[" in row.stdout
    assert "medical" in row.stdout
    summary = run("inspect", out)
    assert "best-fit" in summary.stdout
    totals = apollo_pack.PackedDataset(out).metadata["totals"]
    for shown in (built.stdout, summary.stdout):
        assert f"{totals['padding'] / totals['rows'] / 64:.3%} padding" in shown
        assert f"documents per row: {totals['segments'] / totals['rows']:.2f} on average" in shown
        assert f"at most {totals['most_segments']}" in shown
        assert f"{totals['cut_segments']} of them cut" in shown
    assert apollo_pack.PackedDataset(out).metadata["content_hash"] in summary.stdout
    verified = run("verify", out)
    assert verified.returncode == 0
    assert verified.stdout.startswith("ok")


def test_json_output_is_json(corpus, tmp_path):
    out = tmp_path / "out.bin"
    report = json.loads(run("build", corpus, out, "--seq-len", 64, "--json").stdout)
    assert report["totals"] == json.loads(run("inspect", out, "--json").stdout)["totals"]
    row = json.loads(run("inspect", out, "--row", 0, "--json").stdout)
    assert len(row["input_ids"]) == 64
    assert row["documents"][0]["start"] == 0
    assert json.loads(run("verify", out, "--json").stdout)[0]["content_hash"] == report["content_hash"]
    planned = json.loads(run("build", corpus, tmp_path / "no.bin", "--dry-run", "--json").stdout)
    assert [file["path"] for file in planned["inputs"]] == [file["path"] for file in report["inputs"]]
    assert os.listdir(tmp_path) == ["out.bin"]


def test_quiet_says_nothing(corpus, tmp_path):
    done = run("build", corpus, tmp_path / "out.bin", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_errors_are_one_line_and_a_code(corpus, tmp_path):
    out = tmp_path / "out.bin"
    (tmp_path / "bad.json").write_text('["fine", 12]')
    (tmp_path / "torn.bin").write_bytes(b"x" * 5000)
    for arguments, words in (
        (("build", tmp_path / "missing", out), "no such file"),
        (("build", tmp_path / "bad.json", out), "item 1, byte 10"),
        (("build", tmp_path / "bad.json", out, "--dry-run", "--quiet"), "would stop"),
        (("build", corpus, out, "--seq-len", 100), "multiple of 8"),
        (("build", corpus, out, "--tokenizer", "/nowhere/tokenizer.json"), "no such file"),
        (("build", corpus, tmp_path / "no" / "out.bin"), "no such file"),
        (("build", corpus, tmp_path), "is a folder"),
        (("build", corpus, out, "--dedup", "near", "--near-threshold", 2), "--near-threshold must be from"),
        (("plan", corpus, "--leak-run", 20), "--leak-run has no effect here"),
        (("verify", tmp_path / "torn.bin"), "not a file of apollo-pack"),
        (("inspect", tmp_path / "missing.bin"), "no such file"),
    ):
        done = run(*arguments)
        assert done.returncode == 1, arguments
        assert words in done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr + done.stdout
    assert sorted(os.listdir(tmp_path)) == ["bad.json", "torn.bin"]


def test_it_starts_without_what_it_may_not_need():
    code = (
        "import sys, apollo_pack.cli; assert 'numpy' not in sys.modules;"
        "assert set(apollo_pack.__all__) <= set(dir(apollo_pack));"
        "[getattr(apollo_pack, name) for name in apollo_pack.__all__]; assert 'numpy' in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = apollo_pack.nothing


def test_wrong_usage_shows_the_usage(packed):
    assert run("build").returncode == 2
    assert run("inspect", packed, "--row", 10**6).returncode == 2
    assert "Usage" in run("--help").stdout
    assert apollo_pack.__version__ in run("--version").stdout


def test_skipped_items_are_listed(tmp_path):
    (tmp_path / "x_en_qa.jsonl").write_text('["q", "a"]\n["q", 1]\n"text"\n["q", "b"]\n')
    done = run("build", tmp_path, tmp_path / "out.bin", "--on-error", "skip")
    assert done.returncode == 0
    assert "item 1, byte 17" in done.stdout
    assert "items dropped: 2 bad-item" in done.stdout


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_build_and_leaves_nothing(tmp_path, sent, code):
    corpus = tmp_path / "x_en_text.json"
    words = random.Random(0)  # that do not repeat, so that the build takes its time
    corpus.write_text(json.dumps([words.randbytes(4500).hex(" ", 4) for _ in range(6000)]))
    out = tmp_path / "out.bin"
    command = [sys.executable, "-m", "apollo_pack", "build", str(corpus), str(out), "--quiet"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if any(name.endswith(".building") for name in os.listdir(tmp_path)):
            break
        time.sleep(0.05)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert ("interrupted" in stderr) == (sent == signal.SIGINT)
    assert "Traceback" not in stderr
    assert os.listdir(tmp_path) == [corpus.name]


def test_a_reader_that_goes_away_is_no_crash(packed):
    command = f"{sys.executable} -m apollo_pack inspect {packed} --row 0 | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert "Traceback" not in done.stderr


def test_files_are_verified_each_on_its_own(corpus, packed, tmp_path):
    run("build", corpus, tmp_path / "other.bin", "--seq-len", 128)
    torn = tmp_path / "torn.bin"
    content = bytearray(packed.read_bytes())
    content[5000] ^= 1
    torn.write_bytes(content)
    done = run("verify", packed, torn, tmp_path / "other.bin", tmp_path)
    assert done.returncode == 1
    assert [line[:2] for line in done.stdout.splitlines() if not line.startswith(" ")] == ["ok", "ok"]
    assert done.stderr.count("error: ") == 2
    assert "torn.bin: damaged" in done.stderr
    assert "no regular file" in done.stderr


def test_a_full_standard_output_is_one_line(packed):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "apollo_pack", "verify", str(packed)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr


def test_text_cannot_steer_the_terminal(tmp_path):
    (tmp_path / "x_en_text.json").write_text(json.dumps(["plain \x1b[31mred\x1b[0m \u202eturned\r and more"]))
    out = tmp_path / "out.bin"
    assert run("build", tmp_path, out, "--seq-len", 64).returncode == 0
    shown = run("inspect", out, "--row", 0).stdout
    assert "\\u001b[31mred" in shown
    assert "\\u202eturned\\u000d and more" in shown
    assert "\x1b" not in shown


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "x.json")
    done = run("build", tmp_path / "x.json", tmp_path / "out.bin", timeout=60)
    assert (done.returncode, "regular file" in done.stderr) == (1, True)


def test_paths_of_any_bytes(corpus, tmp_path):
    out = os.fsencode(tmp_path) + b"/\xff.bin"
    command = [sys.executable, "-m", "apollo_pack", "build", str(corpus), out, "--seq-len", "64"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert os.path.exists(out)  # noqa: PTH110
