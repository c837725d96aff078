"""A learned start of TD learning: its gradients, and where Reptile and the chain of warm starts move to."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax import testing
from adaptax.core.trainer import initial_state, lived, meta_step
from adaptax.envs.grid import GridNavigation
from adaptax.inner.replay import Drawn
from adaptax.learners.q_init import QInit
from adaptax.learners.warm_start import WarmStart

ENV = GridNavigation()


def bound(learner):
    return testing.small(learner).bind(ENV.spec(), 10)


def test_a_life_without_a_single_target_is_refused():
    (said,) = QInit(steps=4, phases=1, warm_up=0, n_step=8, batch=4).bind(ENV.spec()).problems()
    assert said == "n_step is 8, and a copy lives 4 steps: give it fewer, or more phases"


def batches(count, size):
    """Batches of random experience, `[count, size]`, and targets for them."""
    keys = jax.random.split(jax.random.key(1), 4)
    state, other = (jax.random.randint(key, (count, size), 0, ENV.spec().observation.size) for key in keys[:2])
    action = jax.random.randint(keys[2], (count, size), 0, ENV.spec().action.size)
    zeros, places = jnp.zeros((count, size)), jnp.zeros((count, size), jnp.int32)
    drawn = Drawn(state, action, zeros, other, zeros, zeros + 1.0, places, places)
    return drawn, 0.3 * jax.random.normal(keys[3], (count, size))


def ends_and_next(learner, state):
    """The networks that the lives of a meta-step end with, and the state after it."""
    return jax.jit(lambda state: (lived(learner, ENV, state)[1].last.inner.params, meta_step(learner, ENV, state)[0]))(
        state
    )


def slope(function, params, direction):
    """A central difference."""
    at = lambda size: function(jax.tree.map(lambda x, d: x + size * d, params, direction))
    return (at(1e-6) - at(-1e-6)) / 2e-6


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("steps", [1, 3])
def test_the_gradient_through_td_steps_equals_finite_differences(steps):
    learner = bound(QInit(td_steps=steps, td_lr=0.7))
    params, given = learner.network.init(jax.random.key(0)), batches(steps + 1, 8)
    outer = jax.jit(lambda params: learner.outer(params, given))
    gradient = jax.grad(outer)(params)
    first_order = jax.grad(lambda x: bound(QInit(td_steps=steps, td_lr=0.7, method="fomaml")).outer(x, given))(params)
    for seed in range(5):
        direction = jax.tree.map(lambda x: jax.random.normal(jax.random.key(seed), x.shape), params)  # noqa: B023
        along = lambda tree: sum(jnp.vdot(x, d) for x, d in zip(*map(jax.tree.leaves, (tree, direction)), strict=True))  # noqa: B023
        np.testing.assert_allclose(along(gradient), slope(outer, params, direction), rtol=1e-5)
        assert abs(along(first_order) - along(gradient)) > 1e-3 * abs(along(gradient))  # it leaves something out


@pytest.mark.usefixtures("x64")
def test_the_first_order_gradient_is_that_where_the_steps_lead():
    learner = bound(QInit(td_steps=1, td_lr=0.7, method="fomaml"))
    params, given = learner.network.init(jax.random.key(0)), batches(2, 8)
    errors = lambda phi, k: jnp.mean(
        jax.vmap(lambda e: jnp.where(jnp.abs(e) < 1, e**2 / 2, jnp.abs(e) - 0.5))(
            learner.inner.off(phi, jax.tree.map(lambda x: x[k], given[0]), given[1][k])
        )
    )
    step = jax.tree.map(lambda x, g: x - 0.7 * g, params, jax.grad(errors)(params, 0))
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-12),
        jax.grad(learner.outer)(params, given),
        jax.grad(errors)(step, 1),
    )


@pytest.mark.parametrize(
    ("learner", "share"), [(QInit(method="reptile", rate=0.5, tasks=4), 0.5), (WarmStart(rate=0.25, tasks=4), 0.25)]
)
def test_the_start_moves_towards_the_mean_of_where_lives_got(learner, share):
    learner = bound(learner)
    state = initial_state(learner, ENV, jax.random.key(0))
    ends, after = ends_and_next(learner, state)
    jax.tree.map(
        lambda new, old, end: np.testing.assert_allclose(new, old + share * (end.mean(0) - old), rtol=1e-5, atol=1e-7),
        after.meta.params,
        state.meta.params,
        ends,
    )
    moved = jax.tree.map(lambda new, old: float(jnp.max(jnp.abs(new - old))), after.meta.params, state.meta.params)
    assert max(jax.tree.leaves(moved)) > 1e-4


def test_a_chain_of_warm_starts_goes_on_from_the_last_network():
    learner = dataclasses.replace(testing.small(WarmStart()), tasks=1).bind(ENV.spec(), 10)
    state = initial_state(learner, ENV, jax.random.key(0))
    ends, after = ends_and_next(learner, state)
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y[0]), after.meta.params, ends)
    begun, _ = learner.begin(after.meta, jax.random.key(5), None)
    jax.tree.map(np.testing.assert_array_equal, begun.params, after.meta.params)
    assert int(begun.updates) == 0 and int(begun.replay.written) == 0
