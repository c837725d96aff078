"""A compiled environment driven from Python: the proof that the host loop lives the same lives as the compiled one."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from adaptax.core.env import Environment, HostEnvironment, Simulator, TaskSplit
from adaptax.core.types import PyTree, Task
from adaptax.ops.spaces import Space

# One cache for all copies: a jitted method of each copy would be traced again for every one of them.
_reset = eqx.filter_jit(lambda env, task, seed: env.reset(task, _key(seed)))
_step = eqx.filter_jit(lambda env, task, state, action, seed: env.step(task, state, action, _key(seed)))


def _key(seed: Array) -> Array:
    return jax.random.wrap_key_data(seed)


class CompiledSimulator(Simulator):
    """One copy of one task of a compiled environment, with its state kept on the side."""

    def __init__(self, env: Environment, task: Task):
        self.env, self.task = env, task
        self.state: PyTree = None

    def reset(self, seed: np.ndarray) -> np.ndarray:
        """A new episode, from the very numbers that the compiled loop would draw."""
        self.state, observation = _reset(self.env, self.task, seed)
        return np.asarray(observation)

    def step(self, action: Any, seed: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """One step: true next observation, reward, terminated, truncated."""
        self.state, *outcome = _step(self.env, self.task, self.state, action, seed)
        observation, reward, terminated, truncated = map(np.asarray, outcome)
        return observation, float(reward), bool(terminated), bool(truncated)


class OnHost(HostEnvironment):
    """The compiled environment `env` as a host environment; slow, and equal to it.

    Use it to test a learner on the host path, or as the pattern for a simulator of your own.
    """

    env: Environment

    @property
    def observation_space(self) -> Space:
        """Space of one observation."""
        return self.env.observation_space

    @property
    def action_space(self) -> Space:
        """Space of one action."""
        return self.env.action_space

    @property
    def episode_steps(self) -> int:
        """Longest episode, in steps."""
        return self.env.episode_steps

    @property
    def episodes(self) -> int:
        """Episodes in a life."""
        return self.env.episodes

    @property
    def tasks(self) -> TaskSplit:
        """The same tasks."""
        return self.env.tasks

    def describe(self, task: Task) -> Float[Array, " F"]:
        """The same features."""
        return self.env.describe(jax.tree.map(jnp.asarray, task))

    def simulator(self, task: Task) -> CompiledSimulator:
        """A new copy of `task`."""
        return CompiledSimulator(self.env, task)
