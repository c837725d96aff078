r"""What is nearly the limit for Bernoulli arms where none is computable: Gittins indices, and a bound from above.

An arm with s successes and f failures pays with the posterior mean $p = (s + 1) / (s + f + 2)$.
"""

import numpy as np
from jaxtyping import Bool, Float

LEVELS = 201  # rewards of the known arm, from 0 to 1, between which the finite-horizon index is interpolated
EXACT = 1e-7  # of a discounted index
PATIENCE = 10  # rounds without a better bound until its target comes nearer


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


def gittins_index(successes: int, failures: int, discount: float) -> float:
    r"""The discounted Gittins index of an arm, exactly but for `EXACT`.

    The reward $\lambda$ of a known arm at which one is indifferent between it and this one for ever: the zero of
    $Q(s, f) = p - \lambda + \gamma (p D(s + 1, f) + (1 - p) D(s, f + 1))$ with $D = \max(0, Q)$. In the discounted
    problem without an end, to pull the arm with the largest index is optimal.

    Args:
        successes: Of the arm.
        failures: Of the arm.
        discount: $\gamma < 1$.

    Example:
        >>> round(gittins_index(0, 0, 0.9), 5)
        0.70289

    References:
        Gittins, 1979, "Bandit processes and dynamic allocation indices".
    """
    depth = int(np.ceil(np.log(EXACT * (1 - discount)) / np.log(discount)))
    low, high = 0.0, 1.0
    while high - low > EXACT:
        levels = np.linspace(low, high, 21)
        gain = after = np.zeros((depth + 1, len(levels)))
        for pulls in range(depth - 1, -1, -1):
            wins = np.arange(pulls + 1)[:, None]
            mean = (successes + wins + 1) / (successes + failures + pulls + 2)
            gain = mean - levels + discount * (mean * after[1:] + (1 - mean) * after[:-1])
            after = np.maximum(gain, 0)
        right = int(np.argmax(gain[0] < 0))
        low, high = levels[right - 1], levels[right]
    return float(low + high) / 2


def lagrangian_bound(arms: int, pulls: int, rounds: int = 400) -> float:
    r"""An upper bound on what k Bernoulli arms can pay in n pulls, tight where there are many arms.

    If not exactly one arm but one on average had to be pulled at each time t, arms would only meet in a price
    $\lambda_t$ of a pull. For any prices, $\sum_t \lambda_t + k V_\lambda$ bounds the optimum, with $V_\lambda$ what
    one arm yields that is pulled when it is worth its price. Prices follow the subgradient 1 - k P(pulled at t).

    Args:
        arms: k.
        pulls: n.
        rounds: Steps of the subgradient method; every one gives a bound, the least is returned.

    References:
        Whittle, 1988, "Restless bandits: activity allocation in a changing world"; Hawkins, 2003, "A Lagrangian
        decomposition approach to weakly coupled dynamic optimization problems".
    """
    prices = np.full(pulls, 0.9 * arms / (arms + 1))
    best, ahead, idle = np.inf, 0.05 * pulls, 0
    for _ in range(rounds):
        value, slope = _relaxed(arms, prices)
        idle = 0 if value < best else idle + 1
        best = min(best, value)
        if idle == PATIENCE:
            ahead, idle = ahead / 2, 0
        prices = np.maximum(prices - (value - best + ahead) * slope / max(slope @ slope, 1e-12), 0)
    return float(best)


def _relaxed(arms: int, prices: Float[np.ndarray, " n"]) -> tuple[float, Float[np.ndarray, " n"]]:
    """The bound for some prices, and its slope."""
    pulls = len(prices)
    s, f = np.ogrid[:pulls, :pulls]
    mean = (s + 1) / (s + f + 2)
    value, pulled = np.zeros((pulls + 1, pulls + 1)), []
    for price in prices[::-1]:
        gain = mean - price + mean * value[1:, :-1] + (1 - mean) * value[:-1, 1:] - value[:-1, :-1]
        pulled.append(gain > 0)
        value[:-1, :-1] += np.maximum(gain, 0)
    return prices.sum() + arms * value[0, 0], 1 - arms * _chances(mean, pulled[::-1])


def _chances(mean: Float[np.ndarray, "s f"], pulled: list[Bool[np.ndarray, "s f"]]) -> Float[np.ndarray, " n"]:
    """Probability that an arm is pulled at each time, by a plan for each of its states."""
    at, chances = np.zeros((len(mean) + 1, len(mean) + 1)), []
    at[0, 0] = 1.0
    for plan in pulled:
        moved = at[:-1, :-1] * plan
        chances.append(moved.sum())
        at[:-1, :-1] -= moved
        at[1:, :-1] += moved * mean
        at[:-1, 1:] += moved * (1 - mean)
    return np.array(chances)
