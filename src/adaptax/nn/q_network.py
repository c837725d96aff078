"""Networks that say what each action is worth."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.nn.net import Params, PureNet, linear, linear_init, mlp


def q_network(inputs: int, actions: int, hidden: int = 64, dueling: bool = False) -> PureNet:
    r"""Two rectified layers, then one value for each action.

    Args:
        inputs: Features of an observation.
        actions: Number of actions.
        hidden: Units in each layer.
        dueling: $Q(s, a) = V(s) + A(s, a) - \mathrm{mean}_b A(s, b)$ (Wang et al., 2015, arXiv:1511.06581).
    """
    net = mlp((inputs, hidden, hidden, actions + dueling), jax.nn.relu, last_gain=1.0)
    return PureNet(net.init, lambda params, features: _dueled(net.apply(params, features), dueling))


def film_q_network(inputs: int, conditions: int, actions: int, hidden: int = 64, dueling: bool = False) -> PureNet:
    r"""The same, where each layer's units are scaled and shifted by what is known of the task.

    $h = \mathrm{relu}((1 + \gamma(z))\, (W x + b) + \beta(z))$, with $\gamma$ and $\beta$ linear and small at first.

    Args:
        inputs: Features of an observation.
        conditions: Features of z, the second argument of `apply`.
        actions: Number of actions.
        hidden: Units in each layer.
        dueling: As above.

    References:
        Perez, Strub, de Vries, Dumoulin & Courville, 2017, arXiv:1709.07871.
    """
    sizes, gains = (inputs, hidden, hidden, actions + dueling), (2.0**0.5, 2.0**0.5, 1.0)

    def init(key: Array) -> Params:
        key_layers, key_film = jax.random.split(key)
        keys = jax.random.split(key_layers, 3)
        layers = [linear_init(k, n, m, g) for k, n, m, g in zip(keys, sizes, sizes[1:], gains, strict=False)]
        return {"layers": layers, "film": linear_init(key_film, conditions, 4 * hidden, 0.1)}

    def apply(params: Params, features: Float[Array, " D"], z: Float[Array, " F"]) -> Float[Array, " A"]:
        film = linear(params["film"], z).reshape(2, 2, hidden)
        *layers, last = params["layers"]
        for layer, (scale, shift) in zip(layers, film, strict=True):
            features = jax.nn.relu((1.0 + scale) * linear(layer, features) + shift)
        return _dueled(linear(last, features), dueling)

    return PureNet(init, apply)


def _dueled(values: Float[Array, " n"], dueling: bool) -> Float[Array, " A"]:
    """What each action is worth, where the last number is the state's value."""
    return values[-1] + values[:-1] - jnp.mean(values[:-1]) if dueling else values
