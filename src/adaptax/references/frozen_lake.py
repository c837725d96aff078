"""Frozen lakes: what who knows the map gets."""

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.envs.frozen_lake import FrozenLake
from adaptax.references.base import Reference, references
from adaptax.references.grid import neighbours
from adaptax.references.maze import arrivals, steps_to

LARGEST = 1_000_000_000  # values that a dynamic program may compute; half a minute
BLOCK = 1000  # maps at once, so that memory stays bounded


@references.register
def _frozen_lake(
    env: FrozenLake,
    tasks: Bool[Array | np.ndarray, "N size size"],
    seed: int,
    episodes: int,
    split: str | None = "test",
) -> Reference:
    """The oracle walks the shortest way in every episode; on slippery ice it does what is best for the steps left.

    `optimistic` knows no hole that it has not fallen into.
    """
    del seed, split
    holes, life = np.asarray(tasks), episodes * env.episode_steps
    if env.slip == 0:
        ways = steps_to(~holes, _goals(holes))[:, 0, 0]
        oracle = arrivals(ways, env.episode_steps, life)
        return Reference(
            None, {"oracle": float(oracle.mean()), "optimistic": float(optimistic(env, holes, life).mean())}
        )
    if holes.size * env.episode_steps * life > LARGEST:
        return Reference(None, {})
    blocks = np.array_split(holes, -(-len(holes) // BLOCK))
    return Reference(None, {"oracle": float(np.concatenate([slippery_oracle(env, b, life) for b in blocks]).mean())})


def optimistic(env: FrozenLake, holes: Bool[np.ndarray, "N size size"], life: int) -> Int[np.ndarray, " N"]:
    """How often a life arrives that walks the shortest way on ice where it has found no hole yet."""
    one, known, arrived = np.arange(len(holes)), np.zeros_like(holes), np.zeros(len(holes), int)
    beside, goal = neighbours(env.size), env.size**2 - 1
    cell, time = np.zeros(len(holes), int), np.zeros(len(holes), int)
    steps = steps_to(~known, _goals(holes)).reshape(len(holes), -1)
    for _ in range(life):
        ahead = beside[cell]
        cell, time = ahead[one, steps[one[:, None], ahead].argmin(1)], time + 1
        fell = holes.reshape(len(holes), -1)[one, cell]
        known.reshape(len(holes), -1)[one, cell] |= fell
        if fell.any():  # else the ways are as they were
            steps[fell] = steps_to(~known[fell], _goals(holes[fell])).reshape(fell.sum(), -1)
        arrived += cell == goal
        over = fell | (cell == goal) | (time == env.episode_steps)
        cell, time = np.where(over, 0, cell), np.where(over, 0, time)
    return arrived


def _goals(holes: Bool[np.ndarray, "N size size"]) -> Int[np.ndarray, "N 2"]:
    """The last cell of each lake."""
    return np.full((len(holes), 2), holes.shape[-1] - 1)


def slippery_oracle(env: FrozenLake, holes: Bool[np.ndarray, "N size size"], life: int) -> Float[np.ndarray, " N"]:
    r"""The most that a life of `life` steps on each known map can expect, by backward induction.

    With l steps left, in cell c after t steps of the episode,
    $V_l(t, c) = \max_a \sum_{c'} P(c' \mid c, a) A_l(t, c')$, where arriving in c' is worth
    $A_l(t, c') = V_{l-1}(t + 1, c')$ on ice, $V_{l-1}(0, \mathrm{start})$ in a hole or at the time limit, and one more
    on the goal.
    """
    beside = neighbours(env.size)
    hole, goal = holes.reshape(len(holes), 1, -1), np.arange(env.size**2) == env.size**2 - 1
    value = np.zeros((len(holes), env.episode_steps, env.size**2))
    for _ in range(life):
        anew = value[:, :1, :1]
        later = np.concatenate([value[:, 1:], np.broadcast_to(anew, value[:, :1].shape)], 1)
        worth = np.where(hole | goal, anew + goal, later)
        move = worth[:, :, beside]  # [N, T, cells, moves]
        aside = (np.roll(move[..., 1:], 1, -1) + np.roll(move[..., 1:], -1, -1)) / 2
        best = ((1 - env.slip) * move[..., 1:] + env.slip * aside).max(-1)
        value = np.maximum(best, move[..., 0])
    return value[:, 0, 0]
