"""Siamese networks: two things are read by the same network, and compared by what it makes of them."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.nn.net import Params, mlp, orthogonal


class Siamese(NamedTuple):
    """Pure functions on one pair."""

    init: Callable[[Array], Params]
    embed: Callable[[Params, Float[Array, "n F"]], Float[Array, " E"]]
    distance: Callable[[Params, Float[Array, " E"], Float[Array, " E"]], Float[Array, ""]]
    best: Callable[[Params, Float[Array, " E"]], Float[Array, ""]]  # what could be earned in the task


def siamese(features: int, hidden: int = 64, size: int = 16, asymmetric: bool = False) -> Siamese:
    r"""Embeddings of tasks, and how far the solution of one is from solving another.

    A task is a sequence of n rows of features; $e(x) = g(\frac{1}{n} \sum_i f(x_i))$. The distance is
    $\lVert e(x) - e(x') \rVert$ or, `asymmetric`, $\mathrm{softplus}(c(e(x)) - e(x) \cdot W e(x'))$: what solves a hard
    task often solves an easy one, and not the other way round. That is the form of a regret: $W e(x')$ stands for what
    is done in the task whose solution is used, and $e(x)$ for what all this is worth in the task where it is done.
    Bromley et al., 1993, "Signature verification using a Siamese time delay neural network", NIPS.

    Args:
        features: Numbers in a row.
        hidden: Units in the layers.
        size: Numbers in an embedding.
        asymmetric: Whether there and back may differ.
    """
    rows = mlp((features, hidden, hidden), jax.nn.relu, last_gain=2.0**0.5)
    whole = mlp((hidden, hidden, size), jax.nn.relu, last_gain=1.0)
    offset = mlp((size, hidden, 1), jax.nn.relu, last_gain=1.0)
    value = mlp((size, hidden, 1), jax.nn.relu, last_gain=1.0)

    def init(key: Array) -> Params:
        key_rows, key_whole, key_pair, key_value = jax.random.split(key, 4)
        across = orthogonal(key_pair, size, size) / size**0.5
        heads = {"across": across, "offset": offset.init(key_pair)} if asymmetric else {}
        read = {"rows": rows.init(key_rows), "whole": whole.init(key_whole)}
        return read | {"value": value.init(key_value)} | heads

    def embed(params: Params, told: Float[Array, "n F"]) -> Float[Array, " E"]:
        read = jax.nn.relu(jax.vmap(rows.apply, (None, 0))(params["rows"], told))
        return whole.apply(params["whole"], jnp.mean(read, 0))

    def distance(params: Params, task: Float[Array, " E"], entry: Float[Array, " E"]) -> Float[Array, ""]:
        if asymmetric:
            return jax.nn.softplus(offset.apply(params["offset"], task)[0] - task @ params["across"] @ entry)
        return jnp.sqrt(jnp.sum((task - entry) ** 2) + 1e-6)  # whose gradient is finite where both are one

    return Siamese(init, embed, distance, lambda params, task: value.apply(params["value"], task)[0])
