"""Losses of the policy-gradient family, pure and elementwise before the mean."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def standardise(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Zero mean and unit variance over all entries; safe where they are all equal."""
    return (x - jnp.mean(x)) / jnp.sqrt(jnp.var(x) + 1e-8)


def clipped_surrogate(
    log_prob: Float[Array, "..."],
    old_log_prob: Float[Array, "..."],
    advantage: Float[Array, "..."],
    clip: Float[Array, ""] | float,
) -> Float[Array, ""]:
    r"""The PPO objective to maximise (Schulman et al., 2017, arXiv:1707.06347).

    The mean of $\min(\rho A, \mathrm{clip}(\rho, 1 - \epsilon, 1 + \epsilon) A)$ with
    $\rho = \pi(a) / \pi_{old}(a)$.
    """
    ratio = jnp.exp(log_prob - old_log_prob)
    return jnp.mean(jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - clip, 1 + clip) * advantage))
