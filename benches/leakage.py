"""Look for a benchmark in a corpus as a Python script would, and with apollo-pack: seconds and ratio.

    python benches/leakage.py CORPUS BENCH... [--rounds N]

The script keeps every run of 64 characters of the questions in a set and looks up every run of each text, and
every whole question that stands in one; both give the same items, else it says so and fails.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import apollo_pack

RUN, QUESTION = 64, 32


def read(path: Path) -> list[object]:
    """Read the items of a file or of all files of a folder."""
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    return [(file, item) for file in files for item in json.loads(file.read_bytes())]


def by_script(corpus: Path, benchmarks: list[Path]) -> list[tuple[str, int, str]]:
    """Find leaked items with sets of strings."""
    questions = {item["question"].strip() for path in benchmarks for _, item in read(path)} - {""}
    runs = {question[i : i + RUN] for question in questions for i in range(len(question) - RUN + 1)}
    beginnings = {question[:QUESTION] for question in questions if len(question) >= QUESTION}
    by_beginning: dict[str, list[str]] = {}
    for question in questions:
        by_beginning.setdefault(question[:QUESTION], []).append(question)
    found = []
    numbers: dict[Path, int] = {}
    for file, item in read(corpus):
        number = numbers.get(file, 0)
        numbers[file] = number + 1
        texts = [item] if isinstance(item, str) else item
        whole = any(line.strip() in questions for text in texts for line in [text, *text.split("\n")])
        whole = whole or any(
            text.startswith(question, i)
            for text in texts
            for i in range(len(text) - QUESTION + 1)
            if text[i : i + QUESTION] in beginnings
            for question in by_beginning[text[i : i + QUESTION]]
        )
        if whole:
            found.append((file.name, number, "question"))
        elif any(text[i : i + RUN] in runs for text in texts for i in range(len(text) - RUN + 1)):
            found.append((file.name, number, "run"))
    return found


def by_apollo_pack(corpus: Path, benchmarks: list[Path]) -> list[tuple[str, int, str]]:
    """Find leaked items with apollo-pack, on one thread."""
    report = apollo_pack.find_leaks(corpus, *benchmarks, threads=1)
    return [(Path(leak.file).name, leak.item, leak.kind) for leak in report.leaks]


def main() -> None:
    """Read the command line."""
    rounds = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 3
    paths = [Path(argument) for argument in sys.argv[1:] if argument != "--rounds" and not argument.isdigit()]
    corpus, benchmarks = paths[0], paths[1:]
    seconds: dict[str, list[float]] = {"script": [], "apollo-pack": []}
    found = {}
    for _ in range(rounds):
        for name, search in (("script", by_script), ("apollo-pack", by_apollo_pack)):
            started = time.perf_counter()
            found[name] = sorted(search(corpus, benchmarks))
            seconds[name].append(time.perf_counter() - started)
    if found["script"] != found["apollo-pack"]:
        difference = set(found["script"]) ^ set(found["apollo-pack"])
        sys.exit(f"they differ in {len(difference)} items: {sorted(difference)[:5]}")
    script, ours = (statistics.median(times) for times in seconds.values())
    leaks, ratio = len(found["script"]), script / ours
    print(f"{leaks} items leak; script {script:.2f} s, apollo-pack {ours:.2f} s: {ratio:.0f} times")


main()
