"""The description of a task, searched in what was lived."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax import testing
from adaptax.core.lifetime import born, live_phase
from adaptax.core.trainer import initial_state, meta_step
from adaptax.envs.bandits import BernoulliBandit
from adaptax.envs.grid import GridNavigation
from adaptax.envs.tabular import TabularMDP
from adaptax.learners.meta_dqn import MetaDQN
from adaptax.nn.net import PureNet


class Plain(MetaDQN):
    """The description says what each arm is worth, and the network says the same."""

    @property
    def network(self):
        return PureNet(lambda key: {"net": (), "z": jnp.zeros(2)}, lambda params, features: params["z"])


def lived(search, **fields):
    env = BernoulliBandit(arms=2, pulls=100)
    learner = testing.small(Plain(search=search, discount=0.0, **fields)).bind(env.spec(), 10)
    meta = learner.init(jax.random.key(0))
    life = born(learner, env, meta, jnp.array([0.8, 0.3]), jax.random.key(1), learner.copies)
    _, data = live_phase(learner, env, meta, life, learner.schedule(), True)
    return learner, learner.lived_through(data), data


def test_descent_on_the_error_finds_what_each_arm_pays():
    learner, drawn, data = lived("td")
    action, reward = np.asarray(data.action), np.asarray(data.reward)
    paid = [reward[action == arm].mean() for arm in range(2)]
    assert drawn.gain.shape == (reward.size,) and float(drawn.gain.sum()) == reward.sum()
    z, bad = learner.searched((), jnp.zeros(2), drawn, 500)
    np.testing.assert_allclose(z, paid, atol=1e-3)
    chosen = np.asarray(paid)[np.asarray(drawn.action)]
    np.testing.assert_allclose(bad, (0.5 * (chosen - np.asarray(drawn.gain)) ** 2).mean(), rtol=1e-4)


def test_ascent_on_the_value_asks_no_reward():
    learner, drawn, _ = lived("value")
    z, bad = learner.searched((), jnp.zeros(2), drawn, 100)
    other, _ = learner.searched((), jnp.zeros(2), drawn._replace(gain=-drawn.gain), 100)
    np.testing.assert_array_equal(z, other)
    assert (np.asarray(z) > 5).all() and float(bad) < -5


def test_a_search_looks_one_step_ahead_however_many_the_outer_loop_counts():
    (_, drawn, _), (_, same, _) = lived("td"), lived("td", n_step=3)
    jax.tree.map(np.testing.assert_array_equal, same, drawn)


def test_a_life_is_not_told_what_training_is_and_deployed_it_descends_from_a_known_task():
    env = GridNavigation()
    learner = testing.small(MetaDQN(search="td")).bind(env.spec(), 10)
    assert learner.privileged == "training" and learner.random_steps == learner.phase_steps * learner.copies
    state, _ = meta_step(learner, env, initial_state(learner, env, jax.random.key(0)))
    results = []
    for meta in (state.meta, learner.deployed(state.meta)):
        life = born(learner, env, meta, env.tasks.test(jax.random.key(2)), jax.random.key(3), learner.copies)
        after, data = live_phase(learner, env, meta, life, learner.schedule(), True)
        drawn = learner.lived_through(data)
        error = lambda z, meta=meta, drawn=drawn: learner.searched(meta.params["net"], z, drawn, 0)[1]
        results.append((after.agent.inner.params["z"], float(error(after.agent.inner.params["z"]))))
    assert results[1][1] < results[0][1], "steps of the search lead to a smaller error than the best start"


def test_a_search_without_a_descriptor_is_refused():
    (said,) = MetaDQN(search="td", features="encoder").problems()
    assert said == "search looks for the descriptor, and features is 'encoder': set it to 'descriptor'"
    (said,) = MetaDQN(search="td", exploring=2).problems()
    assert said == "search reads one phase, and exploring is 2: set it to 1, and steps higher"


@pytest.mark.parametrize("condition", ["concatenation", "film"])
def test_what_is_known_changes_what_is_done(condition):
    env = GridNavigation()
    learner = testing.small(MetaDQN(condition=condition)).bind(env.spec(), 10)
    meta = learner.init(jax.random.key(0))
    values = lambda told: learner.inner.values(learner.made(meta.params, told[None]), env.observation_space.none())
    assert not np.allclose(values(jnp.zeros(2)), values(jnp.ones(2)))


def test_an_encoder_reads_what_was_done_where_and_what_it_paid():
    env = TabularMDP(states=3, actions=2)
    learner = testing.small(MetaDQN(features="encoder")).bind(env.spec(), 10)
    seen, done, paid, rest = [0.0, 1.0, 0.0], [0.0, 1.0], [2.5], [0.0, -1.0, 1.0, 0.0]
    (row,) = learner.with_products(jnp.array([seen + done + paid + rest]))
    pairs = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]  # states by actions
    np.testing.assert_array_equal(row, seen + done + paid + rest + pairs + [2.5 * x for x in pairs])
