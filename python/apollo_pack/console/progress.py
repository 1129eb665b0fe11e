"""How far it is."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from apollo_pack.console.figures import shown_rate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from rich.progress import Progress, TaskID


class _Bar:
    """A progress bar on stderr, gone when the work is done."""

    def __init__(self) -> None:
        self.task: TaskID | None = None

    @cached_property
    def progress(self) -> Progress:
        # Imported when there is something to show: that takes a while, and by then a build is under way.
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        from apollo_pack.console.terminal import err  # noqa: PLC0415

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
        return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.task is not None:
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
            rate = shown_rate(progress["done"] / elapsed, progress["tokens"] / elapsed)
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
