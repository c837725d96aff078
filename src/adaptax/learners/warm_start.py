"""The chain of warm starts: each task begins with the network that the one before it ended with."""

from typing import NamedTuple

import jax
from jaxtyping import Array

from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree
from adaptax.fields import Count, Fraction
from adaptax.inner.by_td import ByTD, life_returns


class Meta(NamedTuple):
    """Outer state."""

    params: PyTree  # what the next task begins with


class WarmStart(ByTD):
    r"""Deep Q-learning on one task after the other; the network goes on from each to the next.

    A life in task i begins with $\phi_0 = \theta_i$ and ends with $\phi_K$. Then
    $\theta_{i+1} = \theta_i + \rho\, (\phi_K - \theta_i)$ with $\rho$ = `rate`. At 1 that is the chain: the next task
    gets what the last one left, and what an earlier one taught can be forgotten. Below 1 an average over tasks is kept,
    which is what Reptile becomes with one task at a time.

    One task at a time means that many chains, not many tasks, run side by side: train several `seeds`.

    Attributes:
        tasks: Tasks in a meta-step; of several, the mean of what they ended with is taken.
        rate: How far the start moves to what the last task ended with.

    References:
        Taylor & Stone, 2009, "Transfer Learning for Reinforcement Learning Domains: A Survey" (starting from the
        parameters of a source task); Nichol, Achiam & Schulman, 2018, arXiv:1803.02999 (the average).

    Differences from the paper: none known.
    """

    tasks: Count = 1
    rate: Fraction = 1.0

    def init(self, key: PRNGKey) -> Meta:
        """Fresh parameters."""
        return Meta(self.network.init(key))

    def start(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> PyTree:
        """What the last task left."""
        del key, descriptor
        return meta.params

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """Towards what this task's life ended with."""
        del key
        move = lambda theta, phi: (1.0 - self.rate) * theta + self.rate * phi.mean(0)
        return Meta(jax.tree.map(move, meta.params, lifetimes.last.inner.params)), life_returns(lifetimes.data)
