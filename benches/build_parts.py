"""A whole build beside its parts alone: reading the files, and encoding their texts.

Each is a process of its own, in turns; what is timed is the work alone, not Python's start: seconds of the
clock, and of all processors together, which other work on the machine changes less. `read` reads the bytes of
all files (from the page cache, as all do here); `encode` hands all texts, questions and answers to
`Encoder.encode_batch`, a file at a time, and does not count the reading of the JSON; `build` is
`apollo_pack.build` with all it does (reading, encoding, spool, rows, checksums, flushing); `shards` is that
with `--shard-size`. Loading the tokenizer counts for each that needs it. Peak memory (`ru_maxrss`) is that of
the whole process.

    python benches/build_parts.py CORPUS [--tokenizer PATH] [--threads N] [--rounds 5] [--shard-size 100MB]

For larger corpora see `enlarge.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

PARTS = ("read", "encode", "build", "shards")


def strings(value: Any) -> list[str]:
    """Find all texts in an item, or in an array of them."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in strings(part)]


class Clock:
    """Adds up the time of what is done in it."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.seconds = self.processors = 0.0

    def __enter__(self) -> None:
        """Start."""
        self.seconds -= time.perf_counter()
        self.processors -= time.process_time()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.seconds += time.perf_counter()
        self.processors += time.process_time()


def read(files: list[Path], clock: Clock) -> None:
    """Read all bytes."""
    buffer = bytearray(1 << 20)
    for path in files:
        with clock, path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def encode(files: list[Path], clock: Clock, args: argparse.Namespace) -> None:
    """Encode all texts."""
    from apollo_pack import Encoder  # noqa: PLC0415 - the peak memory of a child is its own

    with clock:
        encoder = Encoder(args.tokenizer, special_tokens="text")
    for path in files:
        texts = strings(json.loads(path.read_bytes()))
        with clock:
            encoder.encode_batch(texts, num_threads=args.threads)


def build(clock: Clock, args: argparse.Namespace, shard_size: str | None) -> None:
    """Build it."""
    import apollo_pack  # noqa: PLC0415

    settings = {"tokenizer": args.tokenizer, "threads": args.threads, "shard_size": shard_size}
    with tempfile.TemporaryDirectory(prefix="build-parts-") as folder, clock:
        apollo_pack.build(args.corpus, Path(folder) / "out.bin", **settings)


def measure(part: str, args: argparse.Namespace) -> Clock:
    """Do one part in this process."""
    files = sorted(args.corpus.rglob("*.json")) if args.corpus.is_dir() else [args.corpus]
    clock = Clock()
    if part == "read":
        read(files, clock)
    elif part == "encode":
        encode(files, clock, args)
    else:
        build(clock, args, args.shard_size if part == "shards" else None)
    return clock


class Run(NamedTuple):
    """What one process took."""

    seconds: float
    processors: float
    peak_bytes: int


def run(part: str) -> Run:
    """Do one part in a process of its own."""
    with tempfile.TemporaryFile() as stdout:
        process = subprocess.Popen([sys.executable, *sys.argv, "--part", part], stdout=stdout)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(process.returncode)
        stdout.seek(0)
        return Run(*json.load(stdout), usage.ru_maxrss * 1024)


def main() -> None:
    """Measure all parts in turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=Path, help="a folder with .json files, or one")
    parser.add_argument("--tokenizer", help="tokenizer.json or its folder [default: the embedded one]")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shard-size", default="100MB")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        clock = measure(args.part, args)
        print(json.dumps([clock.seconds, clock.processors]))
        return
    runs: dict[str, list[Run]] = {part: [] for part in PARTS}
    for i in range(args.rounds):
        for part in PARTS[:: -1 if i % 2 else 1]:
            runs[part].append(run(part))
            print(f"round {i + 1}: {part} {runs[part][-1].seconds:.3f} s", file=sys.stderr)
    medians = {
        part: Run(*map(statistics.median, zip(*results, strict=True))) for part, results in runs.items()
    }
    built = medians["build"]
    print("| medians | seconds | a build takes | of processors | a build takes | peak memory, MB |")
    print("|---|--:|--:|--:|--:|--:|")
    for part, (seconds, processors, peak) in medians.items():
        clock_figures = f"{seconds:.3f} | {built.seconds / seconds:.2f} x"
        figures = f"{processors:.3f} | {built.processors / processors:.2f} x | {peak / 1e6:,.0f}"
        print(f"| {part} | {clock_figures} | {figures} |")


if __name__ == "__main__":
    main()
