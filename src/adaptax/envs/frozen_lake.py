"""Frozen lakes: the task is a map of holes, found by falling into them."""

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey
from adaptax.envs.cells import MOVES, GridState, at, mark, moved, number_of, reached, spot
from adaptax.envs.splits import held_out
from adaptax.fields import Count, Fraction, Range, Whole
from adaptax.ops.scene import Scene, cells
from adaptax.ops.spaces import Discrete

MORE_HOLES = 1.5  # out of distribution, times as many


class FrozenLake(Environment):
    r"""An unknown lake, to be crossed again and again: who falls into a hole remembers it and begins anew.

    On `size` x `size` cells of ice each cell is a hole with probability `holes`, but for the start (0, 0) and the goal
    in the opposite corner; maps without a way across are drawn again. Moves are noop, up (y + 1), right, down, left; a
    move off the lake does nothing, and with probability `slip` a move slides to one of its two sides instead. A hole
    and the goal terminate the episode; the goal pays 1, all else nothing. The observation is the cell's number,
    $y \cdot \mathrm{size} + x$; holes cannot be seen.

    Splits: of all maps, told apart by a hash of their holes, eight tenths are for `train`, one for `validation`, one
    for `test` (kind `disjoint`); `ood` has 1.5 times as many holes, on maps of the test's tenth.

    Known values (`adaptax.references`): the shortest way, walked in every episode. It has 6 steps on each of the 3,828
    lakes of 4 x 4 cells, so a life of 160 arrives 26 times. Where it is slippery, the best policy for the life left.

    Attributes:
        size: Cells on a side.
        holes: Probability that a cell is a hole.
        slip: Probability that a move slides to a side; 2/3 is Gymnasium's slippery ice.
        horizon: Longest episode, steps; 0 is the number of cells.
        tries: Episodes in a life, as long as the longest; who arrives or falls earlier gets more of them.

    References:
        Grigsby, Fan and Zhu, 2024, "AMAGO: Scalable in-context reinforcement learning for adaptive agents",
        arXiv:2310.09971, and its code's `MetaFrozenLake`; maps as in Gymnasium's `generate_random_map`.

    Differences from the paper:
        A life has a number of steps, not of episodes: ten of the longest. The observation is the cell's number; that an
        episode begins every learner is told, how many are left none. Maps of the test are held out.
    """

    size: Annotated[int, Range(3, 16)] = 4
    holes: Annotated[float, Range(0.05, 0.25)] = 0.2  # with more, most large maps have no way across
    slip: Fraction = 0.0
    horizon: Whole = 0
    tries: Count = 10

    observation_space = property(lambda self: Discrete(self.size**2))
    action_space = property(lambda self: Discrete(len(MOVES)))
    episode_steps = property(lambda self: self.horizon or self.size**2)
    episodes = property(lambda self: self.tries)

    @property
    def tasks(self) -> TaskSplit:
        """Maps, some held out; out of distribution with more holes."""
        split = lambda holes: held_out(lambda key: self._map(holes, key), lambda task: task, None, _crossable)
        return split(self.holes)._replace(ood=split(MORE_HOLES * self.holes).test)

    def _map(self, holes: float, key: PRNGKey) -> Bool[Array, "size size"]:
        """Holes `[y, x]`, with a way between them or not."""
        return jax.random.bernoulli(key, holes, (self.size, self.size)).at[[0, -1], [0, -1]].set(False)

    def task_problems(self, task: Bool[np.ndarray, "size size"]) -> list[str]:
        """There is a way across."""
        crossable = not task[0, 0] and _crossable(jnp.asarray(task))
        return [] if crossable else ["there must be a way without holes from the first cell to the last"]

    def reset(self, task: Bool[Array, "size size"], key: PRNGKey) -> tuple[GridState, Int[Array, ""]]:
        """Back to the start."""
        del task, key
        start = jnp.zeros(2, jnp.int32)
        return at(start), number_of(start, self.size)

    def step(
        self, task: Bool[Array, "size size"], state: GridState, action: Int[Array, ""], key: PRNGKey
    ) -> tuple[GridState, Int[Array, ""], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Moves by one cell."""
        if self.slip:
            action = self._slid(action, key)
        position = jnp.clip(moved(state.position, action), 0, self.size - 1)
        time = state.time + 1
        arrived = jnp.all(position == self.size - 1)
        over = arrived | task[position[1], position[0]]
        truncated = (time >= self.episode_steps) & ~over
        return GridState(position, time), number_of(position, self.size), arrived.astype(float), over, truncated

    def _slid(self, action: Int[Array, ""], key: PRNGKey) -> Int[Array, ""]:
        """The move that is made, to a side with probability `slip`; standing still never slides."""
        luck = jax.random.uniform(key)
        turn = (luck < self.slip).astype(jnp.int32) - 2 * (luck < self.slip / 2).astype(jnp.int32)
        return jnp.where(action == 0, 0, (action - 1 + turn) % 4 + 1)

    def describe(self, task: Bool[Array, "size size"]) -> Float[Array, " F"]:
        """The holes."""
        return task.ravel().astype(float)

    def render(self, task: Bool[Array, "size size"], state: GridState) -> Scene:
        """The map, which the agent cannot see."""
        holes = np.argwhere(np.asarray(task))[:, ::-1]
        goal = np.full(2, self.size - 1)
        marks = (*(mark(hole, "hazard") for hole in holes), mark(goal, "goal"), mark(state.position, "agent"))
        return cells(np.zeros((self.size, self.size), bool), marks, tuple(spot(hole) for hole in holes))


def _crossable(holes: Bool[Array, "size size"]) -> Bool[Array, ""]:
    """Whether there is a way from the first cell to the last."""
    return reached(~holes, jnp.zeros(2, jnp.int32))[-1, -1]
