"""The restless bandit: a Bayesian filter over the drifting probability and its volatility."""

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from adaptax.envs.restless import Drift, RestlessBandit
from adaptax.references.base import Reference, references

CELLS = 100  # of the grid of probabilities
TASKS = 2000  # of those given, the first so many are filtered
COINS = 4  # stream of a seed


@references.register
def _restless(env: RestlessBandit, tasks: Drift, seed: int, episodes: int, split: str | None = "test") -> Reference:
    """`bayes filter` is the optimum but for its grid; it is run on at most 2000 of the tasks."""
    del split
    ways = np.asarray(tasks.probability, np.float64)
    best = np.maximum(ways, 1 - ways).sum(1)
    regret = best[:TASKS] - filtered(ways[:TASKS], (env.low, env.high), seed)
    oracle = episodes * best.mean()
    values = {"oracle": oracle, "bayes filter": oracle - episodes * regret.mean(), "random": episodes * env.pulls / 2}
    return Reference(None, {name: float(value) for name, value in values.items()})


def filtered(ways: Float[np.ndarray, "N n"], volatilities: tuple[float, ...], seed: int) -> Float[np.ndarray, " N"]:
    r"""What the Bayesian filter earns in each task, in probabilities of the arms that it pulls.

    Both arms tell the same, so to pull the one that is likelier to pay is optimal. The belief over (p, v) follows
    Bayes' rule, $b(p, v) \leftarrow b(p, v) p^{r} (1 - p)^{1 - r}$, and drifts by the reflected walk of each v.

    Args:
        ways: The first arm's probability at each pull.
        volatilities: What v may be, each as likely.
        seed: Of what the pulls pay.
    """
    rng = np.random.default_rng([seed, COINS])
    middle = (np.arange(CELLS) + 0.5) / CELLS
    drift = np.stack([reflected_walk(v) for v in volatilities])
    belief = np.full((len(volatilities), len(ways), CELLS), 1.0 / CELLS / len(volatilities))
    earned = np.zeros(len(ways))
    for chance in ways.T:
        first_pays = rng.random(len(ways)) < chance  # had it been pulled; the other pays when it does not
        chooses_first = (belief.sum(0) @ middle) > 0.5
        earned += np.where(chooses_first, chance, 1 - chance)
        belief = belief * np.where(first_pays[:, None], middle, 1 - middle)
        belief = belief / belief.sum((0, 2), keepdims=True) @ drift
    return earned


def reflected_walk(volatility: float) -> Float[np.ndarray, "C C"]:
    """Chances to go from the middle of one cell of [0, 1] to another by a normal step, reflected at 0 and 1."""
    edges = np.arange(CELLS + 1) / CELLS
    middle = (edges[1:] + edges[:-1])[:, None] / 2
    images = [shift + sign * middle for shift in (-4, -2, 0, 2, 4) for sign in (1, -1)]
    kernel = np.sum([np.diff(ndtr((edges - image) / volatility), axis=1) for image in images], 0)
    return kernel / kernel.sum(1, keepdims=True)
