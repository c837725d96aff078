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


def linear_init(key: Array, inputs: int, outputs: int, gain: float = 2.0**0.5) -> Params:
    """Orthogonal weights times `gain`, zero biases (Saxe et al., 2013, arXiv:1312.6120)."""
    weight = jax.nn.initializers.orthogonal(gain)(key, (inputs, outputs), float)
    return {"weight": weight, "bias": jnp.zeros(outputs)}


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
