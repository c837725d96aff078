"""The benchmarks are scripts: their folder is on the path for a test only."""

import sys
from pathlib import Path

import pytest


@pytest.fixture
def benchmarks(monkeypatch):
    """Their folder, from which modules can be imported."""
    folder = Path(__file__).parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    for name in [name for name in sys.modules if name.split(".")[0] == "speed"]:
        monkeypatch.delitem(sys.modules, name)
    return folder
