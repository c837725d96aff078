"""Networks as values: parameters are plain trees of arrays, safe in scans, vmaps, optimisers and checkpoints."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Params = Any


class PureNet(NamedTuple):
    """A network as two pure functions on one unbatched input; a Flax module fits as `PureNet(net.init, net.apply)`."""

    init: Callable[[Array], Params]
    apply: Callable[..., Array]


def pure(constructor: Callable[[Array], Callable[..., Array]]) -> PureNet:
    """Turns an Equinox module into a `PureNet`.

    Args:
        constructor: Maps a key to a module, for example `lambda key: eqx.nn.MLP(4, 2, 64, 2, key=key)`.
    """
    shapes, static = eqx.partition(eqx.filter_eval_shape(constructor, jax.random.key(0)), eqx.is_array_like)
    del shapes

    def init(key: Array) -> Params:
        return eqx.filter(constructor(key), eqx.is_array)

    def apply(params: Params, *inputs: Array) -> Array:
        return eqx.combine(params, static)(*inputs)

    return PureNet(init, apply)


def misfits(net: Any, inputs: int, outputs: int) -> list[str]:
    """What is wrong, in words, with a network that must map so many numbers to so many; nothing is computed."""
    if not isinstance(net, PureNet):
        return [f"network is a {type(net).__name__}; give ax.pure(lambda key: ...), as docs/your-own.md shows"]
    try:
        params = jax.eval_shape(net.init, jax.random.key(0))
        shape = jax.eval_shape(net.apply, params, jax.ShapeDtypeStruct((inputs,), float)).shape
    except (TypeError, ValueError) as error:
        return [f"network cannot read the {inputs} numbers that it is given: {error}"]
    return [] if shape == (outputs,) else [f"network gives an array of shape {shape}; it must give ({outputs},)"]


def orthogonal(key: Array, rows: int, columns: int) -> Float[Array, "rows columns"]:
    """A random matrix with orthonormal rows or columns, by Gram-Schmidt with every projection made twice.

    Not by LAPACK's QR: where lives that begin with fresh weights are vmapped, a program with batched calls of it can
    hang for good on a CPU (jax 0.10.2).
    """
    size, number = max(rows, columns), min(rows, columns)

    def straighten(i: Array, vectors: Array) -> Array:
        before = jnp.where(jnp.arange(number)[:, None] < i, vectors, 0.0)
        vector = vectors[i]
        for _ in range(2):
            vector = vector - (before @ vector) @ before
        return vectors.at[i].set(vector / jnp.linalg.norm(vector))

    vectors = jax.lax.fori_loop(0, number, straighten, jax.random.normal(key, (number, size)))
    return vectors if rows < columns else vectors.T


def linear_init(key: Array, inputs: int, outputs: int, gain: float = 2.0**0.5) -> Params:
    """Orthogonal weights times `gain`, zero biases (Saxe et al., 2013, arXiv:1312.6120)."""
    return {"weight": gain * orthogonal(key, inputs, outputs), "bias": jnp.zeros(outputs)}


def linear(params: Params, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
    """An affine map."""
    return x @ params["weight"] + params["bias"]


def mlp(sizes: Sequence[int], activation: Callable[[Array], Array] = jnp.tanh, last_gain: float = 0.01) -> PureNet:
    """A multi-layer perceptron.

    Args:
        sizes: Inputs, hidden widths, outputs.
        activation: Between layers.
        last_gain: Scale of the last layer; small for policies, so that they begin indifferent.
    """
    gains = [2.0**0.5] * (len(sizes) - 2) + [last_gain]

    def init(key: Array) -> Params:
        keys = jax.random.split(key, len(gains))
        return [linear_init(k, n, m, g) for k, n, m, g in zip(keys, sizes, sizes[1:], gains, strict=False)]

    def apply(params: Params, x: Array) -> Array:
        for layer in params[:-1]:
            x = activation(linear(layer, x))
        return linear(params[-1], x)

    return PureNet(init, apply)
