import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.ops.policy_gradient import clipped_surrogate, standardise


def test_standardise_by_hand():
    np.testing.assert_allclose(standardise(jnp.array([[1.0, 3.0], [5.0, 7.0]])), np.array([[-3, -1], [1, 3]]) / 5**0.5)


def test_standardise_of_a_constant_is_zero_with_a_finite_gradient():
    x = jnp.full((2, 3), 4.0, float)
    assert np.all(np.asarray(standardise(x)) == 0.0)
    gradient = jax.grad(lambda x: jnp.sum(standardise(x) * jnp.arange(6.0).reshape(2, 3)))(x)
    assert np.all(np.isfinite(np.asarray(gradient)))


@pytest.mark.parametrize(
    ("ratio", "advantage", "objective", "slope"),
    [
        (1.1, 2.0, 2.2, 2.0),  # inside the range: the ratio itself
        (1.5, 2.0, 2.4, 0.0),  # good and done already: nothing more to gain
        (0.5, 2.0, 1.0, 2.0),  # good and undone: pulled back
        (0.5, -2.0, -1.6, 0.0),  # bad and undone already
        (1.5, -2.0, -3.0, -2.0),  # bad and done: pushed away
    ],
)
def test_clipped_surrogate_by_hand(ratio, advantage, objective, slope):
    surrogate = lambda r: clipped_surrogate(jnp.log(r), jnp.zeros(1), jnp.array([advantage]), 0.2)
    value, gradient = jax.value_and_grad(surrogate)(jnp.array([ratio]))
    np.testing.assert_allclose(value, objective, rtol=1e-6)
    np.testing.assert_allclose(gradient[0], slope, rtol=1e-5, atol=1e-6)


def test_at_the_old_policy_the_gradient_is_the_policy_gradient():
    log_prob, advantage = jnp.array([-1.0, -0.3, -2.0]), jnp.array([0.5, -1.0, 2.0])
    gradient = jax.grad(lambda lp: clipped_surrogate(lp, log_prob, advantage, 0.2))(log_prob)
    np.testing.assert_allclose(gradient, advantage / 3, rtol=1e-6)
