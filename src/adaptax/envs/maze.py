"""Mazes: the task is a map, where one begins in it and where one must get to."""

from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey
from adaptax.envs.cells import MOVES, GridState, at, cells_of, mark, moved, number_of, one_of, reached, spot
from adaptax.envs.splits import held_out
from adaptax.fields import Count, Range, Whole
from adaptax.ops.scene import Scene, cells
from adaptax.ops.spaces import Box, Discrete

GOAL_REWARD, STEP_REWARD = 1.0, -0.01
ROOM = {"tree": 1, "rooms": 3}  # cells on a side of one room


class MazeTask(NamedTuple):
    """A map, and where one begins and ends (x, y)."""

    walls: Bool[Array, "side side"]  # [y, x], with a border all around
    start: Int[Array, "2"]
    goal: Int[Array, "2"]


class Maze(Environment):
    r"""Random mazes without loops, each to be walked several times from the same start to the same goal.

    Rooms lie in a square, `rooms` on a side, one cell of wall between them; the doors that open make a spanning tree of
    the rooms, so from everywhere exactly one way leads to the goal. The tree is a minimal one for passages that each
    weigh $w \sim U[0, 1]$ (Prim's algorithm): every tree can come, not all equally often. Start and goal are the
    centres of two rooms at least `apart` rooms from each other, counted along x plus y. In layout `tree` a room is one
    cell and the maze all corridors; in layout `rooms` it is open, 3x3 cells, and each door at a random place.

    Moves are noop, up (y + 1), right, down, left; a move into a wall does nothing. A step that ends on the goal pays 1
    and terminates the episode, any other pays -0.01. What is seen depends on `view`:

    - `position`: the number of the cell, $y \cdot \mathrm{width} + x$. Map and goal are hidden.
    - `local`: the walls in the 3x3 cells around the agent, row by row from below; the entry in the middle, never a
      wall, says whether this is the goal. In layout `tree` that is little more than the four neighbours: cells look
      alike, and only memory tells them apart.
    - `full`: walls, agent and goal, cell by cell. Nothing is hidden, and an oracle is a perfect agent.

    Splits: of all maps, told apart by a hash of their walls, eight tenths are for `train`, one for `validation`, one
    for `test` (kind `disjoint`: mazes are held out, not only goals); 4 rooms on a side have 100,352 trees, 3 have 192.
    `ood` has one room more on a side; the array of walls has that size in all splits.

    Known values (`adaptax.references`): the way of each maze, walked in every episode.

    Attributes:
        rooms: Rooms on a side.
        layout: `tree` for corridors, `rooms` for open rooms with doors.
        view: What the agent sees.
        apart: How many rooms start and goal are apart at least.
        horizon: Longest episode, steps; 0 is what a depth-first search can take in the largest maze.
        tries: Episodes in a life, as long as the longest; who arrives earlier gets more of them.

    References:
        Mazes with hidden walls as tasks for a recurrent learner: Duan et al., 2016, "RL2: Fast reinforcement learning
        via slow reinforcement learning", arXiv:1611.02779, section 3.3.

    Differences from the paper:
        A grid and not a first-person view; the maze is drawn anew for each task.
    """

    rooms: Annotated[int, Range(2, 16)] = 4
    layout: Literal["tree", "rooms"] = "tree"
    view: Literal["position", "local", "full"] = "local"
    apart: Count = 3
    horizon: Whole = 0
    tries: Count = 4

    action_space = property(lambda self: Discrete(len(MOVES)))
    episodes = property(lambda self: self.tries)
    width = property(lambda self: _first_cell(self.rooms + 1, ROOM[self.layout]) - 2)  # of the largest maze's inside

    @property
    def observation_space(self) -> Discrete | Box:
        """By the view."""
        shapes = {"local": (9,), "full": (self.width, self.width, 3)}
        return Discrete(self.width**2) if self.view == "position" else Box(0.0, 1.0, shapes[self.view])

    @property
    def episode_steps(self) -> int:
        """By default each cell of the largest maze but the first is entered and left once."""
        most = (self.rooms + 1) ** 2
        return self.horizon or 2 * (most * ROOM[self.layout] ** 2 + most - 2)

    @property
    def tasks(self) -> TaskSplit:
        """Mazes of `rooms` on a side, some held out; out of distribution of one more."""
        return held_out(
            lambda key: self._task(self.rooms, key),
            lambda task: task.walls,
            lambda key: self._task(self.rooms + 1, key),
        )

    def _task(self, rooms: int, key: PRNGKey) -> MazeTask:
        """A maze of so many rooms on a side, in the lower left corner of the array."""
        key_tree, key_doors, key_ends = jax.random.split(key, 3)
        room = ROOM[self.layout]
        passages = _passages(rooms)
        tree = _spanning_tree(rooms, key_tree)
        along = jax.random.randint(key_doors, (len(tree), 1), 0, room, jnp.int32)
        origin = jnp.asarray(_first_cell(passages.room, room))[tree]
        door = origin + jnp.where(jnp.asarray(passages.direction)[tree] == 1, room, along)
        walls = np.ones((self.width + 2, self.width + 2), bool)
        inside = _first_cell(np.arange(rooms)[:, None], room) + np.arange(room)
        walls[np.ix_(inside.ravel(), inside.ravel())] = False
        ends = _first_cell(one_of(_ends(rooms, self.apart), key_ends), room) + room // 2
        return MazeTask(jnp.asarray(walls).at[door[:, 1], door[:, 0]].set(False), ends[0], ends[1])

    def problems(self) -> list[str]:
        """Mazes to hold out, and rooms far enough from each other."""
        found = []
        if self.layout == "tree" and self.rooms < 3:
            found.append("rooms must be >= 3 in layout tree, or there are too few mazes to hold some out")
        if self.apart > 2 * (self.rooms - 1):
            found.append(f"apart must be <= {2 * (self.rooms - 1)}, the farthest that {self.rooms} rooms on a side are")
        return found

    def task_problems(self, task: MazeTask) -> list[str]:
        """Walls all around, and a way from the start to a goal that is elsewhere."""
        walls, ends = task.walls, np.stack([task.start, task.goal])
        if not (walls[[0, -1]].all() and walls[:, [0, -1]].all()):
            return ["the border must be walls"]
        if np.any((ends < 0) | (ends >= len(walls))) or walls[ends[:, 1], ends[:, 0]].any():
            return ["start and goal must be free cells (x, y)"]
        if np.array_equal(*ends) or not reached(jnp.asarray(~walls), jnp.asarray(task.start))[*task.goal[::-1]]:
            return ["there must be a way from the start to a goal that is in another cell"]
        return []

    def reset(self, task: MazeTask, key: PRNGKey) -> tuple[GridState, Array]:
        """Back to the start."""
        del key
        return at(task.start), self._seen(task, task.start)

    def step(
        self, task: MazeTask, state: GridState, action: Int[Array, ""], key: PRNGKey
    ) -> tuple[GridState, Array, Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Moves by one cell, where there is no wall."""
        del key
        position = moved(state.position, action)
        position = jnp.where(task.walls[position[1], position[0]], state.position, position)
        time = state.time + 1
        arrived = jnp.all(position == task.goal)
        reward = jnp.where(arrived, GOAL_REWARD, STEP_REWARD)
        truncated = (time >= self.episode_steps) & ~arrived
        return GridState(position, time), self._seen(task, position), reward, arrived, truncated

    def describe(self, task: MazeTask) -> Float[Array, " F"]:
        """Walls without the border, then start and goal from -1 to 1."""
        ends = jnp.concatenate([task.start, task.goal]).astype(float)
        walls = task.walls[1:-1, 1:-1].ravel().astype(float)
        return jnp.concatenate([walls, 2.0 * (ends - 1.0) / (self.width - 1) - 1.0])

    def render(self, task: MazeTask, state: GridState) -> Scene:
        """The map, filled up with walls to the size of the largest that is drawn; the goal where it is seen."""
        goal, agent = task.goal - 1, state.position - 1
        hidden = () if self.view == "full" else (spot(goal),)
        return cells(np.asarray(task.walls)[1:-1, 1:-1], (mark(goal, "goal"), mark(agent, "agent")), hidden)

    def _seen(self, task: MazeTask, position: Int[Array, "2"]) -> Array:
        """The observation in a cell."""
        if self.view == "position":
            return number_of(position - 1, self.width)
        if self.view == "local":
            around = jax.lax.dynamic_slice(task.walls, (position[1] - 1, position[0] - 1), (3, 3))
            return around.at[1, 1].set(jnp.all(position == task.goal)).ravel().astype(float)
        return jnp.stack([task.walls[1:-1, 1:-1], self._only(position), self._only(task.goal)], -1).astype(float)

    def _only(self, position: Int[Array, "2"]) -> Bool[Array, "width width"]:
        """True in one cell."""
        index = jnp.arange(1, self.width + 1, dtype=jnp.int32)
        return (index == position[1])[:, None] & (index == position[0])[None]


class _Passages(NamedTuple):
    """Where doors can be: between a room and the one to the right of it, or above it."""

    room: np.ndarray  # [passages, 2]
    direction: np.ndarray  # [passages, 2]
    joins: np.ndarray  # [passages, rooms, rooms] the two rooms, [y, x]


@lru_cache
def _passages(rooms: int) -> _Passages:
    """All passages, those to the right first, in the order of `_spanning_tree`."""
    places = cells_of(rooms, rooms)
    right, above = places[places[:, 0] < rooms - 1], places[places[:, 1] < rooms - 1]
    room = np.concatenate([right, above])
    direction = np.repeat(np.array([[1, 0], [0, 1]], np.int32), [len(right), len(above)], axis=0)
    joins = np.zeros((len(room), rooms, rooms), bool)
    for end in (room, room + direction):
        joins[np.arange(len(room)), end[:, 1], end[:, 0]] = True
    return _Passages(room, direction, joins)


def _spanning_tree(rooms: int, key: PRNGKey) -> Int[Array, " doors"]:
    """The passages of a random tree: from the first room on, the lightest that leads out of what is joined already."""
    joins = jnp.asarray(_passages(rooms).joins)
    weight = jax.random.uniform(key, (len(joins),))

    def join(inside: Bool[Array, "rooms rooms"], _: None) -> tuple[Bool[Array, "rooms rooms"], Int[Array, ""]]:
        right, above = inside[:, 1:] ^ inside[:, :-1], inside[1:] ^ inside[:-1]
        leads_out = jnp.concatenate([right.ravel(), above.ravel()])
        lightest = jnp.argmin(jnp.where(leads_out, weight, 2.0))
        return inside | joins[lightest], lightest

    first = jnp.zeros((rooms, rooms), bool).at[0, 0].set(True)
    return jax.lax.scan(join, first, length=rooms**2 - 1)[1]


@lru_cache
def _ends(rooms: int, apart: int) -> Int[np.ndarray, "pairs 2 2"]:
    """Rooms to begin and end in."""
    places = cells_of(rooms, rooms)
    start, goal = np.nonzero(np.abs(places[:, None] - places).sum(-1) >= apart)
    return np.stack([places[start], places[goal]], 1)


def _first_cell(room: Any, size: int) -> Any:
    """Coordinate of the first cell of a room (its number along an axis), the border counted."""
    return (size + 1) * room + 1
