"""Build a corpus without looking for duplicates, and with exact and near ones: seconds and memory of each.

    python benches/near.py CORPUS [--rounds N]

The builds take turns; each is a process of its own, and memory is the most that it had.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WAYS = ("off", "exact", "near")


def build(corpus: Path, out: Path, dedup: str) -> tuple[float, float, dict[str, object]]:
    """Build once: seconds, megabytes, report."""
    command = [sys.executable, "-m", "apollo_pack", "build", str(corpus), str(out)]
    started = time.perf_counter()
    with subprocess.Popen(
        [*command, "--dedup", dedup, "--force", "--json"], stdout=subprocess.PIPE, text=True
    ) as process:
        report = json.load(process.stdout)
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = code
    if code:
        sys.exit(f"the build with --dedup {dedup} failed")
    return time.perf_counter() - started, usage.ru_maxrss / 1000, report


def main() -> None:
    """Read the command line."""
    rounds = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 3
    corpus = Path(sys.argv[1])
    measured: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for way in WAYS:
                seconds, megabytes, report = build(corpus, Path(folder) / "out.bin", way)
                measured[way].append((seconds, megabytes))
                found[way] = report["ledger"]
    for way in WAYS:
        seconds, megabytes = (statistics.median(figures) for figures in zip(*measured[way], strict=True))
        items = sum(entry["items"] for entry in found[way])
        reasons = [entry["items_dropped"] for entry in found[way]]
        dropped = {name: sum(r.get(name, 0) for r in reasons) for name in ("duplicate", "near-duplicate")}
        figures = ", ".join(f"{count:,} {name}" for name, count in dropped.items() if count)
        print(f"{way}: {seconds:.2f} s, {megabytes:.0f} MB; of {items:,} items {figures or 'none dropped'}")


main()
