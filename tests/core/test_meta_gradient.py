"""The meta-gradient of `replay` against finite differences and against closed forms, in float64."""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.learner import Learner, traced
from adaptax.core.lifetime import advance, born, replay
from adaptax.core.types import Schedule
from adaptax.envs.grid import GridNavigation
from adaptax.envs.point import PointNavigation
from adaptax.inner.policy_gradient import sgd_step
from adaptax.learners.maml import MAML
from adaptax.testing.compare import require_same
from adaptax.testing.learners import small, witness
from adaptax.testing.toys import Target

pytestmark = pytest.mark.usefixtures("x64")

ENVIRONMENTS = {"continuous": PointNavigation(horizon=4), "discrete": GridNavigation(size=3, horizon=4)}


def tiny(**fields: Any) -> MAML:
    """MAML with as few numbers as will do."""
    return MAML(**{"tasks": 1, "copies": 2, "hidden": 3, "inner_lr": 0.3} | fields)


# Each program is compiled once for all tests: their numbers, step sizes among them, are arguments.


@eqx.filter_jit
def begin_and_live(learner, env):
    key_init, key_task, key_life = jax.random.split(jax.random.key(0), 3)
    meta, schedule = learner.init(key_init), learner.schedule()
    newborn = born(learner, env, meta, env.tasks.train(key_task), key_life, schedule.copies)
    return meta, advance(learner, env, meta, newborn, schedule)[1]


def lived(learner, env, **outer):
    """A bound learner, its outer state, and one life under it; `outer` are fields that only its update reads."""
    learner = learner.bind(env.spec())
    return traced(dataclasses.replace(learner, **outer)), *begin_and_live(traced(learner), env)


@eqx.filter_jit
def outer_loss(params, learner, meta, life):
    """Loss of the last phase of a fixed life, as a function of the parameters; and its gradient."""
    last = life.data.reward.shape[0] - 1
    judge = lambda now, data: learner.inner.surrogate(now.params, data)
    return jax.value_and_grad(lambda params: replay(learner, meta._replace(params=params), life, judge, last)[0])(
        params
    )


def gradient_of(learner, meta, life):
    return outer_loss(meta.params, learner, meta, life)[1]


@eqx.filter_jit
def advantages(rule, data):
    return jax.vmap(rule.advantages)(data)


def vector(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def require_finite_differences(loss, params):
    """The gradient that a loss gives beside its value is what finite differences say, in a few places of each leaf."""
    leaves, structure = jax.tree.flatten(params)
    found = [np.asarray(leaf) for leaf in jax.tree.leaves(loss(params)[1])]
    width, rng, checked = 1e-5, np.random.default_rng(0), 0
    for number, leaf in enumerate(leaves):
        for index in rng.permutation(leaf.size)[:3]:
            here = np.unravel_index(index, leaf.shape)
            ends = [leaf.at[here].add(sign * width) for sign in (1.0, -1.0)]
            high, low = (
                loss(jax.tree.unflatten(structure, [*leaves[:number], x, *leaves[number + 1 :]]))[0] for x in ends
            )
            np.testing.assert_allclose(found[number][here], (high - low) / (2 * width), rtol=1e-5, atol=1e-8)
            checked += 1
    assert checked >= 15 and np.linalg.norm(vector(found)) > 1e-3


@pytest.mark.parametrize("env", ENVIRONMENTS)
@pytest.mark.parametrize(("steps", "learned"), [(1, False), (2, True)], ids=["one-step", "two-steps-learned-rates"])
def test_equals_finite_differences(env, steps, learned):
    learner, meta, life = lived(tiny(inner_steps=steps, learn_step_sizes=learned), ENVIRONMENTS[env])
    assert life.data.reward.dtype == jnp.float64
    require_finite_differences(lambda params: outer_loss(params, learner, meta, life), meta.params)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_replay_derives_what_acted(env):
    learner = small(MAML(learn_step_sizes=True)).bind(ENVIRONMENTS[env].spec())
    lived = witness(learner, ENVIRONMENTS[env], learner.init(jax.random.key(0)), jax.random.key(1))
    assert lived.lifetimes.data.reward.dtype == jnp.float64
    require_same(lived.acted, lived.replayed, "in float64", relative=1e-12, absolute=1e-14)


@pytest.mark.parametrize(
    ("outer_phases", "outer_loss"), [("last", "policy_gradient"), ("adapted", "ppo"), ("all", "ppo")]
)
def test_the_loss_that_maml_follows_equals_finite_differences(outer_phases, outer_loss):
    fields = {"outer_phases": outer_phases, "outer_loss": outer_loss}
    learner, meta, life = lived(tiny(inner_steps=2), ENVIRONMENTS["continuous"], **fields)
    judged = jax.tree.map(lambda x: x[{"last": 2, "adapted": 1, "all": 0}[outer_phases] :], life.data)
    advantage = advantages(learner.inner, judged)
    elsewhere = jax.tree.map(lambda x: x + 0.03 * jnp.cos(jnp.arange(x.size)).reshape(x.shape), meta.params)
    loss = jax.jit(jax.value_and_grad(lambda params: learner.outer(meta._replace(params=params), life, advantage)))
    require_finite_differences(loss, elsewhere)


def test_an_update_is_one_step_of_the_optimiser_down_that_loss():
    learner, meta, life = lived(tiny(inner_steps=2), ENVIRONMENTS["continuous"], outer_phases="adapted")
    judged = jax.tree.map(lambda x: x[1:], life.data)
    advantage = advantages(learner.inner._replace(standardised=False), judged)
    advantage = (advantage - advantage.mean()) / advantage.std()
    slope = jax.jit(jax.grad(lambda params: learner.outer(meta._replace(params=params), life, advantage)))(meta.params)
    clipped = jax.tree.map(lambda g: g * min(1.0, 0.5 / np.linalg.norm(vector(slope))), slope)
    lives = jax.tree.map(lambda x: x[None], life)
    after, metrics = eqx.filter_jit(learner.update)(meta, lives, jax.random.key(0))
    # Adam's first step is learning_rate x sign, softened by its epsilon
    expected = jax.tree.map(lambda p, g: p - 3e-3 * g / (jnp.abs(g) + 1e-5), meta.params, clipped)
    np.testing.assert_allclose(vector(after.params), vector(expected), rtol=1e-5, atol=1e-9)
    assert metrics["gradient_norm"] == pytest.approx(np.linalg.norm(vector(slope)), rel=1e-6)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_first_order_is_the_gradient_at_the_adapted_parameters(env):
    whole = lived(tiny(), ENVIRONMENTS[env])
    first = lived(tiny(), ENVIRONMENTS[env], first_order=True)
    learner, meta, life = whole
    phases = [jax.tree.map(lambda x: x[k], life.data) for k in range(2)]  # noqa: B023

    @jax.jit
    def without_hessian(meta, before, after):
        begin = learner.inner.begin(meta.params["policy"])
        adapted = learner.adapt(meta, begin, before, jax.random.key(0)).params
        return jax.grad(learner.inner.surrogate)(adapted, after)

    second_order, first_order = vector(gradient_of(*whole)), vector(gradient_of(*first))
    np.testing.assert_allclose(first_order, vector(without_hessian(meta, *phases)), rtol=1e-9, atol=1e-14)
    assert np.linalg.norm(second_order - first_order) > 0.01 * np.linalg.norm(first_order)


def test_the_second_order_gradient_is_the_first_order_one_through_one_minus_alpha_hessian():
    learner, meta, life = lived(tiny(), ENVIRONMENTS["continuous"])
    phases = [jax.tree.map(lambda x: x[k], life.data) for k in range(2)]  # noqa: B023
    theta, unravel = jax.flatten_util.ravel_pytree(meta.params["policy"])
    loss = lambda phi, data: learner.inner.surrogate(unravel(phi), data)
    hessian = jax.jit(jax.hessian(loss))(theta, phases[0])
    slope = jax.jit(jax.grad(loss))
    expected = (np.eye(theta.size) - 0.3 * hessian) @ slope(theta - 0.3 * slope(theta, phases[0]), phases[1])
    found = jax.flatten_util.ravel_pytree(gradient_of(learner, meta, life)["policy"])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_without_an_inner_step_it_is_the_plain_policy_gradient(env):
    learner, meta, life = lived(tiny(inner_lr=0.0), ENVIRONMENTS[env])
    last = jax.tree.map(lambda x: x[-1], life.data)
    log_prob = lambda phi: learner.inner.log_prob(phi, last)
    plain = jax.grad(lambda phi: -jnp.mean(log_prob(phi) * learner.inner.advantages(last)))
    found = vector(gradient_of(learner, meta, life))
    np.testing.assert_allclose(found, vector(jax.jit(plain)(meta.params["policy"])), rtol=1e-9, atol=1e-14)


# A quadratic, where everything is known

CURVATURE = np.array([[2.0, 0.3], [0.3, 1.0]])
RATE = 0.1


class Meta(NamedTuple):
    params: jax.Array


class Quadratic(Learner):
    r"""Acts with its parameters and adapts by SGD on $\frac12 (\phi - g)^T A (\phi - g)$, where g is in the data."""

    tasks: int = 1
    first_order: bool = False

    privileged = "always"

    def schedule(self, episodes=None):
        return Schedule(4, 1, 1)

    def init(self, key):
        return Meta(jnp.array([1.0, -1.0]))

    def begin(self, meta, key, descriptor):
        return meta.params, descriptor

    def act(self, meta, inner, carry, step, key, explore):
        return inner, carry, carry  # the target is recorded

    def loss(self, phi, data):
        gap = phi - data.extras[0, 0]
        return 0.5 * gap @ jnp.asarray(CURVATURE) @ gap

    def adapt(self, meta, inner, data, key):
        return sgd_step(self.loss, inner, data, RATE, self.first_order)

    def update(self, meta, lifetimes, key):
        return meta, {}


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("weights", [(0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), (0.0, 1.0, 1.0, 1.0)])
def test_closed_form_on_a_quadratic(first_order, weights):
    learner, meta, life = lived(Quadratic(first_order=first_order), Target())
    target = np.asarray(life.data.extras[0, 0, 0])

    def total(params):
        judged = replay(learner, Meta(params), life, learner.loss, first=weights.index(1.0))
        return jnp.sum(judged * jnp.asarray(weights[-len(judged) :]))

    value, gradient = jax.jit(jax.value_and_grad(total))(meta.params)
    # phi_k - g = M^k (theta - g) with M = 1 - alpha A, so the gradient of phase k is M^k A M^k (theta - g)
    shrink, gap = np.eye(2) - RATE * CURVATURE, np.asarray(meta.params) - target
    powers = [np.linalg.matrix_power(shrink, k) for k in range(4)]
    slopes = [(np.eye(2) if first_order else power) @ CURVATURE @ power @ gap for power in powers]
    losses = [0.5 * gap @ power @ CURVATURE @ power @ gap for power in powers]
    np.testing.assert_allclose(gradient, np.asarray(weights) @ np.array(slopes), rtol=1e-12)
    np.testing.assert_allclose(value, np.asarray(weights) @ np.array(losses), rtol=1e-12)
    # and what acted was what is replayed
    np.testing.assert_allclose(life.data.action[:, 0, 0], [target + power @ gap for power in powers], rtol=1e-12)


@pytest.mark.parametrize("remat", [False, True])
def test_recomputing_in_the_backward_pass_changes_nothing(remat):
    learner, meta, life = lived(Quadratic(), Target())
    total = lambda params: replay(learner, Meta(params), life, learner.loss, 3, remat)[0]
    gradient = jax.jit(jax.grad(total))(meta.params)
    power = np.linalg.matrix_power(np.eye(2) - RATE * CURVATURE, 3)
    gap = np.asarray(meta.params) - np.asarray(life.data.extras[0, 0, 0])
    np.testing.assert_allclose(gradient, power @ CURVATURE @ power @ gap, rtol=1e-12)
