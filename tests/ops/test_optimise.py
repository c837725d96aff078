from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax.ops.optimise import clipped_adam, minibatch_epochs

START = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}


def steps_of(optimiser, gradients):
    """The changes that a sequence of gradients makes."""
    state, changes = optimiser.init(START), []
    for gradient in gradients:
        change, state = optimiser.update(gradient, state, START)
        changes.append(change)
    return changes


def test_first_step_has_the_size_of_the_rate_against_the_gradient():
    gradient = {"a": jnp.array([3.0, -0.2]), "b": jnp.array(0.1)}
    (change,) = steps_of(clipped_adam(0.1, 100.0), [gradient])
    # Adam's first step is rate * g / (|g| + eps)
    np.testing.assert_allclose(change["a"], [-0.1 * 3 / (3 + 1e-5), 0.1 * 0.2 / (0.2 + 1e-5)], rtol=1e-5)
    np.testing.assert_allclose(change["b"], -0.1 * 0.1 / (0.1 + 1e-5), rtol=1e-5)


def test_gradients_are_clipped_to_the_global_norm():
    gradient = {"a": jnp.array([3.0, 4.0]), "b": jnp.array(12.0)}  # norm 13
    clipped = steps_of(clipped_adam(0.1, 0.13), [gradient, gradient])
    by_hand = steps_of(clipped_adam(0.1, 1e9), [jax.tree.map(lambda g: 0.01 * g, gradient)] * 2)
    for one, other in zip(jax.tree.leaves(clipped), jax.tree.leaves(by_hand), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_the_rate_falls_linearly_to_zero():
    gradient = {"a": jnp.array([1.0, 1.0]), "b": jnp.array(1.0)}
    changes = steps_of(clipped_adam(0.1, 100.0, decay_steps=4), [gradient] * 6)
    rates = [-float(change["b"]) for change in changes]
    np.testing.assert_allclose(rates, [0.1, 0.075, 0.05, 0.025, 0.0, 0.0], rtol=1e-3, atol=1e-7)


def test_the_rate_may_be_traced():
    gradient = {"a": jnp.array([1.0, 1.0]), "b": jnp.array(1.0)}

    @jax.jit
    def change(rate):
        optimiser = clipped_adam(rate, 1.0)
        updates: Any = optimiser.update(gradient, optimiser.init(START))[0]
        return updates["b"]

    np.testing.assert_allclose(change(jnp.array(0.2)), 2 * change(jnp.array(0.1)), rtol=1e-6)


@pytest.mark.parametrize(("epochs", "minibatches"), [(1, 1), (1, 4), (3, 2)])
def test_minibatches_pass_over_every_row_once_an_epoch(epochs, minibatches):
    # the loss is linear, so with plain SGD the parameters move by minus the sum of what they were shown
    batch = jnp.arange(8, dtype=float)
    loss = lambda params, part: (params * jnp.sum(part), {"rows": jnp.sum(part)})
    optimiser = optax.sgd(1.0)
    state = (jnp.zeros(()), optimiser.init(jnp.zeros(())))
    learn = jax.jit(
        lambda key: minibatch_epochs(loss, optimiser, state, batch, key, epochs=epochs, minibatches=minibatches)
    )
    (params, _), metrics = learn(jax.random.key(0))
    assert float(params) == -28.0 * epochs
    assert float(metrics["rows"]) == 28.0 / minibatches


def test_minibatches_are_shuffled_anew_each_epoch():
    # the loss remembers the order: p -> p / 2 + row, which tells orders apart
    loss = lambda params, part: (0.25 * (params - 2 * part[0]) ** 2, {})
    optimiser = optax.sgd(1.0)
    end = [
        float(
            minibatch_epochs(
                loss,
                optimiser,
                (jnp.zeros(()), optimiser.init(jnp.zeros(()))),
                jnp.arange(4, dtype=float),
                jax.random.key(seed),
                epochs=1,
                minibatches=4,
            )[0][0]
        )
        for seed in range(6)
    ]
    assert len(set(end)) > 1
