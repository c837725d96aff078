"""Every Python block of the documentation runs as it stands, block after block, but for sizes."""

import re
from pathlib import Path

import pytest

from adaptax.cli import main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# The README's own program is not ours to write: this stands in for it, and for the size of its training.
OBSERVED = {"observation": 0, "next_observation": 1, "reward": 0.0, "terminated": False, "truncated": False}
QUICK = {r"meta_steps=\d+": "meta_steps=1", r"tasks=16\b": "tasks=4", "tasks=1000": "tasks=10"}
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(path):
    text = path.read_text(encoding="utf-8")
    return [(text[: found.start()].count("\n") + 1, found[1]) for found in BLOCK.finditer(text)]


PAGES = [path for path in [ROOT / "README.md", *sorted(DOCS.glob("*.md"))] if blocks(path)]


@pytest.mark.parametrize("path", PAGES, ids=[path.stem for path in PAGES])
def test_blocks_run(path, tmp_path, monkeypatch, unvalidated):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__", **OBSERVED}
    for line, code in blocks(path):
        for pattern, replacement in QUICK.items():
            code = re.sub(pattern, replacement, code)
        exec(compile("\n" * line + code, str(path), "exec"), names)


def test_parts_of_ones_own_take_ten_lines():
    text = (DOCS / "your-own.md").read_text(encoding="utf-8")
    for title in ("A policy network", "An inner loss", "An inner rule", "An outer loss", "A memory"):
        code = BLOCK.findall(text[text.index(f"## {title}") :])[0]
        lines = [
            line for line in code.splitlines() if line.strip() and "import" not in line and "ax.train(" not in line
        ]
        assert len(lines) <= 10, title


def test_a_family_of_ones_own_takes_forty_lines_and_keeps_the_contract(tmp_path, monkeypatch, capsys):
    (code,) = BLOCK.findall((DOCS / "your-own-family.md").read_text(encoding="utf-8"))
    assert len(code.splitlines()) <= 40
    monkeypatch.chdir(tmp_path)
    Path("line.py").write_text(code)
    main(["check", "line.py:Line"])
    assert "line.py:Line keeps the contract" in capsys.readouterr().out
