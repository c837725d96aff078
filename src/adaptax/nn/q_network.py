"""Networks that say what each action is worth."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.nn.net import Params, PureNet, mlp


def q_network(inputs: int, actions: int, hidden: int = 64, dueling: bool = False) -> PureNet:
    r"""Two rectified layers, then one value for each action.

    Args:
        inputs: Features of an observation.
        actions: Number of actions.
        hidden: Units in each layer.
        dueling: $Q(s, a) = V(s) + A(s, a) - \mathrm{mean}_b A(s, b)$ (Wang et al., 2015, arXiv:1511.06581).
    """
    net = mlp((inputs, hidden, hidden, actions + dueling), jax.nn.relu, last_gain=1.0)

    def apply(params: Params, features: Float[Array, " D"]) -> Float[Array, " A"]:
        values = net.apply(params, features)
        if not dueling:
            return values
        return values[-1] + values[:-1] - jnp.mean(values[:-1])

    return PureNet(net.init, apply)
