"""A learned optimiser: one small recurrent network makes the step of every coordinate, whatever network they are of."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from adaptax.core.types import PRNGKey, PyTree
from adaptax.nn.recurrent import gated, gru

FEATURES = 6
FAST, SLOW, SQUARE = 0.9, 0.99, 0.999  # decays; the first and the last are Adam's
EPS, EPS_ROOT = 1e-8, 1e-16  # Adam's; without the second, the gradient of a square root at zero is no number
REACH = 3.0  # a step size is at most e to this many times as large as Adam's, and at least as many times smaller


class Coordinates(NamedTuple):
    """What is kept of each of the P coordinates of a network."""

    fast: Float[Array, " P"]  # means of its gradients
    slow: Float[Array, " P"]
    square: Float[Array, " P"]  # mean of their squares
    hidden: Float[Array, "H P"]  # h; coordinates last, so that they fill whole vectors
    count: Int[Array, ""]  # updates made


def fresh_optimiser(key: PRNGKey, units: int) -> PyTree:
    r"""Parameters $\theta$ with which it is Adam: the last layer is zero."""
    head = {"weight": jnp.zeros((units, 3)), "bias": jnp.zeros(3)}
    return {"memory": gru(FEATURES, units).init(key), "head": head}


def learned_optimiser(theta: PyTree, step_size: Array | float) -> optax.GradientTransformation:
    r"""Adam whose step size and direction a recurrent network sets anew in each coordinate and at each update.

    Of the gradients g of a coordinate there are means $m_{0.9}$, $m_{0.99}$ and $v = \overline{g^2}_{0.999}$, corrected
    for having begun at zero, and $r_j = m_j / (\sqrt{v} + \epsilon)$, with $r_0$ of g itself. Then

    $$h \leftarrow \mathrm{GRU}_\theta(h, x), \quad (s, c_1, c_2) = W_\theta h + b_\theta, \quad
    \Delta = -\alpha\, e^{S \tanh(s / S)} (r_{0.9} + c_1 r_0 + c_2 r_{0.99}).$$

    With W and b zero this is Adam, and a coordinate never moves along anything but its own gradients. The features x
    are $r_0^2, r_{0.9}^2, r_0 r_{0.9}, r_{0.9} r_{0.99}$, each squashed by $y / (1 + |y|)$ (how surprising a gradient
    is, how steady they are, whether they agree), and $\log(\sqrt{v} + \epsilon)$ and $\log(1 + t)$, divided by ten. So
    of opposite gradients the step is the opposite, and where a coordinate lies says nothing.

    Args:
        theta: $\theta$, from `fresh_optimiser` or trained.
        step_size: $\alpha$.

    References:
        Andrychowicz et al., 2016, arXiv:1606.04474 (the same recurrent network for each coordinate); Metz et al., 2020,
        arXiv:2009.11243 (normalised features, log step size); Lan et al., 2023, arXiv:2302.01470 (for reinforcement
        learning: an adaptive optimiser's form, whose parts are learned).

    Differences from the paper: those that `LearnedOptimizer` names.
    """
    units = theta["memory"]["candidate_bias"].shape[0]

    def init(params: optax.Params) -> Any:
        zero = jnp.zeros_like(ravel_pytree(params)[0])
        hidden = jnp.zeros((units, zero.size), zero.dtype)
        return Coordinates(zero, zero, zero, hidden, jnp.zeros((), jnp.int32))

    def update(updates: optax.Updates, state: Any, params: optax.Params | None = None) -> tuple[PyTree, Any]:
        del params
        g, unravel = ravel_pytree(updates)
        fast, slow, square = (
            decay * old + (1.0 - decay) * new
            for decay, old, new in ((FAST, state.fast, g), (SLOW, state.slow, g), (SQUARE, state.square, g * g))
        )
        count = state.count + 1
        t = count.astype(g.dtype)
        scale = jnp.sqrt(square / (1.0 - SQUARE**t) + EPS_ROOT) + EPS
        r = g / scale, fast / (1.0 - FAST**t) / scale, slow / (1.0 - SLOW**t) / scale
        # computed again in the backward pass: it makes several times as many numbers as it is given
        hidden, output = jax.checkpoint(think)(state.hidden, jnp.stack(r), scale, t)
        direction = r[1] + output[1] * r[0] + output[2] * r[2]
        change = -step_size * jnp.exp(REACH * jnp.tanh(output[0] / REACH)) * direction
        return unravel(change), Coordinates(fast, slow, square, hidden, count)

    def think(h: Float[Array, "H P"], r: Float[Array, "3 P"], scale: Float[Array, " P"], t: Array) -> tuple[Array, ...]:
        agree = jax.nn.soft_sign(jnp.stack([r[0] * r[0], r[1] * r[1], r[0] * r[1], r[1] * r[2]]))
        known = 0.1 * jnp.stack([jnp.log(scale), jnp.full_like(scale, jnp.log1p(t))])
        from_input = across(theta["memory"]["input"], jnp.concatenate([agree, known]))
        from_state = theta["memory"]["state"].T @ h
        h = jax.vmap(partial(gated, theta["memory"]), 1, 1)(h, from_input, from_state)
        return h, across(theta["head"], h)

    return optax.GradientTransformation(init, update)


def across(params: PyTree, x: Float[Array, "N P"]) -> Float[Array, "M P"]:
    """An affine map of each column: `x @ W` would make a thin product of each of them."""
    return params["weight"].T @ x + params["bias"][:, None]
