"""What people see."""

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
