r"""Classical algorithms for Bernoulli bandits: what a learner must beat, and nearly the limit where none is computable.

Each is an index policy: it gives every arm a number and plays the largest, ties broken at random. All know the prior
$p_i \sim U[0, 1]$: they count successes S and failures F of an arm from 1, which is its Beta posterior.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

Counts = Float[np.ndarray, "N k"]
Index = Callable[[Counts, Counts, int, np.random.Generator], Float[np.ndarray, "N k"]]  # (S, F, pulls done, random)

EXPLORATION = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)  # constants that UCB1 is tuned over
TUNING_TASKS = 10_000
COINS, TUNING = 1, 2  # streams of a seed: coin flips never share numbers with the tasks that they are flipped in
LEVELS = 201  # rewards of the known arm, from 0 to 1, between which the Gittins index is interpolated


def greedy(successes: Counts, failures: Counts, pulled: int, rng: np.random.Generator) -> Counts:
    """The posterior mean."""
    del pulled, rng
    return successes / (successes + failures)


def thompson(successes: Counts, failures: Counts, pulled: int, rng: np.random.Generator) -> Counts:
    """A sample of the posterior (Thompson, 1933)."""
    del pulled
    return rng.beta(successes, failures)


def ucb1(exploration: float) -> Index:
    r"""The posterior mean plus $c \sqrt{2 \ln t / (S + F)}$, with t the number of this pull.

    Auer, Cesa-Bianchi and Fischer, 2002, "Finite-time analysis of the multiarmed bandit problem"; there c = 1.

    Args:
        exploration: c.
    """

    def index(successes: Counts, failures: Counts, pulled: int, rng: np.random.Generator) -> Counts:
        del rng
        count = successes + failures
        return successes / count + exploration * np.sqrt(2 * np.log(pulled + 1) / count)

    return index


def gittins(pulls: int) -> Index:
    """The finite-horizon Gittins index: the best an index can do short of planning over all arms at once.

    Not exactly optimal without discounting, but within 0.05 % of it wherever the optimum is known.

    Args:
        pulls: Pulls in a life.
    """
    table = gittins_table(pulls)

    def index(successes: Counts, failures: Counts, pulled: int, rng: np.random.Generator) -> Counts:
        del rng
        return table[pulls - pulled][successes.astype(int) - 1, failures.astype(int) - 1]

    return index


def gittins_table(pulls: int) -> list[Float[np.ndarray, "s f"]]:
    r"""Finite-horizon Gittins indices of an arm with s successes and f failures and h pulls left.

    The index is the reward $\lambda$ of a known arm at which one is indifferent between it and this one, the zero of

    $$Q_h(s, f) = p - \lambda + p D_{h-1}(s + 1, f) + (1 - p) D_{h-1}(s, f + 1), \quad D = \max(0, Q), \quad D_0 = 0$$

    with p the posterior mean. Q is solved for a grid of $\lambda$ at once and its zero interpolated.

    Args:
        pulls: n, pulls in a life; only s + f <= n - h can occur, entries beyond mean nothing.

    Returns:
        One table `[s, f]` for each h = 0 .. n (the one for h = 0 is empty).

    References:
        Gittins, 1979, "Bandit processes and dynamic allocation indices"; Kaufmann, 2018, "On Bayesian index policies
        for sequential resource allocation", arXiv:1601.01190, for the finite horizon.
    """
    levels = np.linspace(0, 1, LEVELS)
    tables = [np.zeros((0, 0))]
    after = np.zeros((pulls + 1, pulls + 1, LEVELS))
    for left in range(1, pulls + 1):
        size = pulls - left + 1
        s, f = np.ogrid[:size, :size]
        mean = ((s + 1) / (s + f + 2))[..., None]
        value = mean - levels + mean * after[1 : size + 1, :size] + (1 - mean) * after[:size, 1 : size + 1]
        tables.append(_zero(value, levels))
        after = np.maximum(value, 0)
    return tables


def _zero(value: Float[np.ndarray, "s f L"], levels: Float[np.ndarray, " L"]) -> Float[np.ndarray, "s f"]:
    """Where functions that fall from >= 0 to < 0 cross zero, linear between the levels."""
    right = np.argmax(value < 0, -1)
    above, below = (np.take_along_axis(value, at[..., None], -1)[..., 0] for at in (right - 1, right))
    return levels[right - 1] + (levels[right] - levels[right - 1]) * above / (above - below)


def play(index: Index, probabilities: Float[np.ndarray, "N k"], pulls: int, seed: int) -> Float[np.ndarray, " N"]:
    """Mean reward of a pull for each task, given the arms that the policy chose: the reward without its coin flips.

    Args:
        index: The policy.
        probabilities: One row of arm probabilities for each task.
        pulls: Pulls in a life.
        seed: Of the coin flips and of random ties.

    Returns:
        The sum over the pulls of the probabilities of the arms chosen.
    """
    rng = np.random.default_rng([seed, COINS])
    rows = np.arange(len(probabilities))
    successes, failures = np.ones(probabilities.shape), np.ones(probabilities.shape)
    total = np.zeros(len(probabilities))
    for pulled in range(pulls):
        arms = _largest(index(successes, failures, pulled, rng), rng)
        chance = probabilities[rows, arms]
        won = rng.random(len(rows)) < chance
        successes[rows, arms] += won
        failures[rows, arms] += ~won
        total += chance
    return total


def _largest(index: Float[np.ndarray, "N k"], rng: np.random.Generator) -> Int[np.ndarray, " N"]:
    """The arm with the largest index, ties at random."""
    ties = index == index.max(1, keepdims=True)
    return np.argmax(ties * rng.random(index.shape), 1)


def tuned_exploration(arms: int, pulls: int, seed: int) -> float:
    """The constant of UCB1 that earns most on tasks of its own, drawn from the prior."""
    probabilities = np.random.default_rng([seed, TUNING]).random((TUNING_TASKS, arms))
    return max(EXPLORATION, key=lambda c: play(ucb1(c), probabilities, pulls, seed).mean())
