"""The two-step task: the Bayes-optimal value, and what tells a planner from a creature of habit."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from adaptax.core.env import in_training
from adaptax.envs.two_step import TwoStep, TwoStepTask
from adaptax.references.base import Reference, references

FINEST = 0.005  # largest step of the grid of log odds
MOST_SURE = 20.0  # its end


def two_step_optimal(
    trials: int, common: float = 0.75, good: float = 0.9, poor: float = 0.1, flip: float = 0.0
) -> float:
    r"""Expected total reward of the Bayes-optimal policy.

    All that matters is the belief b that the first of the two states is the good one. A visit to it pays with
    $p_1 = b\,good + (1 - b)\,poor$, a visit to the other with its mirror $p_2$, and

    $$V_n(b) = \max_a \; c\, G_a + (1 - c)\, G_{\bar a}, \quad
    G_s = p_s (1 + V_{n-1}(b^{s+})) + (1 - p_s) V_{n-1}(b^{s-})$$

    where b follows Bayes' rule after a win or a loss, then drifts as $b \leftarrow (1 - f)\, b + f (1 - b)$. Beliefs
    lie on a grid of log odds whose step divides what a win tells: exact for f = 0, else to the digits printed here.

    Args:
        trials: n.
        common: c, the probability of the common transition.
        good: Probability that the good state pays.
        poor: Probability that the other pays.
        flip: f, the probability that the two change places between trials.

    Example:
        >>> round(two_step_optimal(100), 4), round(two_step_optimal(100, common=0.8, flip=0.025), 2)
        (69.6875, 70.59)
    """
    told = np.log(good / poor) if 0 < poor < good else 1.0
    step = told / np.ceil(told / FINEST)
    odds = step * np.arange(-round(MOST_SURE / step), round(MOST_SURE / step) + 1)
    belief = 1 / (1 + np.exp(-odds))

    def later(value: np.ndarray, first_pays: float, second_pays: float) -> np.ndarray:
        """The value after an observation with these likelihoods under either task."""
        after = belief * first_pays / (belief * first_pays + (1 - belief) * second_pays)
        after = np.clip((1 - flip) * after + flip * (1 - after), belief[0], belief[-1])
        return np.interp(np.log(after) - np.log1p(-after), odds, value)

    def visit(value: np.ndarray, if_first: float, if_second: float) -> np.ndarray:
        """The value of a visit to a state that pays with these probabilities under either task."""
        pays = belief * if_first + (1 - belief) * if_second
        won = later(value, if_first, if_second)
        return pays * (1 + won) + (1 - pays) * later(value, 1 - if_first, 1 - if_second)

    value = np.zeros(len(odds))
    for _ in range(trials):
        one, other = visit(value, good, poor), visit(value, poor, good)
        value = np.maximum(common * one + (1 - common) * other, common * other + (1 - common) * one)
    return float(value[len(odds) // 2])


@references.register
def _two_step(env: TwoStep, tasks: TwoStepTask, seed: int, episodes: int, split: str | None = "test") -> Reference:
    """Who knows the task chooses the good state; random choices reach either equally often."""
    del seed
    poor, good = np.asarray(tasks.pays, np.float64).mean(0)
    life, likely = env.trials * episodes, max(env.common, 1 - env.common)  # that the state comes which one chose
    values = {
        "oracle": float(life * (likely * good + (1 - likely) * poor)),
        "random": float(life * (good + poor) / 2),
    }
    known = in_training(split) and episodes == 1  # a later episode of a static task begins with what the first told
    optimal = two_step_optimal(env.trials, env.common, env.good, env.poor, env.flip) if known else None
    return Reference(optimal, values)


class Stays(NamedTuple):
    """How often a first choice was repeated, life by life (NaN where the case did not occur)."""

    rewarded_common: Float[np.ndarray, " N"]
    rewarded_rare: Float[np.ndarray, " N"]
    unrewarded_common: Float[np.ndarray, " N"]
    unrewarded_rare: Float[np.ndarray, " N"]

    @property
    def interaction(self) -> Float[np.ndarray, " N"]:
        """Reward by transition: 0 for habit (repeat what was rewarded), positive for planning with a model."""
        rewarded = self.rewarded_common - self.rewarded_rare
        return rewarded - (self.unrewarded_common - self.unrewarded_rare)


def stays(action: Int[np.ndarray, "N T"], place: Int[np.ndarray, "N T"], reward: Float[np.ndarray, "N T"]) -> Stays:
    """Probabilities of repeating a choice, by what came of it (Daw et al., 2011, doi:10.1016/j.neuron.2011.02.027).

    Args:
        action: What was done in each of T = 2n steps of n trials.
        place: The state that it was done in: 0, then 1 or 2.
        reward: What it paid.
    """
    choice, reached, paid = action[:, 0::2], place[:, 1::2], reward[:, 1::2] > 0
    stayed, common = choice[:, 1:] == choice[:, :-1], (reached == choice + 1)[:, :-1]

    def how_often(case: Bool[np.ndarray, "N n"]) -> Float[np.ndarray, " N"]:
        count = case.sum(1)
        return np.where(count > 0, (stayed & case).sum(1) / np.maximum(count, 1), np.nan)

    paid = paid[:, :-1]
    return Stays(
        how_often(paid & common), how_often(paid & ~common), how_often(~paid & common), how_often(~paid & ~common)
    )
