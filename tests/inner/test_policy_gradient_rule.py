from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.types import Step, Transition
from adaptax.inner.policy_gradient import PolicyGradient, linear_baseline, sgd_step, time_features
from adaptax.nn.policy import feed_forward
from adaptax.ops.spaces import Box, Discrete

PARAMS = {"w": jnp.array([1.0, -2.0]), "b": jnp.array(3.0)}


def phase(reward, terminated=None):
    """A phase of four steps in two copies."""
    shape = (4, 2)
    off = jnp.zeros(shape, bool)
    observation = jnp.arange(8, dtype=float).reshape(4, 2, 1)
    step = Step(observation, jnp.zeros(shape, jnp.int32), jnp.zeros(shape), off.at[0].set(True))
    action = jnp.arange(8).reshape(shape) % 2
    ends = off if terminated is None else terminated
    return Transition(step, action, jnp.asarray(reward, float), observation, ends, off, jnp.full(shape, -0.7, float))


def loss(params, data):
    """Quadratic in w, linear in b; its gradient is 2 w and the mean reward."""
    return jnp.sum(params["w"] ** 2) + jnp.mean(data.reward) * params["b"]


def test_a_step_by_hand():
    after = sgd_step(loss, PARAMS, phase(np.full((4, 2), 4.0)), 0.1)
    np.testing.assert_allclose(after["w"], [0.8, -1.6], rtol=1e-6)
    np.testing.assert_allclose(after["b"], 2.6, rtol=1e-6)


def test_one_step_size_for_each_leaf():
    after = sgd_step(loss, PARAMS, phase(np.full((4, 2), 4.0)), {"w": jnp.array(0.0), "b": jnp.array(-0.5)})
    np.testing.assert_allclose(after["w"], PARAMS["w"])
    np.testing.assert_allclose(after["b"], 5.0)


@pytest.mark.parametrize(("first_order", "slope"), [(False, 2 * (0.8 * 1.6) * 0.8), (True, 2 * (0.8 * 1.6))])
def test_first_order_stops_at_the_inner_gradient(first_order, slope):
    # phi' = phi - 0.1 * 2 phi = 0.8 phi, so d phi'^2 / d phi is 2 phi' * 0.8, and 2 phi' at first order
    data = phase(np.zeros((4, 2)))
    outer = lambda phi: sgd_step(lambda p, _: p**2, phi, data, 0.1, first_order) ** 2
    np.testing.assert_allclose(jax.grad(outer)(jnp.array(1.6)), slope, rtol=1e-5)


def test_the_baseline_is_ridge_regression():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)).astype(np.float32), rng.normal(size=20).astype(np.float32)
    # as least squares on data with one row more for each penalty
    wide = np.concatenate([x, np.sqrt(1e-3 * 20) * np.eye(3)])
    weights = np.linalg.lstsq(wide, np.concatenate([y, np.zeros(3)]), rcond=None)[0]
    np.testing.assert_allclose(linear_baseline(jnp.asarray(x), jnp.asarray(y)), x @ weights, rtol=1e-3, atol=1e-4)


def test_time_features_begin_anew_with_an_episode():
    first = jnp.array([[True], [False], [True], [False]])
    features = time_features(jnp.full((4, 1, 1), 20.0, float), first)
    np.testing.assert_allclose(features[:, 0, 0], 10.0)  # clipped
    np.testing.assert_allclose(features[:, 0, 3], [0, 0.25, 0.5, 0.75])  # in the phase
    np.testing.assert_allclose(features[:, 0, 5], [0, 0.25, 0, 0.25])  # in the episode


def rule(**fields):
    return PolicyGradient(feed_forward(Box(-9.0, 9.0, (1,)), Discrete(2), 4), 0.9, 1.0)._replace(**fields)


def test_equal_rewards_give_no_advantage_and_no_nan():
    # the square root in `standardise` at zero variance is where meta-gradients turn into NaN
    data = phase(np.zeros((4, 2)))
    learned = rule()
    params = learned.policy.init(jax.random.key(0))
    np.testing.assert_allclose(learned.advantages(data), 0.0, atol=1e-4)
    outer = lambda p: learned.surrogate(learned.step(learned.begin(p), data, 0.5).params, data)
    for leaf in jax.tree.leaves(jax.jit(jax.grad(outer))(params)):
        assert np.all(np.isfinite(np.asarray(leaf)))


@pytest.mark.parametrize("cut", [False, True], ids=["terminated", "truncated"])
def test_advantages_stop_at_the_end_of_an_episode(cut):
    reward, ends = np.random.default_rng(0).normal(size=(4, 2)), np.zeros((4, 2), bool)
    ends[1, 0] = True  # after its second step the first copy begins anew
    data = phase(reward)
    first = data.step.first.at[2, 0].set(True)
    data = data._replace(
        step=data.step._replace(first=first), **{"truncated" if cut else "terminated": jnp.asarray(ends)}
    )
    target = np.zeros((5, 2))
    for t in reversed(range(4)):
        target[t] = reward[t] + 0.9 * np.where(ends[t], 0.0, target[t + 1])
    features = time_features(data.step.observation, first).reshape(8, -1)
    expected = target[:4] - np.reshape(linear_baseline(features, jnp.asarray(target[:4].ravel(), float)), (4, 2))
    found = rule(standardised=False).advantages(data)  # with lambda = 1: the return less the baseline, centred
    np.testing.assert_allclose(found, expected - expected.mean(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("standardised", [True, False])
def test_advantages_are_centred_and_scaled_only_if_asked(standardised):
    reward = np.random.default_rng(0).normal(size=(4, 2))
    small, large = (rule(standardised=standardised).advantages(phase(scale * reward)) for scale in (1.0, 10.0))
    np.testing.assert_allclose(jnp.mean(small), 0.0, atol=1e-5)
    np.testing.assert_allclose(large, small * (1.0 if standardised else 10.0), rtol=1e-3, atol=1e-3)


def test_the_gradient_of_the_surrogate_is_the_policy_gradient_where_it_acted():
    data = phase(np.random.default_rng(1).normal(size=(4, 2)))
    learned = rule()
    params = learned.policy.init(jax.random.key(0))
    data = data._replace(extras=learned.log_prob(params, data))
    plain = lambda p: -jnp.mean(learned.log_prob(p, data) * learned.advantages(data))
    found, expected = jax.grad(learned.surrogate)(params, data), jax.grad(plain)(params)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


def test_a_loss_of_ones_own_reads_observations_as_the_life_does():
    usual = rule(normalise=True)
    own = usual._replace(loss=lambda rule, phi, data: rule.surrogate(phi, data))
    data, start = phase(np.arange(8.0).reshape(4, 2)), usual.begin(usual.policy.init(jax.random.key(0)))
    raw = usual._replace(loss=lambda _, phi, data: rule().surrogate(phi, data))
    twice = [one.step(one.step(start, data, 0.5), data, 0.5).params for one in (usual, own, raw)]
    ours, theirs, unread = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(params)]) for params in twice)
    np.testing.assert_array_equal(ours, theirs)
    assert np.abs(ours - unread).max() > 1e-3


def test_another_loss_takes_the_place_of_the_surrogate():
    learned = rule(loss=lambda rule, phi, data: 3.0 * phi * jnp.mean(data.reward))
    after = learned.step(learned.begin(jnp.array(1.0)), phase(np.ones((4, 2))), 0.5)
    np.testing.assert_allclose(after.params, -0.5)


def test_step_sizes_fall_along_a_life():
    learned = rule(loss=lambda rule, phi, data: phi * jnp.mean(data.reward), decay=0.5)
    now, walked = learned.begin(jnp.array(0.0)), [0.0]
    for _ in range(3):
        now = learned.step(now, phase(np.ones((4, 2))), 0.6)
        walked.append(float(now.params))
    np.testing.assert_allclose(np.diff(walked), [-0.6, -0.4, -0.3], rtol=1e-5)  # 0.6 / (1 + k / 2)


def test_observations_are_read_in_deviations_from_the_phases_before():
    """After a phase, a policy that normalises cannot tell observations from the same ones on another scale."""
    policy = feed_forward(Box(-np.inf, np.inf, (1,)), Discrete(2), 8)
    rule = PolicyGradient(policy, discount=0.9, gae_lambda=1.0, normalise=True)
    start: Any = rule.begin(rule.policy.init(jax.random.key(0)))
    data = phase(np.zeros((4, 2)))

    def logits(life, x) -> Any:
        return cast(Any, rule.reading(life).at(life.params, x)).logits

    def lived(scale) -> Any:
        return rule.step(start, data._replace(step=data.step._replace(observation=scale * data.step.observation)), 0.0)

    now, scaled, x = lived(1.0), lived(20.0), jnp.array([2.5])
    assert float(start.moments.count) == 0 and float(now.moments.count) == 8
    ours, theirs = (logits(life, s * x) for life, s in ((now, 1.0), (scaled, 20.0)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    plain = logits(start, x)
    assert np.abs(np.asarray(plain - ours)).max() > 1e-5
