"""Contextual bandits: who knows the task, who knows how tasks are made, and what remembering is worth."""

import numpy as np
from jaxtyping import Array, Float

from adaptax.core.env import in_training
from adaptax.envs.contextual import BarcodeBandit, BarcodeTask, WheelBandit
from adaptax.references.base import Reference, references


@references.register
def _wheel(
    env: WheelBandit, tasks: Float[Array | np.ndarray, " N"], seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    """All in pseudo-regret, as `WheelBandit.score` counts; all but `interval` are exact."""
    rim, inside = np.asarray(tasks, np.float64), in_training(split)
    outside = (1 - rim**2).mean()  # share of the contexts
    best = env.safe + outside * (env.high - env.safe)
    luck = env.expected_best - best if inside else 0.0  # of having drawn these tasks
    random = (env.safe + 4 * env.low + outside * (env.high - env.low)) / 5
    mean = {"oracle": best, "safe": env.safe, "random": random}
    values = {name: float(episodes * (value + luck)) for name, value in mean.items()}
    regret = interval_regret(env, rim, episodes, seed, env.limit if inside else 1.0).mean()
    return Reference(None, values | {"interval": values["oracle"] - float(regret)})


def interval_regret(
    env: WheelBandit, tasks: Float[np.ndarray, " N"], pulls: int, seed: int, limit: float
) -> Float[np.ndarray, " N"]:
    r"""Pseudo-regret of who knows all but where the rim begins, and always pulls the arm that pays most on average.

    The noise is small, so that a reward tells whether a context was on the rim: all that is to know is an interval
    $[l, u]$ that holds $\delta$, uniform in it. In a context at radius r the arm of its quarter pays
    $\mathrm{low} + (\mathrm{high} - \mathrm{low}) (r - l) / (u - l)$ on average, r taken into the interval; pulling it
    makes r the new u or l.

    Args:
        env: The family.
        tasks: Where the rims begin.
        pulls: Pulls in a life.
        seed: Of the contexts.
        limit: The largest $\delta$ there can be.
    """
    rng = np.random.default_rng(seed)
    low, high, regret = np.zeros_like(tasks), np.full_like(tasks, limit), np.zeros_like(tasks)
    for _ in range(pulls):
        radius = np.sqrt(rng.random(len(tasks)))
        rim, share = radius >= tasks, np.clip((radius - low) / (high - low), 0, 1)
        tried = env.low + (env.high - env.low) * share > env.safe
        paid = np.where(tried, np.where(rim, env.high, env.low), env.safe)
        regret += np.where(rim, env.high, env.safe) - paid
        high, low = np.where(tried & rim, np.minimum(radius, high), high), np.where(tried & ~rim, radius, low)
    return regret


@references.register
def _barcodes(
    env: BarcodeBandit, tasks: BarcodeTask, seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    r"""All exact: the same for every task, since the score knows no luck with it.

    `forgetful` is the best that can be done without memory of other visits, `separate` the best without a thought for
    other barcodes: with m visits to a bandit it makes $V(m \cdot \mathrm{pulls})$ of them, and m is binomial. Where
    good arms are independent that is all there is to know, and it is optimal.
    """
    del tasks, seed
    value = one_good_arm(env.arms, env.pulls * episodes, env.chance)
    visits = np.ones(1)  # probability of 0, 1, .. visits to a bandit
    for _ in range(episodes):
        visits = np.convolve(visits, [1 - 1 / env.bandits, 1 / env.bandits])
    separate = float(env.bandits * (visits @ value[:: env.pulls]))
    random = (env.chance + (env.arms - 1) * (1 - env.chance)) / env.arms
    values = {
        "oracle": env.chance * env.pulls * episodes,
        "separate": separate,
        "forgetful": float(value[env.pulls]) * episodes,
        "random": random * env.pulls * episodes,
    }
    return Reference(separate if in_training(split) and not env.cover else None, values)


def one_good_arm(arms: int, pulls: int, chance: float) -> Float[np.ndarray, " n"]:
    r"""Bayes-optimal value of up to n pulls of k arms, of which one pays with probability p and all others with 1 - p.

    With s successes and f failures of an arm, the odds that it is the good one are multiplied by
    $(p / (1 - p))^{s - f}$, so the arm with the largest s - f is the likeliest. Pulling it is optimal for any number of
    pulls (Feldman for two arms, Rodman for more). Who does so needs to know only how many arms a have the largest
    s - f but for the arm now pulled, and how far j that one is ahead of them; the k - a others are one behind. Then

    $$\bar p = 1 - p + (2 p - 1) / (1 + (a - 1) q^j + (k - a) q^{j + 1}), \quad q = (1 - p) / p$$

    is the chance of a success, which makes j one larger, and a failure makes it one smaller, or, where it is 0, leaves
    a - 1 arms ahead (k again after the last: then all are even).

    Args:
        arms: k, at least 2.
        pulls: n.
        chance: p, above 1/2.

    Returns:
        The value of 0 .. n pulls.

    Example:
        >>> one_good_arm(arms=10, pulls=10, chance=0.9)[[1, 2, 10]].round(4)
        array([0.18  , 0.424 , 4.4364])

    References:
        Feldman, 1962, "Contributions to the 'two-armed bandit' problem"; Rodman, 1978, "On the many-armed bandit
        problem".
    """
    ahead, lead = np.ogrid[1 : arms + 1, :pulls]
    rest = (1 - chance) / chance
    odds = 1 + (ahead - 1) * rest**lead + (arms - ahead) * rest ** (lead + 1)
    mean = 1 - chance + (2 * chance - 1) / odds
    value, found = np.zeros((arms, pulls + 1)), np.zeros(pulls + 1)
    for left in range(1, pulls + 1):
        lost = np.concatenate([np.roll(value[:, :1], 1, axis=0), value[:, :-2]], 1)
        won = value[:, 1:]
        value = np.pad(mean * (1 + won) + (1 - mean) * lost, ((0, 0), (0, 1)))
        found[left] = value[-1, 0]
    return found
