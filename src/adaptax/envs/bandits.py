"""Bandits without a context: the task is what the arms pay."""

from abc import abstractmethod
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit, in_training
from adaptax.core.types import PRNGKey, PyTree, Task, Transition
from adaptax.fields import Count, NonNegative, Whole
from adaptax.ops.scene import Scene, bars
from adaptax.ops.spaces import Box, Discrete


class Bandit(Environment):
    r"""What these families share: a pull is an episode, nothing is seen, and evaluation counts pseudo-regret.

    That is the optimum's mean over the training tasks minus $\max_i \mu_i - \mu_a$ for each pull: it has the mean of
    the reward and a fraction of its variance. Where the best arm's mean over the tasks is not known (`ood`, or a task
    given by hand), it counts $\mu_a$.
    """

    pulls: eqx.AbstractVar[int]

    observation_space = property(lambda self: Box(0.0, 0.0, (1,)))
    episode_steps = property(lambda self: 1)
    episodes = property(lambda self: self.pulls)

    @property
    @abstractmethod
    def best(self) -> float:
        """Mean of the best arm over the training tasks."""

    @abstractmethod
    def means(self, task: Task) -> Float[Array, " A"]:
        """Mean reward of each arm."""

    @abstractmethod
    def pay(self, task: Task, action: Int[Array, ""], key: PRNGKey) -> Float[Array, ""]:
        """The reward of a pull."""

    def reset(self, task: Task, key: PRNGKey) -> tuple[tuple[()], Float[Array, "1"]]:
        """There is nothing to reset and nothing to see."""
        del task, key
        return (), jnp.zeros(1)

    def step(
        self, task: Task, state: tuple[()], action: Int[Array, ""], key: PRNGKey
    ) -> tuple[tuple[()], Float[Array, "1"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Pulls an arm; the episode is over."""
        return state, jnp.zeros(1), self.pay(task, action, key), jnp.array(True), jnp.array(False)

    def score(self, task: Task, transition: Transition, split: str | None) -> Float[Array, ""]:
        """The mean of the reward given the task, less what luck with the task adds where that is known."""
        means = self.means(task)
        expected = means[transition.action]
        return self.best - (jnp.max(means) - expected) if in_training(split) else expected

    def render(self, task: Task, state: PyTree) -> Scene:
        """The arms' means, as bars from 0 to 1."""
        del state
        means = np.asarray(self.means(task))
        return bars(means, max(1.0, float(means.max())))


class CoinBandit(Bandit):
    """Bandits whose task is the probabilities, one an arm, with which a pull pays 1 and else nothing."""

    def task_problems(self, task: Float[np.ndarray, " A"]) -> list[str]:
        """A probability lies between 0 and 1."""
        return [] if np.all((task >= 0) & (task <= 1)) else ["each arm's probability must lie between 0 and 1"]

    def means(self, task: Float[Array, " A"]) -> Float[Array, " A"]:
        """The probabilities."""
        return task

    def pay(self, task: Float[Array, " A"], action: Int[Array, ""], key: PRNGKey) -> Float[Array, ""]:
        """1 with the arm's probability."""
        return jax.random.bernoulli(key, task[action]).astype(float)

    def describe(self, task: Float[Array, " A"]) -> Float[Array, " A"]:
        """The probabilities."""
        return task


class BernoulliBandit(CoinBandit):
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

    action_space = property(lambda self: Discrete(self.slots or self.arms))
    best = property(lambda self: self.arms / (self.arms + 1))

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


DEPENDENCE = {"easy": 0.9, "medium": 0.75, "hard": 0.6}  # the better arm's probability


class DependentBandit(CoinBandit):
    r"""Two arms whose probabilities add up to one: what either of them pays tells of both.

    A task is $(p, 1 - p)$ with $p \in \{0.1, 0.9\}$ (easy), $\{0.25, 0.75\}$ (medium), $\{0.4, 0.6\}$ (hard), or
    $p \sim U[0, 1]$ (uniform). One pull is one episode, and nothing is observed but the last action and its reward: an
    agent that was trained on one of these can be tested on the others, and on two independent arms
    (`bernoulli-bandit` with `arms=2 pulls=100`).

    Splits: `train`, `validation` and `test` are fresh draws (kind `iid`); `ood` draws two independent arms,
    $p_1, p_2 \sim U[0, 1]$, which break the rule.

    Known values (`adaptax.references`): both arms tell the same, so to play what the evidence favours is
    Bayes-optimal; with 100 pulls its regret is 0.625 (easy), 1.000 (medium), 2.312 (hard) and 1.221 (uniform).

    Attributes:
        arms_are: How the probabilities are drawn.
        pulls: n, pulls in a life.

    References:
        Wang et al., 2016, "Learning to reinforcement learn", arXiv:1611.05763, section 3.1.2.

    Differences from the paper:
        The agent does not read the number of the trial.
    """

    arms_are: Literal["easy", "medium", "hard", "uniform"] = "uniform"
    pulls: Count = 100

    action_space = property(lambda self: Discrete(2))
    best = property(lambda self: DEPENDENCE.get(self.arms_are, 0.75))

    @property
    def tasks(self) -> TaskSplit:
        """One number and its complement; out of distribution two numbers."""
        return TaskSplit.iid(self._draw, lambda key: jax.random.uniform(key, (2,)))

    def _draw(self, key: PRNGKey) -> Float[Array, "2"]:
        if self.arms_are == "uniform":
            first = jax.random.uniform(key)
        else:
            better = DEPENDENCE[self.arms_are]
            first = jnp.where(jax.random.bernoulli(key), better, 1.0 - better)
        return jnp.stack([first, 1.0 - first])


GOOD, POOR = 5.0, 1.0  # what the best of the ten arms pays, and the others


class Informative(NamedTuple):
    """A task of `InformativeBandit`."""

    best: Int[Array, ""]
    good: Float[Array, ""] | float  # what it pays
    poor: Float[Array, ""] | float  # what the others pay


class InformativeBandit(Bandit):
    r"""Eleven arms, one of which pays little and says which of the others pays most.

    One of ten arms pays 5, the other nine 1. The eleventh pays a tenth of the number (1 to 10) of the best: to pull it
    once costs, and is worth it. Nothing is random but the task.

    Splits: `train`, `validation` and `test` are fresh draws of the best arm (kind `iid`: with ten, all are in all
    splits); `ood` pays 3 for the best arm and 0.5 for the others.

    Known values (`adaptax.references`): a Bayes-optimal agent earns 20.55 in five pulls, one that never pulls the
    eleventh arm 11.0, one that knows the best arm 25.

    Attributes:
        arms: Arms of which one is the best.
        pulls: n, pulls in a life.

    References:
        Wang et al., 2016, "Learning to reinforcement learn", arXiv:1611.05763, section 3.1.3.

    Differences from the paper:
        The agent does not read the number of the trial.
    """

    arms: Count = 10
    pulls: Count = 5

    action_space = property(lambda self: Discrete(self.arms + 1))
    best = property(lambda self: GOOD)

    @property
    def tasks(self) -> TaskSplit:
        """The best arm is drawn; out of distribution it pays less."""
        best = lambda key: jax.random.randint(key, (), 0, self.arms, jnp.int32)
        return TaskSplit.iid(
            lambda key: Informative(best(key), jnp.array(GOOD), jnp.array(POOR)),
            lambda key: Informative(best(key), jnp.array(3.0), jnp.array(0.5)),
        )

    def task_problems(self, task: Informative) -> list[str]:
        """The best arm is one of the arms."""
        return [] if 0 <= task.best < self.arms else [f"best must lie between 0 and {self.arms - 1}"]

    def means(self, task: Informative) -> Float[Array, " A"]:
        """What each arm pays; the last is the one that tells."""
        arms = jnp.where(jnp.arange(self.arms) == task.best, task.good, task.poor)
        return jnp.append(arms, (task.best + 1).astype(float) / self.arms)

    def pay(self, task: Informative, action: Int[Array, ""], key: PRNGKey) -> Float[Array, ""]:
        """Nothing is left to chance."""
        del key
        return self.means(task)[action]

    def describe(self, task: Informative) -> Float[Array, " F"]:
        """The best arm one-hot, and what it and the others pay."""
        return jnp.concatenate([jax.nn.one_hot(task.best, self.arms), jnp.stack([task.good, task.poor])])


class Gaussian(NamedTuple):
    """A task of `GaussianBandit`."""

    mean: Float[Array, " k"]
    noise: Float[Array, ""] | float  # standard deviation of a reward


class GaussianBandit(Bandit):
    r"""k arms, each of which pays its own hidden mean plus noise.

    A task is $\mu_i \sim U[0, 1]$; a pull of arm i pays $\mu_i + \sigma \epsilon$ with $\epsilon \sim N(0, 1)$.
    One pull is one episode, and nothing is observed but the last action and its reward.

    Splits: `train`, `validation` and `test` are fresh draws (kind `iid`); in `ood` rewards are twice as noisy.

    Known values (`adaptax.references`): with 100 pulls of 5 arms and $\sigma = 0.3$ the regret of greedy play is about
    5.06, of Thompson sampling 6.14, of a tuned UCB 4.32.

    Attributes:
        arms: k, the number of arms.
        pulls: n, pulls in a life.
        noise: Sigma, the standard deviation of a reward.

    References:
        Lee et al., 2023, "Supervised pretraining can learn in-context reinforcement learning", arXiv:2306.14892,
        section 4.

    Differences from the paper:
        100 pulls, not 500.
    """

    arms: Count = 5
    pulls: Count = 100
    noise: NonNegative = 0.3

    action_space = property(lambda self: Discrete(self.arms))
    best = property(lambda self: self.arms / (self.arms + 1))

    @property
    def tasks(self) -> TaskSplit:
        """Uniform means; out of distribution with twice the noise."""
        draw = lambda key, noise: Gaussian(jax.random.uniform(key, (self.arms,)), jnp.array(float(noise)))
        return TaskSplit.iid(lambda key: draw(key, self.noise), lambda key: draw(key, 2 * self.noise))

    def task_problems(self, task: Gaussian) -> list[str]:
        """A standard deviation is not negative."""
        return [] if task.noise >= 0 else ["noise must be >= 0"]

    def means(self, task: Gaussian) -> Float[Array, " k"]:
        """The means."""
        return task.mean

    def pay(self, task: Gaussian, action: Int[Array, ""], key: PRNGKey) -> Float[Array, ""]:
        """The mean and noise."""
        return task.mean[action] + task.noise * jax.random.normal(key)

    def describe(self, task: Gaussian) -> Float[Array, " F"]:
        """Means and noise."""
        return jnp.append(task.mean, task.noise)
