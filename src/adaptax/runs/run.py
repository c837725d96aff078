"""A training's state: the learner, its environment, and everything that a checkpoint holds."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adaptax import checkpoint as checkpoints
from adaptax.core.env import AbstractEnvironment
from adaptax.core.learner import Learner, traced
from adaptax.core.trainer import TrainState, init_states
from adaptax.core.types import PyTree
from adaptax.errors import CheckpointError
from adaptax.registry import name_of
from adaptax.runs.settings import Settings


class Saved(NamedTuple):
    """All that a checkpoint holds; leading axis S."""

    states: TrainState
    best: PyTree  # the outer state, as deployed, that did best on validation tasks
    best_score: jax.Array
    best_step: jax.Array


@dataclasses.dataclass(repr=False)
class Run:
    """A trained (or half-trained) learner with its environment."""

    learner: Learner
    env: AbstractEnvironment
    settings: Settings
    saved: Saved
    folder: Path | None = None
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    waiting: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)  # metrics in no line of `history` yet
    line: int = 0  # meta-step of the last line
    seconds: float = 0.0  # that the training took
    passed_over: list[tuple[int, int]] = dataclasses.field(default_factory=list)  # `[S]`: last such update, in a row

    def __post_init__(self) -> None:
        self.passed_over = self.passed_over or [(0, 0)] * self.settings.width

    def __repr__(self) -> str:
        names = f"{name_of(self.learner)} on {name_of(self.env)}"
        best = ", ".join(f"{score:.3f}" for score in self.saved.best_score)
        folder = f"in {self.folder}" if self.folder else "not kept in a folder"
        return f"<{names}: meta-step {self.step} of {self.settings.meta_steps}, best validation {best}, {folder}>"

    @property
    def step(self) -> int:
        """Meta-steps made."""
        return int(self.saved.states.step[0])

    def meta(self, which: str | int = "best") -> PyTree:
        """The outer states `[S]` as deployed: "best" on validation, "last", or of a step whose checkpoint is kept.

        Raises:
            CheckpointError: there is no such checkpoint.
        """
        if which == "best":
            if np.isneginf(self.saved.best_score).any():
                raise CheckpointError(
                    f"not validated yet at meta-step {self.step}: no best checkpoint yet; take the one called last"
                )
            return self.saved.best
        if which == "last":
            return self.learner.deployed(self.saved.states.meta)
        kept = checkpoints.steps(self.folder / "checkpoints") if self.folder else []
        if self.folder is None or str(which) not in map(str, kept):
            raise CheckpointError(f"no checkpoint '{which}'; it is best, last or one of {kept}")
        loaded = checkpoints.load(self.folder / "checkpoints" / str(which), self.saved)
        return self.learner.deployed(loaded.states.meta)

    def learner_of(self, index: int) -> Learner:
        """The learner of one of the S runs, with the values that a sweep gave it."""
        return dataclasses.replace(self.learner, **self.settings.swept(index))


def spread(learner: Learner, settings: Settings) -> Learner:
    """The learner with float fields `[S]`: equal for all seeds, different along a sweep (seeds vary fastest)."""
    width = settings.width
    wide = jax.tree.map(lambda x: jnp.broadcast_to(x, (width,)) if eqx.is_array(x) else x, traced(learner))
    for name, values in settings.sweep.items():
        column = jnp.repeat(jnp.asarray(values, float), settings.seeds)
        wide = eqx.tree_at(lambda w: getattr(w, name), wide, column)  # noqa: B023
    return wide


def seed_keys(settings: Settings) -> jax.Array:
    """One key for each of the S runs; seed i of a run of many is the run with seed + i."""
    seeds = settings.seed + np.tile(np.arange(settings.seeds), settings.width // settings.seeds)
    return jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))


def template(learner: Learner, env: AbstractEnvironment, settings: Settings) -> Saved:
    """Shapes of everything a checkpoint holds."""
    make_saved = lambda: fresh(learner, env, settings)
    return eqx.filter_eval_shape(make_saved)


def fresh(learner: Learner, env: AbstractEnvironment, settings: Settings) -> Saved:
    """The state before the first meta-step."""
    states = init_states(spread(learner, settings), env, seed_keys(settings))
    width = settings.width
    best = jax.tree.map(jnp.copy, learner.deployed(states.meta))
    return Saved(states, best, jnp.full(width, -jnp.inf), jnp.zeros(width, jnp.int32))


def steps_per_meta_step(run: Run) -> int:
    """Environment steps of one meta-step, all seeds together."""
    return run.settings.width * run.learner.tasks * run.learner.schedule().length
