"""Empty rooms and objects of unknown worth: how often who knows, and who searches well, is paid in a life."""

import numpy as np
from jaxtyping import Bool, Float, Int

from adaptax.core.env import in_training
from adaptax.envs.learned_reward import WORTH, EmptyRooms, ObjectsTask, RandomABC, RoomsTask
from adaptax.references.base import Reference, references
from adaptax.references.maze import UNREACHABLE, steps_to

MAX_CELLS = 1000  # of a house to sweep: beyond, it takes longer than seconds
POINTS = 100_000  # values of an object that an expectation is taken over, by the midpoint rule


@references.register
def _rooms(env: EmptyRooms, tasks: RoomsTask, seed: int, episodes: int, split: str | None = "test") -> Reference:
    """Episodes end at the goal, so a life of n steps finds a goal d steps away n // d times."""
    del seed
    steps = episodes * env.horizon
    x, y = np.asarray(tasks.goal).T
    away = distances(env.walls, (0, 0))[y, x]
    away = np.where(away <= env.horizon, away, steps + 1)
    values = {"oracle": float((steps // away).mean())}
    # elsewhere one would have to find out first which way the moves go
    if in_training(split) and env.walls.size <= MAX_CELLS:
        found = sweep(env, steps)[y, x]
        values["sweep"] = float(np.where(found > 0, 1 + (steps - found) // away, 0).mean())
    return Reference(None, values)


def sweep(env: EmptyRooms, steps: int) -> Int[np.ndarray, "W W"]:
    """The step `[y, x]` in which a search first enters each cell that always goes to the nearest new one.

    Of several the one with the smallest number is taken. The search starts afresh where an episode is cut; 0 marks the
    start, walls, and what is not found in so many steps.
    """
    found, at, time = np.zeros_like(env.walls, int), (0, 0), 0
    new = ~env.walls
    new[at] = False
    start = distances(env.walls, (0, 0))
    while np.any(new & (start <= env.horizon)):
        away = distances(env.walls, at)
        away = np.where(new & (away >= 0), away, env.walls.size)
        target = np.unravel_index(away.argmin(), away.shape)  # the way there leads through no other new cell
        left = env.horizon - time % env.horizon
        time += int(min(away[target], left))
        if time > steps:
            break
        if away[target] <= left:
            found[target], new[target] = time, False
        at = (0, 0) if away[target] >= left else (int(target[0]), int(target[1]))
    return found


def distances(walls: Bool[np.ndarray, "H W"], start: tuple[int, int]) -> Int[np.ndarray, "H W"]:
    """Steps from a cell (y, x) to every other; -1 where no way leads."""
    steps = steps_to(~walls[None], np.array([start[::-1]]))[0]
    return np.where(steps == UNREACHABLE, -1, steps)


@references.register
def _objects(env: RandomABC, tasks: ObjectsTask, seed: int, episodes: int, split: str | None = "test") -> Reference:
    """All objects are equally far, so a life is so many choices of one; `safe` always takes C."""
    del seed
    choices = episodes * env.horizon // (env.size - 1)
    worth = np.asarray(tasks.worth, np.float64)
    values = {"oracle": worth.max(1), "safe": worth[:, 2]}
    mean = {name: float(value.mean()) * choices for name, value in values.items()}
    return Reference(objects_optimal(choices) if in_training(split) else None, mean)


def objects_optimal(choices: int) -> float:
    r"""Bayes-optimal value of n choices among A, B and C, each of unknown worth that is seen when it is first chosen.

    B is never chosen: C is worth more whatever both are. With one of A and C known to be worth v, the other X still
    unknown and h choices left, trying the other now or never is best, so

    $$W_h(v) = \max\left(h v,\; E X + (h - 1)\, E \max(v, X)\right), \qquad
    V_n = \max_{X \in \{A, C\}} E\left[X + W_{n - 1}(X)\right]$$

    Args:
        choices: n, objects that can be collected in a life.

    Example:
        >>> round(objects_optimal(choices=125), 3)
        49.066

    References:
        The environment is that of Zheng et al., 2020, arXiv:1912.05500, section 4.2.
    """
    a, _, c = (low + (high - low) * (np.arange(POINTS) + 0.5) / POINTS for low, high in WORTH)

    def first(one: Float[np.ndarray, " P"], other: tuple[float, float]) -> float:
        left, mean = choices - 1, sum(other) / 2
        after = np.maximum(left * one, (mean + (left - 1) * _better(one, *other)) if left else 0.0)
        return float((one + after).mean())

    return max(first(a, WORTH[2]), first(c, WORTH[0])) if choices else 0.0


def _better(value: Float[np.ndarray, " P"], low: float, high: float) -> Float[np.ndarray, " P"]:
    """Mean of the larger of a number and another that is uniform from `low` to `high`."""
    inside = np.clip(value, low, high)
    above = (inside - low) * inside + (high**2 - inside**2) / 2
    return np.maximum(value, above / (high - low))
