"""Initial weights."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.nn.net import linear_init, misfits, orthogonal, pure
from adaptax.nn.recurrent import memory_misfits


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (3, 64), (64, 1), (5, 4), (1, 1)])
def test_the_short_side_is_orthonormal(rows, columns):
    weight = np.asarray(jax.jit(orthogonal, static_argnums=(1, 2))(jax.random.key(0), rows, columns))
    assert weight.shape == (rows, columns)
    product = weight @ weight.T if rows < columns else weight.T @ weight
    np.testing.assert_allclose(product, np.eye(min(rows, columns)), atol=2e-6)


def test_directions_are_uniform():
    """Entries of a random orthogonal matrix have mean 0 and variance 1 / n, and no preferred signs."""
    weights = jax.vmap(lambda k: orthogonal(k, 8, 8))(jax.random.split(jax.random.key(1), 4000))
    np.testing.assert_allclose(weights.mean(0), np.zeros((8, 8)), atol=0.03)
    np.testing.assert_allclose((weights**2).mean(0), np.full((8, 8), 1 / 8), atol=0.02)


def test_fresh_weights_need_no_lapack():
    """Lives that begin with them are vmapped, and batched LAPACK calls can hang there."""
    text = str(jax.make_jaxpr(lambda k: linear_init(k, 4, 8))(jax.random.key(0)))
    assert not re.search(r"\b(qr|householder_product|svd|eigh|lu)\b", text)


def test_biases_start_at_zero_and_the_gain_scales():
    params = linear_init(jax.random.key(0), 4, 4, 3.0)
    np.testing.assert_array_equal(params["bias"], jnp.zeros(4))
    np.testing.assert_allclose(params["weight"] @ params["weight"].T, 9.0 * np.eye(4), atol=1e-5)


def test_a_bare_module_is_named_with_what_to_give_instead():
    module = eqx.nn.Linear(2, 3, key=jax.random.key(0))
    assert "network is a Linear; give ax.pure" in misfits(module, 2, 3)[0]
    assert "network is a Linear; give ax.by_steps" in memory_misfits(module, 2)[0]
    assert misfits(pure(lambda key: eqx.nn.Linear(2, 3, key=key)), 2, 3) == []
