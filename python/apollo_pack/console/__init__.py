"""What people see."""

from typing import TYPE_CHECKING

from apollo_pack.later import importer

if TYPE_CHECKING:
    from apollo_pack.console.plan import print_plan
    from apollo_pack.console.progress import BuildProgress, RowProgress
    from apollo_pack.console.report import (
        print_dataset,
        print_exported,
        print_leaks,
        print_report,
        print_row,
        print_verified,
    )
    from apollo_pack.console.terminal import print_error

__all__ = [
    "BuildProgress",
    "RowProgress",
    "print_dataset",
    "print_error",
    "print_exported",
    "print_leaks",
    "print_plan",
    "print_report",
    "print_row",
    "print_verified",
]

# What draws is imported when there is something to draw: by then a build is under way.
_LATER = dict.fromkeys(__all__, "report") | {
    "BuildProgress": "progress",
    "RowProgress": "progress",
    "print_error": "terminal",
    "print_plan": "plan",
}

__getattr__ = importer(__name__, _LATER)
