"""Bernoulli bandits: the task is the arms' unknown probabilities."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey, Transition
from adaptax.fields import Count
from adaptax.ops.spaces import Box, Discrete


class BernoulliBandit(Environment):
    r"""k arms, each of which pays 1 with its own hidden probability (Duan et al., 2016, arXiv:1611.02779).

    A task is drawn as $p_i \sim U[0, 1]$, independently. One pull is one episode, so a life of n pulls holds n
    episodes; nothing is observed but the last action and its reward.

    Splits: `train`, `validation` and `test` are fresh draws from the same distribution (kind `iid`); `ood` draws
    $p_i \sim \mathrm{Beta}(1, 3)$, where a good arm is rare.

    Evaluation counts pseudo-regret: the optimum's mean $k / (k + 1)$ minus $\max_i p_i - p_a$ for each pull, which has
    the mean of the reward and a fraction of its variance.
    """

    arms: Count = 5
    pulls: Count = 10

    observation_space = property(lambda self: Box(0.0, 0.0, (1,)))
    action_space = property(lambda self: Discrete(self.arms))
    episode_steps = property(lambda self: 1)
    episodes = property(lambda self: self.pulls)

    @property
    def tasks(self) -> TaskSplit:
        """Uniform probabilities; out of distribution a good arm is rare."""
        return TaskSplit.iid(
            lambda key: jax.random.uniform(key, (self.arms,)),
            lambda key: jax.random.beta(key, 1.0, 3.0, (self.arms,)),
        )

    def reset(self, task: Float[Array, " A"], key: PRNGKey) -> tuple[tuple, Array]:
        """Nothing to reset."""
        del task, key
        return (), jnp.zeros(1)

    def step(self, task, state, action, key):
        """Pulls an arm."""
        reward = jax.random.bernoulli(key, task[action]).astype(float)
        return state, jnp.zeros(1), reward, jnp.array(True), jnp.array(False)

    def describe(self, task):
        return task

    def score(self, task, transition, split):
        if split in ("train", "validation", "test"):
            return self.arms / (self.arms + 1) - (jnp.max(task) - task[transition.action])
        return task[transition.action]
