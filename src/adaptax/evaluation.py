"""What an evaluation says: curves with intervals, references beside them, and a normalised score."""

import io
import json
import sys
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
from adaptax.core.types import PyTree, Schedule, Task
from adaptax.errors import ConfigError
from adaptax.fields import Count, Whole
from adaptax.learners.random import Random
from adaptax.measure import Samples, draw_tasks, life_of_use, measure, stack_seeds, ticks
from adaptax.ops.statistics import bootstrap_iqm, bootstrap_mean, iqm, nanmean, paired_difference
from adaptax.registry import name_of
from adaptax.runs import Run, elsewhere, opened, values_of

FIXED = ("oracle", "still", "random")  # references that learn nothing within a life


class Scale(NamedTuple):
    """What a normalised score is read on."""

    zero: float  # of random actions
    one: float
    by: str  # whose the one is: "optimal", or "oracle", a trained run
    of: str  # what is compared: "total_return", or the last "phase_return"


class Evaluation(NamedTuple):
    """The result of `evaluate`; `as_dict` is what `--json` prints, `table` what a person reads."""

    learner: str
    environment: str
    environment_fields: dict[str, Any]
    learner_fields: dict[str, Any]  # those of the point of a sweep, and those that the test changed
    split: str
    task_kind: str  # of the family's splits: "iid", fresh draws, or "disjoint", none of them trained on
    checkpoint: str
    tasks: int
    seeds: int
    task_seed: int
    episodes: int  # longest episodes that fit into a life: what references were counted over
    steps: list[int]
    samples: Samples
    references: dict[str, float]
    scale: Scale | None
    seconds: float

    @property
    def normalised(self) -> float | None:
        """Where the agent stands: 0 is random actions, 1 is what the scale says."""
        scale = self.scale
        return scale and (_score(self.samples, scale.of) - scale.zero) / (scale.one - scale.zero)

    @property
    def above_optimum(self) -> bool:
        """Whether it earned more than can be earned, by four standard errors: then something was measured wrongly."""
        return bool(self.as_dict()["above_optimum"])

    def _above(self, mean: np.ndarray, low: np.ndarray) -> bool:
        """The same, from the mean total return and the lower end of its 95 % interval: two standard errors below."""
        best = self.references.get("optimal", np.inf)
        return bool(mean - 2 * (mean - low) > best + 1e-5 * abs(best))

    @property
    def env_steps(self) -> int:
        """Environment steps of all lives; those of probes are not counted."""
        return self.seeds * self.tasks * self.steps[-1]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON; NaN becomes None."""
        fields = Samples._fields
        samples = self.samples._replace(return_at_step=_half_there(self.samples.return_at_step))
        means = {name: nanmean(getattr(samples, name)) for name in fields}
        intervals = {name: bootstrap_mean(getattr(samples, name)) for name in fields}
        low, high = bootstrap_iqm(self.samples.total_return)
        result = {
            "learner": self.learner,
            "environment": self.environment,
            "environment_fields": self.environment_fields,
            "learner_fields": self.learner_fields,
            "split": self.split,
            "task_kind": self.task_kind,
            "checkpoint": self.checkpoint,
            "tasks": self.tasks,
            "seeds": self.seeds,
            "task_seed": self.task_seed,
            "episodes": self.episodes,
            **{name: means[name].tolist() for name in fields},
            "episode_count": finished(self.samples),
            "steps": self.steps,
            "iqm": iqm(self.samples.total_return),
            "ci95": {name: [x.tolist() for x in intervals[name]] for name in fields}
            | {"iqm": [float(low), float(high)]},
            "references": self.references,
            "regret": float(self.references.get("oracle", np.nan) - means["total_return"]),
            "above_optimum": self._above(means["total_return"], intervals["total_return"][0]),
            "normalised": self.normalised,
            "normalised_by": self.scale and self.scale.by,
            "normalised_of": self.scale and self.scale.of,
            "normalised_between": self.scale and [self.scale.zero, self.scale.one],
            "env_steps": self.env_steps,
            "seconds": round(self.seconds, 3),
        }
        return plain(result)

    def minus(self, other: "Evaluation", what: str = "phase_return") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Paired difference to another evaluation on the same tasks and keys: mean, low, high of the 95 % interval.

        Raises:
            ValueError: the two do not have the same tasks, seeds, steps or phases.
        """
        alike = ("environment", "environment_fields", "split", "tasks", "task_seed", "seeds", "episodes", "env_steps")
        for name in alike:
            if (one := getattr(self, name)) != (two := getattr(other, name)):
                raise ValueError(f"cannot pair evaluations with {name} {one!r} and {two!r}: evaluate both alike")
        ours, theirs = getattr(self.samples, what), getattr(other.samples, what)
        if what == "episode_return":  # those that both finished
            ours, theirs = (x[..., : min(ours.shape[-1], theirs.shape[-1])] for x in (ours, theirs))
        if ours.shape != theirs.shape:
            raise ValueError(f"cannot pair {what} of {ours.shape[-1] - 1} and {theirs.shape[-1] - 1} phases")
        return paired_difference(ours, theirs)

    def table(self) -> str:
        """The agent beside its references, best first, then its curves; text for a terminal."""
        return text_of(self.tables())

    def __repr__(self) -> str:
        return self.table()

    def tables(self) -> list[Table]:
        """The same as rich tables."""
        data = self.as_dict()
        number = lambda count, what: f"{count} {what}{'' if count == 1 else 's'}"
        drawn = f"{number(self.tasks, self.split + ' task')}, {number(self.seeds, 'seed')}"
        beside = Table(title=f"{self.learner} on {self.environment}\n{drawn}")
        headings = ["policy", "total return", "95 % interval"] + ["regret"] * (data["regret"] is not None)
        for heading in headings:
            beside.add_column(heading, justify="left" if heading == "policy" else "right")
        own = interval_text(*data["ci95"]["total_return"])
        rows = [(f"{self.learner} ({self.checkpoint})", data["total_return"], own, "bold")]
        rows += [(name, value, "exact" if name == "optimal" else "", "") for name, value in data["references"].items()]
        for name, value, beyond, style in sorted(rows, key=lambda row: -np.inf if row[1] is None else -row[1]):
            regret = [] if None in (value, data["regret"]) else [number_text(data["references"]["oracle"] - value)]
            beside.add_row(name, number_text(value), beyond, *regret, style=style)
        if "optimal" in data["references"]:
            beside.caption = "optimal is exact; values measured on these tasks may by chance lie above it"
        if data["above_optimum"]:
            beside.caption = "more than is possible, and not by chance: an error of measurement"
        if np.ptp(self.samples.total_return) == 0 and len(set(data["episode_return"])) > 1:
            beside.caption = "all lives earn alike, for every step pays alike: what differs are the episodes below"
        curve = lambda name, title, *more: curve_table(data[name], data["ci95"][name], title, *more)
        return [
            beside,
            curve("episode_return", "as lived: return of episode", 1, data["episode_count"]),
            curve("phase_return", "what it could do: greedy return after phase", 0),
        ]


def finished(samples: Samples) -> list[int]:
    """How many lives finished each episode."""
    return (~np.isnan(samples.episode_return)).sum((0, 1)).tolist()


def text_of(tables: list[Table]) -> str:
    """Rich tables as plain text; their lines are ASCII where standard output is."""
    paper = io.TextIOWrapper(io.BytesIO(), encoding=sys.stdout.encoding or "utf-8", errors="replace")
    console = Console(record=True, width=100, file=paper)
    for table in tables:
        console.print(table)
    return console.export_text()


def curve_table(
    values: list[float], interval: list[list[float]], title: str, first: int, counts: list[int] | None = None
) -> Table:
    """A curve in at most ten columns; points that fewer than half of the `counts` lives reached are left out."""
    table, length = Table(title=title), len(values)
    if counts and (reached := sum(2 * count >= max(counts) for count in counts)) < length:
        length = max(reached, 1)
        table.caption = "later episodes were finished by fewer than half of the lives"
    shown = _spaced(length)
    for index in shown:
        table.add_column(str(index + first), justify="right")
    table.add_row(*(number_text(values[i]) for i in shown), style="bold")
    low, high = interval
    table.add_row(*("" if low[i] is None else f"±{(high[i] - low[i]) / 2:.3f}" for i in shown))
    if any(values[i] is None for i in shown):
        table.caption = "- no life came so far"
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
    point: int | None = None,
) -> Evaluation:
    """Lives on unseen tasks, beside every reference that is known for them.

    Args:
        run: A run, or its folder.
        split: "test", "validation", "train" or "ood".
        tasks: Number of tasks; the same `seed` draws the same tasks and keys for every learner.
        episodes: Episodes in a life; None is as many as a training life has in that environment.
        seed: Of tasks and lives.
        checkpoint: "best" on validation tasks, "last", or a step.
        oracle: A trained run of a learner that is told the task; it normalises the score where no optimum is known.
        env: Test elsewhere: another environment with spaces of the same sizes.
        learner_fields: Fields of the learner to change for the test.
        point: Which point of a sweep, counted from 0.

    Raises:
        ConfigError: an argument is wrong.
        CheckpointError: the folder is no run, or what was trained does not fit `env`.
        FaultyEnvironmentError: a simulator on the host raised, or returned what its family does not declare.
    """
    begun = time.monotonic()
    run = opened(run, env)
    numbers = checked_arguments(
        tasks=(tasks, Count), episodes=(episodes, Count | None), seed=(seed, Whole), point=(point, Whole | None)
    )
    tasks, episodes, seed, point = numbers
    members = _members(run, point)
    learners, env, metas = elsewhere(run, env, learner_fields, checkpoint)
    learners, metas = [learners[i] for i in members], jax.tree.map(lambda x: x[members.start : members.stop], metas)
    all_knowing = None if oracle is None else _opened_oracle(oracle, env)
    drawn, keys = draw_tasks(env, split, tasks, seed)
    schedule = life_of_use(learners[0], episodes)
    samples = _samples(learners, env, metas, drawn, keys, schedule, split)
    values, optimum = comparable_references(learners[0], env, drawn, schedule, split, seed)
    random = cache(lambda: _of_random(learners[0], env, drawn, keys, schedule, split))  # lived only where needed
    if "random" not in values:
        values["random"] = _score(random(), "total_return")
    scale = None
    if all_knowing is not None:
        told, of = _samples(*all_knowing, drawn, keys, schedule, split), learners[0].objective
        values["oracle run"] = _score(told, "total_return")
        scale = _scale(_score(random(), of), _score(told, of), "oracle", of)
    if optimum is not None:
        scale = _scale(values["random"], optimum, "optimal", "total_return")
    return Evaluation(
        learner=name_of(run.learner),
        environment=name_of(env),
        environment_fields=values_of(env),
        learner_fields=run.settings.swept(members.start) | (learner_fields or {}),
        split=split,
        task_kind=env.tasks.kind,
        checkpoint=str(checkpoint),
        tasks=tasks,
        seeds=len(members),
        task_seed=seed,
        episodes=schedule.phases * schedule.steps // env.episode_steps,
        steps=((ticks(schedule.phases * schedule.steps) + 1) * schedule.copies).tolist(),
        samples=samples,
        references=values,
        scale=scale,
        seconds=time.monotonic() - begun,
    )


def _members(run: Run, point: int | None) -> range:
    """Which of the S trainings are the seeds of that point of a sweep."""
    seeds, points = run.settings.seeds, run.settings.width // run.settings.seeds
    if point is None and points > 1:
        names = "; ".join(f"{i}: {run.settings.swept(i * seeds)}" for i in range(points))
        raise ConfigError(f"{name_of(run.learner)}'s run is a sweep: say which point to evaluate, of {names}")
    if point is not None and not 0 <= point < points:
        raise ConfigError(f"point is {point}; it must be >= 0 and < {points}, the points of the sweep")
    return range((point or 0) * seeds, ((point or 0) + 1) * seeds)


def _opened_oracle(
    oracle: Run | str | Path, env: AbstractEnvironment
) -> tuple[list[Learner], AbstractEnvironment, PyTree]:
    """Learners, environment and outer states of a run that is told the task."""
    run = opened(oracle, env)
    if run.learner.privileged != "always":
        raise ConfigError(
            f"oracle is a run of {name_of(run.learner)}, which is not told the task; give one of `oracle`"
        )
    where = lambda one: (name_of(one), values_of(one))
    if where(run.env) != where(env):
        raise ConfigError(
            f"oracle was trained on {name_of(run.env)} {values_of(run.env)}, which is not the environment of the test, "
            f"{name_of(env)} {values_of(env)}; train one there: adaptax train oracle ..."
        )
    _members(run, None)
    return elsewhere(run, env, None, "best")


def _scale(zero: float, one: float, by: str, of: str) -> Scale | None:
    """The scale, where there is room on it: not where a life earns the same whatever it does."""
    return Scale(zero, one, by, of) if one - zero > 0.01 * max(abs(zero), abs(one)) else None


def _samples(learners, env, metas, tasks, keys, schedule, split) -> Samples:
    one = lambda i: measure(learners[i], env, jax.tree.map(lambda x: x[i], metas), tasks, keys, schedule, split)[0]
    return stack_seeds([one(i) for i in range(len(learners))])


def _score(samples: Samples, what: str) -> float:
    """Mean total return, or mean greedy return after the last phase."""
    mean = nanmean(getattr(samples, what))
    return float(mean[-1] if what == "phase_return" else mean)


def _of_random(learner: Learner, env: AbstractEnvironment, tasks: Task, keys: Any, schedule: Schedule, split: str):
    """Random actions in lives of the same form."""
    random = traced(Random(phases_reset=learner.reset_each_phase).bind(env.spec()))
    return stack_seeds([measure(random, env, random.init(keys[0]), tasks, keys, schedule, split)[0]])


def comparable_references(
    learner: Learner, env: AbstractEnvironment, tasks: Task, schedule: Schedule, split: str, seed: int
) -> tuple[dict[str, float], float | None]:
    """Reference values in the units of `total_return`, and the optimum where it is known exactly."""
    from adaptax.references import references  # two tenths of a second, which `adaptax train --help` need not take

    steps = schedule.phases * schedule.steps
    if (schedule.steps if learner.reset_each_phase else steps) % env.episode_steps:
        return {}, None  # they live whole episodes
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
