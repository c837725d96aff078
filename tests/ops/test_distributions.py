from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adaptax.ops.distributions import Categorical, Normal, initial_log_std, policy_over
from adaptax.ops.spaces import Box, Discrete

logits = arrays(np.float32, 4, elements=st.floats(-5, 5, width=32))
means = arrays(np.float32, 3, elements=st.floats(-5, 5, width=32))
log_stds = arrays(np.float32, 3, elements=st.floats(-2, 1, width=32))


def softmax(x):
    weights = np.exp(x.astype(np.float64))
    return weights / weights.sum()


@given(logits, st.integers(0, 3))
def test_categorical_equals_scipy(x, action):
    p, found = softmax(x), Categorical(jnp.asarray(x))
    reference = scipy.stats.rv_discrete(values=(np.arange(4), p))
    np.testing.assert_allclose(found.log_prob(jnp.asarray(action)), reference.logpmf(action), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.entropy(), scipy.stats.entropy(p), rtol=1e-4, atol=1e-5)
    assert p[int(found.mode())] == p.max()


@given(logits, logits)
def test_categorical_divergence_equals_scipy(x, y):
    found = Categorical(jnp.asarray(x)).kl(Categorical(jnp.asarray(y)))
    np.testing.assert_allclose(found, scipy.stats.entropy(softmax(x), softmax(y)), rtol=1e-3, atol=1e-5)


@given(means, log_stds, means)
def test_normal_equals_scipy(mean, log_std, action):
    found = Normal(jnp.asarray(mean), jnp.asarray(log_std))
    reference: Any = scipy.stats.norm(mean.astype(np.float64), np.exp(log_std.astype(np.float64)))
    np.testing.assert_allclose(
        found.log_prob(jnp.asarray(action)), reference.logpdf(action).sum(), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(found.entropy(), reference.entropy().sum(), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found.mode(), mean)


@given(means, log_stds, means, log_stds)
def test_normal_divergence_is_the_mean_difference_of_log_probabilities(m, s, n, t):
    p, q = Normal(jnp.asarray(m), jnp.asarray(s)), Normal(jnp.asarray(n), jnp.asarray(t))
    # Gauss-Hermite quadrature integrates polynomials exactly, and both log-densities are quadratic
    points, weights = np.polynomial.hermite_e.hermegauss(5)
    draws = m + np.exp(s) * points[:, None]
    log_ratio = scipy.stats.norm.logpdf(draws, m, np.exp(s)) - scipy.stats.norm.logpdf(draws, n, np.exp(t))
    expected = np.sum(weights[:, None] * log_ratio) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(p.kl(q), expected, rtol=1e-3, atol=1e-4)


def test_categorical_samples_have_their_probabilities():
    x = jnp.array([0.0, 1.0, -2.0, 0.5])
    draws = jax.vmap(Categorical(x).sample)(jax.random.split(jax.random.key(0), 20_000))
    assert draws.dtype == jnp.int32
    counts = np.bincount(draws, minlength=4)
    # by chance below 1e-3 in one seed of a thousand; the seed is fixed
    assert scipy.stats.chisquare(counts, 20_000 * softmax(np.asarray(x))).pvalue > 1e-3


def test_categorical_never_draws_what_has_no_probability():
    draws = jax.vmap(Categorical(jnp.array([-jnp.inf, 0.0, -jnp.inf])).sample)(
        jax.random.split(jax.random.key(1), 1000)
    )
    assert np.all(np.asarray(draws) == 1)


def test_normal_samples_have_their_distribution():
    draws = jax.vmap(Normal(jnp.array([1.0]), jnp.array([-0.5])).sample)(jax.random.split(jax.random.key(0), 5000))
    assert scipy.stats.kstest(draws[:, 0], scipy.stats.norm(1.0, np.exp(-0.5)).cdf).pvalue > 1e-3


def test_a_bounded_policy_speaks_in_the_units_of_its_space():
    policy: Any = policy_over(Box((0.0, -2.0), (1.0, 2.0), (2,)), jnp.array([1.0, -1.0]), jnp.zeros(2))
    np.testing.assert_allclose(policy.mode(), [1.0, -2.0])
    np.testing.assert_allclose(jnp.exp(policy.log_std), [0.5, 2.0], rtol=1e-6)


def test_an_action_without_room_is_no_nan():
    policy: Any = policy_over(Box((0.0, 1.0), (1.0, 1.0), (2,)), jnp.zeros(2), jnp.zeros(2))
    assert np.isfinite(np.asarray([policy.log_std, policy.mode()])).all() and policy.mode()[1] == 1.0


def test_an_unbounded_policy_is_left_alone():
    policy: Any = policy_over(Box(float("-inf"), float("inf"), (2,)), jnp.array([3.0, -4.0]), jnp.array([0.1, 0.2]))
    np.testing.assert_allclose(policy.mode(), [3.0, -4.0])
    np.testing.assert_allclose(policy.log_std, [0.1, 0.2], rtol=1e-6)


@pytest.mark.parametrize(("space", "shape"), [(Discrete(3), (0,)), (Box(-1.0, 1.0, (2,)), (2,))])
def test_only_continuous_actions_have_a_noise_parameter(space, shape):
    noise = initial_log_std(space, -0.5)
    assert noise.shape == shape and not noise.weak_type
    assert np.all(np.asarray(noise) == -0.5)
