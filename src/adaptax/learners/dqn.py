"""Deep Q-learning from scratch in every task: what every better start must beat."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from adaptax.core.types import Lifetime, Metrics, PRNGKey, PyTree
from adaptax.inner.by_td import ByTD, life_returns


class Meta(NamedTuple):
    """Outer state: nothing is learned across tasks."""

    salt: jax.Array  # makes the starts of one seed others than those of the next


class DQN(ByTD):
    r"""Deep Q-learning from fresh random weights in every task.

    $\phi_0 \sim p_{init}$ and, every few steps, $\phi \leftarrow \phi - \alpha \nabla_\phi \mathrm{mean}\, H(y -
    Q_\phi(s, a))$ on experience from this life, with Huber's loss H and double Q-learning's targets y.

    Errors beyond `huber` all pull alike. Where values are large, steps that end episodes may so be outvoted by those
    that go on, and values grow past what can be earned: on the cart-pole of Gymnasium with CleanRL's settings to 181
    for actions that end an episode, which are worth 1. A `huber` of 10 or more mends it.

    Nothing is learned across tasks: a training lives lives and tells what they earned, so one meta-step is enough.

    References:
        Mnih et al., 2015, "Human-level control through deep reinforcement learning", Nature 518; van Hasselt, Guez &
        Silver, 2015, arXiv:1509.06461 (double); Wang et al., 2015, arXiv:1511.06581 (dueling); Schaul et al., 2015,
        arXiv:1511.05952 (priorities).

    Differences from the paper: two layers of 64 units in place of a convolutional network, Adam in place of RMSProp;
    experience is drawn from one life in one task.
    """

    def init(self, key: PRNGKey) -> Meta:
        """A number of the seed's own."""
        return Meta(jax.random.bits(key, (), jnp.uint32))

    def trainable(self, meta: Meta) -> tuple:
        """Nothing is."""
        del meta
        return ()

    def start(self, meta: Meta, key: PRNGKey, descriptor: Array | None) -> PyTree:
        """Fresh random weights."""
        del descriptor
        return self.network.init(jax.random.fold_in(key, meta.salt))

    def update(self, meta: Meta, lifetimes: Lifetime, key: PRNGKey) -> tuple[Meta, Metrics]:
        """Nothing changes; the returns are reported."""
        del key
        return meta, life_returns(lifetimes.data)
