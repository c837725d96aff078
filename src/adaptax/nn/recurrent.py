"""Recurrent networks as values: one step for acting, one unrolled pass for learning."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.nn.net import Params, PureNet, linear, linear_init, misfits, orthogonal
from adaptax.ops.moments import Moments, normalised, nothing_seen, seen

UNROLLED = 64  # sequences up to this length are compiled without a loop: faster, and still quick to compile


class Recurrent(NamedTuple):
    """A sequence model as pure functions of one unbatched sequence.

    Attributes:
        init: key -> parameters.
        begin: parameters -> state before the first input.
        step: (parameters, state, input) -> (state, output).
        unroll: (parameters, inputs `[T, ...]`) -> outputs `[T, ...]`, from `begin` on.
        outputs: Number of features that a step puts out.
    """

    init: Callable[[Array], Params]
    begin: Callable[[Params], Params]
    step: Callable[[Params, Params, Array], tuple[Params, Array]]
    unroll: Callable[[Params, Array], Array]
    outputs: int


def by_steps(
    init: Callable[[Array], Params],
    begin: Callable[[Params], Params],
    step: Callable[[Params, Params, Array], tuple[Params, Array]],
    outputs: int,
) -> Recurrent:
    """A sequence model from its step alone; the unrolled pass scans it."""

    def unroll(params: Params, inputs: Array) -> Array:
        once = lambda state, x: step(params, state, x)
        return jax.lax.scan(once, begin(params), inputs, unroll=len(inputs) <= UNROLLED)[1]

    return Recurrent(init, begin, step, unroll, outputs)


def memory_misfits(net: Any, inputs: int) -> list[str]:
    """What is wrong, in words, with a memory that must read so many numbers; nothing is computed."""
    if not isinstance(net, Recurrent):
        return [f"network is a {type(net).__name__}; give ax.by_steps(...), as docs/your-own.md shows"]
    first = PureNet(net.init, lambda params, x: net.step(params, net.begin(params), x)[1])
    return misfits(first, inputs, net.outputs)


def normalising(net: Recurrent, inputs: int) -> Recurrent:
    """The sequence model reading its inputs in deviations from their running mean, within the sequence.

    What it reads is observation, action and reward, so this is normalisation of all three inside a life.
    """

    def read(now: Moments, x: Array) -> tuple[Moments, Array]:
        now = seen(now, x[None])
        return now, normalised(now, x)

    def begin(params: Params) -> tuple[Moments, Params]:
        return nothing_seen(inputs), net.begin(params)

    def step(params: Params, state: tuple[Moments, Params], x: Array) -> tuple[tuple[Moments, Params], Array]:
        now, x = read(state[0], x)
        following, output = net.step(params, state[1], x)
        return (now, following), output

    def unroll(params: Params, xs: Array) -> Array:
        return net.unroll(params, jax.lax.scan(read, nothing_seen(inputs), xs)[1])

    return Recurrent(net.init, begin, step, unroll, net.outputs)


def gru(inputs: int, hidden: int) -> Recurrent:
    r"""Gated recurrent unit (Cho et al., 2014, arXiv:1406.1078), in the form with the reset gate after the product.

    $r, z = \sigma(W_{r,z} x + U_{r,z} h)$, $n = \tanh(W_n x + r \odot (U_n h + b))$,
    $h' = (1 - z) \odot n + z \odot h$.
    """

    def init(key: Array) -> Params:
        key_input, key_state = jax.random.split(key)
        state = jax.random.split(key_state, 3)
        return {
            "input": linear_init(key_input, inputs, 3 * hidden, 1.0),
            "state": jnp.concatenate([orthogonal(k, hidden, hidden) for k in state], -1),
            "candidate_bias": jnp.zeros(hidden),
        }

    def begin(params: Params) -> Float[Array, " H"]:
        return jnp.zeros_like(params["candidate_bias"])

    def step(params: Params, h: Array, x: Array) -> tuple[Array, Array]:
        # W x is made here, in every step: made of all inputs at once, it costs more in the backward pass than it saves
        h = gated(params, h, linear(params["input"], x), h @ params["state"])
        return h, h

    return by_steps(init, begin, step, hidden)


def gated(params: Params, h: Float[Array, " H"], from_input: Array, from_state: Array) -> Float[Array, " H"]:
    """The next state of a gated recurrent unit, from W x and U h `[3 H]`."""
    gates = jax.nn.sigmoid(from_input[: 2 * h.size] + from_state[: 2 * h.size])
    reset, keep = gates[: h.size], gates[h.size :]
    candidate = jnp.tanh(from_input[2 * h.size :] + reset * (from_state[2 * h.size :] + params["candidate_bias"]))
    return candidate + keep * (h - candidate)
