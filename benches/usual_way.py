"""`apollo-pack build` beside the same job done the usual way, each as a whole process, in turns.

The usual way: Hugging Face `tokenizers` (`encode_batch_fast`, on all threads), `json.load`, Python lists, greedy
(next-fit) packing, and numpy arrays of ids and mask written with `tofile`. It keeps no more than one input file
and a thousand documents in memory. apollo-pack does the same with `--packing in-order`, and more: segments,
provenance, checksums. Both read the same files and the same tokenizer.json, with the template `apollo`.

Measured: seconds from the start of the process to its end, and its peak memory (`ru_maxrss`); a round runs both,
and every other round in the opposite order. MB are 10^6 bytes of uncompressed JSON, tokens those in the rows.
After the last round ids and masks of both are compared, and any difference is an error.

    python benches/usual_way.py CORPUS [--tokenizer PATH] [--seq-len 4096] [--threads N] [--rounds 5]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

# What is heavy is imported by the children alone: a child begins with the peak memory of its parent.
if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENTS_AT_ONCE = 1000
TOTALS = ("rows", "tokens", "loss_tokens", "padding")
Piece = tuple[str, bool]  # a text, and whether its tokens count for the loss
Totals = dict[str, int]


class Run(NamedTuple):
    """What one process took and made."""

    seconds: float
    peak_bytes: int
    totals: Totals


def read_items(path: str) -> tuple[list[Any], int]:
    """Read a JSON array or JSON Lines, and say how many bytes of JSON it is."""
    raw = Path(path).read_bytes()
    name = path.lower()
    if name.endswith(".gz"):
        raw, name = gzip.decompress(raw), name.removesuffix(".gz")
    if name.endswith(".json"):
        return json.loads(raw), len(raw)
    if name.endswith((".jsonl", ".ndjson")):
        return [json.loads(line) for line in raw.splitlines() if line.strip()], len(raw)
    raise SystemExit(f"{path}: the usual way here reads .json and .jsonl, plain or .gz")


def pieces_of(item: Any) -> list[Piece]:
    """Write a document out with the template apollo."""
    if isinstance(item, dict):
        turns = item.get("messages") or item.get("conversations")
        item = item["text"] if turns is None else [turn_text(turn) for turn in turns]
    if isinstance(item, str):
        return [(item, True)]
    pieces: list[Piece] = []
    for question, answer in zip(item[::2], item[1::2], strict=False):  # a question alone is left out
        follow_up = "\n" if pieces else ""
        pieces += [(f"{follow_up}User:{question}\nAssistant:", False), (answer, True)]
    return pieces


def turn_text(turn: Any) -> str:
    """Get the text of a turn in a list of messages."""
    return turn if isinstance(turn, str) else turn.get("content", turn.get("value"))


class GreedyPacker:
    """Put documents into rows one after another; what does not fit the row opens the next one."""

    def __init__(self, seq_len: int, pad: int, ids_file: BinaryIO, mask_file: BinaryIO) -> None:
        """Start with an empty row."""
        self.seq_len, self.pad, self.ids_file, self.mask_file = seq_len, pad, ids_file, mask_file
        self.ids: list[int] = []
        self.mask: list[int] = []
        self.rows_of_ids: list[list[int]] = []
        self.rows_of_mask: list[list[int]] = []
        self.totals = dict.fromkeys(TOTALS, 0)

    def add(self, ids: list[int], mask: list[int], *, is_text: bool) -> None:
        """Add a document: a text longer than a row is split, a dialogue truncated."""
        end = len(ids) if is_text else min(len(ids), self.seq_len)
        for start in range(0, end, self.seq_len):
            stop = min(start + self.seq_len, end)
            piece_mask = [0, *mask[start + 1 : stop]]  # nothing stands before a segment's first token
            if not any(piece_mask):
                continue
            if len(self.ids) + stop - start > self.seq_len:
                self.close_row()
            self.ids += ids[start:stop]
            self.mask += piece_mask

    def close_row(self) -> None:
        """Pad the row."""
        padding = self.seq_len - len(self.ids)
        counts = (1, len(self.ids), sum(self.mask), padding)
        for name, count in zip(TOTALS, counts, strict=True):
            self.totals[name] += count
        self.rows_of_ids.append(self.ids + [self.pad] * padding)
        self.rows_of_mask.append(self.mask + [0] * padding)
        self.ids, self.mask = [], []

    def write(self) -> None:
        """Write the rows that are full."""
        import numpy as np  # noqa: PLC0415

        np.array(self.rows_of_ids, dtype="<u4").tofile(self.ids_file)
        np.array(self.rows_of_mask, dtype="u1").tofile(self.mask_file)
        self.rows_of_ids, self.rows_of_mask = [], []


def child_encode(job: dict[str, Any]) -> Totals:
    """Do the whole job the usual way."""
    from tokenizers import Tokenizer  # noqa: PLC0415

    tokenizer = Tokenizer.from_file(job["tokenizer"])
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True  # special tokens in raw text are text
    first = [] if job["bos_id"] is None else [job["bos_id"]]
    json_bytes = 0
    with Path(job["ids"]).open("wb") as ids_file, Path(job["mask"]).open("wb") as mask_file:
        packer = GreedyPacker(job["seq_len"], job["pad_id"], ids_file, mask_file)
        for path in job["files"]:
            items, size = read_items(path)
            json_bytes += size
            for start in range(0, len(items), DOCUMENTS_AT_ONCE):
                documents = [pieces_of(item) for item in items[start : start + DOCUMENTS_AT_ONCE]]
                texts = [text for pieces in documents for text, _ in pieces]
                encodings = iter(tokenizer.encode_batch_fast(texts, add_special_tokens=False))
                for pieces in documents:
                    ids, mask = list(first), [0] * len(first)
                    for (_, counts), encoding in zip(pieces, encodings, strict=False):
                        piece = encoding.ids + [job["eos_id"]] * counts
                        ids += piece
                        mask += [int(counts)] * len(piece)
                    packer.add(ids, mask, is_text=len(pieces) == 1)
                packer.write()
        if packer.ids:
            packer.close_row()
        packer.write()
    return {**packer.totals, "json_bytes": json_bytes}


def child_prepare(job: dict[str, Any]) -> dict[str, Any]:
    """Find the tokenizer and the files, so that both read the same."""
    import apollo_pack  # noqa: PLC0415
    from apollo_pack.tokenizers import find_tokenizer  # noqa: PLC0415

    found = find_tokenizer(job["tokenizer"])
    tokenizer = Path(job["folder"], "tokenizer.json")
    tokenizer.write_bytes(found.tokenizer_json)
    if found.tokenizer_config_json is not None:
        tokenizer.with_name("tokenizer_config.json").write_bytes(found.tokenizer_config_json)
    plan = apollo_pack.plan(job["corpus"], tokenizer=tokenizer, seq_len=job["seq_len"])
    corpus = Path(job["corpus"])
    files = [str(corpus / file.path) if corpus.is_dir() else str(corpus) for file in plan.inputs]
    token_ids = {name: plan.tokenizer[name] for name in ("bos_id", "eos_id", "pad_id")}
    return {**job, **token_ids, "tokenizer": str(tokenizer), "files": files}


def child_compare(job: dict[str, Any]) -> dict[str, bool]:
    """Compare the ids and masks of both outputs, row by row."""
    import numpy as np  # noqa: PLC0415
    from apollo_pack import PackedDataset  # noqa: PLC0415

    dataset = PackedDataset(job["out"], columns=("input_ids", "loss_mask"))
    shape = (len(dataset), job["seq_len"])
    ids = np.memmap(job["ids"], "<u4", "r", shape=shape)
    mask = np.memmap(job["mask"], "u1", "r", shape=shape)
    same = all(
        np.array_equal(row["input_ids"], ids[i]) and np.array_equal(row["loss_mask"], mask[i])
        for i, row in enumerate(dataset)
    )
    return {"same": same}


def run(command: list[str], environment: dict[str, str]) -> tuple[float, int, Any]:
    """Run a process that prints JSON; return its seconds, its peak memory and what it printed."""
    with tempfile.TemporaryFile() as stdout:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=stdout, env=environment)  # noqa: S603 - our own
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"exit code {process.returncode} from: {' '.join(command)}")
        stdout.seek(0)
        return seconds, usage.ru_maxrss * 1024, json.load(stdout)


def bench(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Run]]:
    """Run both in turns."""
    environment = os.environ | {"RAYON_NUM_THREADS": str(args.threads), "TOKENIZERS_PARALLELISM": "true"}
    job_file = folder / "job.json"

    def child(what: str) -> list[str]:
        return [sys.executable, __file__, str(job_file), "--child", what]

    job = {"corpus": args.corpus, "tokenizer": args.tokenizer, "seq_len": args.seq_len, "folder": str(folder)}
    job |= {name: str(folder / f"{name}.bin") for name in ("ids", "mask", "out")}
    job_file.write_text(json.dumps(job))
    job = run(child("prepare"), environment)[2]
    job_file.write_text(json.dumps(job))
    options = {
        "tokenizer": job["tokenizer"],
        "seq-len": args.seq_len,
        "packing": "in-order",
        "threads": args.threads,
    }
    ours = [
        sys.executable,
        "-m",
        "apollo_pack",
        "build",
        args.corpus,
        job["out"],
        "--quiet",
        "--force",
        "--json",
    ]
    ours += [f"--{name}={value}" for name, value in options.items()]
    commands = {"usual way": child("encode"), "apollo-pack": ours}
    seen: Totals = {}
    for i in range(args.rounds):
        for name in list(commands)[:: 1 if i % 2 == 0 else -1]:
            seconds, peak, answer = run(commands[name], environment)
            totals = answer.get("totals", answer)
            counts = {key: totals[key] for key in TOTALS}
            if counts != (seen := seen or counts):
                raise SystemExit(f"DIFFERENT: {name} has {counts}, the run before it {seen}")
            print(f"round {i + 1}: {name} {seconds:.2f} s", file=sys.stderr)
            yield name, Run(seconds, peak, totals)
    if not run(child("compare"), environment)[2]["same"]:
        raise SystemExit("DIFFERENT: the totals agree, ids or masks do not")


def print_table(usual: list[Run], ours: list[Run], args: argparse.Namespace) -> None:
    """Print the medians of both."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    totals = usual[0].totals
    table = Table("median", "usual way", "apollo-pack", "apollo-pack / usual way")

    def add(name: str, digits: int, values: list[float]) -> None:
        table.add_row(name, *(f"{value:,.{digits}f}" for value in values), f"{values[1] / values[0]:.3f}")

    seconds = [statistics.median(run.seconds for run in runs) for runs in (usual, ours)]
    add("seconds, whole process", 2, seconds)
    add("MB of JSON / s", 2, [totals["json_bytes"] / 1e6 / s for s in seconds])
    add("tokens / s", 0, [totals["tokens"] / s for s in seconds])
    add(
        "peak memory, MB",
        0,
        [statistics.median(run.peak_bytes for run in runs) / 1e6 for runs in (usual, ours)],
    )
    ranges = [f"{min(runs).seconds:.2f} to {max(runs).seconds:.2f}" for runs in (usual, ours)]
    table.add_row("seconds, all rounds", *ranges, "")
    console = Console()
    console.print(
        f"{totals['json_bytes'] / 1e6:,.2f} MB of JSON, {totals['tokens']:,} tokens in {totals['rows']:,} rows of "
        f"{args.seq_len}; threads {args.threads}, rounds {args.rounds}; ids and masks equal",
        highlight=False,
    )
    console.print(table)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", help="a folder, or a .json or .jsonl file")
    parser.add_argument("--tokenizer", help="tokenizer.json or its folder [default: the embedded one]")
    parser.add_argument("--seq-len", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", choices=("prepare", "encode", "compare"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        steps = {"prepare": child_prepare, "encode": child_encode, "compare": child_compare}
        print(json.dumps(steps[args.child](json.loads(Path(args.corpus).read_text()))))
        return
    runs: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory(prefix="usual-way-") as folder:
        for name, result in bench(args, Path(folder)):
            runs.setdefault(name, []).append(result)
    print_table(runs["usual way"], runs["apollo-pack"], args)


if __name__ == "__main__":
    main()
