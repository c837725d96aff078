"""Running mean and variance of what was seen so far: normalisation inside a life, from that life alone."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Moments(NamedTuple):
    """What is known of a stream of vectors."""

    count: Float[Array, ""]
    mean: Float[Array, " D"]
    spread: Float[Array, " D"]  # sum of squared deviations from the mean


def nothing_seen(size: int) -> Moments:
    """Before the first vector."""
    return Moments(jnp.zeros(()), jnp.zeros(size), jnp.zeros(size))


def seen(moments: Moments, batch: Float[Array, "N D"]) -> Moments:
    """After a batch: whether it comes at once or in parts, the result is the same.

    Chan, Golub and LeVeque, 1983, "Algorithms for computing the sample variance".
    """
    more = jnp.asarray(batch.shape[0], moments.mean.dtype)
    count, mean = moments.count + more, jnp.mean(batch, 0)
    gap = mean - moments.mean
    spread = moments.spread + jnp.sum((batch - mean[None]) ** 2, 0) + gap**2 * moments.count * more / count
    return Moments(count, moments.mean + gap * more / count, spread)


def normalised(moments: Moments, x: Float[Array, " D"], limit: float = 10.0) -> Float[Array, " D"]:
    """`x` in deviations from the mean, within `limit`; as it is where fewer than two vectors were seen.

    A feature that has not varied is only centred: its deviations have no scale yet.
    """
    variance = moments.spread / jnp.maximum(moments.count, 1.0)
    scale = jnp.where(variance > 1e-8, jnp.sqrt(jnp.maximum(variance, 1e-8)), 1.0)
    known = jnp.clip((x - moments.mean) / scale, -limit, limit)
    return jnp.where(moments.count < 2, x, known)
