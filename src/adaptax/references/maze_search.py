"""Mazes: the best that an agent can do who knows what some steps in one have revealed."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from adaptax.envs.cells import MOVES
from adaptax.envs.maze import MazeTask
from adaptax.references.maze import UNREACHABLE, steps_to

Cell = tuple[int, int]  # x, y


class Seen(NamedTuple):
    """What steps in a maze revealed."""

    free: Bool[np.ndarray, "H W"]  # cells that were entered
    wall: Bool[np.ndarray, "H W"]  # cells that could not be entered
    goal: Cell | None  # none where it was not found


def seen(
    at: Int[np.ndarray, "T 2"],
    action: Int[np.ndarray, " T"],
    to: Int[np.ndarray, "T 2"],
    arrived: Bool[np.ndarray, " T"],
    side: int,
) -> Seen:
    """What T steps revealed in a maze of so many cells on a side, its border counted.

    Args:
        at: Cells (x, y) that the steps began in.
        action: Moves that were made.
        to: Cells that they led to.
        arrived: Whether the goal was reached with them.
        side: Cells on a side.
    """
    free, wall = np.zeros((2, side, side), bool)
    for here, move, there in zip(at, np.asarray(MOVES)[action], to, strict=True):
        free[here[1], here[0]] = free[there[1], there[0]] = True
        ahead = here + move
        wall[ahead[1], ahead[0]] |= bool(np.any(ahead != there))
    found = to[arrived]
    return Seen(free, wall, (int(found[0, 0]), int(found[0, 1])) if len(found) else None)


def known_way(likely: MazeTask, start: Cell, known: Seen) -> float:
    """Expected steps to the goal of the best agent: it knows how mazes are drawn and what was seen, and remembers.

    It walks to some cell that may be open, or may be the goal, tries to enter it, and goes on with what that revealed:
    of all such orders the best, found by recursion over what can become known. So this is the exact solution of the
    partially observed problem of one episode that is not cut off.

    Args:
        likely: `[N, ...]`, mazes as they are drawn, each as likely as it comes among them.
        start: Where the episode begins.
        known: What was seen before.

    Raises:
        ValueError: No maze among `likely` is as it was seen.
    """
    walls, goals = np.asarray(likely.walls), np.asarray(likely.goal)
    fits = ~walls[:, known.free].any(1) & walls[:, known.wall].all(1) & (np.asarray(likely.start) == start).all(1)
    was_there = known.free[goals[:, 1], goals[:, 0]]
    fits &= (goals == known.goal).all(1) if known.goal else ~was_there
    if not fits.any():
        raise ValueError("no maze among the likely ones is as it was seen: draw more of them")
    tasks, times = np.unique(
        np.concatenate([walls[fits].reshape(fits.sum(), -1), goals[fits]], 1), axis=0, return_counts=True
    )
    free, goals = ~tasks[:, :-2].reshape(-1, *walls.shape[1:]).astype(bool), tasks[:, -2:]

    @lru_cache(None)
    def steps(cell: Cell, left: tuple[int, ...]) -> float:
        """Expected steps from a cell, while these mazes are possible."""
        which = np.array(left)
        best = np.inf
        for target, way in tries(cell, free[which], goals[which]):
            inside = free[which, target[1], target[0]]
            there = (goals[which] == target).all(1)
            blocked, further = which[~inside], which[inside & ~there]
            costs = [(blocked, way.stand, way.steps + 1), (further, target, way.steps + 1)]
            total = times[which].sum()
            expected = times[which[there]].sum() / total * (way.steps + 1)
            for those, place, spent in costs:
                if len(those):
                    expected += times[those].sum() / total * (spent + steps(place, tuple(those.tolist())))
            best = min(best, expected)
        return best

    return float(steps(start, tuple(range(len(times)))))


class Way(NamedTuple):
    """To where a cell is tried from."""

    stand: Cell
    steps: int


def tries(cell: Cell, free: Bool[np.ndarray, "N H W"], goals: Int[np.ndarray, "N 2"]) -> Iterator[tuple[Cell, Way]]:
    """Cells that may be open or the goal, beside what is surely open, and the shortest way to where one tries them."""
    sure, maybe = free.all(0), free.any(0)
    possible = np.zeros_like(sure)
    possible[goals[:, 1], goals[:, 0]] = True
    walked = sure & ~possible
    far = steps_to(walked[None], np.array([cell]))[0]
    for y, x in np.argwhere((maybe & ~sure) | (sure & possible)):
        beside = [(int(far[y + up, x + right]), (int(x + right), int(y + up))) for right, up in MOVES[1:]]
        count, stand = min(beside)
        if count < UNREACHABLE:
            yield (int(x), int(y)), Way(stand, count)
