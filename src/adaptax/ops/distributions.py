"""Action distributions: unbatched, pure, and only what policies need.

Tested against scipy. Written here because the usual library for it installs a nightly build of another one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.ops.spaces import ActionSpace, Box, Discrete


class Categorical(NamedTuple):
    """A distribution over 0 .. A - 1."""

    logits: Float[Array, " A"]

    def sample(self, key: Array) -> Array:
        """By inversion: one uniform number a draw, where the Gumbel trick needs A."""
        cumulative = jnp.cumsum(jax.nn.softmax(self.logits), -1)
        draw = jax.random.uniform(key, cumulative.shape[:-1], cumulative.dtype) * cumulative[..., -1]
        return jnp.sum(cumulative[..., :-1] <= draw[..., None], -1, dtype=jnp.int32)

    def mode(self) -> Array:
        """The likeliest action."""
        return jnp.argmax(self.logits, -1).astype(jnp.int32)

    def log_prob(self, action: Array) -> Float[Array, ""]:
        """Log-probability of `action`."""
        return jnp.sum(jax.nn.log_softmax(self.logits) * jax.nn.one_hot(action, self.logits.shape[-1]), -1)

    def entropy(self) -> Float[Array, ""]:
        """Entropy in nats."""
        log_p = jax.nn.log_softmax(self.logits)
        return -jnp.sum(jnp.exp(log_p) * log_p, -1)

    def kl(self, other: "Categorical") -> Float[Array, ""]:
        """KL(self || other) in nats."""
        log_p, log_q = jax.nn.log_softmax(self.logits), jax.nn.log_softmax(other.logits)
        return jnp.sum(jnp.exp(log_p) * (log_p - log_q), -1)


class Normal(NamedTuple):
    """Independent Gaussians."""

    mean: Float[Array, " A"]
    log_std: Float[Array, " A"]

    def sample(self, key: Array) -> Array:
        """One draw."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape, self.mean.dtype)

    def mode(self) -> Array:
        """The mean."""
        return self.mean

    def log_prob(self, action: Array) -> Float[Array, ""]:
        """Log-density of `action`."""
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return -jnp.sum(0.5 * z**2 + self.log_std + 0.5 * jnp.log(2 * jnp.pi), -1)

    def entropy(self) -> Float[Array, ""]:
        """Differential entropy in nats."""
        return jnp.sum(self.log_std + 0.5 * jnp.log(2 * jnp.pi * jnp.e), -1)

    def kl(self, other: "Normal") -> Float[Array, ""]:
        """KL(self || other) in nats."""
        ratio = jnp.exp(2 * (self.log_std - other.log_std))
        shift = ((self.mean - other.mean) * jnp.exp(-other.log_std)) ** 2
        return jnp.sum(0.5 * (ratio + shift - 1) + other.log_std - self.log_std, -1)


Distribution = Categorical | Normal


def policy_over(space: ActionSpace, output: Array, log_std: Array) -> Distribution:
    """The policy over `space` that a network's `output` stands for.

    A bounded Box is spoken of in its own units: output 0 is its centre, -1 and 1 its ends, and `log_std` is relative
    to half its width, so that one initial exploration noise suits every environment.
    """
    if isinstance(space, Discrete):
        return Categorical(output)
    low, high = space.bounds()
    finite = jnp.isfinite(low) & jnp.isfinite(high)
    half = jnp.where(finite & (low < high), (high - low) / 2, 1.0)  # with no room between them, any noise will do
    centre = jnp.where(finite, (high + low) / 2, 0.0)
    return Normal(centre + half * output, jnp.log(half) + log_std)


def initial_log_std(space: ActionSpace, value: Array | float = 0.0) -> Float[Array, " A"]:
    """The state-independent exploration noise of a policy over `space`: empty for discrete actions."""
    return jnp.full(space.size if isinstance(space, Box) else 0, value, float)
