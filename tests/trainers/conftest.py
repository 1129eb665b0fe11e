"""The examples are what is tested: they can be imported here."""

import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "trainers"


@pytest.fixture(autouse=True)
def _examples(monkeypatch):
    """Other projects may warn, and look for the network in vain."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES), prepend=":")
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    sys.modules.pop("small_model", None)
