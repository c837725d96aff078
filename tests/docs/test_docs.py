import importlib.util
import re
from pathlib import Path

import pytest

from adaptax.config import attributes_of
from adaptax.registry import ENVIRONMENTS, LEARNERS

DOCS = Path(__file__).parents[2] / "docs"
ENTRIES = LEARNERS | ENVIRONMENTS


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_up_to_date(generate):
    stale = [
        name
        for name, text in generate.pages().items()
        if not (DOCS / name).exists() or (DOCS / name).read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run: python docs/generate.py"


def test_no_page_is_left_of_what_is_gone(generate):
    there = {f"{kind}/{path.name}" for kind in generate.KINDS for path in (DOCS / kind).glob("*.md")}
    assert there == set(generate.pages()) - {"speed.md", "optimal.md", "recovery.md", "similarity.md", "seven-ways.md"}


def test_writing_twice_changes_nothing(generate, tmp_path):
    (tmp_path / "learners").mkdir()
    (tmp_path / "learners" / "gone.md").write_text("old")
    assert set(generate.write(tmp_path)) == {*generate.pages(), "learners/gone.md"}
    assert generate.write(tmp_path) == []


def test_a_result_appears_on_both_pages(generate, tmp_path):
    (tmp_path / "a.json").write_text(
        '{"learner": "rl2", "environment": "bernoulli-bandit", "total_return": 6.65, "seeds": 3,'
        ' "ci95": {"total_return": [6.64, 6.66]}, "references": {"optimal": 6.66}, "phase_return": [0.5, 0.7]}'
    )
    (tmp_path / "tuning-b.json").write_text('{"steps": 1}')  # no result
    pages = generate.pages(tmp_path)
    for name in ("learners/rl2.md", "environments/bernoulli-bandit.md"):
        assert "6.650 (6.640 to 6.660)" in pages[name]
    assert "## Results" not in pages["learners/maml.md"]


def test_a_comparison_appears_with_its_differences(generate, tmp_path):
    (tmp_path / "a.json").write_text(
        '{"learner": "maml", "environment": "cartpole", "environment_fields": {"horizon": 100}, "seeds": 3,'
        ' "learner_fields": {"copies": 1}, "total_return": 400.0, "phase_return": [20.0, 190.0]}'
    )
    (tmp_path / "comparison-cartpole.json").write_text(
        '{"tasks": 9, "seeds": 3, "maml minus": {"scratch": {"phase_return": [0.0, 50.0],'
        ' "ci95": [[-1.0, 40.0], [1.0, 60.0]]}}}'
    )
    page = generate.pages(tmp_path)["environments/cartpole.md"]
    assert "| maml, `horizon=100`, `copies=1` | 20.00 | 190.00 | 3 |" in page
    assert "| scratch | 0.00 (-1.00 to 1.00) | 50.00 (40.00 to 60.00) |" in page


@pytest.mark.parametrize("name", ENTRIES)
def test_summary_is_one_line(generate, name):
    text = generate.sections_of(ENTRIES[name].__doc__)
    assert text["summary"].endswith(".") and len(text["summary"]) <= 120
    assert text["body"]


@pytest.mark.parametrize("name", ENTRIES)
def test_every_public_field_is_described(generate, name):
    config = ENTRIES[name]()
    assert list(attributes_of(type(config))) == generate.public_fields(config)


@pytest.mark.parametrize("name", ENTRIES)
def test_source_is_named_with_its_year(generate, name):
    text = generate.sections_of(ENTRIES[name].__doc__)
    assert "Differences from the paper" in text
    if "there is none" in text["Differences from the paper"]:  # no paper
        return
    assert re.search(r"\b(19|20)\d\d\b", text["References"])
    assert "arXiv:" in text["References"]


@pytest.mark.parametrize("name", LEARNERS)
def test_learner_has_an_equation(generate, name):
    assert re.search(r"\$[^$]*[=\\][^$]*\$", generate.sections_of(LEARNERS[name].__doc__)["body"])


def test_links_between_pages_lead_somewhere():
    for path in sorted([*DOCS.rglob("*.md"), *(DOCS.parent / name for name in ("CONTRIBUTING.md", "CHANGELOG.md"))]):
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
            assert "://" in target or (path.parent / target).exists(), f"{path.name}: {target}"
