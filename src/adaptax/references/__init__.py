"""What a perfect agent gets, and what classical algorithms get: the scale on which learners are read."""

from functools import singledispatch
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from adaptax.core.env import AbstractEnvironment
from adaptax.core.types import Task
from adaptax.envs.bandits import BernoulliBandit
from adaptax.envs.grid import GridNavigation
from adaptax.envs.point import REACHED, PointNavigation
from adaptax.references import bandits
from adaptax.references.exact import bernoulli_optimal, grid_optimal, known_goal_return

__all__ = ["Reference", "references"]

MAX_GITTINS_PULLS = 200  # a table for every number of pulls left; its size grows with the third power


class Reference(NamedTuple):
    """Returns of a whole life, in the units of `total_return`."""

    optimal: float | None  # exact expectation over the family's training distribution; None where not computable
    values: dict[str, float]  # mean over the given tasks


@singledispatch
def references(
    env: AbstractEnvironment, tasks: Task, seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    """What there is to compare with in an environment.

    Args:
        env: The family.
        tasks: The tasks that the learner was evaluated on (leading axis N).
        seed: Of the simulations.
        episodes: Episodes in a life.
        split: Where the tasks come from. The optimum holds for `train`, `validation` and `test`; on others, and on
            tasks given by hand (None), it is None.

    Returns:
        The exact optimum and the values of named algorithms; `oracle` knows the task. Nothing where nothing is known.
    """
    del env, tasks, seed, episodes, split
    return Reference(None, {})


@references.register
def _bernoulli(
    env: BernoulliBandit, tasks: Float[Array | np.ndarray, "N k"], seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    """All in pseudo-regret, as `BernoulliBandit.score` counts; random play is exact."""
    slots, inside = np.asarray(tasks, np.float64), _inside(split)
    chances = slots[:, : env.arms]  # algorithms leave the slots that never pay alone, random actions do not
    best = chances.max(1).mean()
    luck = env.arms / (env.arms + 1) - best if inside else 0.0  # of having drawn these tasks

    def total(index: bandits.Index) -> float:
        return float(bandits.play(index, chances, episodes, seed).mean() + episodes * luck)

    values = {"oracle": float(episodes * (best + luck))}
    if episodes <= MAX_GITTINS_PULLS:
        values["gittins"] = total(bandits.gittins(episodes))
    values["thompson"] = total(bandits.thompson)
    values["ucb1"] = total(bandits.ucb1(bandits.tuned_exploration(env.arms, episodes, seed)))
    values["greedy"] = total(bandits.greedy)
    values["random"] = float(episodes * (slots.mean() + luck))
    return Reference(bernoulli_optimal(env.arms, episodes) if inside else None, values)


@references.register
def _grid(
    env: GridNavigation, tasks: Int[Array | np.ndarray, "N 2"], seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    """The oracle goes straight to the goal."""
    del seed
    returns = grid_optimal(env.size, env.horizon, episodes) if _inside(split) else None
    oracle = known_goal_return(np.asarray(tasks).sum(1), env.horizon).mean() * episodes
    return Reference(None if returns is None else float(returns.sum()), {"oracle": float(oracle)})


@references.register
def _point(
    env: PointNavigation, tasks: Float[Array | np.ndarray, "N 2"], seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    """The oracle walks straight to the goal and stays just outside of it; `still` never moves.

    At the goal an episode ends and the next one begins at the origin: who arrives pays for the way once more, who stays
    at the edge pays a hundredth a step. It begins anew after `horizon` steps, as learners that reset each phase do.
    """
    del seed, split
    goals = np.abs(np.asarray(tasks, np.float64))
    edge = np.where(goals == goals.max(-1, keepdims=True), REACHED, 0.0)  # on the longer axis
    oracle = -np.linalg.norm(np.maximum(_walk(env, goals), edge), axis=-1).sum(0).mean()
    still = -env.horizon * np.linalg.norm(goals, axis=-1).mean()
    return Reference(None, {"oracle": float(oracle) * episodes, "still": float(still) * episodes})


def straight_walk(env: PointNavigation, tasks: Float[Array | np.ndarray, "N 2"]) -> Float[np.ndarray, " N"]:
    """Return of one episode that walks straight to the goal on each axis and ends there."""
    left = _walk(env, np.abs(np.asarray(tasks, np.float64)))
    arrived = (left < REACHED).all(-1)
    going = np.cumsum(arrived, axis=0) - arrived == 0  # up to the step that arrives
    return -np.where(going, np.linalg.norm(left, axis=-1), 0.0).sum(0)


def _walk(env: PointNavigation, goals: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "T N 2"]:
    """What is left on each axis after each step."""
    return np.maximum(goals - env.speed * np.arange(1, env.horizon + 1)[:, None, None], 0.0)


def _inside(split: str | None) -> bool:
    """Whether tasks of that split come from the training distribution."""
    return split in ("train", "validation", "test")
