"""Bernoulli bandits: the task is the arms' unknown probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey, Transition
from adaptax.fields import Count, Whole
from adaptax.ops.spaces import Box, Discrete


class BernoulliBandit(Environment):
    r"""k arms, each of which pays 1 with its own hidden probability.

    A task is drawn as $p_i \sim U[0, 1]$, independently. One pull is one episode, so a life of n pulls holds n
    episodes; nothing is observed but the last action and its reward.

    Splits: `train`, `validation` and `test` are fresh draws from the same distribution (kind `iid`); `ood` draws
    $p_i \sim \mathrm{Beta}(1, 3)$, where a good arm is rare.

    Evaluation counts pseudo-regret: the optimum's mean $k / (k + 1)$ minus $\max_i p_i - p_a$ for each pull, which has
    the mean of the reward and a fraction of its variance. Where the mean of the best arm is not known (`ood`, or a
    task given by hand), it counts $p_a$.

    Known values (`adaptax.references`): with 10 pulls a Bayes-optimal agent earns 6.65999 of 5 arms, 6.71395 of 10
    or more, a random one 5.

    Attributes:
        arms: k, the number of arms.
        pulls: n, pulls in a life.
        slots: Actions; those beyond the arms never pay. One agent can be tested on any number of arms up to the slots
            that it was trained with. 0 is as many as there are arms.

    References:
        Duan et al., 2016, "RL2: Fast reinforcement learning via slow reinforcement learning", arXiv:1611.02779,
        section 3.1.

    Differences from the paper:
        None in the tasks; the score is an estimator of the same mean.
    """

    arms: Count = 5
    pulls: Count = 10
    slots: Whole = 0

    observation_space = property(lambda self: Box(0.0, 0.0, (1,)))
    action_space = property(lambda self: Discrete(self.slots or self.arms))
    episode_steps = property(lambda self: 1)
    episodes = property(lambda self: self.pulls)

    @property
    def tasks(self) -> TaskSplit:
        """Uniform probabilities; out of distribution a good arm is rare."""
        empty = jnp.zeros(max(self.slots - self.arms, 0))
        return TaskSplit.iid(
            lambda key: jnp.append(jax.random.uniform(key, (self.arms,)), empty),
            lambda key: jnp.append(jax.random.beta(key, 1.0, 3.0, (self.arms,)), empty),
        )

    def problems(self) -> list[str]:
        """Every arm needs a slot."""
        return [f"slots must be 0, or at least arms = {self.arms}"] if 0 < self.slots < self.arms else []

    def task_problems(self, task: Float[np.ndarray, " A"]) -> list[str]:
        """A probability lies between 0 and 1."""
        return [] if np.all((task >= 0) & (task <= 1)) else ["each arm's probability must lie between 0 and 1"]

    def reset(self, task: Float[Array, " A"], key: PRNGKey) -> tuple[tuple[()], Float[Array, "1"]]:
        """There is nothing to reset and nothing to see."""
        del task, key
        return (), jnp.zeros(1)

    def step(
        self, task: Float[Array, " A"], state: tuple[()], action: Int[Array, ""], key: PRNGKey
    ) -> tuple[tuple[()], Float[Array, "1"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Pulls an arm; the episode is over."""
        reward = jax.random.bernoulli(key, task[action]).astype(float)
        return state, jnp.zeros(1), reward, jnp.array(True), jnp.array(False)

    def describe(self, task: Float[Array, " A"]) -> Float[Array, " A"]:
        """The probabilities."""
        return task

    def score(self, task: Float[Array, " A"], transition: Transition, split: str | None) -> Float[Array, ""]:
        """The mean of the reward given the task, less what luck with the task adds where that is known."""
        expected = task[transition.action]
        if split in ("train", "validation", "test"):
            return self.arms / (self.arms + 1) - (jnp.max(task) - expected)
        return expected
