"""Attention as a memory: a step looks up what came of the moments that were like it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from adaptax.nn.net import Params, linear, linear_init
from adaptax.nn.recurrent import Recurrent

HEADS = 4


class Kept(NamedTuple):
    """What is kept of the steps so far: entries lie in a ring."""

    last: Float[Array, " D"]  # input of the step before
    keys: Float[Array, "window heads d"]
    values: Float[Array, "window heads d"]
    steps: Int[Array, ""]


def attention(inputs: int, hidden: int, window: int) -> Recurrent:
    r"""One layer of causal attention over the last `window` steps, in place of a recurrent state.

    An input tells what is seen now, and which action and reward led here. So two in a row hold an experience, and that
    is what an entry is made of: $e_t = \mathrm{relu}(W_e [x_{t-1}, x_t])$. What is looked up depends on the present
    alone, in each of 4 heads of d = `hidden` / 4 numbers (rounded up):

    $$w_{ti} \propto \exp(W_q x_t \cdot W_k e_i / \sqrt d), \quad \sum_{i \le t} w_{ti} < 1, \quad
    o_t = \mathrm{relu}(W_o [\textstyle\sum_i w_{ti} W_v e_i, x_t])$$

    The weights fall short of 1 by that of an entry that holds nothing, whose exponent is 0: so the more often the
    present was met, the more is read, and what is new can be told from what is known.

    References:
        Vaswani et al., 2017, arXiv:1706.03762; as memory of a meta-learner Mishra et al., 2018, "A simple neural
        attentive meta-learner", arXiv:1707.03141.

    Args:
        inputs: Numbers of an input.
        hidden: Numbers of an output.
        window: Steps that are kept, and each of them compared with each: time and memory grow with it.
    """
    heads = (HEADS, -(-hidden // HEADS))
    width = HEADS * heads[1]

    def init(key: Array) -> Params:
        entry, query, keys, values, out = jax.random.split(key, 5)
        return {
            "entry": linear_init(entry, 2 * inputs, hidden, 2**0.5),
            "query": linear_init(query, inputs, width, 1.0),
            "key": linear_init(keys, hidden, width, 1.0),
            "value": linear_init(values, hidden, width, 1.0),
            "out": linear_init(out, width + inputs, hidden, 2**0.5),
        }

    def begin(params: Params) -> Kept:
        del params
        empty = jnp.zeros((window, *heads))
        return Kept(jnp.zeros(inputs), empty, empty, jnp.zeros((), jnp.int32))

    def entry(params: Params, last: Array, x: Array) -> tuple[Array, Array]:
        made = jax.nn.relu(linear(params["entry"], jnp.concatenate([last, x])))
        return linear(params["key"], made).reshape(heads), linear(params["value"], made).reshape(heads)

    def output(params: Params, x: Array, keys: Array, values: Array, there: Bool[Array, " T"]) -> Array:
        query = linear(params["query"], x).reshape(heads) / heads[1] ** 0.5
        likeness = jnp.where(there[None], jnp.einsum("hd,thd->ht", query, keys), -jnp.inf)
        weights = jax.nn.softmax(jnp.pad(likeness, ((0, 0), (0, 1))))[:, :-1]
        found = jnp.einsum("ht,thd->hd", weights, values).ravel()
        return jax.nn.relu(linear(params["out"], jnp.concatenate([found, x])))

    def step(params: Params, kept: Kept, x: Array) -> tuple[Kept, Array]:
        key, value = entry(params, kept.last, x)
        slot = kept.steps % window
        keys, values = kept.keys.at[slot].set(key), kept.values.at[slot].set(value)
        there = jnp.arange(window) <= kept.steps
        return Kept(x, keys, values, kept.steps + 1), output(params, x, keys, values, there)

    def unroll(params: Params, xs: Float[Array, "T D"]) -> Float[Array, "T H"]:
        before = jnp.concatenate([jnp.zeros_like(xs[:1]), xs[:-1]])
        keys, values = jax.vmap(entry, (None, 0, 0))(params, before, xs)
        moment = jnp.arange(len(xs))
        age = moment[:, None] - moment[None]
        return jax.vmap(output, (None, 0, None, None, 0))(params, xs, keys, values, (age >= 0) & (age < window))

    return Recurrent(init, begin, step, unroll, hidden)
