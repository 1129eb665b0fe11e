"""How long a loader takes to go on from a state, on files of up to 10^9 rows that are not there.

python benches/resume.py
"""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING, Any

from apollo_pack import Loader

if TYPE_CHECKING:
    import numpy as np


class Virtual:
    """A dataset whose batches are their indices."""

    fingerprint = "0" * 32

    def __init__(self, rows: int) -> None:
        """Take the number of rows."""
        self.rows = rows

    def __len__(self) -> int:
        """Return it."""
        return self.rows

    def batch(self, rows: np.ndarray, **_: Any) -> dict[str, np.ndarray]:
        """Return the indices."""
        return {"rows": rows}


def main() -> None:
    """Measure a new loader, its state loaded, to the first batch."""
    print("| rows | state, bytes | state to first batch, ms |\n|--:|--:|--:|")
    for rows in (10**3, 10**6, 10**9):
        dataset: Any = Virtual(rows)
        settings: dict[str, Any] = {"rank": 3, "world_size": 8, "shuffle": True, "seed": 1}
        state = {**Loader(dataset, 8, **settings).state_dict(), "epoch": 2, "position": rows // 2}
        times = []
        for _ in range(101):
            started = time.perf_counter()
            loader = Loader(dataset, 8, **settings)
            loader.load_state_dict(state)
            next(iter(loader))
            times.append(1000 * (time.perf_counter() - started))
        print(f"| {rows:,} | {len(json.dumps(state))} | {statistics.median(times):.3f} |")


if __name__ == "__main__":
    main()
