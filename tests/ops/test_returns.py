import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adaptax.ops.returns import discounted_returns, gae, sequence_returns

STEPS, COPIES = 6, 2
reals = arrays(np.float32, (STEPS, COPIES), elements=st.floats(-3, 3, width=32))
flags = arrays(np.bool_, (STEPS, COPIES))
fractions = st.floats(0, 1, width=32)


def test_returns_by_hand():
    found = discounted_returns(jnp.array([1.0, 2.0, 4.0]), jnp.array([0.5, 0.5, 0.5]), 8.0)
    np.testing.assert_allclose(found, [1 + 0.5 * (2 + 0.5 * 8), 2 + 0.5 * 8, 4 + 0.5 * 8])


def test_an_episode_that_was_cut_off_counts_for_no_other():
    over = jnp.zeros((2, 5), bool).at[0, 2].set(True).at[1, 1].set(True)
    found = sequence_returns(jnp.ones((2, 5)), over)
    assert (float(found["life_return"]), float(found["episode_return"])) == (5.0, 2.5)
    none = sequence_returns(jnp.ones((2, 5)), jnp.zeros((2, 5), bool))
    assert float(none["episode_return"]) == 5.0, "of what ended nowhere, as much as was lived"


def test_returns_stop_where_the_discount_is_zero():
    found = discounted_returns(jnp.array([1.0, 2.0, 4.0]), jnp.array([0.5, 0.0, 0.5]))
    np.testing.assert_allclose(found, [2.0, 2.0, 4.0])


def test_gae_by_hand():
    # delta = 1 + 0.5 * 3 - 2 = 0.5 and 2 + 0.5 * 4 - 3 = 1; A_0 = 0.5 + 0.5 * 0.8 * 1
    found = gae(jnp.array([1.0, 2.0]), jnp.array([0.5, 0.5]), jnp.array([2.0, 3.0]), jnp.array([3.0, 4.0]), 0.8)
    np.testing.assert_allclose(found, [0.9, 1.0], rtol=1e-6)


def test_gae_bootstraps_over_a_truncation_but_does_not_follow_it():
    # step 0 is truncated: its successor's value (3) counts, the next episode's advantage does not
    arguments = (jnp.array([1.0, 2.0]), jnp.array([0.5, 0.0]), jnp.array([2.0, 1.0]), jnp.array([3.0, 9.0]), 0.8)
    np.testing.assert_allclose(gae(*arguments, jnp.array([0.0, 0.0])), [0.5, 1.0], rtol=1e-6)


@given(reals, flags, reals, reals, flags, fractions, fractions)
def test_gae_equals_the_slow_sum(reward, terminated, value, next_value, truncated, discount, lambda_):
    goes_on = (discount * (1 - terminated)).astype(np.float32)
    follow = 1 - (terminated | truncated).astype(np.float32)
    r, d, v, n, c = map(jnp.asarray, (reward, goes_on, value, next_value, follow))
    found = gae(r, d, v, n, lambda_, c)
    delta = reward + goes_on * next_value - value
    expected = np.zeros_like(delta)
    for copy in range(COPIES):
        for start in range(STEPS):
            weight = 1.0
            for t in range(start, STEPS):
                expected[start, copy] += weight * delta[t, copy]
                weight *= goes_on[t, copy] * lambda_ * follow[t, copy]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@given(reals, flags, fractions, reals)
def test_gae_with_lambda_one_is_the_return_minus_the_value(reward, terminated, discount, value):
    goes_on = jnp.asarray((discount * (1 - terminated)).astype(np.float32))
    following = jnp.concatenate([jnp.asarray(value[1:]), jnp.zeros((1, COPIES))])
    found = gae(jnp.asarray(reward), goes_on, jnp.asarray(value), following, 1.0)
    np.testing.assert_allclose(found, discounted_returns(jnp.asarray(reward), goes_on) - value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 2, 4)])
def test_any_axes_ride_along(shape):
    reward = jnp.arange(np.prod(shape), dtype=float).reshape(shape)
    found = discounted_returns(reward, jnp.full(shape, 0.9, float))
    one = discounted_returns(reward.reshape(3, -1)[:, -1], jnp.full(3, 0.9, float))
    np.testing.assert_allclose(found.reshape(3, -1)[:, -1], one, rtol=1e-6)
