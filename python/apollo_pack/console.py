"""What people see: plans, progress, tables, coloured rows."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from tokenizers import Tokenizer

from apollo_pack.tokenizers import find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from apollo_pack.dataset import PackedDataset
    from apollo_pack.exports import ExportFormat
    from apollo_pack.leakage import LeakReport
    from apollo_pack.reports import BuildPlan, BuildReport, FilePlan, LedgerEntry, Mix

COUNTED = "green"
CONTEXT = "dim"
SHARED = "red"
FILES_LISTED = 60
BENCHMARKS_NAMED = 3

NARROW = 110  # columns; below that figures are rounded
PIPED_WIDTH = 160  # what is not a terminal has no width of its own

_out = Console(highlight=False)
if not _out.is_terminal:
    _out = Console(highlight=False, width=PIPED_WIDTH)
_err = Console(stderr=True, highlight=False)


def visible(text: str) -> str:
    """Spell out what would steer a terminal: control characters, marks that turn the direction of text."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def escape(text: str) -> str:
    """Make any text safe to print among markup."""
    return escape_markup(visible(text))


def print_error(message: str) -> None:
    """Print one line on stderr."""
    _err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)


def print_plan(plan: BuildPlan) -> None:
    """Print what a build is going to do."""
    _print_files(plan)
    if plan.mix is not None:
        _print_mix(plan.inputs, plan.mix)
    _print_settings(plan)


def _print_files(plan: BuildPlan) -> None:
    table = Table(title="Plan", title_justify="left", box=None, header_style="bold", pad_edge=False)
    for name in ("file", "source", "lang", "kind"):
        table.add_column(name, overflow="fold")
    table.add_column("items", justify="right")
    table.add_column("size", justify="right")
    for file in plan.inputs[:FILES_LISTED]:
        table.add_row(
            escape(file.path),
            escape(file.source),
            file.language,
            file.kind or "?",
            _items([file]),
            _size(file.bytes),
        )
    if len(plan.inputs) > FILES_LISTED:
        rest = plan.inputs[FILES_LISTED:]
        size = _size(sum(file.bytes for file in rest))
        table.add_row(f"... and {len(rest)} more", "", "", "", _items(rest), size)
    if len(plan.inputs) > 1:
        size = _size(sum(file.bytes for file in plan.inputs))
        table.add_row(f"[bold]{len(plan.inputs)} files", "", "", "", _items(plan.inputs), size)
    _out.print(table)
    for file in plan.inputs:
        for note in file.notes:
            _out.print(f"[yellow]note[/] {escape(file.path)}: {escape(note.what)} -> {escape(note.outcome)}")
    for path, reason in plan.left_out.items():
        _out.print(f"[yellow]left out[/] {escape(path)}: {escape(reason)}")
    for note in plan.notes:
        _out.print(f"[yellow]note[/] {escape(note.what)} -> {escape(note.outcome)}")


def _print_settings(plan: BuildPlan) -> None:
    label, encoder = plan.tokenizer["label"], plan.tokenizer["encoder"]
    _out.print(f"tokenizer [bold]{escape(label)}[/], encoder {encoder}: {_ids(plan.tokenizer)}")
    if plan.tokenizer["why_not_native"]:
        reason = escape(plan.tokenizer["why_not_native"])
        _out.print(
            f"[yellow]note[/] the native encoder does not serve: {reason} -> the reference does, slower"
        )
    order = _ORDERS[plan.order].format(seed=plan.seed)
    recipe = f"recipe [bold]{escape(plan.recipe)}[/], " if plan.recipe else ""
    _out.print(
        f"{recipe}rows of [bold]{plan.seq_len}[/] tokens, packing {plan.packing}, overflow {plan.overflow}, "
        f"template {escape(plan.template['name'])}, documents {order}, {plan.threads} threads\n"
    )


_ORDERS = {
    "corpus": "in corpus order",
    "shuffle": "shuffled by seed {seed}",
    "priority": "drawn by priority with seed {seed}",
    "proportions": "in proportions, by seed {seed}",
    "file": "as a file lists them",
}


def _print_mix(files: Sequence[FilePlan], mix: Mix) -> None:
    """Print what a recipe comes to, by source and language, and a picture of it along the training order."""
    sums: dict[tuple[str, str], list[float]] = {}
    steps: dict[str, list[float]] = {}
    for i, file in enumerate(files):
        of_file = (file.items, mix.documents[i], mix.tokens[i])
        entry = sums.setdefault((file.source, file.language), [0.0] * len(of_file))
        sums[file.source, file.language] = [a + b for a, b in zip(entry, of_file, strict=True)]
        along = steps.setdefault(file.source, [0.0] * len(mix.steps))
        steps[file.source] = [a + step[i] for a, step in zip(along, mix.steps, strict=True)]
    whole = max(1.0, sum(mix.tokens))
    table = Table(title="Expected", title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("source", overflow="fold", min_width=10)
    table.add_column("lang", min_width=4)
    for name in ("items", "documents", "epochs", "tokens", "share"):
        table.add_column(name, justify="right")
    for (source, language), (items, documents, tokens) in sorted(sums.items()):
        figures = f"{items:,.0f}", f"{documents:,.0f}", f"{documents / max(1, items):.3g}"
        table.add_row(escape(source), language, *figures, _compact(round(tokens)), f"{tokens / whole:.1%}")
    total = f"[bold]{_compact(round(sum(mix.tokens)))}"
    table.add_row("[bold]total", "", "", f"[bold]{sum(mix.documents):,.0f}", "", total, "")
    _out.print(table)
    if len(steps) > 1:
        _out.print("[bold]Along the training order[/] (each bar a source's share of the tokens there)")
        width = max(map(len, steps))
        for source, along in sorted(steps.items()):
            bars = "".join(_BARS[round(share * (len(_BARS) - 1))] for share in along)
            ends = f"{along[0]:>4.0%} -> {along[-1]:.0%}"
            _out.print(f"{escape(source):<{width}} |{bars}| {ends}")


_BARS = " ▁▂▃▄▅▆▇█"


def print_report(report: BuildReport) -> None:
    """Print what a build did."""
    _print_ledger(report.ledger)
    for error in report.bad_item_list:
        place = ", ".join(f"{name} {error[name]}" for name in ("item", "byte") if error[name] is not None)
        _out.print(f"[yellow]left out[/] {escape(error['file'])}, {place}: {escape(error['problem'])}")
    if report.bad_items > len(report.bad_item_list):
        _out.print(f"[yellow]left out[/] {report.bad_items - len(report.bad_item_list):,} more items")
    _print_totals(report.totals, report.seq_len)
    seconds = report.seconds
    rate = _rate(report.input_bytes / seconds, report.totals["tokens"] / seconds)
    path, size = escape(str(report.path)), _size(report.file_bytes)
    size += f" in {report.shards:,} shards" if report.shards else ""
    _out.print(f"wrote [bold]{path}[/] ({size}) in {seconds:.1f} s, {rate}\ncontent {report.content_hash}")


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
        ("ids", _ids(tokenizer)),
        ("template", metadata["template"]["name"]),
        ("packing", f"{metadata['packing']}, overflow {metadata['overflow']}"),
        ("order", f"{metadata['order']}, seed {metadata['seed']}"),
        ("recipe", metadata.get("recipe", {}).get("name", "none")),
        ("dedup", _dedup(metadata.get("dedup"))),
        ("decontaminate", _benchmarks(metadata.get("decontamination"))),
        ("inputs", f"{len(metadata['inputs'])} files"),
    ):
        table.add_row(name, escape(str(value)))
    _out.print(table)
    if shard := metadata.get("shard"):
        rows = f"{len(dataset):,} of {shard['totals']['rows']:,} rows"
        _out.print(
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
        library = Tokenizer.from_buffer(found.tokenizer_json)
        for number, document in enumerate(documents, 1):
            _out.rule(f"[bold]{number}[/] {escape(_place(document))}", align="left", characters="-")
            _out.print(_decode(library, row, document["start"], document["end"]), soft_wrap=True)
        padding = dataset.seq_len - (documents[-1]["end"] if documents else 0)
        if padding:
            _out.rule(f"{padding} tokens of padding", align="left", characters="-")
        legend = Text("counts for the loss", COUNTED if _coloured() else "")
        marks = Text("" if _coloured() else " between [[ and ]]")
        _out.print(Text.assemble("\n", legend, marks, ", ", ("context only", CONTEXT)))
    else:
        _out.print("[yellow]note[/] built with another tokenizer: give it with --tokenizer to see the text")
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
    _out.print(table)


def print_verified(path: Path, result: Mapping[str, Any]) -> None:
    """Print that a file is whole."""
    totals = result["totals"]
    _out.print(
        f"[green]ok[/] {escape(str(path))}: {totals['rows']:,} rows, {totals['tokens']:,} tokens, "
        f"{totals['loss_tokens']:,} count\n   content {result['content_hash']}\n"
        f"   root    {result['root_hash']}",
        soft_wrap=True,
    )
    if agreement := result.get("against"):
        rows, segments = agreement["rows"], agreement["segments"]
        whole = ", and nothing of the corpus is missing" if agreement["complete"] else ""
        _out.print(f"   {segments:,} segments of {rows:,} rows are what the corpus comes to{whole}")


def print_exported(out: Path, exported: ExportFormat) -> None:
    """Print who reads an export, and what is not in it."""
    _out.print(f"[green]ok[/] {escape(str(out))}: for {exported.reader}", soft_wrap=True)
    _out.print(f"   not in it: {exported.loses}", soft_wrap=True)


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
    _out.print(table)
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
        _out.print(table)
    rules = report.rules
    fold = ", folded" if rules["fold"] else ""
    _out.print(
        f"{report.questions:,} questions of {len(report.benchmarks)} files, {report.runs:,} runs of "
        f"{rules['run']} {rules['unit']}, whole questions from {rules['question']} {rules['unit']} on{fold}"
    )
    if report.bad_items:
        _out.print(f"[yellow]note[/] {report.bad_items:,} items cannot be read, and were not looked at")


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


class _Bar:
    """A progress bar on stderr, gone when the work is done."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("gone,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            TextColumn("{task.fields[rate]}"),
        )
        self.progress = Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal)
        self.task: TaskID | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def start(self, description: str, total: float) -> TaskID:
        if self.task is not None:
            self.progress.remove_task(self.task)
        self.task = self.progress.add_task(description, total=total or None, rate="")
        self.progress.start()
        return self.task


class BuildProgress(_Bar):
    """Shows the stages of a build."""

    WORDS = {  # noqa: RUF012 - never changed
        "survey": "looking at the corpus",
        "encode": "encoding",
        "plan": "planning rows",
        "write": "writing rows",
        "publish": "finishing",
    }

    def __init__(self) -> None:
        """Begin with no stage."""
        super().__init__()
        self.stage = ""

    def __enter__(self) -> Self:
        """Show nothing yet."""
        return self

    def __call__(self, progress: Mapping[str, Any]) -> None:
        """Take a look at the build."""
        if progress["stage"] != self.stage or self.task is None:
            self.stage = progress["stage"]
            self.start(self.WORDS[self.stage], progress["total"])
        if self.task is None:
            return
        elapsed = self.progress.tasks[0].elapsed
        rate = ""
        if self.stage == "encode" and elapsed:
            rate = _rate(progress["done"] / elapsed, progress["tokens"] / elapsed)
        self.progress.update(self.task, completed=progress["done"], rate=rate)


class RowProgress(_Bar):
    """Shows how many rows have been checked, or exported."""

    def __init__(self, what: str) -> None:
        """Name what is done with them."""
        super().__init__()
        self._what = what

    def __enter__(self) -> Self:
        """Show nothing yet."""
        return self

    def __call__(self, done: int, total: int) -> None:
        """Take a look at the check."""
        task = self.start(self._what, total) if self.task is None else self.task
        self.progress.update(task, completed=done)


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
    figure = _compact if _out.width < NARROW else "{:,}".format
    for name in shown:
        table.add_column(name, justify="right")
    for i, entry in enumerate(entries):
        figures = (figure(values[i]) for values in shown.values())
        table.add_row(escape(entry.source), entry.language, *figures)
    table.add_row("[bold]total", "", *(f"[bold]{figure(sum(values))}" for values in shown.values()))
    _out.print(table)
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
            _out.print(
                f"{what}: " + ", ".join(f"{count:,} {reason}" for reason, count in sorted(sums.items()))
            )
    without = sum(entry.items_without_loss for entry in entries)
    if without:
        _out.print(f"items kept though nothing of them counts for the loss: {without:,}")
    trailing = sum(entry.trailing_questions for entry in entries)
    if trailing:
        _out.print(f"trailing questions cut off: {trailing:,}")


_FOUND = ("leaked", "duplicate", "near-duplicate")


def _found(entry: LedgerEntry, reason: str) -> int:
    return entry.items_dropped.get(reason, 0) + entry.items_marked.get(reason, 0)


def _print_totals(totals: Mapping[str, int], seq_len: int) -> None:
    padding = totals["padding"] / max(1, totals["rows"] * seq_len)
    _out.print(
        f"{totals['rows']:,} rows of {seq_len}: {totals['tokens']:,} tokens in {totals['segments']:,} "
        f"segments, {totals['loss_tokens']:,} count for the loss, {padding:.3%} padding"
    )
    if totals["rows_without_loss"]:
        _out.print(f"[yellow]note[/] {totals['rows_without_loss']:,} rows have no token that counts")


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


def _ids(tokenizer: Mapping[str, Any]) -> str:
    bos = "no BOS" if tokenizer["bos_id"] is None else f"BOS {tokenizer['bos_id']}"
    eos, pad = tokenizer["eos_id"], tokenizer["pad_id"]
    return f"{tokenizer['vocab_size']:,} ids, end-of-text {eos}, pad {pad}, {bos}"


def _coloured() -> bool:
    return _out.color_system is not None


def _place(document: Mapping[str, Any]) -> str:
    words = f"{document['source']}, item {document['item']}"
    if document["epoch"]:
        words += f", epoch {document['epoch']}"
    if document["continued"]:
        words += f", from token {document['document_start']} on"
    if document["cut"]:
        words += ", goes on after this"
    return ", ".join([words, *document["marks"]])


def _items(files: Iterable[FilePlan]) -> str:
    files = list(files)
    about = "" if all(file.items_exact for file in files) else "~"
    return f"{about}{sum(file.items for file in files):,}"


def _rate(bytes_per_second: float, tokens_per_second: float) -> str:
    return f"{bytes_per_second / 1e6:.1f} MB/s, {tokens_per_second / 1e6:.2f} M tokens/s"


def _compact(count: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**4)):
        if count >= size:
            return f"{count / min(size, 10**3 if unit == 'k' else size):.3g}{unit}"
    return str(count)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004 - the step between the units
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
