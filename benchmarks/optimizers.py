"""A learned optimiser against the best rates of Adam and RMSProp: as trained, wider, longer, and where it breaks.

    python benchmarks/optimizers.py cartpole  # or maze-4

Deep Q-learning from fresh weights in tasks nobody has seen, judged by the area under its curve. Each rate of Adam and
RMSProp is tried on validation tasks, for each width and length of life anew; the best is tested. The learned optimiser
has one setting for all, that of its preset. Writes `benchmarks/results/optimizers-ARENA.json`.
"""

import argparse
from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import adaptax as ax
from adaptax.config import replaced
from adaptax.inner.td import TD
from adaptax.learners.dqn import DQN
from adaptax.ops.optimise import lenient
from adaptax.ops.statistics import bootstrap_mean, nanmean
from adaptax.runs import values_of
from learning import CACHE, Pair, trained, write
from starts import ARENAS, SEEDS, areas, lives

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
CELLS = {"as trained": (64, 1), "twice as wide": (128, 1), "twice as long": (64, 2)}  # width; lives, in budgets
WIDTHS = {"cartpole": (16, 32, 64, 128, 256), "maze-4": (64, 128)}
LONGEST = 40_000  # steps of lives of 64 units on test tasks
TASKS = 100
SEED = 100  # of rates; results use seeds 0, 1, 2


class RMSProp(DQN):
    """Deep Q-learning by RMSProp (Tieleman & Hinton, 2012, "Lecture 6.5: RMSProp", Coursera)."""

    @property
    def inner(self) -> TD:
        """The same rule with another optimiser."""
        return super().inner._replace(optimiser=lenient(optax.rmsprop(self.inner_lr, decay=0.99)))


class Curves(NamedTuple):
    """Greedy returns of lives."""

    samples: np.ndarray  # [seeds, N, K]
    steps: np.ndarray  # [K]

    def area(self, budget: int) -> np.ndarray:
        """`[seeds, N]`."""
        return areas(self.samples, self.steps, budget)


def summary(samples: np.ndarray, name: str = "area") -> dict[str, Any]:
    """A mean over lives and its interval."""
    mean, ci95 = float(samples.mean()), [float(x[0]) for x in bootstrap_mean(samples[..., None])]
    return {name: mean, f"{name}_ci95": ci95}


def main() -> None:
    """Finds the rates, tests in three cells, and goes on to where it breaks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("arena", choices=WIDTHS)
    name = parser.parse_args().arena
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    arena = ARENAS[name]
    env = ax.make(arena.env, **arena.fields)
    preset = values_of(ax.preset("learned-optimizer", arena.env)[0])
    # the very same deep Q-learning; tasks and phases are of the training
    same = {field: preset[field] for field in values_of(DQN()).keys() - {"tasks", "phases", "inner_lr"}}
    alone = lambda learner, seed: ax.train(learner, env, meta_steps=1, seed=seed, seeds=1)
    runs = {
        optimiser: [alone(replaced(plain, same, "learner"), seed) for seed in range(SEEDS)]
        for optimiser, plain in (("adam", DQN()), ("rmsprop", RMSProp()))
    }
    pair = Pair("learned-optimizer", arena.env, arena.fields, "")
    runs["learned"] = [trained(pair, seed)[0] for seed in range(SEEDS)]

    @cache
    def lived(optimiser: str, rate: float | None, width: int, split: str = "test") -> Curves:
        steps = arena.steps if width != 64 else LONGEST if split == "test" else 2 * arena.steps
        some, seed = (runs[optimiser], 1) if split == "test" else (runs[optimiser][:1], SEED)
        fields = {"hidden": width} | ({"inner_lr": rate} if rate else {})
        curves = Curves(*lives(arena._replace(steps=steps), some, split, seed, fields, TASKS)[:2])
        print(optimiser, rate, width, split, round(float(curves.area(arena.steps).mean()), 4), flush=True)
        return curves

    cells = {}
    for cell, (width, budgets) in CELLS.items():
        budget = budgets * arena.steps
        cells[cell] = found = {"width": width, "steps": budget, "rates": {}}
        learned = lived("learned", None, width).area(budget)
        for optimiser in ("adam", "rmsprop"):
            tried = {rate: lived(optimiser, rate, width, "validation").area(budget).mean() for rate in RATES}
            best = max(tried, key=tried.__getitem__)
            test = lived(optimiser, best, width).area(budget)
            found["rates"][optimiser] = {rate: float(area) for rate, area in tried.items()}
            found[optimiser] = {"inner_lr": best} | summary(test) | summary(learned - test, "gain")
        found["learned"] = summary(learned)
    rate = cells["as trained"]["adam"]["inner_lr"]
    both = (("adam", rate), ("learned", None))
    widths = [
        {"width": width}
        | {optimiser: summary(lived(optimiser, rate, width).area(arena.steps)) for optimiser, rate in both}
        for width in WIDTHS[name]
    ]
    long = {}
    for optimiser, rate in both:
        curves = lived(optimiser, rate, 64)
        low, high = bootstrap_mean(curves.samples)
        mean = nanmean(curves.samples).round(3).tolist()
        long[optimiser] = {"phase_return": mean, "ci95": [low.tolist(), high.tolist()]}
        long["steps"] = curves.steps.tolist()
    write(f"optimizers-{name}", {"tasks": TASKS, "cells": cells, "widths": widths, "long": long}, name, "optimizers")


if __name__ == "__main__":
    main()
