"""Deep Q-learning within a life: what is kept, what is drawn, and every option's targets against tables by hand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptax.core.env import Environment
from adaptax.core.evaluate import examine
from adaptax.core.lifetime import born, live_phase
from adaptax.core.types import Step, Transition
from adaptax.envs.cartpole import CartPole
from adaptax.envs.maze import Maze
from adaptax.envs.tabular import TabularMDP
from adaptax.inner.replay import Drawn, draw, empty, write
from adaptax.inner.td import TD, Learning
from adaptax.learners.dqn import DQN
from adaptax.nn.net import PureNet
from adaptax.nn.q_network import q_network
from adaptax.ops.optimise import lenient
from adaptax.ops.spaces import Discrete
from adaptax.references.maze import steps_to

S, A = Discrete(5), Discrete(2)
TABLE = PureNet(lambda key: jax.random.normal(key, (5, 2)), lambda params, features: features @ params)
WRITE, DRAW = jax.jit(write), jax.jit(draw, static_argnums=(2, 3))
RULE = TD(TABLE, S, A, lenient(optax.sgd(0.1)), discount=0.5, batch=4, capacity=8, warm_up=0)


def steps(first: int, number: int, copies: int = 1, terminated: Any = (), truncated: Any = ()) -> Transition:
    """Steps in a row, numbered: step i is in state i mod 5 and pays i; those named end their episode."""
    i = np.arange(first, first + number)[:, None] + 100 * np.arange(copies)
    ended, cut = (jnp.asarray(np.isin(i, list(ends))) for ends in (terminated, truncated))
    state, following = (jnp.asarray(x % 5, jnp.int32) for x in (i, i + 1))
    step = Step(state, jnp.zeros_like(state), jnp.zeros(i.shape), jnp.zeros(i.shape, bool))
    return Transition(step, jnp.asarray(i % 2, jnp.int32), jnp.asarray(i, float), following, ended, cut, ())


def followed(number: int, reward: Any, terminated: Any, truncated: Any, n: int, discount: float) -> tuple:
    """What n steps from one place on earn, where they lead to and how much that counts: in plain Python."""
    gain, j = 0.0, number
    for i in range(n):
        j = number + i
        gain += discount**i * reward[j]
        if terminated[j] or truncated[j]:
            break
    return gain, j, discount ** (j - number + 1) * (not terminated[j])


@given(
    number=st.integers(1, 7),
    n=st.sampled_from([1, 3]),
    ends=st.sets(st.integers(0, 40)),
    cuts=st.sets(st.integers(0, 40)),
    copies=st.integers(1, 2),
)
def test_what_is_drawn_is_what_was_lived(number, n, ends, cuts, copies):
    replay, first = empty(S, A, 8, copies), 3 * number
    for begin in range(0, first, 3):
        replay = WRITE(replay, steps(begin, 3, copies, ends, cuts))
    drawn = DRAW(replay, jax.random.key(first), 64, n, 0.5)
    i = np.arange(200)
    reward = np.asarray(replay.kept.reward)
    drawn = jax.tree.map(np.asarray, drawn)
    for k in range(64):
        number = int(reward[drawn.place[k], drawn.copy[k]])
        assert max(0, first - 8) <= number % 100 <= first - n, "too old, or not followed for n steps yet"
        gain, last, discount = followed(number, i, np.isin(i, list(ends)), np.isin(i, list(cuts)), n, 0.5)
        assert (drawn.observation[k], drawn.action[k]) == (number % 5, number % 2)
        assert (float(drawn.gain[k]), float(drawn.discount[k])) == (gain, discount)
        assert drawn.next_observation[k] == (last + 1) % 5 and drawn.weight[k] == 1


@pytest.mark.parametrize(("written", "n"), [(5, 1), (5, 3), (13, 1), (13, 3)])
@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_everything_is_drawn_as_often_as_it_should_be(written, n, exponent):
    replay = write(empty(S, A, 8, 2, prioritised=exponent > 0), steps(0, min(written, 8), 2))
    replay = write(replay, steps(8, written - 8, 2)) if written > 8 else replay
    if exponent:
        replay = replay._replace(priority=jnp.asarray(replay.kept.reward % 100 + 1))
    drawn = draw(replay, jax.random.key(0), 20_000, n, 0.5)
    number = np.asarray(replay.kept.reward)[drawn.place, drawn.copy] % 100
    which = np.arange(max(0, written - 8), written - n + 1)
    share = (which + 1) ** exponent / np.sum((which + 1) ** exponent)
    found = np.array([np.mean(number == i) for i in which])
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, share, atol=4 * 0.5 / 20_000**0.5)
    weight = (which + 1.0) ** -exponent  # makes up for being drawn more often; the largest in a batch is 1
    np.testing.assert_allclose(drawn.weight, (weight / weight.max())[number.astype(int) - which[0]], rtol=1e-4)


Q = jnp.array([[1.0, 2.0], [3.0, 1.0], [0.0, 5.0], [2.0, 2.5], [7.0, -1.0]])
TARGET = jnp.array([[10.0, 20.0], [30.0, 10.0], [5.0, 0.0], [20.0, 25.0], [70.0, -10.0]])


def drawn(**changes: Any) -> Drawn:
    """Three experiences: from state 0 to 1, 1 to 2, 2 to 4."""
    two = jnp.array([0, 1, 1], jnp.int32)
    given = Drawn(
        jnp.arange(3, dtype=jnp.int32),
        two,
        jnp.array([1.0, 2.0, 3.0]),
        jnp.array([1, 2, 4], jnp.int32),
        jnp.array([0.5, 0.5, 0.0]),
        jnp.ones(3),
        two,
        two,
    )
    return given._replace(**changes)


@pytest.mark.parametrize(
    ("double", "expected"),
    # double: Q chooses 0, 1 (5 > 0), 0; its target says 30, 0, nothing to come. Plain: the target's best, 30 and 5.
    [(True, [1 + 15, 2 + 0, 3]), (False, [1 + 15, 2 + 2.5, 3])],
)
def test_targets_by_hand(double, expected):
    np.testing.assert_allclose(RULE._replace(double=double).targets(Q, TARGET, drawn()), expected)


def test_errors_and_loss_by_hand():
    errors = RULE.errors(Q, TARGET, drawn())
    np.testing.assert_allclose(errors, [1 - 16, 1 - 2, 5 - 3])
    loss, _ = RULE.loss(Q, TARGET, drawn(weight=jnp.array([0.0, 1.0, 0.5])))
    np.testing.assert_allclose(loss, (0 * 14.5 + 0.5 + 0.5 * 1.5) / 3)
    gradient = jax.grad(lambda q: RULE.loss(q, TARGET, drawn())[0])(Q)
    np.testing.assert_allclose(gradient, np.array([[-1, 0], [0, -1], [0, 1], [0, 0], [0, 0]]) / 3)  # clipped at one


@pytest.mark.parametrize("huber", [15.0, 1e9])
def test_the_loss_is_squared_where_no_error_is_large(huber):
    gradient = jax.grad(lambda q: RULE._replace(huber=huber).loss(q, TARGET, drawn())[0])(Q)
    np.testing.assert_allclose(gradient, np.array([[-15, 0], [0, -1], [0, 2], [0, 0], [0, 0]]) / 3)


def test_an_update_by_hand():
    """A replay of one step, in state 3: all of a batch is that step."""
    now = RULE.begin(Q, 1)._replace(target=TARGET)
    rule = RULE._replace(target_every=2, polyak=0.25)
    one = rule.learn(now, steps(3, 1), jax.random.key(0))
    np.testing.assert_array_equal(one.target, TARGET)
    error = 2.5 - (3 + 0.5 * 70)  # action 1 of state 3; state 4 follows
    np.testing.assert_allclose(one.params, Q.at[3, 1].add(-0.1 * np.clip(error, -1, 1)))
    two = rule.learn(one, steps(3, 1), jax.random.key(1))
    np.testing.assert_allclose(two.target, 0.75 * TARGET + 0.25 * two.params, rtol=1e-6)
    assert int(two.updates) == 2 and int(rule.lived(two)) == 2


def test_nothing_moves_before_the_warm_up():
    rule = RULE._replace(warm_up=3)
    now = rule.begin(Q, 1)
    for i in range(2):
        now = rule.learn(now, steps(i, 1), jax.random.key(i))
        np.testing.assert_array_equal(now.params, Q)
        assert int(now.updates) == 0 and int(now.replay.written) == i + 1
    assert not np.array_equal(rule.learn(now, steps(2, 1), jax.random.key(2)).params, Q)


def test_what_surprises_is_drawn_more_often():
    rule = RULE._replace(prioritised=True, priorities=(1.0, 1.0), batch=64)
    now = rule.begin(jnp.zeros((5, 2)), 1)
    now = rule.learn(now, steps(0, 5, terminated=range(5)), jax.random.key(0))
    priority = np.asarray(now.replay.priority).ravel()
    np.testing.assert_allclose(priority[:5], np.arange(5) + 1e-3, rtol=1e-5)  # errors were the rewards themselves
    assert (priority[5:] == 0).all()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("optimiser", [optax.sgd(0.1), optax.adam(0.01, eps_root=1e-16)])
def test_the_gradient_through_updates_equals_finite_differences(optimiser):
    """Targets are made of what the life began with, so they have a part in it."""
    rule = RULE._replace(optimiser=lenient(optimiser))
    data = [jax.tree.map(lambda x: x.astype(float) if x.dtype == jnp.float32 else x, steps(i, 2)) for i in (0, 2, 4)]

    def after(table):
        now = rule.begin(table, 1)
        for i, part in enumerate(data):
            now = rule.learn(now, part, jax.random.key(i))
        return jnp.sum(now.params * jnp.arange(10.0).reshape(5, 2))

    table = jnp.asarray(Q, float) + 0.1 * jax.random.normal(jax.random.key(0), (5, 2))
    gradient = jax.grad(after)(table)
    for place in np.ndindex(5, 2):
        shift = jnp.zeros((5, 2)).at[place].set(1e-6)
        slope = (after(table + shift) - after(table - shift)) / 2e-6
        np.testing.assert_allclose(gradient[place], slope, rtol=1e-4, atol=1e-6)


def test_random_actions_become_rarer():
    rule = RULE._replace(epsilon=(1.0, 0.2), epsilon_steps=8.0)
    lived = jnp.arange(0, 12, 2, dtype=jnp.int32)
    np.testing.assert_allclose(jax.vmap(rule.explored)(lived), [1.0, 0.8, 0.6, 0.4, 0.2, 0.2], rtol=1e-6)
    late = jax.vmap(rule._replace(random_steps=4, epsilon=(0.6, 0.2)).explored)(lived)
    np.testing.assert_allclose(late, [1.0, 1.0, 0.6, 0.5, 0.4, 0.3], rtol=1e-6)
    step = Step(jnp.array(1, jnp.int32), jnp.array(0, jnp.int32), jnp.zeros(()), jnp.array(False))
    keys = jax.random.split(jax.random.key(0), 4000)
    actions = jax.vmap(lambda key: rule.act(Q, step, key, rule.explored(lived[-1])))(keys)
    assert abs(float(jnp.mean(actions == 1)) - 0.1) < 0.02  # half of the random ones; state 1 prefers 0
    assert int(rule.act(Q, step, keys[0], None)) == 0


def test_a_dueling_network_by_hand():
    net = q_network(5, 2, hidden=4, dueling=True)
    params = net.init(jax.random.key(0))
    last = net.apply(params, jnp.ones(5))
    assert last.shape == (2,)
    params[-1]["bias"] = params[-1]["bias"] + jnp.array([3.0, 1.0, 10.0])  # advantages 3 and 1, value 10
    np.testing.assert_allclose(net.apply(params, jnp.ones(5)) - last, [11.0, 9.0], rtol=1e-5)


def lived(learner: DQN, env: Environment, task: Any) -> Learning:
    """What a phase leaves of a network."""
    meta = learner.init(jax.random.key(0))
    live = jax.jit(
        lambda key: live_phase(learner, env, meta, born(learner, env, meta, task, key, 1), learner.schedule(), True)[0]
    )
    return live(jax.random.key(2)).agent.inner


def test_it_converges_to_the_values_of_a_maze():
    """Off-policy from random walks: where it was often enough, Q is value iteration's, and so is the greedy way."""
    env = Maze(rooms=3, view="position")
    task = env.tasks.test(jax.random.key(1))
    learner = DQN(epsilon_steps=1e9, discount=0.9, warm_up=100, inner_lr=3e-3, target_every=50, phases=1, steps=6000)
    learner = learner.bind(env.spec())
    now = lived(learner, env, task)
    free = ~np.asarray(task.walls)
    way = steps_to(free[None], np.asarray(task.goal)[None])[0]
    visits = np.bincount(np.asarray(now.replay.kept.observation).ravel(), minlength=env.width**2)
    often = [cell for cell in np.argwhere(free & (way > 0)) if visits[(cell[0] - 1) * env.width + cell[1] - 1] > 100]
    assert len(often) > 5
    for y, x in often:
        values = learner.inner.values(now.params, jnp.asarray((y - 1) * env.width + x - 1, jnp.int32))
        best = sum(0.9**i * -0.01 for i in range(way[y, x] - 1)) + 0.9 ** (way[y, x] - 1) * 1.0
        assert abs(float(values.max()) - best) < 0.05, (x, y, visits, values, best)


def test_it_converges_to_the_values_of_a_tabular_mdp():
    """Off-policy from random actions, through noise in rewards and by chance from state to state."""
    env, discount = TabularMDP(states=4, actions=2), 0.8
    task = env.tasks.test(jax.random.key(1))
    fields: dict[str, Any] = {"phases": 1, "steps": 20_000, "replay": 20_000, "epsilon_steps": 1e9, "batch": 256}
    learner = DQN(**fields, discount=discount, huber=100.0, target_every=1, polyak=0.05).bind(env.spec())
    now = lived(learner, env, task)
    best = np.zeros((4, 2))
    for _ in range(200):
        best = task.reward + discount * task.transition @ best.max(1)
    values = jax.vmap(lambda state: learner.inner.values(now.params, state))(jnp.arange(4, dtype=jnp.int32))
    assert np.ptp(best) > 3.0
    np.testing.assert_allclose(values, best, atol=0.2)
    assert np.array_equal(values.argmax(1), best.argmax(1))


def test_it_learns_to_balance_a_pole():
    """Mean greedy return of eight lives on Gymnasium's cart-pole, 200 at most: 22, 14, 43 at birth for three seeds."""
    env = CartPole(200, 1, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, pole=0.5, motor=10.0, lean=0.0)
    learner = DQN(phases=4, steps=2000, target_every=1, polyak=0.02, huber=100.0).bind(env.spec())
    keys = jax.random.split(jax.random.key(10), 8)
    tasks = jax.vmap(env.tasks.test)(keys)
    could = examine(learner, env, learner.init(jax.random.key(0)), tasks, keys, learner.schedule(), None).probe.mean(0)
    assert could[0] < 60 and could[-1] > 150, could  # 183, 193, 190
