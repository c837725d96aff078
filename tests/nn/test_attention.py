"""Attention as a memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.nn.attention import attention


@pytest.mark.parametrize("window", [3, 7, 20])
def test_acting_step_by_step_is_the_unrolled_pass(window):
    net = attention(5, 8, window)
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


def test_the_present_does_not_know_the_future():
    net, xs = attention(5, 8, window=20), jax.random.normal(jax.random.key(1), (12, 5))
    params = net.init(jax.random.key(0))
    before, after = (net.unroll(params, xs.at[6].add(shift)) for shift in (0.0, 1.0))
    np.testing.assert_array_equal(before[:6], after[:6])


def test_how_often_something_was_met_shows():
    """The same step again and again: without the empty entry the mean of its values would always be the same."""
    net = attention(5, 8, window=20)
    params, xs = net.init(jax.random.key(0)), jnp.ones((12, 5))
    outputs = net.unroll(params, xs)[1:]  # the first step has none before it
    assert float(jnp.abs(jnp.diff(outputs, axis=0)).max(1).min()) > 1e-4


def test_heads_may_be_rounded_up():
    net = attention(5, 6, window=4)
    assert net.unroll(net.init(jax.random.key(0)), jnp.ones((3, 5))).shape == (3, 6)
