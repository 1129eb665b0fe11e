"""What came of a build, what is in a file, what leaks: tables and coloured rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from apollo_pack.console.figures import counted, rounded, shown_ids, shown_rate, shown_size
from apollo_pack.console.terminal import NARROW, escape, screen, visible
from apollo_pack.tokenizers import find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tokenizers import Tokenizer

    from apollo_pack.dataset import PackedDataset
    from apollo_pack.exports import ExportFormat
    from apollo_pack.leakage import LeakReport
    from apollo_pack.reports import BuildReport, LedgerEntry

COUNTED = "green"
CONTEXT = "dim"
SHARED = "red"
BENCHMARKS_NAMED = 3


def print_report(report: BuildReport) -> None:
    """Print what a build did."""
    _print_ledger(report.ledger)
    for error in report.bad_item_list:
        place = ", ".join(f"{name} {error[name]}" for name in ("item", "byte") if error[name] is not None)
        screen.print(f"[yellow]left out[/] {escape(error['file'])}, {place}: {escape(error['problem'])}")
    if report.bad_items > len(report.bad_item_list):
        screen.print(f"[yellow]left out[/] {report.bad_items - len(report.bad_item_list):,} more items")
    _print_totals(report.totals, report.seq_len)
    seconds = report.seconds
    rate = shown_rate(report.input_bytes / seconds, report.totals["tokens"] / seconds)
    path, size = escape(str(report.path)), shown_size(report.file_bytes)
    size += f" in {report.shards:,} shards" if report.shards else ""
    screen.print(f"wrote [bold]{path}[/] ({size}) in {seconds:.1f} s, {rate}\ncontent {report.content_hash}")


def print_dataset(dataset: PackedDataset) -> None:
    """Print what a packed file says about itself."""
    metadata = dataset.metadata
    tokenizer = metadata["tokenizer"]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in (
        ("content", metadata["content_hash"]),
        ("built by", f"apollo-pack {metadata['apollo_pack']}, format {metadata['format_version']}"),
        ("tokenizer", f"sha256 {tokenizer['sha256']}"),
        ("ids", shown_ids(tokenizer)),
        ("template", metadata["template"]["name"]),
        ("packing", f"{metadata['packing']}, overflow {metadata['overflow']}"),
        ("order", f"{metadata['order']}, seed {metadata['seed']}"),
        ("recipe", metadata.get("recipe", {}).get("name", "none")),
        ("dedup", _dedup(metadata.get("dedup"))),
        ("decontaminate", _benchmarks(metadata.get("decontamination"))),
        ("inputs", counted(len(metadata["inputs"]), "file")),
    ):
        table.add_row(name, escape(str(value)))
    screen.print(table)
    if shard := metadata.get("shard"):
        rows = f"{len(dataset):,} of {shard['totals']['rows']:,} rows"
        screen.print(
            f"[yellow]note[/] shard {shard['number']} of {shard['count']}, {rows}; the ledger is of all"
        )
    _print_ledger(dataset.ledger)
    _print_totals(metadata["totals"], dataset.seq_len)


def _dedup(dedup: Mapping[str, Any] | None) -> str:
    if dedup is None:
        return "off"
    near = f"near (from {dedup['near']} on)" if "near" in dedup else "exact"
    return f"{near}, {_FATES[dedup['found']]}"


_FATES = {"drop": "dropped", "mark": "marked"}


def _benchmarks(decontamination: Mapping[str, Any] | None) -> str:
    if decontamination is None:
        return "none"
    paths = [benchmark["path"] for benchmark in decontamination["benchmarks"]]
    more = [f"... and {len(paths) - BENCHMARKS_NAMED} more"] if len(paths) > BENCHMARKS_NAMED else []
    return ", ".join([*paths[:BENCHMARKS_NAMED], *more, _FATES[decontamination["found"]]])


def print_row(dataset: PackedDataset, index: int, tokenizer: str | None) -> None:
    """Print a row: the decoded text with its mask in colour, and the documents it is made of."""
    row = dataset[index]
    documents = dataset.documents(index)
    found = find_tokenizer(tokenizer)
    if hashlib.sha256(found.tokenizer_json).hexdigest() == dataset.metadata["tokenizer"]["sha256"]:
        from tokenizers import Tokenizer  # noqa: PLC0415 - slow to import, and asked for by nothing else

        library = Tokenizer.from_buffer(found.tokenizer_json)
        for number, document in enumerate(documents, 1):
            screen.rule(f"[bold]{number}[/] {escape(_place(document))}", align="left", characters="-")
            screen.print(_decode(library, row, document["start"], document["end"]), soft_wrap=True)
        padding = dataset.seq_len - (documents[-1]["end"] if documents else 0)
        if padding:
            screen.rule(f"{padding} tokens of padding", align="left", characters="-")
        legend = Text("counts for the loss", COUNTED if _coloured() else "")
        marks = Text("" if _coloured() else " between [[ and ]]")
        screen.print(Text.assemble("\n", legend, marks, ", ", ("context only", CONTEXT)))
    else:
        screen.print("[yellow]note[/] built with another tokenizer: give it with --tokenizer to see the text")
    table = Table(
        title=f"Row {index % len(dataset)} of {len(dataset)}",
        title_justify="left",
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    for name in ("segment", "columns", "tokens", "count"):
        table.add_column(name, justify="right")
    table.add_column("document", overflow="fold")
    for number, document in enumerate(documents, 1):
        start, end = document["start"], document["end"]
        counted = int(row["loss_mask"][start:end].sum())
        table.add_row(str(number), f"{start}:{end}", str(end - start), str(counted), escape(_place(document)))
    screen.print(table)


def print_verified(path: Path, result: Mapping[str, Any]) -> None:
    """Print that a file is whole."""
    totals = result["totals"]
    screen.print(
        f"[green]ok[/] {escape(str(path))}: {totals['rows']:,} rows, {totals['tokens']:,} tokens, "
        f"{totals['loss_tokens']:,} count\n   content {result['content_hash']}\n"
        f"   root    {result['root_hash']}",
        soft_wrap=True,
    )
    if agreement := result.get("against"):
        rows, segments = agreement["rows"], agreement["segments"]
        whole = ", and nothing of the corpus is missing" if agreement["complete"] else ""
        screen.print(f"   {segments:,} segments of {rows:,} rows are what the corpus comes to{whole}")


def print_exported(out: Path, exported: ExportFormat) -> None:
    """Print who reads an export, and what is not in it."""
    screen.print(f"[green]ok[/] {escape(str(out))}: for {exported.reader}", soft_wrap=True)
    screen.print(f"   not in it: {exported.loses}", soft_wrap=True)


def print_leaks(report: LeakReport, examples: int) -> None:
    """Print how much leaks by source and language, and examples side by side."""
    table = Table(title="Leakage", title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("source", overflow="fold")
    table.add_column("lang")
    for name in ("items", "whole question", "run", "leaked", "share"):
        table.add_column(name, justify="right")
    total = [0, 0, 0]
    for count in report.counts:
        figures = [count.items, count.questions, count.runs]
        total = [a + b for a, b in zip(total, figures, strict=True)]
        table.add_row(escape(count.source), escape(count.language), *_leaked(*figures))
    table.add_row("[bold]total", "", *(f"[bold]{figure}" for figure in _leaked(*total)))
    screen.print(table)
    if examples and report.leaks:
        step = max(1, len(report.leaks) // examples)
        table = Table(title="Examples", title_justify="left", header_style="bold", show_lines=True)
        table.add_column("item of the corpus", overflow="fold", ratio=1)
        table.add_column("question of the benchmark", overflow="fold", ratio=1)
        for leak in report.leaks[::step][:examples]:
            item = _shared(f"{leak.file}, item {leak.item}", leak.before, leak.shared, leak.after)
            before, _, after = leak.question.partition(leak.shared)
            question = _shared(f"{leak.benchmark}, item {leak.benchmark_item}", before, leak.shared, after)
            table.add_row(item, question)
        screen.print(table)
    rules = report.rules
    fold = ", folded" if rules["fold"] else ""
    screen.print(
        f"{counted(report.questions, 'question')} of {counted(len(report.benchmarks), 'file')}, "
        f"{report.runs:,} runs of {rules['run']} {rules['unit']}, "
        f"whole questions from {rules['question']} {rules['unit']} on{fold}"
    )
    if report.bad_items:
        screen.print(f"[yellow]note[/] {report.bad_items:,} items cannot be read, and were not looked at")


def _leaked(items: int, questions: int, runs: int) -> list[str]:
    leaked = questions + runs
    return [f"{items:,}", f"{questions:,}", f"{runs:,}", f"{leaked:,}", f"{leaked / max(1, items):.2%}"]


def _shared(place: str, before: str, shared: str, after: str) -> Text:
    marks = ("", "") if _coloured() else ("[[", "]]")
    shown = visible(f"{marks[0]}{shared}{marks[1]}")
    return Text.assemble(
        (f"{visible(place)}\n", "bold"),
        (visible(before), CONTEXT),
        (shown, SHARED),
        (visible(after), CONTEXT),
    )


def _print_ledger(ledger: Iterable[LedgerEntry]) -> None:
    entries = list(ledger)
    columns = {
        "items": [entry.items for entry in entries],
        "dropped": [sum(entry.items_dropped.values()) for entry in entries],
        **{reason: [_found(entry, reason) for entry in entries] for reason in _FOUND},
        "cut": [entry.items_cut for entry in entries],
        "tokens": [entry.tokens for entry in entries],
        "truncated": [entry.tokens_truncated for entry in entries],
        "tokens dropped": [sum(entry.tokens_dropped.values()) for entry in entries],
        "kept": [entry.tokens_kept if entry.tokens_repeated else 0 for entry in entries],
        "repeated": [entry.tokens_repeated for entry in entries],
        "in rows": [entry.tokens_kept + entry.tokens_repeated for entry in entries],
        "count for loss": [entry.loss_tokens for entry in entries],
    }
    table = Table(title="Ledger", title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("source", overflow="fold", min_width=10)
    table.add_column("lang", min_width=4)
    shown = {name: figures for name, figures in columns.items() if any(figures)}
    figure = rounded if screen.width < NARROW else "{:,}".format
    for name in shown:
        table.add_column(name, justify="right")
    for i, entry in enumerate(entries):
        figures = (figure(values[i]) for values in shown.values())
        table.add_row(escape(entry.source), entry.language, *figures)
    table.add_row("[bold]total", "", *(f"[bold]{figure(sum(values))}" for values in shown.values()))
    screen.print(table)
    for what, reasons in (
        ("items dropped", [entry.items_dropped for entry in entries]),
        ("tokens dropped", [entry.tokens_dropped for entry in entries]),
        ("items kept and marked", [entry.items_marked for entry in entries]),
        ("tokens of items kept and marked", [entry.tokens_marked for entry in entries]),
    ):
        sums: Counter[str] = Counter()
        for counts in reasons:
            sums.update(counts)
        if sums:
            screen.print(
                f"{what}: " + ", ".join(f"{count:,} {reason}" for reason, count in sorted(sums.items()))
            )
    without = sum(entry.items_without_loss for entry in entries)
    if without:
        screen.print(f"items kept though nothing of them counts for the loss: {without:,}")
    trailing = sum(entry.trailing_questions for entry in entries)
    if trailing:
        screen.print(f"trailing questions cut off: {trailing:,}")


_FOUND = ("leaked", "duplicate", "near-duplicate")


def _found(entry: LedgerEntry, reason: str) -> int:
    return entry.items_dropped.get(reason, 0) + entry.items_marked.get(reason, 0)


def _print_totals(totals: Mapping[str, int], seq_len: int) -> None:
    padding = totals["padding"] / max(1, totals["rows"] * seq_len)
    screen.print(
        f"{totals['rows']:,} rows of {seq_len}: {totals['tokens']:,} tokens in {totals['segments']:,} "
        f"segments, {totals['loss_tokens']:,} count for the loss, {padding:.3%} padding"
    )
    cut = totals.get("cut_segments", 0)
    per_row = totals["segments"] / max(1, totals["rows"])
    screen.print(
        f"documents per row: {per_row:.2f} on average, at most {totals.get('most_segments', 0):,}; "
        + (f"{cut:,} of them cut (going on in another row, or truncated)" if cut else "none is cut")
    )
    if totals["rows_without_loss"]:
        screen.print(f"[yellow]note[/] {totals['rows_without_loss']:,} rows have no token that counts")


def _decode(library: Tokenizer, row: Mapping[str, Any], start: int, end: int) -> Text:
    """Decode a segment in runs of tokens that count or do not."""
    text = Text()
    ids, mask = row["input_ids"][start:end].tolist(), row["loss_mask"][start:end].tolist()
    at = 0
    before = ""
    while at < len(ids):
        stop = at
        while stop < len(ids) and mask[stop] == mask[at]:
            stop += 1
        # What the run adds to the text before it: decoded alone it could lose the space it begins with.
        whole = library.decode(ids[:stop], skip_special_tokens=False)
        run = whole.removeprefix(before) if whole.startswith(before) else library.decode(ids[at:stop])
        run, before = visible(run), whole
        if mask[at] and not _coloured():
            run = f"[[{run}]]"
        text.append(run, COUNTED if mask[at] else CONTEXT)
        at = stop
    return text


def _coloured() -> bool:
    return screen.color_system is not None


def _place(document: Mapping[str, Any]) -> str:
    words = f"{document['source']}, item {document['item']}"
    if document["epoch"]:
        words += f", epoch {document['epoch']}"
    if document["continued"]:
        words += f", from token {document['document_start']} on"
    if document["cut"]:
        words += ", goes on after this"
    return ", ".join([words, *document["marks"]])
