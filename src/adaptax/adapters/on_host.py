"""A compiled environment driven from Python: the proof that the host loop lives the same lives as the compiled one."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from adaptax.adapters.wrapper import Wrapper
from adaptax.core.env import Environment, HostEnvironment, Simulator
from adaptax.core.types import PyTree, Task

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


class OnHost(Wrapper, HostEnvironment):
    """The compiled environment `env` as a host environment; slow, and equal to it.

    Use it to test a learner on the host path, or as the pattern for a simulator of your own.
    """

    env: Environment

    def simulator(self, task: Task) -> CompiledSimulator:
        """A new copy of `task`."""
        return CompiledSimulator(self.env, task)
