"""Make a corpus of any size of a small one: each copy of an item begins with a number of its own.

    python benches/enlarge.py CORPUS OUT TIMES [--one-file]

OUT gets each JSON array of CORPUS with TIMES as many items, or, with `--one-file`, one array of all texts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def changed(item: str | list[str], copy: int) -> str | list[str]:
    """Change the text, so that no copy is found in a cache as a whole."""
    if isinstance(item, str):
        return f"{copy}. {item}"
    return [f"{copy}. {item[0]}", *item[1:]]


def enlarge(sources: list[Path], target: Path, times: int) -> None:
    """Write one array of all items of the sources, `times` times."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8") as out:
        separator = "["
        for copy in range(times):
            for source in sources:
                for item in json.loads(source.read_bytes()):
                    out.write(separator + json.dumps(changed(item, copy), ensure_ascii=False))
                    separator = ",\n"
        out.write("]\n")


def main() -> None:
    """Read the command line."""
    corpus, out, times = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    sources = sorted(corpus.rglob("*.json"))
    if "--one-file" in sys.argv:
        enlarge([path for path in sources if path.stem.endswith("text")], out / "all_text.json", times)
        return
    for path in sources:
        enlarge([path], out / path.relative_to(corpus), times)


main()
