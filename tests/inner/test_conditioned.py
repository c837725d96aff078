"""What is known of a task, and the Q-network that is made from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax as ax
from adaptax import testing
from adaptax.core.lifetime import born, live_phase
from adaptax.core.trainer import initial_state, meta_step
from adaptax.core.types import Step, Transition
from adaptax.envs.grid import GridNavigation
from adaptax.learners.dqn import DQN
from adaptax.learners.hyper_dqn import HyperDQN
from adaptax.learners.meta_dqn import MetaDQN
from adaptax.ops.moments import normalised
from adaptax.testing.toys import Clock

ENV = GridNavigation()


def bound(learner, **fields):
    return testing.small(learner(**fields)).bind(ENV.spec(), 10)


def test_second_moments_by_hand():
    learner = testing.small(MetaDQN(features="statistics")).bind(Clock(horizon=4).spec())
    size, actions = learner.bound.observation.size, learner.bound.action.size
    observation = jnp.arange(2 * size, dtype=float).reshape(2, 1, size)
    step = Step(observation, jnp.zeros((2, 1), jnp.int32), jnp.zeros((2, 1)), jnp.zeros((2, 1), bool))
    ends = jnp.array([[False], [True]])
    action = jnp.array([[0], [1]], jnp.int32)
    data = Transition(step, action, jnp.array([[2.0], [-1.0]]), 2 * observation + 1, ends, ~ends, ())
    rows = []
    for t, (reward, ended) in enumerate([(2.0, 0.0), (-1.0, 1.0)]):
        seen, one_hot = np.asarray(observation[t, 0]), np.eye(actions)[t]
        rows.append(np.concatenate([[1.0], seen, one_hot, [reward, ended], seen + 1]))
    moments = np.mean([np.outer(row, row) for row in rows], 0)
    told = learner.told(data)
    assert told.shape == learner.told_shape == (1, len(rows[0]) * (len(rows[0]) + 1) // 2)
    roots = np.sign(moments) * abs(moments) ** 0.5
    np.testing.assert_allclose(told[0], roots[np.triu_indices(len(rows[0]))], rtol=1e-6)


@pytest.mark.parametrize("learner", [MetaDQN, HyperDQN])
@pytest.mark.parametrize("features", ["statistics", "encoder"])
def test_the_first_phase_is_random_and_then_the_network_is_made(learner, features):
    learner = bound(learner, features=features)
    meta = learner.init(jax.random.key(0))
    params = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(jax.random.key(1), x.shape), meta.params)
    meta = meta._replace(params=params, updates=jnp.array(10, jnp.int32))
    life = born(learner, ENV, meta, ENV.tasks.test(jax.random.key(2)), jax.random.key(3), learner.copies)
    schedule = learner.schedule()._replace(phases=9, in_use=True)
    assert learner.schedule().phases == learner.phases + 1 and learner.random_steps == schedule.steps * learner.copies
    first, data = live_phase(learner, ENV, meta, life, schedule, True)
    shares = np.bincount(np.asarray(data.action).ravel(), minlength=5) / data.action.size
    assert (abs(shares - 0.2) < 0.2).all()
    expected = learner.made_for(meta, learner.told(data))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), first.agent.inner.params, expected)
    assert int(first.agent.inner.updates) == 0
    moved = jax.tree.map(lambda x, y: float(jnp.max(jnp.abs(x - y))), expected, life.agent.inner.params)
    assert max(jax.tree.leaves(moved)) > 1e-3, "what was lived does not change the network"
    second, _ = live_phase(learner, ENV, meta, first, schedule, True)
    assert int(second.agent.inner.updates) > 0, "TD learning goes on from there"
    third = learner.adapt(
        meta, second.agent.inner, live_phase(learner, ENV, meta, second, schedule, True)[1], jax.random.key(0)
    )
    jax.tree.map(np.testing.assert_array_equal, third.params, second.agent.inner.params)


@pytest.mark.parametrize("features", ["statistics", "encoder"])
def test_each_phase_that_explores_adds_to_what_is_known_and_a_new_network_is_made(features):
    learner = bound(MetaDQN, features=features, exploring=3, epsilon=0.0)
    meta = learner.init(jax.random.key(0))._replace(updates=jnp.array(10, jnp.int32))
    meta = meta._replace(params=jax.tree.map(lambda x: x + 0.3, meta.params))
    life = born(learner, ENV, meta, ENV.tasks.test(jax.random.key(2)), jax.random.key(3), learner.copies)
    schedule, phases = learner.schedule()._replace(phases=9, in_use=True), []
    assert learner.random_steps == 3 * schedule.steps * learner.copies
    for come in range(4):
        before = life.agent.inner
        life, data = live_phase(learner, ENV, meta, life, schedule, True)
        phases.append(data)
        if come in (1, 2):  # nobody explores by chance any more
            best = jax.vmap(jax.vmap(lambda o: jnp.argmax(learner.inner.values(before.params, o))))  # noqa: B023
            np.testing.assert_array_equal(best(data.step.observation), data.action)
        if come < 3:
            told = [np.asarray(learner.told(x)) for x in phases]
            mean = np.mean([x * abs(x) for x in told], 0)
            known = np.sign(mean) * abs(mean) ** 0.5 if features == "statistics" else np.concatenate(told)
            heard = np.asarray(life.agent.inner.told)
            np.testing.assert_allclose(heard[-len(known) :], known, rtol=1e-4, atol=1e-6)
            assert not heard[: -len(known)].any()
            made = learner.made_for(meta, life.agent.inner.told)
            jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), life.agent.inner.params, made)
            assert int(life.agent.inner.updates) == 0
    assert int(life.agent.inner.updates) > 0, "TD learning goes on from there"


def test_what_is_known_early_is_asked_for_all_that_came_later():
    learner = bound(MetaDQN, features="statistics", exploring=2, phases=1, lives=8, tasks=4)
    state, _ = meta_step(learner, ENV, initial_state(learner, ENV, jax.random.key(0)))
    place = []
    for key in jax.random.split(jax.random.key(2), 20):
        told, drawn = learner.drawn(state.meta, key)
        place.append((np.asarray(told), np.asarray(drawn.place)))
    steps, lives = learner.phase_steps, state.meta.lives.told
    normal = jax.vmap(jax.vmap(jax.vmap(normalised, (None, 0)), (None, 0)), (None, 0))(state.meta.moments, lives)
    least = {0: steps * 9, 1: steps * 9}
    for told, places in place:
        for one, rows in zip(told, places, strict=True):
            (_, time), *_ = np.argwhere((np.asarray(normal) == one).all((2, 3)))
            least[int(time)] = min(least[int(time)], int(rows.min()))
    assert steps <= least[0] < 2 * steps <= least[1]


def test_who_is_told_lives_in_its_task_from_birth_on():
    learner = bound(HyperDQN)
    meta = learner.init(jax.random.key(0))
    meta = meta._replace(params=jax.tree.map(lambda x: x + 0.1, meta.params))
    one, other = (learner.begin(meta, jax.random.key(0), d)[0].params for d in (jnp.zeros(2), jnp.ones(2)))
    assert any(not np.allclose(x, y) for x, y in zip(*map(jax.tree.leaves, (one, other)), strict=True))
    assert learner.privileged == "always" and bound(HyperDQN, features="encoder").privileged == "never"


def test_what_only_training_needs_is_not_deployed():
    learner = bound(MetaDQN, epsilon=0.2, last_epsilon=0.2)
    meta = learner.init(jax.random.key(0))
    deployed, old = learner.deployed(meta), jnp.array(50, jnp.int32)
    assert jax.tree.leaves((deployed.lives.kept, deployed.target, deployed.optimiser)) == []
    assert jax.tree.leaves(bound(HyperDQN).deployed(bound(HyperDQN).init(jax.random.key(0))).lives) == []
    shares = [float(learner.explored_share(now, old)) for now in (meta, meta._replace(updates=old), deployed)]
    np.testing.assert_allclose(shares, [1.0, 0.2, 0.2], rtol=1e-6)
    for now in (meta, deployed):
        begun = learner.begin(now, jax.random.key(1), jnp.ones(2))[0].params
        jax.tree.map(
            np.testing.assert_array_equal, begun, learner.begin(meta, jax.random.key(1), jnp.ones(2))[0].params
        )


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"lives": 3}, "lives is 3; it must hold the 4 tasks"),
        ({"n_step": 1000, "replay": 2000}, "n_step is 1000, and a copy lives 240 steps"),
        ({"replay": 1}, "replay is 1; a batch, n_step and update_every need 4 steps of each copy"),
        (
            {"features": "statistics", "steps": 16, "n_step": 33},
            "n_step is 33, and 32 steps follow what tells the task: give it fewer",
        ),
        ({"steps": 10}, "steps is 10; it must be a multiple of update_every, 4"),
    ],
)
def test_what_does_not_go_together_is_said(fields, problem):
    (said,) = HyperDQN(**{"tasks": 4, "phases": 2, "batch": 4} | fields).bind(ENV.spec()).problems()
    assert problem in said


def test_who_is_told_nothing_says_so():
    spec = ENV.spec()._replace(descriptor=0)
    (said,) = HyperDQN(tasks=4).bind(spec).problems()
    assert said.startswith("features is 'descriptor', and this environment describes its tasks by no numbers")
    assert not HyperDQN(tasks=4, features="statistics").bind(spec).problems()


def test_a_life_that_ends_before_it_learns_is_refused():
    (said,) = DQN(phases=2).bind(ENV.spec()).problems()
    assert said.startswith("warm_up is 500, and a training life has 240 steps: nothing would be learned; give it more")


def test_who_is_told_its_task_does_not_explore():
    (said,) = bound(MetaDQN, exploring=3).problems()
    assert said == "exploring is 3, and who is told its task does not explore: set it to 1"


@pytest.mark.usefixtures("unvalidated")
def test_a_short_life_is_the_beginning_of_a_longer_one_and_says_if_nothing_is_learned_in_it():
    run = ax.train(testing.small(MetaDQN(inner_lr=0.05)), ENV, meta_steps=1, seeds=1, log_every=1)
    assert run.learner.schedule(16) == run.learner.schedule(), "no longer than in training"
    short, long = (ax.evaluate(run, tasks=20, episodes=n).samples.phase_return[0] for n in (16, 32))
    assert short.shape == (20, 3) and long.shape == (20, 5)
    np.testing.assert_array_equal(short, long[:, :3])
    assert (short[:, 0] != short[:, 2]).any()
    with pytest.warns(UserWarning, match="240 steps is over before MetaDQN makes its first update"):
        ax.evaluate(run, tasks=2, episodes=1, learner_fields={"warm_up": 10**6})
