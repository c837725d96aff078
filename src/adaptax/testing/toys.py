"""Environments so small that everything they do can be said by heart. For tests of the machinery, not for learning."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey
from adaptax.fields import Count
from adaptax.ops.spaces import Box, Discrete


class ClockState(NamedTuple):
    """Steps since the episode began, and the number by which it is known."""

    time: Int[Array, ""]
    tag: Float[Array, ""]


class Clock(Environment):
    """Shows the time in the episode and a random number that names it; pays a random number for every step.

    The task is the time at which the episode terminates; beyond `horizon` it is truncated before.
    """

    horizon: Count = 5

    observation_space = property(lambda self: Box(0.0, float("inf"), (2,)))
    action_space = property(lambda self: Discrete(3))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: 2)

    @property
    def tasks(self) -> TaskSplit:
        """Times of termination from 2 to `horizon` + 2."""
        sample = lambda key: jax.random.randint(key, (), 2, self.horizon + 3, jnp.int32)
        return TaskSplit.iid(sample, sample)

    def reset(self, task: Int[Array, ""], key: PRNGKey) -> tuple[ClockState, Float[Array, "2"]]:
        """Time zero, and a new name."""
        del task
        state = ClockState(jnp.zeros((), jnp.int32), jax.random.uniform(key))
        return state, self._observe(state)

    def step(
        self, task: Int[Array, ""], state: ClockState, action: Int[Array, ""], key: PRNGKey
    ) -> tuple[ClockState, Float[Array, "2"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """One tick."""
        del action
        state = state._replace(time=state.time + 1)
        terminated = state.time >= task
        truncated = (state.time >= self.horizon) & ~terminated
        return state, self._observe(state), jax.random.uniform(key), terminated, truncated

    def describe(self, task: Int[Array, ""]) -> Float[Array, "1"]:
        """The time of termination."""
        return task.astype(float)[None]

    def _observe(self, state: ClockState) -> Float[Array, "2"]:
        return jnp.stack([state.time.astype(float), state.tag])


class Corridor(Environment):
    """Cells in a row, entered in the middle; one end pays 1 and ends the episode. The task is which end: 0 or 1."""

    cells: Count = 5

    observation_space = property(lambda self: Discrete(self.cells))
    action_space = property(lambda self: Discrete(2))
    episode_steps = property(lambda self: 2 * self.cells)
    episodes = property(lambda self: 10)

    @property
    def tasks(self) -> TaskSplit:
        """Either end."""
        sample = lambda key: jax.random.bernoulli(key).astype(jnp.int32)
        return TaskSplit.iid(sample, sample)

    def reset(self, task: Int[Array, ""], key: PRNGKey) -> tuple[Int[Array, "2"], Int[Array, ""]]:
        """In the middle; the state is cell and time."""
        del task, key
        state = jnp.array([self.cells // 2, 0], jnp.int32)
        return state, state[0]

    def step(
        self, task: Int[Array, ""], state: Int[Array, "2"], action: Int[Array, ""], key: PRNGKey
    ) -> tuple[Int[Array, "2"], Int[Array, ""], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """One cell to the left (0) or right (1)."""
        del key
        cell, time = jnp.clip(state[0] + 2 * action - 1, 0, self.cells - 1), state[1] + 1
        found = cell == task * (self.cells - 1)
        return jnp.stack([cell, time]), cell, found.astype(float), found, (time >= self.episode_steps) & ~found

    def describe(self, task: Int[Array, ""]) -> Float[Array, "1"]:
        """Which end."""
        return task.astype(float)[None]


class Target(Environment):
    r"""One action, paid $-\lVert a - g \rVert^2$: the best blind action is the mean of g. The task is g."""

    mean: tuple[float, ...] = (0.5, -1.0)
    spread: float = 0.3

    observation_space = property(lambda self: Box(0.0, 0.0, (1,)))
    action_space = property(lambda self: Box(float("-inf"), float("inf"), (len(self.mean),)))
    episode_steps = property(lambda self: 1)
    episodes = property(lambda self: 2)

    @property
    def tasks(self) -> TaskSplit:
        """Normal around `mean`."""
        sample = lambda key: jnp.asarray(self.mean) + self.spread * jax.random.normal(key, (len(self.mean),))
        return TaskSplit.iid(sample, sample)

    def reset(self, task: Float[Array, " A"], key: PRNGKey) -> tuple[tuple, Float[Array, "1"]]:
        """Nothing to reset."""
        del task, key
        return (), jnp.zeros(1)

    def step(
        self, task: Float[Array, " A"], state: tuple, action: Float[Array, " A"], key: PRNGKey
    ) -> tuple[tuple, Float[Array, "1"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """The only step of an episode."""
        del key
        return state, jnp.zeros(1), -jnp.sum((action - task) ** 2), jnp.array(True), jnp.array(False)

    def describe(self, task: Float[Array, " A"]) -> Float[Array, " A"]:
        """The target itself."""
        return task
