"""Running moments against numpy, in any partition of the stream."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adaptax.nn.recurrent import gru, normalising
from adaptax.ops.moments import normalised, nothing_seen, seen


@given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.integers(0, 100), st.floats(-50, 50))
def test_any_partition_gives_the_mean_and_deviation_of_all(sizes, seed, offset):
    stream = np.random.default_rng(seed).normal(offset, 3.0, (sum(sizes), 2)).astype(np.float32)
    moments = nothing_seen(2)
    for part in np.split(stream, np.cumsum(sizes)[:-1]):
        moments = seen(moments, jnp.asarray(part))
    np.testing.assert_allclose(moments.mean, stream.mean(0), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(moments.spread, stream.var(0) * len(stream), rtol=1e-3, atol=1e-3)
    if len(stream) > 2:
        expected = np.clip((stream - stream.mean(0)) / stream.std(0), -10, 10)
        np.testing.assert_allclose(
            jax.vmap(normalised, (None, 0))(moments, jnp.asarray(stream)), expected, rtol=1e-2, atol=1e-2
        )


def test_before_anything_varied_nothing_is_scaled():
    one = seen(nothing_seen(2), jnp.array([[3.0, 4.0]]))
    np.testing.assert_array_equal(normalised(one, jnp.array([5.0, 6.0])), [5.0, 6.0])
    same = seen(one, jnp.array([[3.0, 4.0]]))
    np.testing.assert_array_equal(normalised(same, jnp.array([5.0, 6.0])), [2.0, 2.0])
    assert np.isfinite(jax.grad(lambda x: normalised(same, x).sum())(jnp.ones(2))).all()


def test_a_normalising_memory_forgets_the_scale_of_its_inputs():
    net = normalising(gru(3, 8), 3)
    params = net.init(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (200, 3))
    outputs, scaled = net.unroll(params, xs), net.unroll(params, 100.0 * xs + 7.0)
    # the first input passes as it is, and what it leaves in the memory fades
    assert np.abs(np.asarray(outputs - scaled))[-1].max() < 0.01 < np.abs(np.asarray(outputs - scaled))[0].max()


def test_a_normalising_memory_steps_as_it_unrolls():
    net = normalising(gru(3, 8), 3)
    params = net.init(jax.random.key(0))
    xs = 5.0 + 3.0 * jax.random.normal(jax.random.key(1), (20, 3))
    _, stepped = jax.lax.scan(lambda state, x: net.step(params, state, x), net.begin(params), xs)
    np.testing.assert_allclose(stepped, net.unroll(params, xs), atol=1e-5)
