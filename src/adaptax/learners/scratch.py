"""Learning from scratch: the inner loop of MAML from an untrained start. What meta-learning must beat."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree
from adaptax.inner.by_gradient import ByGradient
from adaptax.inner.policy_gradient import phase_returns


class Meta(NamedTuple):
    """Outer state: nothing is learned across tasks."""

    salt: jax.Array  # makes the starts of one seed others than those of the next


class Scratch(ByGradient):
    r"""Policy gradient from fresh random weights in every task.

    $\phi_0 \sim p_{init}$, $\phi_{k+1} = \phi_k - \alpha \nabla_\phi L(\phi_k, D_k)$ with $\alpha$ = `inner_lr`.

    References:
        The baseline "random init" of Finn, Abbeel & Levine, 2017, arXiv:1703.03400.

    Differences from the paper: none known.
    """

    def init(self, key: PRNGKey) -> Meta:
        """A number of the seed's own."""
        return Meta(jax.random.bits(key, (), jnp.uint32))

    def trainable(self, meta: Meta) -> tuple:
        """Nothing is."""
        del meta
        return ()

    def start(self, meta: Meta, key: PRNGKey) -> PyTree:
        """Fresh random weights."""
        return self.inner.policy.init(jax.random.fold_in(key, meta.salt))

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """Nothing changes; the returns are reported."""
        del key
        return meta, phase_returns(lifetimes.data)
