"""`apollo-pack build` beside the same job done the usual way, each as a whole process, in turns.

The usual way: Hugging Face `tokenizers` (`encode_batch_fast`, on all threads), `json.load`, Python lists,
greedy (next-fit) packing, and numpy arrays of ids and mask written with `tofile`. It keeps no more than one
input file and a thousand documents in memory. apollo-pack does the same with `--packing in-order`, and more:
segments, provenance, checksums. Both read the same files and tokenizer.json; the template is `apollo`.

Measured: seconds from the start of the process to its end, and its peak memory (`ru_maxrss`). A round runs
both, every other round in the opposite order. MB are 10^6 bytes of uncompressed JSON, tokens those in the
rows. After the last round ids and masks of both are compared, and any difference is an error.

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
from typing import Any, BinaryIO, NamedTuple

# What is heavy is imported where it is used: the peak memory of a child begins with that of its parent.
DOCUMENTS_AT_ONCE = 1000
TOTALS = ("rows", "tokens", "loss_tokens", "padding")


class Run(NamedTuple):
    """What one process took and what it printed."""

    seconds: float
    peak_bytes: int
    answer: dict[str, Any]


def read_items(path: str) -> tuple[list[Any], int]:
    """Read a JSON array or JSON Lines, and say how many bytes of JSON it is."""
    raw = gzip.decompress(Path(path).read_bytes()) if path.endswith(".gz") else Path(path).read_bytes()
    kind = Path(path.removesuffix(".gz")).suffix
    if kind not in (".json", ".jsonl"):
        raise SystemExit(f"{path}: only .json and .jsonl, plain or .gz, are read the usual way here")
    lines = (line for line in raw.splitlines() if line.strip())
    return json.loads(raw) if kind == ".json" else [json.loads(line) for line in lines], len(raw)


def pieces_of(item: Any) -> list[tuple[str, bool]]:
    """Write a document out: texts to encode, and whether their tokens count for the loss."""
    if isinstance(item, dict):
        item = item["text"] if "text" in item else [turn["content"] for turn in item["messages"]]
    if isinstance(item, str):
        return [(item, True)]
    pieces: list[tuple[str, bool]] = []
    for question, answer in zip(item[::2], item[1::2], strict=False):  # a question alone is left out
        follow_up = "\n" if pieces else ""
        pieces += [(f"{follow_up}User:{question}\nAssistant:", False), (answer, True)]
    return pieces


class GreedyPacker:
    """Put documents into rows one after another; what does not fit the row opens the next one."""

    def __init__(self, seq_len: int, pad: int, ids_file: BinaryIO, mask_file: BinaryIO) -> None:
        """Start with an empty row."""
        self.seq_len, self.pad, self.ids_file, self.mask_file = seq_len, pad, ids_file, mask_file
        self.row: tuple[list[int], list[int]] = ([], [])
        self.rows: list[tuple[list[int], list[int]]] = []
        self.totals = dict.fromkeys(TOTALS, 0)

    def add(self, ids: list[int], mask: list[int], *, is_text: bool) -> None:
        """Add a document: a text longer than a row is split, a dialogue truncated."""
        end = len(ids) if is_text else min(len(ids), self.seq_len)
        for start in range(0, end, self.seq_len):
            stop = min(start + self.seq_len, end)
            piece_mask = [0, *mask[start + 1 : stop]]  # nothing stands before a segment's first token
            if any(piece_mask):
                if len(self.row[0]) + stop - start > self.seq_len:
                    self.close_row()
                self.row[0].extend(ids[start:stop])
                self.row[1].extend(piece_mask)

    def close_row(self) -> None:
        """Pad the row, and begin a new one."""
        ids, mask = self.row
        padding = self.seq_len - len(ids)
        for name, count in zip(TOTALS, (1, len(ids), sum(mask), padding), strict=True):
            self.totals[name] += count
        self.rows.append((ids + [self.pad] * padding, mask + [0] * padding))
        self.row = ([], [])

    def write(self) -> None:
        """Write the rows that are full."""
        import numpy as np  # noqa: PLC0415

        np.array([ids for ids, _ in self.rows], dtype="<u4").tofile(self.ids_file)
        np.array([mask for _, mask in self.rows], dtype="u1").tofile(self.mask_file)
        self.rows.clear()


def encode(job: dict[str, Any]) -> dict[str, Any]:
    """Do the whole job the usual way."""
    from tokenizers import Tokenizer  # noqa: PLC0415

    tokenizer = Tokenizer.from_file(job["tokenizer"])
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True  # special tokens in raw text are text
    bos = [] if job["bos_id"] is None else [job["bos_id"]]
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
                    ids, mask = list(bos), [0] * len(bos)
                    for _, counts in pieces:
                        piece = next(encodings).ids + [job["eos_id"]] * counts
                        ids += piece
                        mask += [int(counts)] * len(piece)
                    packer.add(ids, mask, is_text=len(pieces) == 1)
                packer.write()
        if packer.row[0]:
            packer.close_row()
        packer.write()
    return {"totals": packer.totals, "json_bytes": json_bytes}


def prepare(job: dict[str, Any]) -> dict[str, Any]:
    """Find the tokenizer and the files, so that both read the same; the files are then in the page cache."""
    import apollo_pack  # noqa: PLC0415
    from apollo_pack.tokenizers import find_tokenizer  # noqa: PLC0415

    found = find_tokenizer(job["tokenizer"])
    tokenizer = Path(job["ids"]).with_name("tokenizer.json")
    tokenizer.write_bytes(found.tokenizer_json)
    if found.tokenizer_config_json is not None:
        tokenizer.with_name("tokenizer_config.json").write_bytes(found.tokenizer_config_json)
    plan = apollo_pack.plan(job["corpus"], tokenizer=tokenizer, seq_len=job["seq_len"])
    corpus = Path(job["corpus"])
    files = [str(corpus / file.path if corpus.is_dir() else corpus) for file in plan.inputs]
    token_ids = {name: plan.tokenizer[name] for name in ("bos_id", "eos_id", "pad_id")}
    return {**job, **token_ids, "tokenizer": str(tokenizer), "files": files}


def compare(job: dict[str, Any]) -> dict[str, Any]:
    """Compare the ids and masks of both outputs, row by row."""
    import numpy as np  # noqa: PLC0415

    from apollo_pack import PackedDataset  # noqa: PLC0415

    dataset = PackedDataset(job["out"], columns=("input_ids", "loss_mask"))
    ids = np.memmap(job["ids"], "<u4", "r").reshape(len(dataset), -1)
    mask = np.memmap(job["mask"], "u1", "r").reshape(len(dataset), -1)
    same_ids = all(np.array_equal(row["input_ids"], ids[i]) for i, row in enumerate(dataset))
    same_mask = all(np.array_equal(row["loss_mask"], mask[i]) for i, row in enumerate(dataset))
    return {"same": same_ids and same_mask}


def run(command: list[str], environment: dict[str, str]) -> Run:
    """Run a process that prints JSON."""
    with tempfile.TemporaryFile() as stdout:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=stdout, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"exit code {process.returncode} from: {' '.join(command)}")
        stdout.seek(0)
        return Run(seconds, usage.ru_maxrss * 1024, json.load(stdout))


def bench(args: argparse.Namespace, folder: Path) -> dict[str, list[Run]]:
    """Run both in turns, and check that they make the same."""
    environment = os.environ | {"RAYON_NUM_THREADS": str(args.threads), "TOKENIZERS_PARALLELISM": "true"}
    job_file = folder / "job.json"
    job = {"corpus": args.corpus, "tokenizer": args.tokenizer, "seq_len": args.seq_len}
    job |= {name: str(folder / f"{name}.bin") for name in ("ids", "mask", "out")}
    child = [sys.executable, __file__, str(job_file), "--child"]
    job_file.write_text(json.dumps(job))
    job = run([*child, "prepare"], environment).answer
    job_file.write_text(json.dumps(job))
    ours = [sys.executable, "-m", "apollo_pack", "build", args.corpus, job["out"], "--quiet", "--force"]
    ours += ["--json", "--tokenizer", job["tokenizer"], "--packing", "in-order"]
    ours += ["--seq-len", str(args.seq_len), "--threads", str(args.threads)]
    commands = {"usual way": [*child, "encode"], "apollo-pack": ours}
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for i in range(args.rounds):
        for name in list(commands)[:: -1 if i % 2 else 1]:
            runs[name].append(run(commands[name], environment))
            print(f"round {i + 1}: {name} {runs[name][-1].seconds:.2f} s", file=sys.stderr)
        made = [[runs[name][-1].answer["totals"][key] for key in TOTALS] for name in commands]
        if made[0] != made[1]:
            raise SystemExit(f"DIFFERENT {TOTALS}: {made[0]} the usual way, {made[1]} by apollo-pack")
    if not run([*child, "compare"], environment).answer["same"]:
        raise SystemExit("DIFFERENT: the totals agree, ids or masks do not")
    return runs


def print_table(args: argparse.Namespace, usual: list[Run], ours: list[Run]) -> None:
    """Print the medians of both."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    megabytes, totals = usual[0].answer["json_bytes"] / 1e6, usual[0].answer["totals"]
    times = [[run.seconds for run in runs] for runs in (usual, ours)]
    seconds = [statistics.median(t) for t in times]
    peaks = [statistics.median(run.peak_bytes for run in runs) / 1e6 for runs in (usual, ours)]
    title = f"{megabytes:,.2f} MB of JSON, {totals['tokens']:,} tokens, {totals['rows']:,} rows\n"
    title += f"seq_len {args.seq_len}, threads {args.threads}, rounds {args.rounds}, ids and masks equal"
    table = Table("median", "usual way", "apollo-pack", "apollo-pack / usual", title=title)
    speeds = [[amount / s for s in seconds] for amount in (megabytes, totals["tokens"])]
    names = ("seconds, whole process", "MB of JSON / s", "tokens / s", "peak memory, MB")
    for name, (a, b) in zip(names, (seconds, *speeds, peaks), strict=True):
        table.add_row(name, *(f"{x:,.2f}" if x < 100 else f"{x:,.0f}" for x in (a, b)), f"{b / a:.3f}")  # noqa: PLR2004
    table.add_row("seconds, least to most", *(f"{min(t):.2f} to {max(t):.2f}" for t in times), "")
    Console().print(table)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", help="a folder, or a .json or .jsonl file")
    parser.add_argument("--tokenizer", help="tokenizer.json or its folder [default: the embedded one]")
    parser.add_argument("--seq-len", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", choices=("prepare", "encode", "compare"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        step = {"prepare": prepare, "encode": encode, "compare": compare}[args.child]
        print(json.dumps(step(json.loads(Path(args.corpus).read_text()))))
        return
    with tempfile.TemporaryDirectory(prefix="usual-way-") as folder:
        print_table(args, *bench(args, Path(folder)).values())


if __name__ == "__main__":
    main()
