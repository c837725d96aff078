r"""Dynamic programming in tabular MDPs with a finite horizon, vectorised over tasks.

All by backward induction: $Q_h(s, a)$ is the most that can be expected of a step and the h - 1 that follow it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

BLOCK = 2**20  # probabilities in memory at once, where there are many tasks

Rewards = Float[np.ndarray, "N S A"]
ActionValues = Float[np.ndarray, "h N S A"]


class Tables(NamedTuple):
    """N MDPs of S states and A actions."""

    transition: Float[np.ndarray, "N S A S"]  # probabilities of the next state
    reward: Rewards  # means

    def some(self, which: slice) -> "Tables":
        """A part of them."""
        return Tables(self.transition[which], self.reward[which])


def value_iteration(mdps: Tables, horizon: int) -> tuple[Float[np.ndarray, "h N S"], Int[np.ndarray, "h N S"]]:
    r"""The optimal policy of known MDPs, one task beside the other.

    $$V_0 = 0, \quad Q_h(s, a) = \bar r(s, a) + \sum_{s'} P(s' \mid s, a) V_{h-1}(s'), \quad V_h(s) = \max_a Q_h(s, a)$$

    Args:
        mdps: P, the probabilities of the next state, and the mean rewards.
        horizon: H, steps of an episode.

    Returns:
        Values and best actions by the steps that were taken before: `[0]` is for the first step of an episode.

    Example:
        >>> values, policy = value_iteration(Tables(np.ones((1, 1, 2, 1)), np.array([[[1.0, 3.0]]])), horizon=2)
        >>> values.ravel(), policy.ravel()
        (array([6., 3.]), array([1, 1]))

    References:
        Bellman, 1957, "Dynamic programming".
    """
    values, policies, size = [], [], max(BLOCK // mdps.transition[0].size, 1)
    for start in range(0, len(mdps.reward), size):
        found = action_values(mdps.some(slice(start, start + size)), horizon)
        values.append(found.max(-1))
        policies.append(found.argmax(-1))
    return np.concatenate(values, 1), np.concatenate(policies, 1)


def action_values(mdps: Tables, horizon: int) -> ActionValues:
    """Q of the optimal policy of known MDPs, by the steps that were taken before."""
    transition, reward = mdps
    rows = transition.reshape(len(reward), -1, transition.shape[-1])
    return _backward(lambda value: reward + (rows @ value[..., None]).reshape(reward.shape), reward, horizon)


def optimistic_values(mdps: Tables, slack: Rewards, horizon: int) -> ActionValues:
    r"""Q where the next state is as lucky as it may be: extended value iteration.

    Of all $\tilde P$ with $\lVert \tilde P(\cdot \mid s, a) - P(\cdot \mid s, a) \rVert_1 \le$ `slack[s, a]` it takes
    that which leads to the most: half of the slack is added to the best next state and taken from the worst.

    References:
        Jaksch, Ortner and Auer, 2010, "Near-optimal regret bounds for reinforcement learning", JMLR 11, figure 2.
    """
    transition, reward = mdps
    by_successor = np.moveaxis(transition, -1, 1)  # [N, S', S, A]
    tasks = np.arange(len(reward))[:, None]

    def backup(value: Float[np.ndarray, "N S"]) -> Rewards:
        order = np.argsort(-value, -1)  # the best next state first
        likely = by_successor[tasks, order]
        likely[:, 0] += slack / 2
        reached = np.minimum(np.cumsum(likely, 1), 1.0)  # what exceeds 1 is taken from the worst
        steps = np.diff(value[tasks, order], axis=1, append=0.0)
        return reward - np.einsum("nt,ntsa->nsa", steps, reached)  # sum by parts: sum of p V over the sorted states

    return _backward(backup, reward, horizon)


def _backward(backup: Callable[[Float[np.ndarray, "N S"]], Rewards], reward: Rewards, horizon: int) -> ActionValues:
    """Q of every step, from the last one back."""
    found = np.empty((horizon, *reward.shape), reward.dtype)
    value = np.zeros(reward.shape[:2], reward.dtype)
    for step in range(horizon - 1, -1, -1):
        found[step] = backup(value)
        value = found[step].max(-1)
    return found
