"""Room navigation: three goals in sequence, each of which tells where to look for the next."""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey
from adaptax.envs.cells import MOVES, mark, moved, number_of, one_of, spot
from adaptax.fields import Count, Range
from adaptax.ops.scene import Label, Scene, cells
from adaptax.ops.spaces import Discrete

GOAL_REWARDS, STEP_REWARD = (1.0, 10.0, 100.0), -0.1


class RoomState(NamedTuple):
    """Where the agent is (x, y), how many goals it has reached in their order, and steps taken."""

    position: Int[Array, "2"]
    reached: Int[Array, ""]
    time: Int[Array, ""]


class RoomNavigation(Environment):
    r"""The multi-stage gridworld of HyperX: exploring pays only after more exploring.

    Three rooms in a row, joined by corridors one cell wide; the agent starts in the centre of the middle one. Goals lie
    in corners of rooms. The first is in the middle room, and the side that it lies on, left or right, is the side of
    the room that has the second; the third is in another corner of the middle room. Each step that ends on the first
    goal pays 1; on the second 10, once the first was reached; on the third 100, once the second was reached; any other
    -0.1. An episode ends after `horizon` steps.

    Moves are noop, up (y + 1), right (x + 1), down, left; a move into a wall does nothing. The observation is the
    cell's number, $y \cdot \mathrm{width} + x$; goals show themselves only by their rewards.

    Splits: `train`, `validation` and `test` draw uniformly from the 48 tasks (kind `iid`); in `ood` the second goal is
    in the room on the other side, where training never has it.

    Known values (`adaptax.references`): by default a Bayes-optimal agent returns 2809.0, who knows the goals 3376.6.

    Attributes:
        room: Cells on a side of a room, an odd number.
        corridor: Cells between two rooms.
        horizon: Steps of an episode.
        tries: Episodes in a life.

    References:
        Zintgraf et al., 2021, "Exploration in approximate hyper-state space for meta reinforcement learning",
        arXiv:2010.01062; rewards and places as in its code's `RoomNavi`.

    Differences from the paper:
        The observation is the cell's number, which a network reads one-hot, not its two coordinates.
    """

    room: Annotated[int, Range(3, 99)] = 3
    corridor: Count = 3
    horizon: Count = 50
    tries: Count = 1

    observation_space = property(lambda self: Discrete(self.width * self.room))
    action_space = property(lambda self: Discrete(len(MOVES)))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: self.tries)
    width = property(lambda self: 3 * self.room + 2 * self.corridor)
    centre = property(lambda self: np.array([self.width // 2, self.room // 2], np.int32))

    @property
    def walls(self) -> Bool[np.ndarray, "room width"]:
        """Cells that cannot be entered, `[y, x]`."""
        in_corridor = np.arange(self.width) % (self.room + self.corridor) >= self.room
        beside = np.arange(self.room) != self.room // 2
        return beside[:, None] & in_corridor

    @property
    def all_tasks(self) -> Int[np.ndarray, "48 3 2"]:
        """Each task: the places (x, y) of the three goals."""
        return self._goals(across=False)

    def _goals(self, across: bool) -> Int[np.ndarray, "48 3 2"]:
        """All triples of goals, the second on the side of the first or across."""
        far = self.room - 1
        corners = np.array([(0, 0), (0, far), (far, 0), (far, far)], np.int32)
        middle, shift = self.room + self.corridor, np.array([1, 0], np.int32)
        triples = [
            (first + shift * middle, second + shift * (2 * middle * ((first[0] > 0) ^ across)), third + shift * middle)
            for first in corners
            for second in corners
            for third in corners
            if np.any(third != first)
        ]
        return np.array(triples, np.int32)

    @property
    def tasks(self) -> TaskSplit:
        """The second goal on the side of the first; out of distribution across."""
        known, across = self._goals(across=False), self._goals(across=True)
        return TaskSplit.iid(lambda key: one_of(known, key), lambda key: one_of(across, key))

    def problems(self) -> list[str]:
        """A room has a centre."""
        return [] if self.room % 2 else [f"room is {self.room}; it must be odd, so that a room has a centre"]

    def task_problems(self, task: Int[np.ndarray, "3 2"]) -> list[str]:
        """Goals are free cells, no two the same."""
        if not np.all((task >= 0) & (task < [self.width, self.room])) or self.walls[task[:, 1], task[:, 0]].any():
            return [f"each goal must be a free cell (x, y) of the {self.width} x {self.room} map"]
        return [] if len(np.unique(task, axis=0)) == len(task) else ["the goals must be in different cells"]

    def reset(self, task: Int[Array, "3 2"], key: PRNGKey) -> tuple[RoomState, Int[Array, ""]]:
        """Back to the centre, no goal reached."""
        del task, key
        position, none = jnp.asarray(self.centre), jnp.zeros((), jnp.int32)
        return RoomState(position, none, none), number_of(position, self.width)

    def step(
        self, task: Int[Array, "3 2"], state: RoomState, action: Int[Array, ""], key: PRNGKey
    ) -> tuple[RoomState, Int[Array, ""], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Moves by one cell; a goal counts once those before it were reached."""
        del key
        position = jnp.clip(moved(state.position, action), 0, np.array([self.width, self.room], np.int32) - 1)
        position = jnp.where(jnp.asarray(self.walls)[position[1], position[0]], state.position, position)
        rank = np.arange(1, len(GOAL_REWARDS) + 1, dtype=np.int32)
        counts = jnp.all(position[None] == task, -1) & (rank <= state.reached + 1)
        reached = jnp.maximum(state.reached, jnp.max(jnp.where(counts, rank, 0)))
        paid = jnp.sum(jnp.where(counts, jnp.asarray(GOAL_REWARDS), 0.0))
        reward = jnp.where(jnp.any(counts), paid, STEP_REWARD)
        after = RoomState(position, reached, state.time + 1)
        return after, number_of(position, self.width), reward, jnp.array(False), after.time >= self.horizon

    def describe(self, task: Int[Array, "3 2"]) -> Float[Array, "6"]:
        """The goals' coordinates, from -1 to 1."""
        size = np.array([[self.width - 1, self.room - 1]], np.float32)
        return (2.0 * task.astype(float) / size - 1.0).ravel()

    def render(self, task: Int[Array, "3 2"], state: RoomState) -> Scene:
        """The rooms, and the goals by their number."""
        goals = [spot(goal) for goal in task]
        marks = (*(mark(goal, "goal") for goal in task), mark(state.position, "agent"))
        numbers = [Label(x + 0.5, y + 0.5, str(1 + i)) for i, (x, y) in enumerate(goals)]
        scene = cells(self.walls, marks, tuple(goals))
        return scene._replace(shapes=(*scene.shapes, *numbers))
