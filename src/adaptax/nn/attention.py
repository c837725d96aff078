"""Attention as a memory: a step looks up what came of the moments that were like it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from adaptax.nn.net import Params, linear, linear_init
from adaptax.nn.recurrent import Recurrent, gru

HEADS = 4
BLOCK = 50  # steps that linear attention compares with each other at once; of the blocks before, it has the sums
STEEPEST = 8.0  # exponent of what is looked up: its sum over a life stays finite


def _heads(hidden: int) -> tuple[int, int]:
    """Number of heads, and of the numbers of each."""
    return HEADS, -(-hidden // HEADS)


def _init(key: Array, inputs: int, present: int, hidden: int) -> Params:
    """Parameters of a layer that reads `inputs` numbers into entries and asks with `present` numbers."""
    entry, query, keys, values, out = jax.random.split(key, 5)
    width = HEADS * _heads(hidden)[1]
    return {
        "entry": linear_init(entry, 2 * inputs, hidden, 2**0.5),
        "query": linear_init(query, present, width, 1.0),
        "key": linear_init(keys, hidden, width, 1.0),
        "value": linear_init(values, hidden, width, 1.0),
        "out": linear_init(out, width + present, hidden, 2**0.5),
    }


def _entry(params: Params, heads: tuple[int, int], last: Array, x: Array) -> tuple[Array, Array]:
    """Key and value of an experience: two inputs in a row."""
    made = jax.nn.relu(linear(params["entry"], jnp.concatenate([last, x])))
    return linear(params["key"], made).reshape(heads), linear(params["value"], made).reshape(heads)


def _output(params: Params, found: Array, present: Array) -> Array:
    """What was found, beside the present."""
    return jax.nn.relu(linear(params["out"], jnp.concatenate([found.ravel(), present])))


def _before(xs: Array) -> Array:
    """The input of the step before, at each step."""
    return jnp.concatenate([jnp.zeros_like(xs[:1]), xs[:-1]])


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
    heads = _heads(hidden)

    def init(key: Array) -> Params:
        return _init(key, inputs, inputs, hidden)

    def begin(params: Params) -> Kept:
        del params
        empty = jnp.zeros((window, *heads))
        return Kept(jnp.zeros(inputs), empty, empty, jnp.zeros((), jnp.int32))

    def output(params: Params, x: Array, keys: Array, values: Array, there: Bool[Array, " T"]) -> Array:
        query = linear(params["query"], x).reshape(heads) / heads[1] ** 0.5
        likeness = jnp.where(there[None], jnp.einsum("hd,thd->ht", query, keys), -jnp.inf)
        weights = jax.nn.softmax(jnp.pad(likeness, ((0, 0), (0, 1))))[:, :-1]
        return _output(params, jnp.einsum("ht,thd->hd", weights, values), x)

    def step(params: Params, kept: Kept, x: Array) -> tuple[Kept, Array]:
        key, value = _entry(params, heads, kept.last, x)
        slot = kept.steps % window
        keys, values = kept.keys.at[slot].set(key), kept.values.at[slot].set(value)
        there = jnp.arange(window) <= kept.steps
        return Kept(x, keys, values, kept.steps + 1), output(params, x, keys, values, there)

    def unroll(params: Params, xs: Float[Array, "T D"]) -> Float[Array, "T H"]:
        keys, values = jax.vmap(_entry, (None, None, 0, 0))(params, heads, _before(xs), xs)
        moment = jnp.arange(len(xs))
        age = moment[:, None] - moment[None]
        return jax.vmap(output, (None, 0, None, None, 0))(params, xs, keys, values, (age >= 0) & (age < window))

    return Recurrent(init, begin, step, unroll, hidden)


class Added(NamedTuple):
    """What linear attention keeps of the steps so far: their sum."""

    last: Float[Array, " D"]  # input of the step before
    found: Float[Array, "heads d values"]  # sum of keys times values; the last value is 1
    state: Float[Array, " H"]  # of the recurrent unit


def linear_attention(inputs: int, hidden: int) -> Recurrent:
    r"""A gated recurrent unit that looks up, by linear attention, what it met in the whole life.

    Entries are those of `attention`. Of each the exponentials of its key count, number by number, so that all can be
    added up as they come and a step costs the same however long the life; the state $h_t$ of the recurrent unit asks:

    $$q_t = \exp(W_q h_t) / d, \quad k_i = \exp(W_k e_i), \quad
    f_t = \frac{\sum_{i \le t} (q_t \cdot k_i) W_v e_i}{1 + \sum_{i \le t} q_t \cdot k_i}, \quad
    o_t = \mathrm{relu}(W_o [f_t, h_t])$$

    in each of 4 heads of d = `hidden` / 4 numbers. Exponents are cut at 8.

    References:
        Katharopoulos et al., 2020, "Transformers are RNNs", arXiv:2006.16236 (there with elu + 1 for exp).

    Args:
        inputs: Numbers of an input.
        hidden: Numbers of the recurrent unit, and of an output.
    """
    heads, unit = _heads(hidden), gru(inputs, hidden)

    def init(key: Array) -> Params:
        key_layer, key_unit = jax.random.split(key)
        return _init(key_layer, inputs, hidden, hidden) | {"unit": unit.init(key_unit)}

    def begin(params: Params) -> Added:
        return Added(jnp.zeros(inputs), jnp.zeros((*heads, heads[1] + 1)), unit.begin(params["unit"]))

    def entry(params: Params, last: Array, x: Array) -> tuple[Array, Array]:
        key, value = _entry(params, heads, last, x)
        return _steep(key), jnp.pad(value, ((0, 0), (0, 1)), constant_values=1.0)

    def query(params: Params, state: Array) -> Array:
        return _steep(linear(params["query"], state).reshape(heads)) / heads[1]

    def output(params: Params, found: Array, state: Array) -> Array:
        return _output(params, found[:, :-1] / (1.0 + found[:, -1:]), state)

    def step(params: Params, kept: Added, x: Array) -> tuple[Added, Array]:
        state, _ = unit.step(params["unit"], kept.state, x)
        key, value = entry(params, kept.last, x)
        found = kept.found + key[:, :, None] * value[:, None]
        return Added(x, found, state), output(params, jnp.einsum("hd,hdv->hv", query(params, state), found), state)

    def unroll(params: Params, xs: Float[Array, "T D"]) -> Float[Array, "T H"]:
        states = unit.unroll(params["unit"], xs)
        keys, values = jax.vmap(entry, (None, 0, 0))(params, _before(xs), xs)
        found = _attended(jax.vmap(query, (None, 0))(params, states), keys, values)
        return jax.vmap(output, (None, 0, 0))(params, found, states)

    return Recurrent(init, begin, step, unroll, hidden)


def _steep(x: Array) -> Array:
    return jnp.exp(jnp.minimum(x, STEEPEST))


def _attended(
    queries: Float[Array, "T h d"], keys: Float[Array, "T h d"], values: Float[Array, "T h v"]
) -> Float[Array, "T h v"]:
    """Sum over i <= t of (q_t . k_i) v_i: pair by pair within a block, and by the sums of the blocks before."""
    length = len(queries)
    size = min(BLOCK, length)
    rest = -length % size
    in_blocks = lambda x: jnp.pad(x, ((0, rest), (0, 0), (0, 0))).reshape(-1, size, *x.shape[1:])
    queries, keys, values = (in_blocks(x) for x in (queries, keys, values))
    likeness = jnp.tril(jnp.einsum("cthd,cihd->chti", queries, keys))
    sums = jnp.einsum("cihd,cihv->chdv", keys, values)
    before = jnp.cumsum(sums, 0) - sums
    found = jnp.einsum("chti,cihv->cthv", likeness, values) + jnp.einsum("cthd,chdv->cthv", queries, before)
    return found.reshape(-1, *found.shape[2:])[:length]
