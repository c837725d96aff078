"""The learned optimiser: Adam at first, the same for all coordinates; its two outer gradients against known ones."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

import adaptax as ax
from adaptax.adapters.on_host import OnHost
from adaptax.core.lifetime import advance, born, replay
from adaptax.core.types import Lifetime, Step, Transition
from adaptax.errors import ConfigError
from adaptax.inner.learned_optimizer import fresh_optimiser, learned_optimiser
from adaptax.learners.learned_optimizer import LearnedOptimizer, Meta
from adaptax.measure import whole_life
from adaptax.ops.optimise import lenient
from adaptax.testing.toys import Corridor

KEY = jax.random.key(0)
TINY: dict[str, Any] = {"hidden": 4, "units": 2, "batch": 4, "replay": 64, "warm_up": 8, "steps": 12, "tasks": 2}


def strayed(params, key, by=0.5):
    """Parameters with noise, so that nothing of them is zero."""
    flat, unravel = ravel_pytree(params)
    return unravel(flat + by * jax.random.normal(key, flat.shape, flat.dtype))


def steps(rule, gradients, phi):
    """The changes that an optimiser makes of gradients, one after the other."""
    state, found = rule.init(phi), []
    for gradient in gradients:
        change, state = rule.update(gradient, state, phi)
        found.append(change)
    return found


def test_untrained_it_is_adam():
    phi = {"a": jnp.zeros((3, 2)), "b": jnp.zeros(4)}
    keys = jax.random.split(KEY, 30)
    scales = 10.0 ** jnp.linspace(-6, 2, 30)  # from minute gradients to huge ones
    drawn = lambda scale, key: jax.tree.map(lambda x: scale * jax.random.normal(key, x.shape), phi)
    gradients = [drawn(scale, key) for scale, key in zip(scales, keys, strict=True)]
    adam = lenient(optax.adam(0.02, eps_root=1e-16))
    ours = learned_optimiser(fresh_optimiser(KEY, 5), 0.02)
    for one, other in zip(steps(ours, gradients, phi), steps(adam, gradients, phi), strict=True):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4), one, other)


TRAINED = strayed(fresh_optimiser(KEY, 4), jax.random.key(1))
UPDATE = jax.jit(lambda gradients: steps(learned_optimiser(TRAINED, 0.1), gradients, jnp.zeros(6)))


@given(seed=st.integers(0, 10**6), order=st.permutations(range(6)), sign=st.sampled_from([1.0, -1.0]))
def test_coordinates_are_treated_alike(seed, order, sign):
    """Another order of the coordinates is another order of the steps; the opposite gradients, the opposite steps."""
    gradients = jax.random.normal(jax.random.key(seed), (5, 6)) * jnp.array([[1e-3, 0.1, 1.0, 1.0, 10.0, 0.0]])
    order = np.array(order)
    for one, other in zip(UPDATE(list(gradients)), UPDATE(list(sign * gradients[:, order])), strict=True):
        np.testing.assert_allclose(sign * one[order], other, rtol=1e-4, atol=1e-6)
        assert float(one[5]) == 0  # without a gradient, no step


def test_a_step_by_hand():
    """The first update: all means are the gradient itself, and r is its sign."""
    params = {"memory": fresh_optimiser(KEY, 1)["memory"], "head": {"weight": jnp.zeros((1, 3))}}
    params["head"]["bias"] = jnp.array([0.3, 2.0, -0.5])
    (change,) = steps(learned_optimiser(params, 0.1), [jnp.array([2.0, -3.0])], jnp.zeros(2))
    size = 0.1 * np.exp(3 * np.tanh(0.3 / 3))
    np.testing.assert_allclose(change, [-size * (1 + 2.0 - 0.5), size * (1 + 2.0 - 0.5)], rtol=1e-4)


def lived(learner, meta, segments=1):
    """The last of some segments of one life in a corridor."""
    env = Corridor()
    life = born(learner, env, meta, jnp.asarray(1, jnp.int32), KEY, 1)
    for _ in range(segments):
        life, segment = eqx.filter_jit(advance)(learner, env, meta, life, learner.schedule())
    return segment


def bound(**fields):
    return LearnedOptimizer(**TINY | fields).bind(Corridor().spec())


def test_it_serves_networks_of_another_width():
    meta = bound().init(KEY)
    meta = bound().deployed(meta._replace(params=strayed(meta.params, KEY)))
    for hidden in (4, 8):
        inner = lived(bound(hidden=hidden, phases=2), meta).last.inner
        assert inner.params[0]["bias"].shape == (hidden,) and int(inner.updates) == 6 - 1
        assert not np.array_equal(inner.params[0]["bias"], inner.target[0]["bias"])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("segments", [1, 2])
def test_the_gradient_through_a_segment_equals_finite_differences(segments):
    learner = bound(phases=3, inner_lr=0.03, target_every=3)
    meta = learner.init(KEY)
    meta = meta._replace(params=strayed(meta.params, jax.random.key(3), 0.3))
    life = lived(learner, meta, segments)
    assert bool(life.fresh) == (segments == 1)
    theta, unravel = ravel_pytree(meta.params)
    values = lambda phi, seen: jax.vmap(jax.vmap(lambda one: learner.inner.values(phi, one)))(seen)
    judge = lambda phi, data: jnp.mean(values(phi.params, data.step.observation) ** 2)
    through = lambda theta: jnp.sum(replay(learner, Meta(unravel(theta), (), ()), life, judge, first=1))
    loss, gradient = jax.jit(through), jax.jit(jax.grad(through))(theta)
    assert np.all(np.abs(gradient) > 0), "a parameter that does not matter"
    for i in range(0, theta.size, 5):
        shift = jnp.zeros_like(theta).at[i].set(1e-6)
        slope = (loss(theta + shift) - loss(theta - shift)) / 2e-6
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("td_lambda", [0.0, 1.0])
def test_what_followed_and_how_it_is_judged_by_hand(td_lambda):
    """Four steps, of which the second ends an episode: with lambda 1 what was earned, with 0 one reward and values."""
    learner = bound(td_lambda=td_lambda, discount=0.5, steps=4)
    life = lived(learner, learner.init(KEY))
    data = jax.tree.map(lambda x: x[:1], life.data)._replace(reward=jnp.array([1.0, 2.0, 4.0, 8.0])[None, :, None])
    data = data._replace(terminated=jnp.array([False, True, False, False])[None, :, None])
    data = data._replace(truncated=jnp.zeros((1, 4, 1), bool))
    found = learner.followed(life._replace(data=data))[0, :, 0]
    phi = life.last.inner.params
    values = lambda seen: np.stack([learner.inner.values(phi, seen[0, i, 0]) for i in range(4)])
    now, best = values(data.step.observation), values(data.next_observation).max(1)
    last = 8 + 0.5 * best[3]
    gain = [1 + 0.5 * 2, 2, 4 + 0.5 * last, last]
    if td_lambda == 0:
        gain = [1 + 0.5 * best[0], 2, 4 + 0.5 * best[2], last]
    np.testing.assert_allclose(found, gain - now.mean(1), rtol=1e-4)
    told = now[np.arange(4), np.asarray(data.action[0, :, 0])] - now.mean(1)
    loss = learner.judged(phi, jax.tree.map(lambda x: x[0], data), found[:, None])
    np.testing.assert_allclose(loss, 0.5 * np.mean((told - found) ** 2), rtol=1e-5)


def paid(reward, fresh) -> Lifetime:
    """Lives of a single step that ends the episode, as evolution looks at them."""
    each = lambda x: jnp.asarray(x)[:, None, None, None]
    over = jnp.ones(reward.shape, bool)
    nothing: Any = None
    step = Step(nothing, nothing, nothing, nothing)
    data = Transition(step, nothing, each(reward), nothing, each(over), each(~over), nothing)
    return Lifetime(data, nothing, nothing, jnp.full(reward.shape, fresh), nothing, None, nothing, nothing)


def proposed(learner, meta, key):
    """The parameters of a population, `[tasks, numbers]`."""
    proposals = learner.propose(meta, key, learner.tasks)
    assert proposals is not None
    return jax.vmap(lambda params: ravel_pytree(params)[0])(proposals.params)


def test_evolution_is_unbiased_beyond_the_segment():
    r"""A segment is paid $-\frac{1}{2} \lVert \theta_1 + \theta_2 - c \rVert^2$: what the one before did counts.

    The gradient of that by $\theta_1 = \theta_2 = \theta$ is $2 (2 \theta - c)$; a truncated one knows half of it.
    """
    learner = bound(gradient="pes", tasks=8, units=1, sigma=0.5)
    meta = learner.init(KEY)
    theta, _ = ravel_pytree(meta.params)
    target = theta + 0.3

    def estimate(key):
        first, second = jax.random.split(key)
        one, two = proposed(learner, meta, first), proposed(learner, meta, second)
        off = lambda x: -0.5 * jnp.sum((x - target[None]) ** 2, 1)
        born_gradient, noise, _ = learner.evolved(meta, paid(off(one), True), first)
        later, _, _ = learner.evolved(meta._replace(noise=noise), paid(off(one + two), False), second)
        return ravel_pytree(born_gradient)[0], ravel_pytree(later)[0]

    found = jax.jit(jax.vmap(estimate))(jax.random.split(jax.random.key(5), 4000))
    for estimates, exact in zip(found, (theta - target, 2 * (2 * theta - target)), strict=True):
        error = (estimates.mean(0) - exact) / (estimates.std(0) / len(estimates) ** 0.5)
        assert np.abs(error).max() < 4.5 and 0.5 < np.square(error).mean() < 2


def test_evolution_draws_its_noise_again():
    learner = bound(gradient="pes", tasks=4)
    meta = learner.init(KEY)
    theta, _ = ravel_pytree(meta.params)
    first, again = proposed(learner, meta, KEY), proposed(learner, meta, KEY)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first[::2] + first[1::2], 2 * jnp.tile(theta, (2, 1)), atol=1e-6)
    _, noise, _ = learner.evolved(meta, paid(jnp.arange(4.0), True), KEY)
    np.testing.assert_allclose(learner.sigma * noise, first[::2] - theta[None], atol=1e-6)
    _, twice, _ = learner.evolved(meta._replace(noise=noise), paid(jnp.arange(4.0), False), KEY)
    np.testing.assert_allclose(twice, 2 * noise, rtol=1e-6)


def test_what_is_refused():
    (problem,) = bound(phases=1).problems()
    assert problem == "phases is 1; gradient unroll judges by the phases after the first: give it 2 or more"
    assert bound(phases=1, gradient="pes").problems() == []
    (problem,) = bound(segments=2, phases=2, warm_up=48).problems()
    assert problem.startswith("warm_up is 48, and a training life has 48 steps: nothing would be learned")
    assert bound(segments=2, phases=2, warm_up=47).problems() == []


def test_it_lives_whole_lives_when_examined():
    learner = bound(phases=2, segments=5)
    assert learner.lifespan == 5 and whole_life(learner).phases == 10
    assert whole_life(learner, 6) == learner.schedule(6)
    assert dataclasses.replace(learner, gradient="pes").twins == 2


def test_simulators_on_the_host_are_refused():
    with pytest.raises(ConfigError, match="lives go on from one meta-step to the next") as told:
        ax.train(LearnedOptimizer(**TINY), OnHost(Corridor()), meta_steps=1)
    assert len(told.value.problems) == 1
