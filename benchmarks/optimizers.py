"""A learned optimiser against the best rates of Adam and RMSProp: as trained, wider, longer, and where it breaks.

    python benchmarks/optimizers.py

Deep Q-learning from fresh weights on cart-poles nobody has seen, judged by the area under its curve. Each rate of Adam
and RMSProp is tried on validation tasks, for each width and length of life anew; the best is tested. The learned
optimiser has one setting for all, that of its preset. Writes `benchmarks/results/optimizers.json`.
"""

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
from learning import CACHE, Pair, trained, write
from starts import ARENAS, SEEDS, areas, lives

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
CELLS = {"as trained": (64, 10_000), "twice as wide": (128, 10_000), "twice as long": (64, 20_000)}
WIDTHS = (16, 32, 64, 128, 256)
STEPS = {"validation": {64: 20_000}, "test": {64: 40_000}}  # width -> steps of a life, where more than SHORT
SHORT = 10_000
TASKS = 100
ALIKE = ("steps", "n_step", "huber", "warm_up")  # what else is not by default where the learned optimiser is at work
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
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    env = ax.make("cartpole")
    preset, _ = ax.preset("learned-optimizer", "cartpole")
    same = {name: getattr(preset, name) for name in ALIKE}
    alone = lambda learner, seed: ax.train(learner, env, meta_steps=1, seed=seed, seeds=1)
    runs = {
        name: [alone(replaced(plain, same, "learner"), seed) for seed in range(SEEDS)]
        for name, plain in (("adam", DQN()), ("rmsprop", RMSProp()))
    }
    runs["learned"] = [trained(Pair("learned-optimizer", "cartpole", {}, ""), seed)[0] for seed in range(SEEDS)]

    @cache
    def lived(name: str, rate: float | None, width: int, split: str = "test") -> Curves:
        arena = ARENAS["cartpole"]._replace(steps=STEPS[split].get(width, SHORT))
        some, seed = (runs[name], 1) if split == "test" else (runs[name][:1], SEED)
        fields = {"hidden": width} | ({"inner_lr": rate} if rate else {})
        curves = Curves(*lives(arena, some, split, seed, fields, TASKS)[:2])
        print(name, rate, width, split, round(float(curves.area(SHORT).mean()), 2))
        return curves

    cells = {}
    for cell, (width, budget) in CELLS.items():
        cells[cell] = found = {"width": width, "steps": budget, "rates": {}}
        learned = lived("learned", None, width).area(budget)
        for name in ("adam", "rmsprop"):
            tried = {rate: lived(name, rate, width, "validation").area(budget).mean() for rate in RATES}
            best = max(tried, key=tried.__getitem__)
            test = lived(name, best, width).area(budget)
            found["rates"][name] = {rate: float(area) for rate, area in tried.items()}
            found[name] = {"inner_lr": best} | summary(test) | summary(learned - test, "gain")
        found["learned"] = summary(learned)
    rate = cells["as trained"]["adam"]["inner_lr"]
    both = (("adam", rate), ("learned", None))
    widths = [
        {"width": width} | {name: summary(lived(name, rate, width).area(SHORT)) for name, rate in both}
        for width in WIDTHS
    ]
    long = {}
    for name, rate in both:
        curves = lived(name, rate, 64)
        low, high = bootstrap_mean(curves.samples)
        long[name] = {"phase_return": nanmean(curves.samples).round(3).tolist(), "ci95": [low.tolist(), high.tolist()]}
        long["steps"] = curves.steps.tolist()
    write("optimizers", {"tasks": TASKS, "cells": cells, "widths": widths, "long": long}, "", "optimizers")


if __name__ == "__main__":
    main()
