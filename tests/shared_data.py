"""The real data beside the checkout, where there is any."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest


@functools.cache
def shared_data() -> Path:
    """Unpack ``../shared/data`` and give its folder; skip the test where there is none.

    ``$APOLLO_PACK_SHARED_DATA`` names an unpacked folder: ``corpus/train/{pretrain,sft}/*.json`` and
    ``tokenizers/NAME/tokenizer.json``.
    """
    given = os.environ.get("APOLLO_PACK_SHARED_DATA")
    unpack = Path(__file__).resolve().parents[2] / "shared" / "data" / "unpack"
    if given:
        folder = Path(given)
    elif unpack.is_file():
        command = [sys.executable, str(unpack)]
        folder = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    else:
        pytest.skip("no shared data: neither ../shared/data/unpack nor $APOLLO_PACK_SHARED_DATA")
    assert (folder / "corpus" / "train").is_dir(), f"{folder} holds no corpus/train"
    assert (folder / "tokenizers").is_dir(), f"{folder} holds no tokenizers"
    return folder
