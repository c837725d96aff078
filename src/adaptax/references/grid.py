"""Grid navigation: the exact Bayes-optimal walk to a goal that cannot be seen."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

from adaptax.core.env import in_training
from adaptax.envs.cells import MOVES, cells_of
from adaptax.envs.grid import GridNavigation
from adaptax.references.base import Reference, references

MAX_WALKS = 300_000  # walks of one length to keep
MAX_GOALS = 48  # a set of goals and a cell share 64 bits
QUICK_WALKS = 300  # walks of one length in the first search, which only has to find a good one


@references.register
def _grid(
    env: GridNavigation, tasks: Int[Array | np.ndarray, "N 2"], seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    """The oracle goes straight to the goal."""
    del seed
    returns = grid_optimal(env.size, env.horizon, episodes) if in_training(split) else None
    oracle = known_goal_return(np.asarray(tasks).sum(1), env.horizon).mean() * episodes
    return Reference(None if returns is None else float(returns.sum()), {"oracle": float(oracle)})


def grid_optimal(size: int, horizon: int, episodes: int) -> Float[np.ndarray, " episodes"] | None:
    """Expected return of each episode under the Bayes-optimal policy for `adaptax.envs.grid.GridNavigation`.

    A step on the goal pays 1 and any other -0.1: that is 1.1 for each step on the goal, less 0.1 for each step.

    Args:
        size: Cells on a side.
        horizon: Steps of an episode.
        episodes: Episodes in a life.

    Returns:
        One return for each episode, or None where `steps_on_goal` has none.

    Example:
        >>> grid_optimal(size=5, horizon=15, episodes=2).round(4)
        array([ 4.    , 11.0714])

    References:
        The environment is that of Zintgraf et al., 2020, arXiv:1910.08348, section 5.1.
    """
    goals = np.flatnonzero((cells_of(size, size) >= 2).any(1))  # all but the start corner
    steps = steps_on_goal(size, horizon, episodes, 0, goals)
    return None if steps is None else 1.1 * steps - 0.1 * horizon


def known_goal_return(distance: Int[np.ndarray, "..."], horizon: int) -> Float[np.ndarray, "..."]:
    """Return of an episode of grid navigation that goes straight to a goal so many cells away."""
    return np.asarray(1.1 * steps_there(distance, horizon) - 0.1 * horizon)


def steps_there(distance: Int[np.ndarray, "..."], horizon: int) -> Int[np.ndarray, "..."]:
    """Steps on the goal of an episode that goes straight to it, so many cells away, and stays.

    A goal in the start itself takes a step too: to stay.
    """
    return np.asarray(np.maximum(horizon + 1 - np.maximum(distance, 1), 0))


def steps_on_goal(
    size: int, horizon: int, episodes: int, start: int, goals: Int[np.ndarray, " G"]
) -> Float[np.ndarray, " episodes"] | None:
    r"""Expected steps on the goal in each episode, of an agent that has as many as possible in its life.

    The goal lies in one of G cells, all equally likely, and shows itself only when a step ends on it. Until then
    nothing is observed, so the policy is a fixed walk that starts afresh every `horizon` steps; from then on it goes
    straight to the goal, d cells away, in every episode, which makes $c_d = H + 1 - d$ steps on it. So finding the goal
    in step t = 1 .. H after e episodes without it makes $(E - e) c_d - (t - d)$ in all. The walk that is best on
    average over the goals is found by branch and bound over (cell, goals visited), all walks of one length at once.

    Args:
        size: Cells on a side.
        horizon: H, steps of an episode.
        episodes: E, episodes in a life.
        start: Number of the cell, row by row, that episodes begin in.
        goals: Numbers of the cells that can be the goal.

    Returns:
        E numbers, whose sum is the optimum, or None where there are too many walks or an episode is too short for the
        farthest goal. Another walk of the same sum may divide it otherwise.
    """
    search = _Search.of(size, horizon, episodes, start, goals)
    if horizon < search.distance.max() or len(goals) > MAX_GOALS:
        return None
    nothing = _Found(-np.inf, np.zeros(len(goals), int))
    quick, _ = _best_walk(search, nothing, QUICK_WALKS, give_up=False)
    best, exact = _best_walk(search, quick, MAX_WALKS, give_up=True)
    return _in_each_episode(search, best.found) if exact else None


def steps_on_goal_bound(size: int, horizon: int, episodes: int, start: int, goals: Int[np.ndarray, " G"]) -> float:
    """What no agent exceeds: as `steps_on_goal`, if each step could visit any goal, the nearest first."""
    search = _Search.of(size, horizon, episodes, start, goals)
    return float(_bound(search, np.ones((1, len(goals)), int), 0)[0]) / len(goals)


def neighbours(size: int) -> Int[np.ndarray, "cells moves"]:
    """Number of the cell that each move leads to."""
    to = np.clip(cells_of(size, size)[:, None] + np.array(MOVES), 0, size - 1)
    return to[..., 1] * size + to[..., 0]


class _Search(NamedTuple):
    """The search for a walk. Goals are sorted, the nearest first."""

    horizon: int
    episodes: int
    start: int
    distance: np.ndarray  # [G] from the start; 1 for the start itself
    goal: np.ndarray  # [cells] number of the goal in a cell, -1 where there can be none
    neighbours: np.ndarray  # [cells, moves]
    value: np.ndarray  # [G, HE + 2] steps on goal g in the life that finds it in step tau; last column: never

    @staticmethod
    def of(size: int, horizon: int, episodes: int, start: int, goals: Int[np.ndarray, " G"]) -> "_Search":
        cells = cells_of(size, size)
        distance = np.maximum(np.abs(cells - cells[start]).sum(1), 1)[goals]
        order = np.argsort(distance, kind="stable")
        goals, distance = goals[order], distance[order]
        goal = np.full(size**2, -1)
        goal[goals] = np.arange(len(goals))
        # No goal is met before step `distance`; reading that step for an earlier one makes the bound sharper.
        before, step = np.divmod(np.arange(-1, horizon * episodes), horizon)
        late = np.maximum(step + 1 - distance[:, None], 0)
        value = (episodes - before) * steps_there(distance, horizon)[:, None] - late
        value = np.concatenate([value, np.zeros((len(goals), 1), int)], 1)
        return _Search(horizon, episodes, start, distance, goal, neighbours(size), value)


class _Walks(NamedTuple):
    """The best walks of one length to each (cell, goals visited)."""

    cell: np.ndarray
    seen: np.ndarray  # bit g: goal g was visited
    value: np.ndarray  # sum over the goals visited
    parent: np.ndarray  # which of the walks one step shorter this one continues


class _Found(NamedTuple):
    """A walk."""

    value: float  # sum over all goals
    found: np.ndarray  # [G] the step that first visits each goal; 0 where none does


def _best_walk(search: _Search, best: _Found, width: int, give_up: bool) -> tuple[_Found, bool]:
    """The best walk, or `best` if none is better, and whether that is certain.

    Of each length the most promising `width` walks are kept; with `give_up` the search ends where there are more.
    """
    zero = np.zeros(1, np.int64)
    layers, certain = [_Walks(zero + search.start, zero, zero, zero)], True
    for tau in range(1, search.horizon * search.episodes + 1):
        walks = _longer(search, layers[-1], tau)
        unseen = ~walks.seen[:, None] >> np.arange(len(search.distance)) & 1
        if walks.value.max() > best.value:
            best = _Found(float(walks.value.max()), _first_visits(search, layers, walks, int(walks.value.argmax())))
        bound = walks.value + _bound(search, unseen, tau)
        keep = np.flatnonzero(bound > best.value)
        if len(keep) > width:
            certain = False
            keep = keep[np.argsort(-bound[keep], kind="stable")[:width]]
        if len(keep) == 0 or (give_up and not certain):
            break
        layers.append(_Walks(*(entries[keep] for entries in walks)))
    return best, certain


def _longer(search: _Search, walks: _Walks, tau: int) -> _Walks:
    """All walks one step longer, of which step `tau` is the last; of those that know the same, the best."""
    parent = np.repeat(np.arange(len(walks.cell)), search.neighbours.shape[1])
    cell = search.neighbours[walks.cell].ravel()
    goal = search.goal[cell]
    bit = np.where(goal >= 0, np.int64(1) << np.maximum(goal, 0), 0)
    new = (bit & ~walks.seen[parent]) != 0
    value = walks.value[parent] + np.where(new, search.value[goal, tau], 0)
    seen = walks.seen[parent] | bit
    if tau % search.horizon == 0:
        cell = np.full_like(cell, search.start)
    same = seen * len(search.goal) + cell
    order = np.lexsort((-value, same))
    order = order[np.append(True, np.diff(same[order]) != 0)]
    return _Walks(cell[order], seen[order], value[order], parent[order])


def _bound(search: _Search, unseen: Int[np.ndarray, "W G"], tau: int) -> Int[np.ndarray, " W"]:
    r"""At most this is to come: one new goal in each step from now on, the nearest to the start first.

    No order of the goals is worth more: for goals at distances $d < d'$ and steps $\tau < \tau'$ the values obey
    $v(d, \tau) + v(d', \tau') \ge v(d, \tau') + v(d', \tau)$ (Monge), and they fall with the step.
    """
    when = np.minimum(tau + np.cumsum(unseen, 1), search.value.shape[1] - 1)
    return (unseen * np.take_along_axis(search.value, when.T, 1).T).sum(1)


def _first_visits(search: _Search, layers: list[_Walks], walks: _Walks, index: int) -> np.ndarray:
    """The step `[G]` in which one of the last walks first met each goal; 0 where it never did."""
    found = np.zeros(len(search.distance), int)
    for tau in range(len(layers), 0, -1):
        before, seen = layers[tau - 1], int(walks.seen[index])
        parent = int(walks.parent[index])
        new = seen & ~int(before.seen[parent])
        if new:
            found[new.bit_length() - 1] = tau
        walks, index = before, parent
    return found


def _in_each_episode(search: _Search, found: np.ndarray) -> np.ndarray:
    """Mean over the goals of the steps on them in each episode, `[E]`."""
    steps = np.zeros((len(found), search.episodes))
    known = steps_there(search.distance, search.horizon)
    for goal in np.flatnonzero(found):
        episode, before = divmod(int(found[goal]) - 1, search.horizon)
        steps[goal, episode] = search.horizon - before
        steps[goal, episode + 1 :] = known[goal]
    return steps.mean(0)
