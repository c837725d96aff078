import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptax.core.types import Step, Transition
from adaptax.envs.tabular import MDP, TabularMDP, TabularState
from adaptax.ops.scene import Disc, Path

ENV = TabularMDP(states=4, actions=2, horizon=3)
COUNT = 20_000
TASKS = 400
STEPS = jax.jit(jax.vmap(ENV.step, (None, None, None, 0)))


def table(row: list[float], mean: float = 0.0) -> MDP:
    """An MDP whose actions all lead alike."""
    return MDP(jnp.broadcast_to(jnp.array(row), (4, 2, 4)), jnp.full((4, 2), mean))


def steps_of(task: MDP, state: int = 1, time: int = 0):
    now = TabularState(jnp.array(state, jnp.int32), jnp.array(time, jnp.int32))
    return STEPS(task, now, jnp.array(1, jnp.int32), jax.random.split(jax.random.key(0), COUNT))


@pytest.fixture(scope="module")
def drawn():
    """Tasks of both distributions."""
    env = TabularMDP()
    keys = jax.random.split(jax.random.key(1), TASKS)
    draw = jax.jit(lambda keys: [jax.vmap(sample)(keys) for sample in map(env.tasks.sampler, ("train", "ood"))])
    return jax.tree.map(np.asarray, draw(keys))


def test_the_next_state_and_the_reward_are_what_the_task_says():
    row = np.array([0.1, 0.2, 0.3, 0.4])
    after, observed, reward, terminated, _ = steps_of(table(row.tolist(), 2.0))
    counts = np.bincount(np.asarray(observed), minlength=4)
    assert ((counts - COUNT * row) ** 2 / (COUNT * row)).sum() < 16.3  # chi-square, 3 degrees of freedom, 0.1 %
    assert (after.state == observed).all() and not terminated.any()
    assert float(reward.mean()) == pytest.approx(2.0, abs=3 / COUNT**0.5)
    assert float(reward.std()) == pytest.approx(1.0, abs=3 / (2 * COUNT) ** 0.5)
    luck = np.corrcoef(np.asarray(observed), np.asarray(reward))[0, 1]
    assert abs(luck) < 3 / COUNT**0.5  # where one goes says nothing about the noise


@given(st.lists(st.integers(0, 3), min_size=4, max_size=4).filter(any))
def test_what_is_impossible_does_not_happen(weights):
    row = np.array(weights) / sum(weights)
    _, observed, *_ = steps_of(table(row.tolist()))
    assert (row[np.unique(observed)] > 0).all()


def test_an_episode_begins_in_state_0_and_is_cut_in_time():
    task = table([0.0, 0.0, 1.0, 0.0])
    state, first = ENV.reset(task, jax.random.key(0))
    assert (int(state.state), int(state.time), int(first)) == (0, 0, 0)
    assert [bool(steps_of(task, time=time)[4].all()) for time in (0, 1, 2)] == [False, False, True]


def test_tasks_are_those_of_the_paper(drawn):
    train, _ = drawn
    np.testing.assert_allclose(train.transition.sum(-1), 1.0, atol=1e-5)
    assert train.transition.var() == pytest.approx(0.1 * 0.9 / 11, rel=0.03)  # of a flat Dirichlet's entries
    assert (train.transition > 0.3).mean() == pytest.approx(0.7**9, rel=0.05)  # they are Beta(1, 9)
    assert train.reward.mean() == pytest.approx(1.0, abs=3 / train.reward.size**0.5)
    assert train.reward.std() == pytest.approx(1.0, abs=0.02)


def test_out_of_distribution_the_next_state_is_nearly_sure(drawn):
    train, ood = drawn
    assert ood.transition.var() == pytest.approx(0.1 * 0.9 / 2, rel=0.03)
    assert np.sort(ood.transition, -1)[..., -2:].sum(-1).mean() > 0.85
    assert np.sort(train.transition, -1)[..., -2:].sum(-1).mean() < 0.6
    assert ood.reward.mean() == pytest.approx(1.0, abs=3 / ood.reward.size**0.5)


def test_features_are_centred_and_of_the_order_of_one(drawn):
    features = np.asarray(jax.jit(jax.vmap(TabularMDP().describe))(jax.tree.map(jnp.asarray, drawn[0])))
    assert features.shape == (TASKS, 550)
    assert features[:, :500].mean() == pytest.approx(0.0, abs=0.01) and 0.5 < features[:, :500].std() < 2
    assert features[:, 500:].mean() == pytest.approx(0.0, abs=0.02) and 0.5 < features[:, 500:].std() < 2


def test_the_score_is_the_mean_of_the_reward():
    task = MDP(jnp.full((4, 2, 4), 0.25), jnp.arange(8.0).reshape(4, 2))
    moment = Step(jnp.array(3, jnp.int32), jnp.array(0), jnp.zeros(()), jnp.array(False))
    record = Transition(
        moment, jnp.array(1, jnp.int32), jnp.array(9.9), jnp.array(0), jnp.array(False), jnp.array(False), ()
    )
    assert float(ENV.score(task, record, "ood")) == 7.0


def test_a_task_given_by_hand_holds_probabilities():
    good = jax.tree.map(np.asarray, table([0.25, 0.25, 0.25, 0.25]))
    assert ENV.task_problems(good) == []
    for row in ([0.5, 0.5, 0.5, -0.5], [0.3, 0.3, 0.3, 0.3], [np.nan, 0.5, 0.25, 0.25]):
        assert "sum to 1" in ENV.task_problems(good._replace(transition=np.broadcast_to(row, (4, 2, 4))))[0]


def test_the_picture_shows_where_the_best_action_leads():
    transition = np.full((4, 2, 4), 0.25)
    transition[0, 1] = [0.0, 0.75, 0.25, 0.0]  # the second action of state 0, which pays more
    task = MDP(transition, np.array([[0.0, 1.0]] * 4))
    scene = ENV.render(task, ENV.reset(task, jax.random.key(0))[0])
    edges = [shape.points for shape in scene.shapes if isinstance(shape, Path)]
    lengths = [np.linalg.norm(points[1] - points[0]) for points in edges]
    np.testing.assert_allclose(lengths, [0, 2**0.5, 2 / 3, 0], atol=1e-6)
    assert sum(isinstance(shape, Disc) for shape in scene.shapes) == 5
