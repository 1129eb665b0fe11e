"""The plan of a build, and a picture of its mix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from apollo_pack.console.figures import rounded, shown_ids, shown_size
from apollo_pack.console.terminal import escape, screen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apollo_pack.reports import BuildPlan, FilePlan, Mix

FILES_LISTED = 60
TRACE = 1e-4  # the least share that counts as being there


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
            shown_size(file.bytes),
        )
    if len(plan.inputs) > FILES_LISTED:
        rest = plan.inputs[FILES_LISTED:]
        size = shown_size(sum(file.bytes for file in rest))
        table.add_row(f"... and {len(rest)} more", "", "", "", _items(rest), size)
    if len(plan.inputs) > 1:
        size = shown_size(sum(file.bytes for file in plan.inputs))
        table.add_row(f"[bold]{len(plan.inputs)} files", "", "", "", _items(plan.inputs), size)
    screen.print(table)
    for file in plan.inputs:
        for note in file.notes:
            screen.print(
                f"[yellow]note[/] {escape(file.path)}: {escape(note.what)} -> {escape(note.outcome)}"
            )
    for path, reason in plan.left_out.items():
        screen.print(f"[yellow]left out[/] {escape(path)}: {escape(reason)}")
    for note in plan.notes:
        screen.print(f"[yellow]note[/] {escape(note.what)} -> {escape(note.outcome)}")


def _print_settings(plan: BuildPlan) -> None:
    label, encoder = plan.tokenizer["label"], plan.tokenizer["encoder"]
    screen.print(f"tokenizer [bold]{escape(label)}[/], encoder {encoder}: {shown_ids(plan.tokenizer)}")
    if plan.tokenizer["why_not_native"]:
        reason = escape(plan.tokenizer["why_not_native"])
        screen.print(
            f"[yellow]note[/] the native encoder does not serve: {reason} -> the reference does, slower"
        )
    order = _ORDERS[plan.order].format(seed=plan.seed)
    recipe = f"recipe [bold]{escape(plan.recipe)}[/], " if plan.recipe else ""
    screen.print(
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
    """Print what a recipe comes to, by source and language, and how it is mixed."""
    sums: dict[tuple[str, str], list[float]] = {}
    for i, file in enumerate(files):
        of_file = (file.items, mix.documents[i], mix.tokens[i])
        entry = sums.setdefault((file.source, file.language), [0.0] * len(of_file))
        sums[file.source, file.language] = [a + b for a, b in zip(entry, of_file, strict=True)]
    whole = max(1.0, sum(mix.tokens))
    table = Table(title="Expected", title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("source", overflow="fold", min_width=10)
    table.add_column("lang", min_width=4)
    for name in ("items", "documents", "epochs", "tokens", "share"):
        table.add_column(name, justify="right")
    for (source, language), (items, documents, tokens) in sorted(sums.items()):
        figures = f"{items:,.0f}", f"{documents:,.0f}", f"{documents / max(1, items):.3g}"
        table.add_row(escape(source), language, *figures, rounded(round(tokens)), f"{tokens / whole:.1%}")
    total = f"[bold]{rounded(round(sum(mix.tokens)))}"
    table.add_row("[bold]total", "", "", f"[bold]{sum(mix.documents):,.0f}", "", total, "")
    screen.print(table)
    sources = {file.source for file in files}
    by_source = len(sources) > 1
    names = [file.source if by_source else file.language for file in files]
    if len(set(names)) > 1:
        _print_along("source" if by_source else "language", names, mix)


def _print_along(what: str, names: Sequence[str], mix: Mix) -> None:
    """Print a picture of the mix along the training order; `names` are those under which files are summed."""
    steps = {name: [0.0] * len(mix.steps) for name in sorted(names)}
    for i, name in enumerate(names):
        steps[name] = [a + step[i] for a, step in zip(steps[name], mix.steps, strict=True)]
    top = max(max(along) for along in steps.values()) or 1.0
    screen.print(
        f"[bold]Along the training order[/], from first to last: each {what}'s share of the tokens there; "
        f"a full bar is {top:.0%}"
    )
    width = max(map(len, steps))
    for name, along in steps.items():
        bars = "".join(_bar(share / top) for share in along)
        screen.print(f"{escape(name):<{width}} |{bars}| {along[0]:>4.0%} at first, {along[-1]:>4.0%} at last")


def _bar(height: float) -> str:
    """Draw a share; of what is there at all something is seen."""
    return _BARS[max(int(height > TRACE), round(height * (len(_BARS) - 1)))]


_BARS = " ▁▂▃▄▅▆▇█"


def _items(files: Iterable[FilePlan]) -> str:
    files = list(files)
    about = "" if all(file.items_exact for file in files) else "~"
    return f"{about}{sum(file.items for file in files):,}"
