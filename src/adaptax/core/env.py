"""Families of tasks. The task is an argument, never an attribute."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from adaptax.core.types import PRNGKey, PyTree, Spec, Task, Transition
from adaptax.errors import ConfigError
from adaptax.ops.scene import Scene
from adaptax.ops.spaces import ActionSpace, Space

Sampler = Callable[[PRNGKey], Task]
Split = Literal["train", "validation", "test", "ood"]


def in_training(split: str | None) -> bool:
    """Whether tasks of that split come from the training distribution; None is a task given by hand."""
    return split in ("train", "validation", "test")


class TaskSplit(NamedTuple):
    """Where tasks come from. Samplers are pure; `kind` says whether a test task can also be a training task."""

    train: Sampler
    validation: Sampler
    test: Sampler
    ood: Sampler | None  # None where a family has no such thing
    kind: Literal["iid", "disjoint"]

    @staticmethod
    def iid(sample: Sampler, ood: Sampler | None) -> "TaskSplit":
        """Fresh draws for every split, from streams of keys that never meet."""

        def stream(index: int) -> Sampler:
            return lambda key: sample(jax.random.fold_in(key, index))

        return TaskSplit(stream(0), stream(1), stream(2), ood, "iid")

    @property
    def names(self) -> list[str]:
        """The splits that there are."""
        return [name for name in get_args(Split) if getattr(self, name) is not None]

    def sampler(self, split: str) -> Sampler:
        """The sampler of that name.

        Raises:
            ConfigError: the family has no such split.
        """
        if split not in self.names:
            raise ConfigError(f"split is '{split}'; this family has {', '.join(self.names)}")
        return getattr(self, split)


class AbstractEnvironment(eqx.Module):
    """What every family of tasks has, compiled or not."""

    @property
    @abstractmethod
    def observation_space(self) -> Space:
        """Space of one observation."""

    @property
    @abstractmethod
    def action_space(self) -> ActionSpace:
        """Space of one action."""

    @property
    @abstractmethod
    def episode_steps(self) -> int:
        """Longest episode, in steps."""

    @property
    @abstractmethod
    def episodes(self) -> int:
        """Episodes in a life, as the family's protocol has it."""

    @property
    @abstractmethod
    def tasks(self) -> TaskSplit:
        """The distribution of tasks and its splits."""

    @abstractmethod
    def describe(self, task: Task) -> Float[Array, " F"]:
        """The hidden task as features, for privileged learners only."""

    def score(self, task: Task, transition: Transition, split: str | None) -> Float[Array, ""]:
        """What evaluation counts for a step: the reward, or an unbiased estimate of it with less noise.

        `split` is None where the task was given and not drawn.
        """
        del task, split
        return transition.reward

    def render(self, task: Task, state: PyTree) -> Scene | None:
        """What the task looks like in that state; None where the family has no picture."""
        del task, state

    def task_problems(self, task: Task) -> list[str]:
        """What is wrong with a task given by hand, its arrays being numpy's and shaped like those of a drawn one."""
        del task
        return []

    def problems(self) -> list[str]:
        """What is wrong with the fields taken together, in words; each field alone is checked by its type."""
        return []

    def spec(self) -> Spec:
        """What learners are built from."""
        task = jax.eval_shape(self.tasks.train, jax.random.key(0))
        features = jax.eval_shape(self.describe, task).shape[0]
        return Spec(self.observation_space, self.action_space, features, self.episode_steps, self.episodes)


class Environment(AbstractEnvironment):
    """A family that compiles: pure functions of arrays, for one task and one copy; callers `vmap`."""

    @abstractmethod
    def reset(self, task: Task, key: PRNGKey) -> tuple[PyTree, Array]:
        """A new episode: its state and first observation."""

    @abstractmethod
    def step(
        self, task: Task, state: PyTree, action: Array, key: PRNGKey
    ) -> tuple[PyTree, Array, Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """One step: new state, its true observation, reward, terminated, truncated. It never resets by itself."""


class Simulator(ABC):
    """One stateful copy of a task on the host. Seeds are two uint32 numbers, the data of a random key."""

    @abstractmethod
    def reset(self, seed: np.ndarray) -> Any:
        """A new episode; returns its first observation."""

    @abstractmethod
    def step(self, action: Any, seed: np.ndarray) -> tuple[Any, float, bool, bool]:
        """One step: true next observation, reward, terminated, truncated."""

    def close(self) -> None:  # noqa: B027 (most hold nothing)
        """Releases what the copy holds."""


class HostEnvironment(AbstractEnvironment):
    """A family whose simulators are ordinary stateful Python objects (Gymnasium, Meta-World, a plant).

    Where one raises, that is an error. In a family with `on_error = "restart"` its episode is truncated there instead,
    and a fresh simulator takes its place, ten times in a life at most.
    """

    on_error = "fail"

    @abstractmethod
    def simulator(self, task: Task) -> Simulator:
        """A new copy of `task`."""

    def attended(self, task: Task, life: int, copy: int, probe: bool) -> Simulator:
        """What lives use for `simulator(task)`; `adapters.watched` looks after it, and names its place."""
        return self.simulator(task)

    def spec(self) -> Spec:
        """What learners are built from; samplers on the host are ordinary Python, so one task is really drawn."""
        features = len(self.describe(self.tasks.train(jax.random.key(0))))
        return Spec(self.observation_space, self.action_space, features, self.episode_steps, self.episodes)
