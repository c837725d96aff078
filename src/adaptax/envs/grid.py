"""Grid navigation: the task is a goal cell that must be searched for."""

from typing import Annotated

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey
from adaptax.envs.cells import MOVES, GridState, at, cells_of, moved, number_of, one_of
from adaptax.fields import Count, Range
from adaptax.ops.scene import Scene, cells
from adaptax.ops.spaces import Discrete

CORNER = 2  # goals lie outside the 2x2 block around the start
GOAL_REWARD, STEP_REWARD = 1.0, -0.1


class GridNavigation(Environment):
    r"""A grid with one hidden goal, the same in all episodes of a life.

    The agent starts at (0, 0) and moves by one cell: noop, up (y + 1), right (x + 1), down, left; a move off the grid
    does nothing. A step that ends on the goal pays +1, any other -0.1; nothing ends an episode but its `horizon`. The
    observation is the cell's number, $y \cdot \mathrm{size} + x$; the goal shows itself only by its reward.

    Splits: `train`, `validation` and `test` draw the goal uniformly over the cells outside the 2x2 start corner
    (kind `iid`: with 21 goals, all are in all splits); `ood` draws it from the three cells of the corner beside the
    start, where training never pays. All other cells being training goals, these are the only unseen ones.

    Known values (`adaptax.references`): by default a Bayes-optimal agent returns 4.0, 11.0714, 11.0714 and 11.0714 in
    its four episodes, in all 37.2143; one that knows the goal 11.0714 in each.

    Attributes:
        size: Cells on a side.
        horizon: Steps of an episode.
        tries: Episodes in a life.

    References:
        Zintgraf et al., 2020, "VariBAD: a very good method for Bayes-adaptive deep RL via meta-learning",
        arXiv:1910.08348, section 5.1.

    Differences from the paper:
        The observation is the cell's number, which a network reads one-hot, not its two coordinates.
    """

    size: Annotated[int, Range(CORNER + 1, 1000)] = 5
    horizon: Count = 15
    tries: Count = 4

    observation_space = property(lambda self: Discrete(self.size * self.size))
    action_space = property(lambda self: Discrete(len(MOVES)))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: self.tries)

    @property
    def goals(self) -> np.ndarray:
        """The goals (x, y) of training and test, `[G, 2]`."""
        cells = cells_of(self.size, self.size)[:, ::-1]  # column by column
        return cells[(cells >= CORNER).any(1)]

    @property
    def tasks(self) -> TaskSplit:
        """Goals outside the start corner; out of distribution inside it."""
        beside_start = np.array([(0, 1), (1, 0), (1, 1)], np.int32)
        return TaskSplit.iid(lambda key: one_of(self.goals, key), lambda key: one_of(beside_start, key))

    def task_problems(self, task: Int[np.ndarray, "2"]) -> list[str]:
        """A goal is a cell of the grid."""
        inside = np.all((task >= 0) & (task < self.size))
        return [] if inside else [f"the goal's coordinates must lie between 0 and {self.size - 1}"]

    def reset(self, task: Int[Array, "2"], key: PRNGKey) -> tuple[GridState, Int[Array, ""]]:
        """Back to the start."""
        del task, key
        state = at(jnp.zeros(2, jnp.int32))
        return state, number_of(state.position, self.size)

    def step(
        self, task: Int[Array, "2"], state: GridState, action: Int[Array, ""], key: PRNGKey
    ) -> tuple[GridState, Int[Array, ""], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Moves by one cell."""
        del key
        position = jnp.clip(moved(state.position, action), 0, self.size - 1)
        time = state.time + 1
        reward = jnp.where(jnp.all(position == task), GOAL_REWARD, STEP_REWARD)
        cell = number_of(position, self.size)
        return GridState(position, time), cell, reward, jnp.array(False), time >= self.horizon

    def describe(self, task: Int[Array, "2"]) -> Float[Array, "2"]:
        """The goal's coordinates, from -1 to 1."""
        return 2.0 * task.astype(float) / (self.size - 1) - 1.0

    def render(self, task: Int[Array, "2"], state: GridState) -> Scene:
        """The grid, with the goal that the agent cannot see."""
        (goal_x, goal_y), (x, y) = np.asarray(task).tolist(), np.asarray(state.position).tolist()
        return cells(np.zeros((self.size, self.size), bool), ((x, y, "agent"),), ((goal_x, goal_y),))
