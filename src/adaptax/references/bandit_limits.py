"""Exact limits of bandits: what a Bayes-optimal agent earns, by dynamic programming over all that it can know."""

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import bdtr

from adaptax.envs.bandits import DEPENDENCE, GOOD, POOR

# Beyond these the searches take longer than seconds; the functions then return None.
MAX_MULTISETS = 400_000  # states of knowledge about several arms
MAX_PULLS_TWO_ARMS = 500  # of two arms: the work grows with the fourth power
TIE = 1e-12  # rounding of values that are equal

Counts = Any  # arrays, or numbers, of pulls


def bernoulli_optimal(arms: int, pulls: int) -> float | None:
    r"""Expected total reward of the Bayes-optimal policy for Bernoulli arms with $p_i \sim U[0, 1]$.

    Arms are exchangeable, so what is known is the multiset of (successes, failures) of the arms touched so far, and

    $$V(S, h) = \max_i \; \bar p_i (1 + V(S + s_i, h - 1)) + (1 - \bar p_i) V(S + f_i, h - 1)$$

    with $\bar p = (s + 1) / (s + f + 2)$ the mean of the Beta posterior.

    Args:
        arms: k, how many arms there are.
        pulls: n, how many pulls are left.

    Returns:
        The value, or None where there is too much to know.

    Example:
        >>> round(bernoulli_optimal(arms=5, pulls=10), 5)
        6.65999

    References:
        Bellman, 1956, "A problem in the sequential design of experiments"; the limit of the tables of Duan et al.,
        2016, arXiv:1611.02779.
    """
    if arms == 1:
        return pulls / 2
    if arms == 2 and pulls <= MAX_PULLS_TWO_ARMS:
        return two_armed(pulls).value
    if _multisets(min(arms, pulls), pulls) > MAX_MULTISETS:
        return None
    return _several_arms(arms, pulls)


def _several_arms(arms: int, pulls: int) -> float:
    """Memoised recursion over sorted tuples of (successes, failures)."""

    @lru_cache(None)
    def value(known: tuple[tuple[int, int], ...], left: int) -> float:
        if left == 0:
            return 0.0
        options = set(known) if len(known) == arms else {*known, (0, 0)}
        return max(pull(known, arm, left) for arm in options)

    def pull(known: tuple[tuple[int, int], ...], arm: tuple[int, int], left: int) -> float:
        successes, failures = arm
        others = list(known)
        if arm in known:
            others.remove(arm)
        won = tuple(sorted([*others, (successes + 1, failures)]))
        lost = tuple(sorted([*others, (successes, failures + 1)]))
        mean = (successes + 1) / (successes + failures + 2)
        return mean * (1 + value(won, left - 1)) + (1 - mean) * value(lost, left - 1)

    return value((), pulls)


def _multisets(arms: int, pulls: int) -> int:
    """How many multisets of up to `arms` touched arms hold at most `pulls` pulls together."""
    if arms * pulls > 10_000:  # far beyond `MAX_MULTISETS`, and slow to count
        return MAX_MULTISETS + 1
    count = np.zeros((arms + 1, pulls + 1))
    count[0, 0] = 1
    for size in range(1, pulls + 1):
        for _ in range(size + 1):  # an arm of `size` pulls has had 0 .. size successes
            for touched in range(1, arms + 1):
                count[touched, size:] += count[touched - 1, : pulls + 1 - size]
    return int(count.sum())


Prior = Literal["independent", "uniform", "easy", "medium", "hard"]


def predicted(prior: Prior, s1: Counts, f1: Counts, s2: Counts, f2: Counts) -> tuple[Counts, Counts]:
    r"""Posterior means of two arms after s successes and f failures of each.

    `independent` is $p_1, p_2 \sim U[0, 1]$; with the others, those of `DependentBandit`, $p_2 = 1 - p_1$.
    """
    if prior == "independent":
        return (s1 + 1) / (s1 + f1 + 2), (s2 + 1) / (s2 + f2 + 2)
    one, other = s1 + f2, f1 + s2  # what speaks for either arm
    if prior == "uniform":
        mean = (one + 1) / (one + other + 2)
    else:
        better = DEPENDENCE[prior]
        first_is = 1 / (1 + (1 / better - 1) ** (one - other))
        mean = better * first_is + (1 - better) * (1 - first_is)
    return mean, 1 - mean


class TwoArmed(NamedTuple):
    """What planning over two arms gives."""

    value: float  # expected total reward
    prefers: list[list[np.ndarray]]  # [pulls done][of them of the first arm] -> [s1, s2] of {1 first, -1 second, 0 tie}


def two_armed(pulls: int, prior: Prior = "independent", believed: Prior | None = None, keep: bool = False) -> TwoArmed:
    r"""Two Bernoulli arms: the value under one prior of the policy that is Bayes-optimal under another, exactly.

    Dynamic programming over (pulls, successes) of the first arm and successes of the second, from the last pull back.
    Ties are broken evenly.

    Args:
        pulls: n, pulls in a life; the work grows with its fourth power (100: a quarter second, 500: half a minute).
        prior: Where tasks come from.
        believed: What the policy takes for the prior; by default that it is.
        keep: Return the policy too (its size grows with the fourth power).

    Example:
        >>> round(100 * 2 / 3 - two_armed(100).value, 5)
        1.74825
    """
    believed = believed or prior
    plan = value = [np.zeros((first + 1, pulls - first + 1)) for first in range(pulls + 1)]
    prefers: list[list[np.ndarray]] = []
    for done in range(pulls - 1, -1, -1):
        arms = [(first, done - first) for first in range(done + 1)]
        options = [_options(believed, plan, *pulled) for pulled in arms]
        choices = [_preferred(q1 - q2) for q1, q2 in options]
        if believed == prior:
            plan = value = [np.maximum(q1, q2) for q1, q2 in options]
        else:
            real = [_options(prior, value, *pulled) for pulled in arms]
            plan = [np.maximum(q1, q2) for q1, q2 in options]
            value = [((1 + c) * q1 + (1 - c) * q2) / 2 for c, (q1, q2) in zip(choices, real, strict=True)]
        prefers += [choices] * keep
    return TwoArmed(float(value[0][0, 0]), prefers[::-1])


def _options(prior: Prior, after: list[np.ndarray], first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
    """Value of pulling either arm once that many pulls of each are done."""
    s1, s2 = np.ogrid[: first + 1, : second + 1]
    mean_1, mean_2 = predicted(prior, s1, first - s1, s2, second - s2)
    of_1, of_2 = after[first + 1], after[first]
    return (
        mean_1 * (1 + of_1[1:]) + (1 - mean_1) * of_1[:-1],
        mean_2 * (1 + of_2[:, 1:]) + (1 - mean_2) * of_2[:, :-1],
    )


def _preferred(gain: np.ndarray) -> np.ndarray:
    return (np.sign(gain) * (np.abs(gain) > TIE)).astype(np.int8)


def dependent_optimal(prior: Prior, pulls: int) -> float:
    r"""Expected total reward of the Bayes-optimal policy for two arms with $p_2 = 1 - p_1$, in closed form.

    Both arms tell the same, so the policy plays what the evidence so far favours. After t pulls it is wrong with the
    probability that a Binomial(t, p) majority is wrong (a tie half the time); under the uniform prior the evidence is
    beta-binomial.

    Example:
        >>> [round(100 * best - dependent_optimal(prior, 100), 3) for prior, best in (("easy", 0.9), ("uniform", 0.75))]
        [0.625, 1.221]
    """
    if prior == "uniform":
        return sum(sum(max(b, t - b) + 1 for b in range(t + 1)) / ((t + 1) * (t + 2)) for t in range(pulls))
    better = DEPENDENCE[prior]
    times = np.arange(1, pulls)
    right = 1 - (bdtr((times - 1) // 2, times, better) + bdtr(times // 2, times, better)) / 2
    right = np.append(0.5, right)  # the first pull is a guess
    return float(np.sum(1 - better + (2 * better - 1) * right))


def informative_optimal(arms: int, pulls: int) -> float:
    """Expected total reward of the Bayes-optimal policy for `InformativeBandit`.

    With r arms left that may be the best, either one of them is tried, or the arm that tells is pulled. It pays a tenth
    of the best arm's number, so arms with small numbers are tried first.

    Example:
        >>> round(informative_optimal(arms=10, pulls=5), 2)
        20.55
    """
    after = np.zeros(arms + 1)  # by how many arms are left
    for left in range(1, pulls + 1):
        asked = (2 * arms + 1 - np.arange(arms + 1)) / 2 / arms + GOOD * (left - 1)
        tried = [0.0, GOOD * left] + [GOOD * left / r + (POOR + after[r - 1]) * (r - 1) / r for r in range(2, arms + 1)]
        after = np.maximum(asked, tried)
        after[1] = GOOD * left
    return float(after[arms])
