"""A choice that is dear on one side."""

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.ops.batching import where_any


def of(scale, counts):
    """For each entry: `scale` times its number plus what it reads, where the number is even."""

    def one(condition, number, flag):
        def new():
            jax.debug.callback(lambda: counts.append(1))
            return {"x": scale * number, "flag": ~flag}

        return where_any(condition, new, {"x": number, "flag": flag})

    return one


def test_it_chooses_alone_and_mapped_over():
    counts, number, flag = [], jnp.arange(4.0), jnp.array([True, False, True, True])
    even = number % 2 == 0
    expected = {"x": np.where(even, 3 * number, number), "flag": np.where(even, ~flag, flag)}
    mapped = jax.jit(jax.vmap(of(jnp.asarray(3.0), counts)))(even, number, flag)
    jax.tree.map(np.testing.assert_array_equal, mapped, expected)
    for i in range(4):
        alone = jax.jit(of(jnp.asarray(3.0), counts))(even[i], number[i], flag[i])
        jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y[i]), alone, expected)  # noqa: B023


def test_nothing_is_computed_where_nobody_wants_it():
    counts, number, flag = [], jnp.arange(4.0), jnp.zeros(4, bool)
    mapped = jax.jit(jax.vmap(of(jnp.asarray(3.0), counts)))
    kept = mapped(flag, number, flag)
    jax.effects_barrier()
    np.testing.assert_array_equal(kept["x"], number)
    assert not counts
    mapped(flag.at[2].set(True), number, flag)
    jax.effects_barrier()
    assert counts


def test_what_all_lives_share_stays_shared():
    scale, number = jnp.asarray(2.0), jnp.arange(3.0)
    shared = jax.vmap(of(scale, []), (None, None, 0))(jnp.asarray(True), jnp.asarray(5.0), number > 1)
    np.testing.assert_array_equal(shared["x"], np.full(3, 10.0))
