"""Attention as a memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.nn import attention as layers
from adaptax.nn.attention import attention, linear_attention


@pytest.mark.parametrize("net", [attention(5, 8, 3), attention(5, 8, 7), attention(5, 8, 20), linear_attention(5, 8)])
def test_acting_step_by_step_is_the_unrolled_pass(net, monkeypatch):
    monkeypatch.setattr(layers, "BLOCK", 5)  # twelve steps are two blocks and two fifths
    params, xs = net.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (12, 5))
    _, outputs = jax.lax.scan(lambda kept, x: net.step(params, kept, x), net.begin(params), xs)
    np.testing.assert_allclose(outputs, net.unroll(params, xs), atol=1e-5)


@pytest.mark.parametrize(("changed", "later"), [(0, False), (7, False), (9, True), (11, True)])
def test_only_the_window_is_read(changed, later):
    """An input is part of two entries: of its own and of the next."""
    net, xs = attention(5, 8, window=3), jax.random.normal(jax.random.key(1), (12, 5))
    params = net.init(jax.random.key(0))
    before, after = (net.unroll(params, xs.at[changed].add(shift))[-1] for shift in (0.0, 1.0))
    assert later == (float(jnp.abs(before - after).max()) > 1e-4)


@pytest.mark.parametrize("net", [attention(5, 8, 20), linear_attention(5, 8)])
def test_the_present_does_not_know_the_future(net):
    xs = jax.random.normal(jax.random.key(1), (12, 5))
    params = net.init(jax.random.key(0))
    before, after = (net.unroll(params, xs.at[6].add(shift)) for shift in (0.0, 1.0))
    np.testing.assert_array_equal(before[:6], after[:6])


def test_how_often_something_was_met_shows():
    """The same step again and again: without the empty entry the mean of its values would always be the same."""
    net = attention(5, 8, window=20)
    params, xs = net.init(jax.random.key(0)), jnp.ones((12, 5))
    outputs = net.unroll(params, xs)[1:]  # the first step has none before it
    assert float(jnp.abs(jnp.diff(outputs, axis=0)).max(1).min()) > 1e-4


def test_linear_attention_is_the_sum_that_it_is_said_to_be():
    queries, keys, values = (jax.random.uniform(jax.random.key(i), (13, 2, 3)) for i in range(3))
    found = layers._attended(queries, keys, values)  # pyright: ignore[reportPrivateUsage]
    for t in range(13):
        likeness = np.einsum("hd,ihd->hi", queries[t], keys[: t + 1])
        np.testing.assert_allclose(found[t], np.einsum("hi,ihv->hv", likeness, values[: t + 1]), rtol=1e-5)


def test_linear_attention_stays_finite_in_a_long_life_of_extremes():
    net = linear_attention(5, 8)
    params = jax.tree.map(lambda x: 100 * x, net.init(jax.random.key(0)))
    xs = jax.random.normal(jax.random.key(1), (3000, 5))
    value, slope = jax.value_and_grad(lambda p: jnp.sum(net.unroll(p, xs)))(params)
    assert np.isfinite(value) and all(np.isfinite(x).all() for x in jax.tree.leaves(slope))


@pytest.mark.parametrize("net", [attention(5, 6, 4), linear_attention(5, 6)])
def test_heads_may_be_rounded_up(net):
    assert net.unroll(net.init(jax.random.key(0)), jnp.ones((3, 5))).shape == (3, 6)
