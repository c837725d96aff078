r"""What is lost by taking a solution to another task, exactly: tabular MDPs that share their states and actions.

The regret of transfer is $d(M, M') = V^*_{M'}(s_0) - V^{\pi^*_M}_{M'}(s_0)$: what the best policy of M falls short of
in M'. It is no metric: d(M, M') and d(M', M) differ.
"""

import numpy as np
from jaxtyping import Float

from adaptax.references.planning import Tables, action_values, value_iteration

PAIRS = 20_000  # of tasks at once


def transfer_values(sources: Tables, targets: Tables, horizon: int) -> Float[np.ndarray, "N M"]:
    """What the best policy of each of N sources earns in each of M targets, in an episode from state 0.

    Args:
        sources: MDPs whose policies are taken.
        targets: MDPs that they are used in.
        horizon: Steps of an episode.

    Example:
        >>> pay = np.array([[[1.0, 0.0]], [[0.0, 3.0]]])  # one state, two actions: the first or the second pays
        >>> transfer_values(two := Tables(np.ones((2, 1, 2, 1)), pay), two, horizon=1)
        array([[1., 0.],
               [0., 3.]])
    """
    policies = value_iteration(sources, horizon)[1]  # [h, N, S]
    block = max(PAIRS // len(targets.reward), 1)
    parts = [_used(policies[:, i : i + block], targets) for i in range(0, len(sources.reward), block)]
    return np.concatenate(parts)


def _used(policies: np.ndarray, targets: Tables) -> Float[np.ndarray, "n M"]:
    states = np.arange(targets.reward.shape[1])
    value = np.zeros((policies.shape[1], *targets.reward.shape[:2]))
    for policy in policies[::-1]:  # [n, S], from the last step back
        reward = targets.reward[:, states, policy].swapaxes(0, 1)  # [n, M, S]
        likely = targets.transition[:, states, policy].swapaxes(0, 1)  # [n, M, S, S']
        value = reward + np.einsum("nmst,nmt->nms", likely, value)
    return value[..., 0]


def transfer_regret(sources: Tables, targets: Tables, horizon: int) -> Float[np.ndarray, "N M"]:
    """d(M, M') for N sources and M targets."""
    best = value_iteration(targets, horizon)[0][0, :, 0]
    return best - transfer_values(sources, targets, horizon)


def model_distance(sources: Tables, targets: Tables, horizon: int) -> Float[np.ndarray, "N M"]:
    r"""A bound on how far best values are apart, from how far the models are: twice it bounds the regret of transfer.

    $$D_h(s) = \max_a \big[ |\bar r - \bar r'| + |(P - P') V^*_{h-1}| + P' D_{h-1} \big](s, a)$$

    with V* of the source, and $D_0 = 0$; what is given is $D_H(s_0)$. States stand for the same ones in both: a
    bisimulation metric whose correspondence is known. Ferns, Panangaden & Precup, 2004, "Metrics for finite Markov
    decision processes", UAI; Kearns & Singh, 2002, "Near-optimal reinforcement learning in polynomial time".

    Args:
        sources: N MDPs.
        targets: M MDPs.
        horizon: Steps of an episode.
    """
    values = action_values(sources, horizon).max(-1)  # [h, N, S]
    rows = []
    for i in range(len(sources.reward)):
        rewards = np.abs(targets.reward - sources.reward[i])
        change, apart = targets.transition - sources.transition[i], np.zeros(targets.reward.shape[:2])
        for step in range(horizon - 1, -1, -1):
            after = values[step + 1, i] if step + 1 < horizon else np.zeros(targets.reward.shape[1])
            ahead = np.einsum("msat,mt->msa", targets.transition, apart)
            apart = (rewards + np.abs(change @ after) + ahead).max(-1)
        rows.append(apart[:, 0])
    return np.stack(rows)
