"""Every Python block of the documentation runs as it stands, block after block, but for the number of meta-steps."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(path):
    text = path.read_text(encoding="utf-8")
    return [(text[: found.start()].count("\n") + 1, found[1]) for found in BLOCK.finditer(text)]


PAGES = [path for path in sorted(DOCS.glob("*.md")) if blocks(path)]


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("path", PAGES, ids=[path.stem for path in PAGES])
def test_blocks_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("adaptax.runs.VALIDATION_STEPS", 1)  # then it takes its fewest tasks
    names = {"__name__": "__main__"}
    for line, code in blocks(path):
        quick = re.sub(r"meta_steps=\d+", "meta_steps=1", code)
        exec(compile("\n" * line + quick, str(path), "exec"), names)


def test_parts_of_ones_own_take_ten_lines():
    text = (DOCS / "your-own.md").read_text(encoding="utf-8")
    for title in ("A policy network", "An inner loss", "An inner rule", "An outer loss", "A memory"):
        code = BLOCK.findall(text[text.index(f"## {title}") :])[0]
        lines = [
            line for line in code.splitlines() if line.strip() and "import" not in line and "ax.train(" not in line
        ]
        assert len(lines) <= 10, title
