"""Networks that put out the parameters of other networks."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from adaptax.nn.net import Params, PureNet, mlp


def hyper_network(made: PureNet, inputs: int, hidden: int, chunk: int) -> PureNet:
    r"""A network that maps what is known of a task to all weights and biases of another one.

    The P parameters come in chunks of C: $\phi_c = b_c + V\, \mathrm{relu}(f(x) + e_c)$ with a trunk f, one $e_c$ for
    each chunk and one V for all, so that the size is in proportion to P and to C, not to P times the trunk's width (von
    Oswald et al., 2019, arXiv:1906.00695). V is zero at first and b is a fresh network: every task begins with that
    network, of the scale that networks must have to learn ("bias-first": Beck et al., 2022, arXiv:2210.11348).

    Args:
        made: The network whose parameters are put out.
        inputs: Numbers that tell a task.
        hidden: Units in each of the two layers of the trunk.
        chunk: C; P or more makes one chunk of all.

    Returns:
        A network whose `apply(params, x)` gives the parameters of `made`.
    """
    like = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(made.init, jax.random.key(0)))
    flat, unravel = ravel_pytree(like)
    chunk = min(chunk, flat.size)
    number = -(-flat.size // chunk)
    trunk = mlp((inputs, hidden, hidden), jax.nn.relu, last_gain=2.0**0.5)

    def init(key: Array) -> Params:
        key_trunk, key_chunks, key_made = jax.random.split(key, 3)
        return {
            "trunk": trunk.init(key_trunk),
            "chunks": jax.random.normal(key_chunks, (number, hidden)),
            "head": jnp.zeros((hidden, chunk)),
            "start": ravel_pytree(made.init(key_made))[0],
        }

    def apply(params: Params, x: Float[Array, " inputs"]) -> Params:
        read = trunk.apply(params["trunk"], x)
        chunks = jax.vmap(lambda of_chunk: jax.nn.relu(read + of_chunk) @ params["head"])(params["chunks"])
        return unravel(params["start"] + chunks.ravel()[: flat.size])

    return PureNet(init, apply)
