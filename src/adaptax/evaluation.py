"""What an evaluation says: curves with intervals, references beside them, and a normalised score."""

import io
import json
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from adaptax.checkpoint import mark_of, plain, write_atomically
from adaptax.config import checked_arguments
from adaptax.core.env import AbstractEnvironment
from adaptax.core.learner import Learner, traced
from adaptax.core.types import Schedule, Task
from adaptax.fields import Count, Whole
from adaptax.learners.random import Random
from adaptax.measure import Samples, draw_tasks, measure, stack_seeds, ticks
from adaptax.ops.statistics import bootstrap_iqm, bootstrap_mean, iqm, nanmean, paired_difference
from adaptax.references import references
from adaptax.registry import name_of
from adaptax.runs import Run, elsewhere, opened, values_of

Scale = tuple[float | None, str | None, str | None]
FIXED = ("oracle", "still", "random")  # references that learn nothing within a life


class Evaluation(NamedTuple):
    """The result of `evaluate`; `as_dict` is what `--json` prints, `table` what a person reads."""

    learner: str
    environment: str
    environment_fields: dict[str, Any]
    learner_fields: dict[str, Any]  # those that the test changed
    split: str
    checkpoint: str
    tasks: int
    seeds: int
    task_seed: int
    episodes: int  # longest episodes that fit into a life: what references were counted over
    steps: list[int]
    samples: Samples
    references: dict[str, float]
    normalised: float | None  # 0 is random actions, 1 is:
    normalised_by: str | None  # "optimal", or "oracle", a trained run
    normalised_of: str | None  # what was compared: "total_return", or the last "phase_return"
    env_steps: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON; NaN becomes None."""
        fields = Samples._fields
        samples = self.samples._replace(return_at_step=_half_there(self.samples.return_at_step))
        means = {name: nanmean(getattr(samples, name)) for name in fields}
        intervals = {name: bootstrap_mean(getattr(samples, name)) for name in fields}
        low, high = bootstrap_iqm(self.samples.total_return)
        counted = (~np.isnan(self.samples.episode_return)).sum((0, 1))
        result = {
            "learner": self.learner,
            "environment": self.environment,
            "environment_fields": self.environment_fields,
            "learner_fields": self.learner_fields,
            "split": self.split,
            "checkpoint": self.checkpoint,
            "tasks": self.tasks,
            "seeds": self.seeds,
            "task_seed": self.task_seed,
            "episodes": self.episodes,
            **{name: means[name].tolist() for name in fields},
            "episode_count": counted.tolist(),
            "steps": self.steps,
            "iqm": iqm(self.samples.total_return),
            "ci95": {name: [x.tolist() for x in intervals[name]] for name in fields}
            | {"iqm": [float(low), float(high)]},
            "references": self.references,
            "normalised": self.normalised,
            "normalised_by": self.normalised_by,
            "normalised_of": self.normalised_of,
            "env_steps": self.env_steps,
            "seconds": round(self.seconds, 3),
        }
        return plain(result)

    def minus(self, other: "Evaluation", what: str = "phase_return") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Paired difference to another evaluation on the same tasks and keys: mean, low, high of the 95 % interval.

        Raises:
            ValueError: the two do not have the same tasks and seeds.
        """
        for name in ("environment", "environment_fields", "split", "tasks", "task_seed", "seeds", "episodes"):
            if (one := getattr(self, name)) != (two := getattr(other, name)):
                raise ValueError(f"cannot pair evaluations with {name} {one!r} and {two!r}: evaluate both alike")
        return paired_difference(getattr(self.samples, what), getattr(other.samples, what))

    def table(self) -> str:
        """The agent beside its references, best first, then its curves; text for a terminal."""
        console = Console(record=True, width=100, file=io.StringIO())
        for table in self.tables():
            console.print(table)
        return console.export_text()

    def tables(self) -> list[Table]:
        """The same as rich tables."""
        data = self.as_dict()
        number = lambda count, what: f"{count} {what}{'' if count == 1 else 's'}"
        drawn = f"{number(self.tasks, self.split + ' task')}, {number(self.seeds, 'seed')}"
        beside = Table(title=f"{self.learner} on {self.environment}\n{drawn}")
        for heading in ("policy", "total return", "95 % interval"):
            beside.add_column(heading, justify="left" if heading == "policy" else "right")
        own = interval_text(*data["ci95"]["total_return"])
        rows = [(f"{self.learner} ({self.checkpoint})", data["total_return"], own, "bold")]
        rows += [(name, value, "exact" if name == "optimal" else "", "") for name, value in data["references"].items()]
        for name, value, beyond, style in sorted(rows, key=lambda row: -np.inf if row[1] is None else -row[1]):
            beside.add_row(name, number_text(value), beyond, style=style)
        if "optimal" in data["references"]:
            beside.caption = "optimal is exact; values measured on these tasks may by chance lie above it"
        curve = lambda name, title, first: _curve(data[name], data["ci95"][name], title, first)
        return [
            beside,
            curve("episode_return", "as lived: return of episode", 1),
            curve("phase_return", "what it could do: greedy return after phase", 0),
        ]


def _curve(values: list[float], interval: list[list[float]], title: str, first: int) -> Table:
    table = Table(title=title)
    shown = _spaced(len(values))
    for index in shown:
        table.add_column(str(index + first), justify="right")
    table.add_row(*(number_text(values[i]) for i in shown), style="bold")
    low, high = interval
    table.add_row(*("" if low[i] is None else f"±{(high[i] - low[i]) / 2:.3f}" for i in shown))
    return table


def _spaced(length: int) -> list[int]:
    return np.unique(np.linspace(0, length - 1, min(length, 10)).round().astype(int)).tolist()


def number_text(value: float | None) -> str:
    """A number for a table; None is not known."""
    return "-" if value is None else f"{value:.3f}"


def interval_text(low: float | None, high: float | None) -> str:
    """An interval for a table; nothing where it is not known."""
    return "" if low is None else f"{low:.3f} .. {high:.3f}"


def _half_there(curve: np.ndarray) -> np.ndarray:
    """Leaves out the points that less than half of the lives have reached: those would be the short episodes alone."""
    reached = (~np.isnan(curve)).mean((0, 1)) >= 0.5
    return np.where(reached, curve, np.nan)


def evaluate(
    run: Run | str | Path,
    *,
    split: str = "test",
    tasks: int = 1000,
    episodes: int | None = None,
    seed: int = 1,
    checkpoint: str | int = "best",
    oracle: Run | str | Path | None = None,
    env: AbstractEnvironment | None = None,
    learner_fields: dict[str, Any] | None = None,
) -> Evaluation:
    """Lives on unseen tasks, beside every reference that is known for them.

    Args:
        run: A run, or its folder.
        split: "test", "validation", "train" or "ood".
        tasks: Number of tasks; the same `seed` draws the same tasks and keys for every learner.
        episodes: Episodes in a life; None is as many as in training.
        seed: Of tasks and lives.
        checkpoint: "best" on validation tasks, "last", or a step.
        oracle: A trained run that normalises the score where no exact optimum is known.
        env: Test elsewhere: another environment with spaces of the same sizes.
        learner_fields: Fields of the learner to change for the test.

    Raises:
        ConfigError: an argument is wrong.
        CheckpointError: the folder is no run, or what was trained does not fit `env`.
    """
    begun = time.monotonic()
    run = opened(run, env)
    numbers = checked_arguments(tasks=(tasks, Count), episodes=(episodes, Count | None), seed=(seed, Whole))
    tasks, episodes, seed = numbers
    learners, env, metas = elsewhere(run, env, learner_fields, checkpoint)
    all_knowing = None if oracle is None else elsewhere(opened(oracle, env), env, None, "best")
    drawn, keys = draw_tasks(env, split, tasks, seed)
    schedule = learners[0].schedule(episodes)
    samples = _samples(learners, env, metas, drawn, keys, schedule, split)
    values, optimum = _references(env, drawn, schedule, split, seed)
    random = cache(lambda: _of_random(learners[0], env, drawn, keys, schedule, split))  # lived only where needed
    if "random" not in values:
        values["random"] = _score(random(), "total_return")
    scale: Scale = (None, None, None)
    if all_knowing is not None:
        told = _samples(*all_knowing, drawn, keys, schedule, split)
        values["oracle run"] = _score(told, "total_return")
        scale = between(samples, random(), told, learners[0].objective)
    if optimum is not None:
        gained = _score(samples, "total_return") - values["random"]
        scale = (gained / (optimum - values["random"]), "optimal", "total_return")
    return Evaluation(
        learner=name_of(run.learner),
        environment=name_of(env),
        environment_fields=values_of(env),
        learner_fields=learner_fields or {},
        split=split,
        checkpoint=str(checkpoint),
        tasks=tasks,
        seeds=run.settings.width,
        task_seed=seed,
        episodes=schedule.phases * schedule.steps // env.episode_steps,
        steps=((ticks(schedule.phases * schedule.steps) + 1) * schedule.copies).tolist(),
        samples=samples,
        references=values,
        normalised=scale[0],
        normalised_by=scale[1],
        normalised_of=scale[2],
        env_steps=run.settings.width * tasks * schedule.phases * schedule.steps * schedule.copies,
        seconds=time.monotonic() - begun,
    )


def _samples(learners, env, metas, tasks, keys, schedule, split) -> Samples:
    one = lambda i: measure(learners[i], env, jax.tree.map(lambda x: x[i], metas), tasks, keys, schedule, split)[0]
    return stack_seeds([one(i) for i in range(len(learners))])


def _score(samples: Samples, what: str) -> float:
    """Mean total return, or mean greedy return after the last phase."""
    mean = nanmean(getattr(samples, what))
    return float(mean[-1] if what == "phase_return" else mean)


def between(samples: Samples, random: Samples, told: Samples, what: str) -> Scale:
    """Where the agent stands between random actions and the oracle, in what it was trained for.

    Where that is the same for both, as the total return of a life counted in steps that pay 1 each, there is no scale.
    """
    ours, zero, one = (_score(of, what) for of in (samples, random, told))
    return ((ours - zero) / (one - zero), "oracle", what) if one != zero else (None, None, None)


def _of_random(learner: Learner, env: AbstractEnvironment, tasks: Task, keys: Any, schedule: Schedule, split: str):
    """Random actions in lives of the same form."""
    random = traced(Random(phases_reset=learner.reset_each_phase).bind(env.spec()))
    return stack_seeds([measure(random, env, random.init(keys[0]), tasks, keys, schedule, split)[0]])


def _references(
    env: AbstractEnvironment, tasks: Task, schedule: Schedule, split: str, seed: int
) -> tuple[dict[str, float], float | None]:
    """Reference values in the units of `total_return`, and the optimum where it is known exactly."""
    steps = schedule.phases * schedule.steps
    if steps % env.episode_steps:
        return {}, None
    known = references(env, tasks, seed, steps // env.episode_steps, split)
    if schedule.copies > 1:  # copies learn together: what a single life can learn is no bound for them
        return {name: value for name, value in known.values.items() if name in FIXED}, None
    return known.values | ({} if known.optimal is None else {"optimal": known.optimal}), known.optimal


def save_evaluation(evaluation: Evaluation, folder: Path, asked: dict[str, Any]) -> Path:
    """Writes the result and the options it was asked for with into the run folder; returns the path."""
    data = evaluation.as_dict() | {"asked": asked}
    named = ("environment_fields", "learner_fields", "tasks", "episodes", "task_seed", "asked")
    mark = mark_of([data[name] for name in named])
    path = folder / "eval" / f"{evaluation.environment}-{evaluation.split}-{evaluation.checkpoint}-{mark}.json"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, json.dumps(data, indent=1))
    return path
