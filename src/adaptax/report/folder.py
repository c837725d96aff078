"""What a report reads from a run folder; whatever is missing or damaged is left out, never guessed."""

import json
import math
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adaptax.runs import read_config, read_lines

LONGEST_NAME = 60  # characters of a name that are shown


class Result(NamedTuple):
    """One file of `eval/`."""

    name: str  # of the file, without its ending
    data: dict[str, Any]  # as `Evaluation.as_dict` made it


class Folder(NamedTuple):
    """A run folder, read."""

    path: Path
    label: str  # what tells it from the other runs of the page
    config: dict[str, Any]
    info: dict[str, Any]  # run.json; empty where it cannot be read
    lines: list[dict[str, Any]]  # metrics.jsonl
    results: list[Result]

    @property
    def learner(self) -> str:
        """Name of the learner."""
        return clean(self.config["learner"].get("name"))

    @property
    def objective(self) -> str:
        """What validations of it measure."""
        return clean(self.config["learner"].get("objective", ""))

    @property
    def environment(self) -> str:
        """Name of the environment."""
        return clean(self.config["environment"].get("name"))


def clean(text: Any) -> str:
    """Text from disk on one line, without control or direction characters, cut where it is too long to read."""
    words = " ".join(str(text).split())
    shown = "".join(c for c in words if unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    return shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - 1] + "…"


def read_folders(paths: list[Path]) -> list[Folder]:
    """The run folders, each named once.

    Raises:
        CheckpointError: one of them is no run folder.
    """
    once = list({path.resolve(): path for path in paths}.values())
    found = [_read(path) for path in once]
    learners = [folder.learner for folder in found]
    several = lambda folder: learners.count(folder.learner) > 1
    named = lambda folder: f"{folder.learner} · {clean(folder.path.name)}" if several(folder) else folder.learner
    return [folder._replace(label=named(folder)) for folder in found]


def _read(path: Path) -> Folder:
    config = read_config(path)
    lines = [line for line in read_lines(path / "metrics.jsonl") if isinstance(line, dict)]
    files = sorted((path / "eval").glob("*.json"))
    results = [Result(file.stem, data) for file in files if _is_result(data := _read_json(file))]
    return Folder(path, "", config, _read_json(path / "run.json"), lines, results)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_result(data: dict[str, Any]) -> bool:
    return all(name in data for name in ("learner", "environment", "split", "total_return", "episode_return"))


def number(value: Any) -> float:
    """A number from JSON; NaN for None and whatever else is none."""
    return float(value) if isinstance(value, int | float) else math.nan


def numbers(values: Any) -> np.ndarray:
    """A list from JSON as an array, NaN where there is no number."""
    return np.array([number(value) for value in values] if isinstance(values, list) else [number(values)])


def interval(data: dict[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of the 95 % interval of a curve or number; NaN where it is not known."""
    found, like = (data.get("ci95") or {}).get(name), numbers(data.get(name))
    low, high = map(numbers, found) if isinstance(found, list) and len(found) == 2 else (np.zeros(0), np.zeros(0))
    unknown = np.full_like(like, np.nan)
    return (low, high) if low.shape == high.shape == like.shape else (unknown, unknown)


def metric(lines: list[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """One metric of the training: meta-steps `[n]` and values `[n, S]`."""
    rows = [(number(line.get("step")), numbers(line[name])) for line in lines if name in line]
    width = max((len(values) for _, values in rows), default=0)
    padded = [np.pad(values, (0, width - len(values)), constant_values=np.nan) for _, values in rows]
    return np.array([step for step, _ in rows]), np.array(padded).reshape(len(rows), width)


def metric_names(lines: list[dict[str, Any]]) -> list[str]:
    """The metrics that were logged, in the order of their first appearance."""
    names = dict.fromkeys(name for line in lines for name in line)
    return [name for name in names if name not in ("step", "env_steps", "seconds")]
