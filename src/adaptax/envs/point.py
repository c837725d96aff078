"""Point navigation in the plane: the task is a goal that the agent cannot see."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.fields import Count, Positive
from adaptax.ops.spaces import Box


class PointState(NamedTuple):
    """Where the point is, and steps taken."""

    position: Float[Array, "2"]
    time: Int[Array, ""]


class PointNavigation(Environment):
    """2-D navigation (Finn et al., 2017, arXiv:1703.03400)."""

    horizon: Count = 100
    size: Positive = 0.5
    speed: Positive = 0.1

    observation_space = property(lambda self: Box(float("-inf"), float("inf"), (2,)))
    action_space = property(lambda self: Box(-self.speed, self.speed, (2,)))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: 1)

    @property
    def tasks(self):
        def goals(low, high):
            def sample(key):
                return jax.random.uniform(key, (2,), minval=-high, maxval=high)
            return sample
        return TaskSplit.iid(goals(0.0, self.size), goals(self.size, 2 * self.size))

    def reset(self, task, key):
        return PointState(jnp.zeros(2), jnp.zeros((), jnp.int32)), jnp.zeros(2)

    def step(self, task, state, action, key):
        position = state.position + jnp.clip(action, -self.speed, self.speed)
        time = state.time + 1
        distance = jnp.linalg.norm(position - task)
        terminated = jnp.all(jnp.abs(position - task) < 0.01)
        return PointState(position, time), position, -distance, terminated, (time >= self.horizon) & ~terminated

    def describe(self, task):
        return task
