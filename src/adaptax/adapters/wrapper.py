"""The base of environments that change something about another one."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.core.env import AbstractEnvironment, HostEnvironment, TaskSplit
from adaptax.core.types import Task, Transition
from adaptax.ops.spaces import Space


class Wrapper(AbstractEnvironment):
    """Everything is as in `env`; subclasses, which are an `Environment` or a `HostEnvironment` too, say what is not."""

    env: AbstractEnvironment

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
        on_host = isinstance(self.env, HostEnvironment)  # whose tasks are whatever its sampler makes
        return self.env.describe(task if on_host else jax.tree.map(jnp.asarray, task))

    def task_problems(self, task: Task) -> list[str]:
        """The same rules."""
        return self.env.task_problems(task)

    def score(self, task: Task, transition: Transition, split: str | None) -> Float[Array, ""]:
        """The same score."""
        return self.env.score(task, transition, split)
