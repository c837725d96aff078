r"""Classical algorithms for bandits: what a learner must beat, and nearly the limit where none is computable.

Each is an index policy: it gives every arm a number and plays the largest, ties broken at random. Those for Bernoulli
arms know the prior $p_i \sim U[0, 1]$: they count successes S and failures F of an arm from 1, which is its Beta
posterior. Those for Gaussian arms know the noise $\sigma$.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, ndtri

from adaptax.references.gittins import gittins_table

Numbers = Float[np.ndarray, "N k"]

EXPLORATION = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)  # constants that bonuses are tuned over
TUNING_TASKS = 10_000
SHARPEST = 1e-9  # deviation of a posterior where rewards have no noise
COINS, TUNING = 1, 2  # streams of a seed: what pulls pay never shares numbers with the tasks that they are made in


class Seen(NamedTuple):
    """What N players know of k arms each."""

    pulls: Numbers
    paid: Numbers  # sum of the rewards

    @property
    def beta(self) -> tuple[Numbers, Numbers]:
        """S and F."""
        return 1 + self.paid, 1 + self.pulls - self.paid

    @property
    def mean(self) -> Numbers:
        """Mean reward; infinite for arms never pulled, so that each is pulled once."""
        return np.where(self.pulls > 0, self.paid / np.maximum(self.pulls, 1), np.inf)


Index = Callable[[Seen, int, np.random.Generator], Numbers]  # of what is known, pulls done, random numbers


def greedy(seen: Seen, pulled: int, rng: np.random.Generator) -> Numbers:
    """The posterior mean."""
    del pulled, rng
    successes, failures = seen.beta
    return successes / (successes + failures)


def epsilon_greedy(epsilon: float) -> Index:
    """The posterior mean, but any arm with probability epsilon."""

    def index(seen: Seen, pulled: int, rng: np.random.Generator) -> Numbers:
        anywhere = rng.random((len(seen.pulls), 1)) < epsilon
        return np.where(anywhere, rng.random(seen.pulls.shape), greedy(seen, pulled, rng))

    return index


def thompson(seen: Seen, pulled: int, rng: np.random.Generator) -> Numbers:
    """A sample of the posterior (Thompson, 1933)."""
    del pulled
    return rng.beta(*seen.beta)


def optimistic_thompson(seen: Seen, pulled: int, rng: np.random.Generator) -> Numbers:
    """A sample of the posterior, but at least its mean (May et al., 2012, "Optimistic Bayesian sampling")."""
    return np.maximum(thompson(seen, pulled, rng), greedy(seen, pulled, rng))


def ucb1(exploration: float) -> Index:
    r"""The posterior mean plus $c \sqrt{2 \ln t / (S + F)}$, with t the number of this pull.

    Auer, Cesa-Bianchi and Fischer, 2002, "Finite-time analysis of the multiarmed bandit problem"; there c = 1.

    Args:
        exploration: c.
    """

    def index(seen: Seen, pulled: int, rng: np.random.Generator) -> Numbers:
        return greedy(seen, pulled, rng) + exploration * np.sqrt(2 * np.log(pulled + 1) / (seen.pulls + 2))

    return index


def empirical(seen: Seen, pulled: int, rng: np.random.Generator) -> Numbers:
    """The mean of what an arm has paid, after one pull of each."""
    del pulled, rng
    return seen.mean


def ucb(exploration: float) -> Index:
    r"""The mean of what an arm has paid plus $c / \sqrt{n}$, after one pull of each.

    Args:
        exploration: c.
    """

    def index(seen: Seen, pulled: int, rng: np.random.Generator) -> Numbers:
        del pulled, rng
        return seen.mean + exploration / np.sqrt(np.maximum(seen.pulls, 1))

    return index


def gaussian_thompson(noise: float) -> Index:
    r"""A sample of the posterior of a mean $\mu \sim U[0, 1]$: a normal one, cut off at 0 and 1.

    Args:
        noise: Sigma of the rewards.
    """

    def index(seen: Seen, pulled: int, rng: np.random.Generator) -> Numbers:
        del pulled
        uniform = rng.random(seen.pulls.shape)
        scale = max(noise, SHARPEST) / np.sqrt(np.maximum(seen.pulls, 1))
        mean = seen.paid / np.maximum(seen.pulls, 1)
        low, high = ndtr(-mean / scale), ndtr((1 - mean) / scale)
        return np.where(seen.pulls > 0, mean + scale * ndtri(low + (high - low) * uniform), uniform)

    return index


def gittins(pulls: int) -> Index:
    """The finite-horizon Gittins index: the best an index can do short of planning over all arms at once.

    Not exactly optimal without discounting, but within 0.05 % of it wherever the optimum is known.

    Args:
        pulls: Pulls in a life.
    """
    table = gittins_table(pulls)

    def index(seen: Seen, pulled: int, rng: np.random.Generator) -> Numbers:
        del rng
        return table[pulls - pulled][seen.paid.astype(int), (seen.pulls - seen.paid).astype(int)]

    return index


def play(
    index: Index, means: Float[np.ndarray, "N k"], pulls: int, seed: int, noise: float | None = None
) -> Float[np.ndarray, " N"]:
    """Sum over the pulls of the means of the arms chosen: what is earned, without the luck of what each pull pays.

    Args:
        index: The policy.
        means: One row of arms for each task.
        pulls: Pulls in a life.
        seed: Of what pulls pay and of random ties.
        noise: Standard deviation of Gaussian rewards; None is for Bernoulli arms.
    """
    rng = np.random.default_rng([seed, COINS])
    rows = np.arange(len(means))
    seen = Seen(np.zeros(means.shape), np.zeros(means.shape))
    total = np.zeros(len(means))
    for pulled in range(pulls):
        arms = _largest(index(seen, pulled, rng), rng)
        mean = means[rows, arms]
        seen.pulls[rows, arms] += 1
        seen.paid[rows, arms] += rng.random(len(rows)) < mean if noise is None else rng.normal(mean, noise)
        total += mean
    return total


def _largest(index: Float[np.ndarray, "N k"], rng: np.random.Generator) -> Int[np.ndarray, " N"]:
    """The arm with the largest index, ties at random."""
    ties = index == index.max(1, keepdims=True)
    return np.argmax(ties * rng.random(index.shape), 1)


def tuned_exploration(
    arms: int, pulls: int, seed: int, bonus: Callable[[float], Index] = ucb1, noise: float | None = None
) -> float:
    """The constant of a bonus that earns most on tasks of its own, drawn from the prior."""
    means = np.random.default_rng([seed, TUNING]).random((TUNING_TASKS, arms))
    return max(EXPLORATION, key=lambda c: play(bonus(c), means, pulls, seed, noise).mean())
