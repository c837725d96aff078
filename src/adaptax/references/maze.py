"""Mazes: shortest ways, and a search that remembers."""

import numpy as np
from jaxtyping import Bool, Float, Int

from adaptax.envs.cells import MOVES
from adaptax.envs.maze import GOAL_REWARD, STEP_REWARD, Maze, MazeTask
from adaptax.references.base import Reference, references

UNREACHABLE = 2**30


@references.register
def _maze(env: Maze, tasks: MazeTask, seed: int, episodes: int, split: str | None = "test") -> Reference:
    """The oracle walks the shortest way in every episode; `depth-first` searches it in the first one.

    An episode that arrives ends and the next one begins at once, so short ways arrive more often in a life.
    """
    del split
    life = episodes * env.episode_steps
    shortest = maze_ways(tasks)
    values = {"oracle": _paid(arrivals(shortest, env.episode_steps, life), life)}
    found, way = depth_first(tasks, seed)
    if found.max() <= env.episode_steps:  # a search that is cut off would have to be taken up again
        values["depth-first"] = _paid(1 + arrivals(way, env.episode_steps, life - found), life)
    return Reference(None, values)


def maze_ways(tasks: MazeTask) -> Int[np.ndarray, " N"]:
    """Steps of the shortest way from start to goal in each maze."""
    walls, start, goal = (np.asarray(x) for x in tasks)
    return steps_to(~walls, goal)[np.arange(len(walls)), start[:, 1], start[:, 0]]


def steps_to(free: Bool[np.ndarray, "N H W"], goal: Int[np.ndarray, "N 2"]) -> Int[np.ndarray, "N H W"]:
    """Steps to a goal (x, y) from each cell `[y, x]` of N maps, by breadth-first search on all of them at once.

    Cells that are not free, or that no way leads from, are `UNREACHABLE`.
    """
    steps, front, count = np.full(free.shape, UNREACHABLE), np.zeros_like(free), 0
    front[np.arange(len(free)), goal[:, 1], goal[:, 0]] = True
    while front.any():
        steps[front] = count
        count += 1
        wide = np.pad(front, ((0, 0), (1, 1), (1, 1)))
        beside = wide[:, 1:-1, 2:] | wide[:, 1:-1, :-2] | wide[:, 2:, 1:-1] | wide[:, :-2, 1:-1]
        front = beside & free & (steps == UNREACHABLE)
    return steps


def arrivals(way: Int[np.ndarray, " N"], horizon: int, life: int | Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """How often a life of so many steps arrives that walks the same way in every episode."""
    return np.where(way <= horizon, life // way, 0)


def depth_first(tasks: MazeTask, seed: int) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """A search that goes on into any open cell not seen before, at random, and back where there is none.

    In a maze without loops it takes on average as many steps as cells can be reached without passing the goal: each
    cell off the way costs two steps, and is entered in every other search.

    Returns:
        Steps that the search takes until it arrives, and of the way that it then knows.
    """
    rng = np.random.default_rng(seed)
    walls, start, goal = (np.asarray(x) for x in tasks)
    found = [_searched(*one, rng) for one in zip(walls, start, goal, strict=True)]
    return np.array([steps for steps, _ in found]), np.array([way for _, way in found])


def random_search(tasks: MazeTask, horizon: int) -> Float[np.ndarray, " N"]:
    """Expected steps until random moves first meet the goal, in episodes of `horizon` steps from the start.

    Exact: the walk's distribution is followed through one episode, and episodes are alike until one arrives.
    """
    walls, start, goal = (np.asarray(x) for x in tasks)
    which = np.arange(len(walls))
    there = np.zeros(walls.shape)
    there[which, start[:, 1], start[:, 0]] = 1.0
    # nobody stands on the outer wall, so a roll carries nothing around
    stays = sum(np.roll(walls, (-up, -right), (1, 2)) for right, up in MOVES)
    lasted = np.zeros(len(walls))  # expected steps of an episode
    for _ in range(horizon):
        lasted += there.sum((1, 2))
        ahead = sum(np.roll(there, (up, right), (1, 2)) for right, up in MOVES)
        there = (there * stays + ahead * ~walls) / len(MOVES)
        there[which, goal[:, 1], goal[:, 0]] = 0.0
    return lasted / (1.0 - there.sum((1, 2)))


def _searched(walls: np.ndarray, start: np.ndarray, goal: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Steps of one search, and of the way found."""
    open_, way, steps = ~walls, [(int(start[0]), int(start[1]))], 0
    open_[way[0][1], way[0][0]] = False
    while way[-1] != (goal[0], goal[1]):
        x, y = way[-1]
        ahead = [(x + right, y + up) for right, up in MOVES if open_[y + up, x + right]]
        if ahead:
            x, y = ahead[rng.integers(len(ahead))]
            open_[y, x] = False
            way.append((x, y))
        else:
            way.pop()
        steps += 1
    return steps, len(way) - 1


def _paid(arrived: Int[np.ndarray, " N"], life: int) -> float:
    """Mean return of a life that arrives so often."""
    return float(np.mean(arrived * GOAL_REWARD + (life - arrived) * STEP_REWARD))
