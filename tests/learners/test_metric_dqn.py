"""A library of solved tasks, and which of them a new task starts from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax as ax
from adaptax import testing
from adaptax.core.lifetime import advance, born
from adaptax.core.trainer import initial_state, lived, meta_step
from adaptax.envs.grid import GridNavigation
from adaptax.learners.metric_dqn import MetricDQN, earned_in_phase
from adaptax.nn.siamese import siamese
from adaptax.ops.moments import seen

ENV = GridNavigation()


def bound(**fields):
    return testing.small(MetricDQN(**fields)).bind(ENV.spec(), 10)


def filled(learner, told, values):
    """An outer state whose library holds tasks told so, with networks that are `values` everywhere."""
    meta = learner.init(jax.random.key(0))
    count = len(values)
    rows = lambda old, x: old.at[:count].set(x)
    full = lambda old: rows(old, jnp.broadcast_to(values.reshape(-1, *[1] * (old.ndim - 1)), (count, *old.shape[1:])))
    library = meta.library._replace(
        told=rows(meta.library.told, told[:, None]),
        params=jax.tree.map(full, meta.library.params),
        written=jnp.asarray(count, jnp.int32),
    )
    return meta._replace(library=library)


def test_the_nearest_networks_are_averaged_by_their_distance():
    learner = bound(neighbours=2, temperature=0.7)
    told, values = jnp.array([[0.0, 0.0], [1.0, 1.0], [3.0, -3.0]]), jnp.array([1.0, 2.0, 5.0])
    meta = filled(learner, told, values)
    net, asked = learner.siamese, jnp.array([0.9, 0.8])
    params = meta.params["siamese"]
    read = lambda x: net.embed(params, x[None])
    distance = np.array([net.distance(params, read(asked), read(x)) for x in told])
    two = np.argsort(distance)[:2]
    weight = np.exp(-distance[two] / 0.7) / np.exp(-distance[two] / 0.7).sum()
    for leaf in jax.tree.leaves(learner.made_for(meta, asked[None])):
        np.testing.assert_allclose(leaf, (weight * np.asarray(values)[two]).sum(), rtol=1e-5)


def test_of_entries_as_near_the_one_is_taken_that_earned_more_at_home():
    learner, told = bound(neighbours=1), jnp.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    meta = filled(learner, told, jnp.array([1.0, 2.0, 5.0]))
    at_home = meta.library.earned.at[:3].set(jnp.array([0.1, 0.7, -3.0]))
    meta = meta._replace(library=meta.library._replace(earned=at_home), params=meta.params | {"w": jnp.asarray(0.5)})
    for leaf in jax.tree.leaves(learner.made_for(meta, told[:1])):
        np.testing.assert_allclose(leaf, 2.0, rtol=1e-6)


def test_before_there_are_as_many_entries_as_asked_for_those_there_are_count():
    learner = bound(neighbours=3)
    meta = filled(learner, jnp.array([[0.5, 0.5]]), jnp.array([4.0]))
    for leaf in jax.tree.leaves(learner.made_for(meta, jnp.ones((1, 2)))):
        np.testing.assert_allclose(leaf, 4.0, rtol=1e-6)
    empty = learner.init(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, learner.made_for(empty, jnp.ones((1, 2))), empty.first)


@pytest.mark.parametrize("features", ["descriptor", "statistics"])
def test_what_tries_earned_is_remembered_beside_the_very_entries_that_were_tried(features):
    learner = bound(features=features, tries=2, phases=2)
    state = initial_state(learner, ENV, jax.random.key(0))
    state, _ = meta_step(learner, ENV, state)
    assert int(state.meta.tries.written) == 0, "there was nothing to try yet"
    assert int(state.meta.library.written) == learner.tasks
    _, lifetimes, key = lived(learner, ENV, state)
    after, _ = learner.update(state.meta, lifetimes, key)
    first, count = int(features != "descriptor"), 2 * learner.tasks
    assert int(after.tries.written) == count
    data = jax.tree.map(lambda x: x[:, first : first + 2], lifetimes.data)
    ended = np.maximum(np.asarray(data.terminated | data.truncated).sum((2, 3)), 1)
    earned = (np.asarray(data.reward).sum((2, 3)) / ended).ravel()
    np.testing.assert_allclose(after.tries.earned[:count], earned, rtol=1e-6)
    at_home = np.asarray(state.meta.library.earned)
    # that the entries named are those whose networks acted: greedily, so their best actions are what was done
    telling = np.asarray(state.meta.library.told)
    for life in range(learner.tasks):
        for attempt in range(2):
            told = np.asarray(after.tries.entry[2 * life + attempt])
            (index,) = np.flatnonzero((telling == told).all((1, 2)))[:1]
            assert float(after.tries.at_home[2 * life + attempt]) == at_home[index]
            params = jax.tree.map(lambda x: x[index], state.meta.library.params)  # noqa: B023
            data = jax.tree.map(lambda x: x[life, first + attempt], lifetimes.data)  # noqa: B023
            values = jax.vmap(jax.vmap(lambda o: learner.inner.values(params, o)))(data.step.observation)  # noqa: B023
            np.testing.assert_array_equal(np.asarray(jnp.argmax(values, -1)), np.asarray(data.action))


def balancing(learner, sign):
    """A Q-network that pushes the cart under a falling pole, where the motor pushes in the direction of `sign`."""
    one, two, last = jax.tree.map(jnp.zeros_like, learner.network.init(jax.random.key(0)))
    lean, unit = sign * jnp.array([0.3, 0.6, 6.0, 1.5]), jnp.arange(4)
    one["weight"] = one["weight"].at[unit, unit].set(1.0).at[unit, 4 + unit].set(-1.0)
    push = jnp.concatenate([lean, -lean])
    two["weight"] = two["weight"].at[:8, 0].set(push).at[:8, 1].set(-push)
    last["weight"] = last["weight"].at[0, 1].set(1.0).at[1, 0].set(1.0)
    return [one, two, last]


def test_what_a_try_earns_is_the_doing_of_its_entry_alone():
    """Whatever pole the entry before has left: who balances earns a whole episode in every try, others little."""
    env = ax.make("cartpole")
    learner = MetricDQN(tasks=8, tries=4, phases=1, library=8, near=0.0, remembered=32).bind(env.spec(), 10)
    state = initial_state(learner, env, jax.random.key(0))
    both = jax.tree.map(lambda *x: jnp.stack(x * 4), balancing(learner, 1.0), balancing(learner, -1.0))
    library = state.meta.library._replace(params=both, written=jnp.asarray(8, jnp.int32))
    library = library._replace(told=jnp.arange(8.0)[:, None, None] + jnp.zeros_like(library.told))  # their numbers
    meta = state.meta._replace(library=library)
    _, lifetimes, key = lived(learner, env, state._replace(meta=meta))
    assert lifetimes.data.step.first[:, :, 0].all(), "each phase begins with an episode"
    tries = learner.update(meta, lifetimes, key)[0].tries
    forward, taken = np.asarray(lifetimes.descriptor)[:, -1].repeat(4) > 0, np.asarray(tries.entry)[:, 0, 0] % 2 == 0
    earned = np.asarray(tries.earned)
    assert (earned[forward == taken] == 200).all() and (forward == taken).sum() > 8
    assert (earned[forward != taken] < 20).all()


def test_an_episode_that_the_end_of_a_phase_cuts_off_is_over_in_the_replay():
    learner = bound(tries=1, phases=2, steps=4)
    state = initial_state(learner, ENV, jax.random.key(0))
    life = born(learner, ENV, state.meta, ENV.tasks.train(jax.random.key(5)), jax.random.key(6), learner.copies)
    life, _ = advance(learner, ENV, state.meta, life, learner.schedule()._replace(phases=2))
    replay = life.agent.inner.replay
    np.testing.assert_array_equal(replay.kept.over[:8, 0], np.arange(1, 9) % 4 == 0)
    assert not replay.kept.terminated[:8].any()


def test_a_task_is_learned_after_the_tries_from_one_network_for_all():
    learner = bound(tries=2, phases=1, warm_up=0)
    state = initial_state(learner, ENV, jax.random.key(0))
    state, _ = meta_step(learner, ENV, state)
    task, meta = ENV.tasks.train(jax.random.key(5)), state.meta
    life = born(learner, ENV, meta, task, jax.random.key(6), learner.copies)
    schedule = learner.schedule()
    tried, _ = advance(learner, ENV, meta, life, schedule._replace(phases=2))
    jax.tree.map(np.testing.assert_array_equal, tried.agent.inner.params, meta.first)
    assert int(tried.agent.inner.updates) == 0
    learned, _ = advance(learner, ENV, meta, tried, schedule._replace(phases=1))
    assert int(learned.agent.inner.updates) > 0


@pytest.mark.parametrize("near", [0.0, 1.0])
def test_tries_are_any_entries_or_those_that_seem_good(near):
    learner = bound(near=near, temperature=0.05)
    meta = filled(learner, jnp.array([[0.0, 0.0], [4.0, -4.0], [-3.0, 3.0]]), jnp.arange(3.0))
    tried = [int(learner.tried(meta, jnp.zeros((1, 2)), jax.random.key(i))) for i in range(60)]
    assert (set(tried) == {0}) == (near == 1.0)
    assert set(tried) <= {0, 1, 2}
    if not near:
        assert min(np.bincount(tried, minlength=3)) > 8


def test_with_an_asymmetric_distance_what_failed_is_expected_to_fail_again():
    learner = bound(attempts=2, asymmetric=True)
    meta = filled(learner, jax.random.normal(jax.random.key(1), (4, 2)), jnp.arange(4.0))
    meta = meta._replace(worth=seen(meta.worth, jnp.array([[3.0], [5.0], [7.0]])))
    now = learner.attempt(learner.expected(meta, jnp.zeros((1, 2))), jnp.zeros((1, 2)))
    after = learner.corrected(meta, now, jnp.asarray(2.0))
    assert float(after[now.entry]) == pytest.approx((2.0 - 5.0) / np.std([3.0, 5.0, 7.0]), rel=1e-4)


def test_what_is_found_out_in_several_phases_is_kept_whether_entries_are_tried_or_not():
    for attempts in (0, 2):
        learner = bound(features="statistics", exploring=2, attempts=attempts, near=0.0)
        state, _ = meta_step(learner, ENV, initial_state(learner, ENV, jax.random.key(0)))
        meta, task = learner.deployed(state.meta), ENV.tasks.test(jax.random.key(5))
        life = born(learner, ENV, meta, task, jax.random.key(6), learner.copies)
        known = [jnp.zeros(learner.told_shape)]
        for come in range(2):
            life, lived_through = advance(learner, ENV, meta, life, learner.schedule()._replace(phases=1))
            known.append(learner.heard(known[-1], jax.tree.map(lambda x: x[0], lived_through.data), come))
            found = life.agent.inner.told
            np.testing.assert_allclose(found.told if attempts else found, known[-1], rtol=1e-5)


def test_what_an_entry_earned_corrects_what_is_expected_of_those_like_it():
    learner = bound(attempts=2)
    meta = filled(learner, jnp.array([[0.0, 0.0], [0.0, 0.0], [1.0, -1.0]]), jnp.arange(3.0))
    meta = meta._replace(worth=seen(meta.worth, jnp.array([[3.0], [5.0], [7.0]])))
    now = learner.attempt(learner.expected(meta, jnp.zeros((1, 2))), jnp.zeros((1, 2)))
    assert int(now.entry) in (0, 1)
    before, after = np.asarray(now.expected), np.asarray(learner.corrected(meta, now, jnp.asarray(2.0)))
    deviation = (2.0 - 5.0) / np.std([3.0, 5.0, 7.0])
    np.testing.assert_allclose(after[:2], deviation, rtol=1e-2)  # twins of what failed
    params, read = meta.params["siamese"], lambda x: learner.read(meta.params, meta.moments, x)
    apart = float(learner.siamese.distance(params, read(meta.library.told[2]), read(meta.library.told[0])))
    np.testing.assert_allclose(after[2], before[2] + np.exp(-apart) * (deviation - before[0]), rtol=1e-5)
    assert int(jnp.argmax(jnp.asarray(after))) == 2, "so next comes one that is unlike it"
    assert (after[3:] == -np.inf).all(), "what is not there yet is not expected to earn anything"


def test_attempts_of_an_empty_library_are_of_the_first_network():
    learner = bound(attempts=2)
    meta = learner.deployed(learner.init(jax.random.key(0)))
    life = born(learner, ENV, meta, ENV.tasks.test(jax.random.key(5)), jax.random.key(6), learner.copies)
    life, _ = advance(learner, ENV, meta, life, learner.schedule()._replace(phases=2))
    assert not np.isnan(life.agent.inner.told.expected).any()
    jax.tree.map(np.testing.assert_array_equal, life.agent.inner.params, meta.first)


@pytest.mark.parametrize("features", ["descriptor", "statistics"])
def test_a_life_of_use_tries_entries_before_it_learns_from_the_best(features):
    learner = bound(features=features, attempts=2, tries=1, phases=1, warm_up=0)
    state = initial_state(learner, ENV, jax.random.key(0))
    for _ in range(2):
        state, _ = meta_step(learner, ENV, state)
    meta, schedule, before = learner.deployed(state.meta), learner.schedule(), int(features != "descriptor")
    life = born(learner, ENV, meta, ENV.tasks.test(jax.random.key(5)), jax.random.key(6), learner.copies)
    for phase in range(before + 2):
        tried, inner = phase >= before, life.agent.inner
        entry = jax.tree.map(lambda x: x[int(inner.told.entry)], meta.library.params)  # noqa: B023
        life, lived_through = advance(learner, ENV, meta, life, schedule._replace(phases=1))
        if tried:
            jax.tree.map(np.testing.assert_array_equal, inner.params, entry)
            data = jax.tree.map(lambda x: x[0], lived_through.data)
            values = jax.vmap(jax.vmap(lambda o: learner.inner.values(entry, o)))(data.step.observation)  # noqa: B023
            np.testing.assert_array_equal(np.asarray(jnp.argmax(values, -1)), np.asarray(data.action))
            np.testing.assert_allclose(
                life.agent.inner.told.expected, learner.corrected(meta, inner.told, earned_in_phase(data)), rtol=1e-5
            )
    assert int(life.agent.inner.updates) == 0
    best = jax.tree.map(lambda x: x[int(jnp.argmax(life.agent.inner.told.expected))], meta.library.params)
    jax.tree.map(np.testing.assert_array_equal, life.agent.inner.params, best)
    learned, _ = advance(learner, ENV, meta, life, schedule._replace(phases=1))
    assert int(learned.agent.inner.updates) > 0


def test_siamese_distances():
    told = jax.random.normal(jax.random.key(0), (2, 4, 3))
    for asymmetric in (False, True):
        net = siamese(3, 8, 5, asymmetric)
        params = net.init(jax.random.key(1))
        one, other = (net.embed(params, x) for x in told)
        there, back = net.distance(params, one, other), net.distance(params, other, one)
        assert float(there) > 0 and (float(there) != pytest.approx(float(back))) == asymmetric
    assert float(siamese(3, 8, 5).distance(params, one, one)) < 2e-3
    order = net.embed(params, told[0][::-1])
    np.testing.assert_allclose(order, net.embed(params, told[0]), rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"library": 3}, "library is 3; it must hold the 4 entries that a meta-step makes"),
        ({"neighbours": 9, "library": 8}, "library is 8; neighbours asks for 9 of its entries"),
        ({"attempts": 1, "neighbours": 2}, "attempts try one entry at a time, and neighbours is 2: set it to 1"),
        ({"remembered": 7}, "remembered is 7; a meta-step makes 8 tries"),
    ],
)
def test_what_does_not_go_together_is_said(fields, problem):
    learner = MetricDQN(**{"tasks": 4, "batch": 4, "tries": 2, "warm_up": 4} | fields).bind(ENV.spec())
    (said,) = learner.problems()
    assert problem in said
