import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.ops.spaces import Box, Discrete


def test_discrete_reads_one_hot_and_nothing_as_zeros():
    space = Discrete(3)
    np.testing.assert_array_equal(space.encode(jnp.asarray(1)), [0, 1, 0])
    np.testing.assert_array_equal(space.encode(space.none()), [0, 0, 0])
    assert space.size == 3 and space.none().dtype == jnp.int32


def test_legal_values():
    np.testing.assert_array_equal(Discrete(3).legal(np.array([-1, 0, 2, 3, 1.5])), [False, True, True, False, False])
    np.testing.assert_array_equal(Box(0, 1, (3,)).legal(np.array([0.5, np.nan, -np.inf])), [True, False, False])


def test_box_reads_flat_floats():
    space = Box(-1.0, 1.0, (2, 3))
    np.testing.assert_array_equal(space.encode(jnp.arange(6).reshape(2, 3)), np.arange(6.0))
    np.testing.assert_array_equal(space.encode(space.none()), np.zeros(6))
    assert space.size == 6


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), ((-1.0, -1.0), (2.0, 2.0))])
def test_bounds_are_one_number_or_one_for_each_entry(low, high):
    found = Box(low, high, (2,)).bounds()
    np.testing.assert_array_equal(found, [[-1.0, -1.0], [2.0, 2.0]])


def test_float64_reaches_the_spaces(x64):
    assert Box(0.0, 1.0, (1,)).none().dtype == jnp.float64
    assert Box(0.0, 1.0, (1,)).bounds()[0].dtype == jnp.float64
