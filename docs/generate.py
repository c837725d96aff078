"""Writes a page for each registered learner and environment, from docstrings, fields, presets and benchmark results.

    python docs/generate.py            # writes docs/learners/*.md and docs/environments/*.md
    python docs/generate.py RUN        # draws docs/images/adaptation.svg from the evaluation in a run folder

A test compares the pages with what this script would write.
"""

import dataclasses
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

from adaptax.config import attributes_of, fields_of
from adaptax.core.learner import Learner
from adaptax.presets import DEFAULT_META_STEPS
from adaptax.presets.tuned import TUNED
from adaptax.registry import ENVIRONMENTS, LEARNERS

ROOT = Path(__file__).parents[1]
SECTIONS = ("Attributes", "Example", "References", "Differences from the paper")
KINDS = {"learners": LEARNERS, "environments": ENVIRONMENTS}


def sections_of(docstring: str) -> dict[str, str]:
    """The parts of a docstring: "summary", "body", and the named sections without their indentation."""
    text = inspect.cleandoc(docstring)
    summary, _, rest = text.partition("\n")
    heads = "|".join(SECTIONS)
    pieces = re.split(rf"^({heads}):", rest, flags=re.MULTILINE)
    found = {"summary": summary.strip(), "body": pieces[0].strip()}
    for name, content in zip(pieces[1::2], pieces[2::2], strict=True):
        found[name] = inspect.cleandoc("\n" + content) if content.startswith("\n") else " ".join(content.split())
    return found


def public_fields(config: Any) -> list[str]:
    """The fields that a user may set, in order; some only from Python."""
    internal = ("spec",) if isinstance(config, Learner) else ()
    return [f.name for f in dataclasses.fields(type(config)) if f.init and f.name not in internal]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    line = lambda cells: "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def fields_table(config: Any) -> str:
    """Name, default, legal values and meaning of every field."""
    known, helps = fields_of(config), attributes_of(type(config))
    rows = []
    for name in public_fields(config):
        legal = known[name].legal().strip() if name in known else "from Python only"
        default = f"`{getattr(config, name)!r}`"
        rows.append([f"`{name}`", default, legal, helps.get(name, "")])
    return table(["field", "default", "legal", "meaning"], rows)


def presets_table(kind: str, name: str) -> str:
    """The tuned settings that name this learner or environment."""
    rows = []
    for (learner, environment), presets in sorted(TUNED.items()):
        if name not in (learner, environment):
            continue
        other = environment if kind == "learners" else learner
        folder = "environments" if kind == "learners" else "learners"
        for preset, fields in presets.items():
            values = ", ".join(f"`{key}={value!r}`" for key, value in fields.items())
            rows.append([f"[{other}](../{folder}/{other}.md)", preset, values])
    if not rows:
        return f"No tuned settings yet: the defaults above, for {DEFAULT_META_STEPS} meta-steps."
    return table(["environment" if kind == "learners" else "learner", "preset", "fields"], rows)


def results_of(kind: str, name: str, folder: Path) -> list[dict[str, Any]]:
    """The committed benchmark results that name this learner or environment."""
    key, found = kind.removesuffix("s"), []
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        for result in data if isinstance(data, list) else [data]:
            if isinstance(result, dict) and result.get(key) == name and "total_return" in result:
                found.append(result)
    return found


def results_table(kind: str, results: list[dict[str, Any]]) -> str:
    """What was measured, beside the optimum and the random policy."""
    other = "environment" if kind == "learners" else "learner"
    rows = []
    for result in results:
        low, high = (result.get("ci95") or {}).get("total_return", (None, None))
        known = result.get("references") or {}
        interval = "" if low is None else f" ({low:.3f} to {high:.3f})"
        greedy = result.get("phase_return") or []
        rows.append(
            [
                str(result[other]),
                f"{result['total_return']:.3f}{interval}",
                *(f"{known[name]:.3f}" if known.get(name) is not None else "" for name in ("optimal", "random")),
                f"{greedy[0]:.3f} → {greedy[-1]:.3f}" if greedy and None not in greedy else "",
                str(result.get("seeds", "")),
            ]
        )
    return table([other, "total return (95 %)", "optimal", "random", "greedy, before → after", "seeds"], rows)


def usage(kind: str, name: str) -> str:
    """The first thing to type."""
    if kind == "environments":
        return f"```\nadaptax train rl2 {name}\n```\n\n```python\nenv = ax.make({name!r})\n```"
    usual = "bernoulli-bandit" if LEARNERS[name]().objective == "total_return" else "point-navigation"
    paired = [environment for learner, environment in sorted(TUNED) if learner == name]
    return f"```\nadaptax train {name} {usual if usual in paired or not paired else paired[0]}\n```"


def page(kind: str, name: str, entry: Any, results: Path) -> str:
    """The page of one learner or environment."""
    config, text = entry(), sections_of(entry.__doc__ or "")
    source = Path(inspect.getsourcefile(type(config)) or "").relative_to(ROOT).as_posix()
    parts = [f"# {name}", f"**{text['summary']}**", text["body"], usage(kind, name)]
    if isinstance(config, Learner):
        sees = {"never": "nothing", "training": "in training only", "always": "always"}[config.privileged]
        parts.append(
            f"Best checkpoint by `{config.objective}` on validation tasks; sees the task's descriptor: {sees}."
        )
    parts += ["## Fields", fields_table(config), "## Presets", presets_table(kind, name)]
    if measured := results_of(kind, name, results):
        parts += ["## Results", results_table(kind, measured)]
    for section in SECTIONS[1:]:
        if section in text:
            code = section == "Example" and text[section].startswith(">>>")
            parts += [f"## {section}", f"```python\n{text[section]}\n```" if code else _sentence(text[section])]
    parts.append(f"Source: [`{source}`](../../{source})")
    return "\n\n".join(part for part in parts if part) + "\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def index(kind: str, table_of: dict[str, Any]) -> str:
    """The list of all pages of one kind."""
    rows = [[f"[{name}]({name}.md)", sections_of(entry.__doc__ or "")["summary"]] for name, entry in table_of.items()]
    return f"# {kind.capitalize()}\n\n{table(['name', 'what it is'], rows)}\n"


def pages(results: Path = ROOT / "benchmarks" / "results") -> dict[str, str]:
    """Path below `docs/` -> text of every generated page."""
    found = {}
    for kind, entries in KINDS.items():
        found[f"{kind}/index.md"] = index(kind, entries)
        found |= {f"{kind}/{name}.md": page(kind, name, entry, results) for name, entry in entries.items()}
    return found


def write(folder: Path) -> list[str]:
    """Writes the pages below a folder and removes those of what is gone; returns the names of the changed ones."""
    changed, wanted = [], pages()
    for name, text in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    for kind in KINDS:
        for path in (folder / kind).glob("*.md"):
            if f"{kind}/{path.name}" not in wanted:
                path.unlink()
                changed.append(f"{kind}/{path.name}")
    return changed


def draw(run: Path, path: Path) -> None:
    """Draws the picture of the README: the run's test on its own tasks."""
    from adaptax.report.evaluated import main_result
    from adaptax.report.figures import overview
    from adaptax.report.folder import read_folders
    from adaptax.report.svg import standalone_svg

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(standalone_svg(overview([main_result(*read_folders([run]))])), encoding="utf-8")


if __name__ == "__main__":
    for run in sys.argv[1:]:
        draw(Path(run), ROOT / "docs" / "images" / "adaptation.svg")
    print("\n".join(write(ROOT / "docs")) or "all pages are up to date", file=sys.stderr)
