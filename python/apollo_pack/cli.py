"""The command line: `build`, `plan`, `recipe`, `inspect`, `verify`, `leakage`, `export`."""

from __future__ import annotations

import json
import re
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import apollo_pack
from apollo_pack import _core, building, console
from apollo_pack.errors import ApolloPackError, ConfigError
from apollo_pack.exports import FORMATS, export
from apollo_pack.options import choice, leak_settings, settings
from apollo_pack.tokenizers import find_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTION = re.compile(rf"\b({'|'.join(name for name in building.SETTINGS if '_' in name)})\b")
INTERRUPTED = 130  # what a shell expects after Ctrl-C


def _terminate(*_: object) -> None:
    """Leave by the way that cleans up, with the code that a shell expects after SIGTERM."""
    raise SystemExit(128 + signal.SIGTERM)


def main() -> None:
    """Run the command line; an error is one line on stderr and exit code 1."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = commands.main(prog_name="apollo-pack", standalone_mode=False)
    except ConfigError as error:
        # Settings are called by their names in Python.
        options = re.sub(_OPTION, lambda name: "--" + name[0].replace("_", "-"), str(error))
        console.print_error(options)
        code = 1
    except ApolloPackError as error:
        console.print_error(str(error))
        code = 1
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort) as interruption:
        notes = getattr(interruption.__cause__ or interruption, "__notes__", [])  # click wraps Ctrl-C
        console.print_error("; ".join(["interrupted", *notes]))
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone; Python would complain once more while it exits.
        sys.stdout = None
        code = 1
    except OSError as error:
        console.print_error(str(error))
        sys.stdout = None
        code = 1
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(_core.__version__, prog_name="apollo-pack")
def commands() -> None:
    """From raw multilingual text to packed LLM training rows, exact and fast.

    \b
    apollo-pack build corpus/ out.bin      make a packed file
    apollo-pack plan corpus/               say what that would do
    apollo-pack recipe apollo              print a recipe to begin with
    apollo-pack inspect out.bin --row 0    look into it
    apollo-pack verify out.bin             check every bit of it
    apollo-pack leakage corpus/ bench.json look for questions of a benchmark
    apollo-pack export hf out.bin folder   write it for other trainers

    In Python: from apollo_pack import PackedDataset
    """  # noqa: D301 - click wants the character itself


@commands.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@settings
@click.option(
    "--write-order",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the list of the documents that were drawn, in order, as --order-file takes it.",
)
@click.option(
    "--temp-dir",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where what is encoded, about the size of OUT, is kept until rows are made of it. "
    "[default: beside OUT]",
)
@click.option(
    "--shard-size",
    metavar="SIZE",
    help="Write shards instead of one file, each of as many rows as have SIZE (500MB, 2GiB) of tokens and "
    "masks: for OUT out.bin, out-00000-of-00012.bin and so on, and out.bin.index.json, which stands for all.",
)
@click.option(
    "--check-encoder",
    type=int,
    metavar="N",
    help="Documents, spread over the corpus, that Hugging Face tokenizers encodes as well, to prove the "
    "native encoder; a difference stops the build. [default: 16 of a corpus from 1 GB on, else 0]",
)
@click.option(
    "--force",
    is_flag=True,
    help="Replace OUT if it exists, and begin anew where a build that was stopped cannot be continued.",
)
@click.option(
    "--dry-run", is_flag=True, help="Read and check the whole corpus, show the plan, write nothing."
)
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the report (or the plan) as JSON on stdout.")
def build(corpus: Path, out: Path, *, dry_run: bool, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Build the packed file OUT from CORPUS.

    CORPUS is a folder (read recursively), a .zip archive (read in place) or a file: JSON arrays of texts
    or of lists [question, answer, ...] (.json), or JSON Lines (.jsonl), plain, .gz or .zst. File names
    like medicalWeb_en_qa.json give source, language and kind.

    OUT appears under its name only when it is whole, and its bytes depend on the corpus and the settings
    alone. A build that was stopped after more than a few seconds goes on when the same command is given
    again.
    """
    if dry_run:
        for name in ("force", "check_encoder", "temp_dir", "shard_size", "write_order"):
            settings.pop(name)
        _plan(corpus, quiet=quiet, as_json=as_json, **settings)
        return
    silent = quiet or as_json
    on_plan: Callable[[Any], None] | None = None if silent else console.print_plan
    with nullcontext(None) if silent else console.BuildProgress() as on_progress:
        report = building.build(corpus, out, on_plan=on_plan, on_progress=on_progress, **settings)
    if as_json:
        click.echo(json.dumps(report.raw))
    elif not quiet:
        console.print_report(report)


@commands.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@settings
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON on stdout.")
def plan(corpus: Path, *, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Say what a build of CORPUS would do, and write nothing.

    Reads all of it and counts; a few items all over each file are encoded, to say about how many tokens there
    will be, of which source and language, and how they are mixed along the training order.
    """
    _plan(corpus, quiet=quiet, as_json=as_json, **settings)


def _plan(corpus: Path, *, quiet: bool, as_json: bool, **settings: Any) -> None:
    with nullcontext(None) if quiet or as_json else console.BuildProgress() as on_progress:
        found = building.plan(corpus, on_progress=on_progress, **settings)
    if as_json:
        click.echo(json.dumps(found.raw))
    elif not quiet:
        console.print_plan(found)
    if found.has_problems and settings["on_error"] == "stop":
        raise ApolloPackError("the build would stop at the first item that cannot be read (see the notes)")


@commands.command()
@click.argument("name", required=False)
def recipe(name: str | None) -> None:
    """Print the recipe NAME, a TOML file to read or to change; without NAME, which there are."""
    if name is None:
        click.echo("\n".join(["apollo", *building.recipe_names()]))
    else:
        click.echo(building.recipe_text(name), nl=False)


@commands.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--row", type=int, help="Show this row: its text, what of it counts, its documents.")
@click.option(
    "--tokenizer",
    metavar="PATH|NAME",
    help="The tokenizer it was built with, to show text. "
    "[default: $APOLLO_PACK_TOKENIZER, else the embedded Qwen vocabulary]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def inspect(out: Path, row: int | None, tokenizer: str | None, *, as_json: bool) -> None:
    """Show what is in the packed file (or index of shards) OUT: settings and ledger, or a row's documents."""
    dataset = apollo_pack.PackedDataset(out, columns=("input_ids", "loss_mask", "segment_ids"))
    if row is None:
        if as_json:
            click.echo(json.dumps(dataset.metadata))
        else:
            console.print_dataset(dataset)
        return
    if not -len(dataset) <= row < len(dataset):
        raise click.BadParameter(f"there is no row {row}; {out} has {len(dataset)}", param_hint="--row")
    if as_json:
        values = {name: array.tolist() for name, array in dataset[row].items()}
        click.echo(json.dumps({"row": row, "documents": dataset.documents(row), **values}))
    else:
        console.print_row(dataset, row, tokenizer)


@commands.command()
@click.argument("out", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="CORPUS",
    help="Also read CORPUS, encode again what the rows say they hold of it, and compare every token.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --against: compare N rows, spread over the file. [default: all, and that nothing is missing]",
)
@click.option(
    "--decontaminate",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="BENCH",
    help="With --against: a benchmark that was kept out. Needed to see that nothing else is missing.",
)
@click.option(
    "--tokenizer",
    metavar="PATH|NAME",
    help="With --against: the tokenizer it was built with. [default: as for build]",
)
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def verify(
    out: tuple[Path, ...],
    *,
    against: Path | None,
    rows: int | None,
    decontaminate: tuple[Path, ...],
    tokenizer: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Check every bit of the packed files (or indexes of shards) OUT, and that rows mean what they should."""
    results, failures = [], []
    silent = quiet or as_json
    found = None if against is None else find_tokenizer(tokenizer, against)
    for path in out:
        try:
            files = _core.PackedFiles([path])
            with nullcontext(None) if silent else console.RowProgress("verifying") as on_progress:
                (result,) = files.verify(on_progress)
            if found is not None:
                with nullcontext(None) if silent else console.BuildProgress() as watch:
                    result["against"] = files.check_against(against, found, rows, watch, decontaminate)
        except ApolloPackError as error:
            failures.append(error)
            continue
        results.append({"path": str(path), **result})
        if not silent:
            console.print_verified(path, result)
    if as_json:
        click.echo(json.dumps(results))
    for failure in failures[:-1]:
        console.print_error(str(failure))
    if failures:
        raise failures[-1]


@commands.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.argument("bench", nargs=-1, required=True, type=click.Path(path_type=Path))
@leak_settings
@click.option("--threads", type=int, help="Threads that search. [default: all cores]")
@click.option(
    "--examples", type=click.IntRange(min=0), default=5, show_default=True, help="Leaks to show side by side."
)
@click.option(
    "--list",
    "listing",
    type=click.File("w", encoding="utf-8", lazy=True),
    metavar="FILE",
    help="Write every leak to FILE, as JSON Lines: file, item and byte, the question and what is shared.",
)
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
def leakage(
    corpus: Path,
    bench: tuple[Path, ...],
    *,
    examples: int,
    listing: Any,
    quiet: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Look for questions of the benchmarks BENCH in the items of CORPUS.

    BENCH is a folder, a .zip archive or a file of JSON or JSON Lines like CORPUS: objects with a question
    (or prompt, problem, query, instruction, input), texts, or dialogues, of which the first turn counts.

    An item leaks when one of its texts, before any template, holds a whole question, or shares a run of
    characters with one. What is found stands in both texts; nothing is sampled.
    """
    silent = quiet or as_json
    with nullcontext(None) if silent else console.BuildProgress() as on_progress:
        report = apollo_pack.find_leaks(corpus, *bench, on_progress=on_progress, **settings)
    if listing is not None:
        listing.writelines(json.dumps(leak, ensure_ascii=False) + "\n" for leak in report.raw["leaks"])
    if as_json:
        click.echo(json.dumps(report.raw))
    elif not quiet:
        console.print_leaks(report, examples)


@commands.command("export")
@click.argument("format_name", metavar="FORMAT", type=choice(*FORMATS))
@click.argument("packed", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--quiet", is_flag=True, help="Print errors only.")
def export_rows(format_name: str, packed: Path, out: Path, *, quiet: bool) -> None:
    """Write the rows of PACKED (a file, or an index of shards) to the folder OUT, in another FORMAT.

    \b
    hf            datasets.load_from_disk: input_ids, labels
    parquet       any reader of Parquet: input_ids, labels
    megatron      Megatron .bin/.idx, a row a document; no loss mask
    megatron-sft  Megatron-Bridge packed Parquet: input_ids, loss_mask, seq_start_id
    olmo          OLMo-core: tokens.npy, label_mask.npy
    nanogpt       nanoGPT: train.bin, uint16 or uint32; no loss mask, no rows
    mds           MosaicML StreamingDataset: input_ids, labels
    litdata       LitData StreamingDataset: input_ids, labels
    """  # noqa: D301 - click wants the character itself
    with nullcontext(None) if quiet else console.RowProgress("exporting") as on_progress:
        exported = export(packed, format_name, out, on_progress=on_progress)
    if not quiet:
        console.print_exported(out, exported)
