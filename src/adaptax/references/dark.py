"""Dark rooms: what who knows the task gets, and searches that see a new cell in nearly every step."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from adaptax.core.env import in_training
from adaptax.envs.cells import MOVES
from adaptax.envs.dark import DarkKeyDoor, DarkRoom, DarkRoomTask, KeyDoorTask
from adaptax.references.base import Reference, references
from adaptax.references.grid import steps_on_goal, steps_there

Cell = tuple[int, int]  # (x, y)


@references.register
def _dark_room(env: DarkRoom, tasks: DarkRoomTask, seed: int, episodes: int, split: str | None = "test") -> Reference:
    """The oracle goes straight to the goal, `sweep` has to find it first. In small rooms the optimum is exact."""
    del seed
    start, goal = (np.asarray(cells) for cells in tasks)
    known = steps_there(np.abs(start - goal).sum(1), env.horizon)
    walks = [sweep(env.size, env.horizon, episodes, begin) for begin in _pairs(start)]
    met = np.array([walk.get(end, 0) for walk, end in zip(walks, _pairs(goal), strict=True)])
    before, step = np.divmod(met - 1, env.horizon)
    searched = np.where(met > 0, env.horizon - step + (episodes - 1 - before) * known, 0)
    values = {"oracle": float(known.mean()) * episodes, "sweep": float(searched.mean())}
    return Reference(_optimal(env, episodes) if in_training(split) else None, values)


def _optimal(env: DarkRoom, episodes: int) -> float | None:
    """The most that a life from the centre can expect, where the search for the best walk comes to an end."""
    if env.start != "centre":
        return None
    centre = env.size // 2 * (env.size + 1)
    steps = steps_on_goal(env.size, env.horizon, episodes, centre, np.arange(env.size**2))
    return None if steps is None else float(steps.sum())


def sweep_found(size: int, horizon: int, episodes: int) -> Float[np.ndarray, " episodes"]:
    """Share of all goals that `sweep` from the centre has found after each episode.

    A step ends on one cell, so n episodes of H steps find at most n H goals. In 9x9 cells with H = 20 the walks into
    the four quarters share no cell and reach that bound: 20, 40, 60, 80 of the 81. The last is the start, which is seen
    without a step but pays only after one; so two episodes see 41 cells, and find the goal in 40.
    """
    steps = np.array(list(sweep(size, horizon, episodes, (size // 2, size // 2)).values()))
    return (steps[:, None] <= horizon * np.arange(1, episodes + 1)).sum(0) / size**2


@lru_cache(maxsize=1024)
def sweep(size: int, horizon: int, episodes: int, start: Cell) -> dict[Cell, int]:
    """The step of the life in which a systematic search first ends on each cell that it comes to."""
    order, met, cell = _tour(size, start), {}, start
    for step in range(1, horizon * episodes + 1):
        if len(met) == len(order):
            break
        cell = start if (step - 1) % horizon == 0 else cell
        cell = _toward(cell, _first_unseen(order, met, start))
        met.setdefault(cell, step)
    return met


@references.register
def _key_door(env: DarkKeyDoor, tasks: KeyDoorTask, seed: int, episodes: int, split: str | None = "test") -> Reference:
    """The oracle goes straight to the key and the door; `sweep` searches for the key, then from there for the door."""
    del seed, split
    life = episodes * env.horizon
    opened, earned = searched_doors(env, tasks, episodes)
    searched = earned + known_key_door_return(tasks, env.horizon, life - opened)
    known = known_key_door_return(tasks, env.horizon, life)
    return Reference(None, {"oracle": float(known.mean()), "sweep": float(searched.mean())})


def searched_doors(
    env: DarkKeyDoor, tasks: KeyDoorTask, episodes: int
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """The step of the life in which a systematic search opens each task's door, and the return up to then.

    A door that is not found counts as opened in the last step.
    """
    places = zip(*(_pairs(np.asarray(cells)) for cells in tasks), strict=True)
    searches = [(_doors_found(env.size, env.horizon, episodes, begin, first), last) for begin, first, last in places]
    opened, earned = np.array([found.get(last, found[None]) for found, last in searches]).T
    return opened, earned


def known_key_door_return(tasks: KeyDoorTask, horizon: int, life: int | Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """Return of a life of so many steps that takes the shortest way from the start to the key and on to the door."""
    start, key, door = (np.asarray(cells) for cells in tasks)
    to_key, to_door = np.maximum(np.abs(start - key).sum(1), 1), np.abs(key - door).sum(1)
    way = to_key + to_door
    length = np.where(way <= horizon, way, horizon)
    episode = np.where(way <= horizon, 2, to_key <= horizon)
    return life // length * episode + (life % length >= to_key)


@lru_cache(maxsize=8192)
def _doors_found(size: int, horizon: int, episodes: int, start: Cell, key: Cell) -> dict[Cell | None, tuple[int, int]]:
    """For each door the step of the life in which it opens, and the return up to then; for None, if it does not.

    The key is searched for first; each later episode fetches it, and goes on where the search for the door stopped.
    """
    first, life = sweep(size, horizon, episodes, start).get(key), horizon * episodes
    if first is None:
        return {None: (life, 0)}
    order, opened = _tour(size, key)[:-1], {}
    cell, has_key, keys = key, True, 1
    for step in range(first + 1, life + 1):
        if len(opened) == len(order):
            break
        if (step - 1) % horizon == 0:
            cell, has_key = start, False
        cell = _toward(cell, _first_unseen(order, opened, key) if has_key else key)
        if has_key and cell != key:
            opened.setdefault(cell, (step, keys + 1))
        elif cell == key and not has_key:
            has_key, keys = True, keys + 1
    return {**opened, None: (life, keys)}


def _tour(size: int, start: Cell) -> list[Cell]:
    """All cells: the four quarters around the start, each to and fro from the cell beside it; at last the start.

    A quarter has the cells straight ahead and those to the right of them, so that together they leave nothing out.
    """
    x, y = start
    ways = [(move, cells) for move, cells in zip(MOVES[1:], (size - 1 - y, size - 1 - x, y, x), strict=True)]
    tour = []
    for (ahead, far), (right, wide) in zip(ways, [*ways[1:], ways[0]], strict=True):
        for i in range(1, far + 1):
            line = [(x + i * ahead[0] + j * right[0], y + i * ahead[1] + j * right[1]) for j in range(wide + 1)]
            tour += line if i % 2 else line[::-1]
    return [*tour, start]


def _first_unseen(order: list[Cell], seen: dict, otherwise: Cell) -> Cell:
    """Where to go next."""
    return next((cell for cell in order if cell not in seen), otherwise)


def _toward(cell: Cell, target: Cell) -> Cell:
    """One step nearer, along x first."""
    right, up = (int(np.sign(to - at)) for at, to in zip(cell, target, strict=True))
    return (cell[0] + right, cell[1]) if right else (cell[0], cell[1] + up)


def _pairs(cells: Int[np.ndarray, "N 2"]) -> list[Cell]:
    """As plain numbers."""
    return [(x, y) for x, y in cells.tolist()]
