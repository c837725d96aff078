"""An ablation: tasks are as they were, and each is described as another one."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.adapters.wrapper import Wrapper
from adaptax.core.env import Environment
from adaptax.core.types import PRNGKey, PyTree, Task


class Shuffled(Wrapper, Environment):
    """`describe` tells of a training task that has nothing to do with the one at hand; of the same one each time."""

    env: Environment

    def describe(self, task: Task) -> Float[Array, " F"]:
        """The features of another task."""
        bits = jax.lax.bitcast_convert_type(super().describe(task).astype(jnp.float32), jnp.uint32)
        odd = 2 * jax.random.bits(jax.random.key(0), bits.shape, jnp.uint32) + 1
        return self.env.describe(self.env.tasks.train(jax.random.key(jnp.sum(bits * odd, dtype=jnp.uint32))))

    def reset(self, task: Task, key: PRNGKey) -> tuple[PyTree, Array]:
        """As it was."""
        return self.env.reset(task, key)

    def step(self, task: Task, state: PyTree, action: Array, key: PRNGKey) -> tuple[PyTree, Array, Array, Array, Array]:
        """As it was."""
        return self.env.step(task, state, action, key)
