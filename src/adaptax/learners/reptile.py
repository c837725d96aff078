"""Reptile: move the initialisation towards where gradient steps lead."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree
from adaptax.fields import Positive
from adaptax.inner.by_gradient import ByGradient
from adaptax.inner.policy_gradient import phase_returns


class Meta(NamedTuple):
    """Outer state."""

    params: PyTree
    updates: Array  # meta-steps made, for the falling step size


class Reptile(ByGradient):
    r"""Reptile: after each batch of lives, move the initialisation towards the mean of the adapted parameters.

    $\theta \leftarrow \theta + \epsilon\, \frac{1}{B} \sum_T (\phi_K - \theta)$ with $\epsilon$ = `learning_rate`,
    where $\phi_K$ is what K = `inner_steps` + 1 steps of policy gradient made of $\theta$ in task T.

    Attributes:
        learning_rate: Step towards the adapted parameters, falling linearly to zero over the training.

    Example: `Reptile(inner_steps=3)`

    References:
        Nichol, Achiam & Schulman, 2018, arXiv:1803.02999 (batched form).

    Differences from the paper: it reports no reinforcement learning; the inner rule is MAML's policy gradient.
    """

    learning_rate: Positive = 0.5

    def init(self, key: PRNGKey) -> Meta:
        """Fresh parameters."""
        return Meta(self.inner.policy.init(key), jnp.zeros((), jnp.int32))

    def start(self, meta: Meta, key: PRNGKey) -> PyTree:
        """Theta."""
        del key
        return meta.params

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """Towards the adapted parameters."""
        del key
        left = jnp.maximum(1.0 - meta.updates.astype(float) / self.meta_steps, 0.0)
        move = lambda theta, phi: theta + self.learning_rate * left * (phi.mean(0) - theta)
        params = jax.tree.map(move, meta.params, lifetimes.last.inner.params)
        return Meta(params, meta.updates + 1), phase_returns(lifetimes.data)
