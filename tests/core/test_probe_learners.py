"""Small learners that stretch the contract: a replay buffer in `inner`, a life that outlasts a meta-step, twins."""

from itertools import pairwise
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax import checkpoint
from adaptax.core.evaluate import examine
from adaptax.core.learner import Learner, traced
from adaptax.core.lifetime import advance, born, replay
from adaptax.core.trainer import draw, init_states, run_chunk
from adaptax.core.types import Schedule
from adaptax.testing.compare import require_same
from adaptax.testing.toys import Clock, Corridor, Target


class Meta(NamedTuple):
    """Outer state; `seen` is what the last update was given, kept for the test to look at."""

    params: jax.Array
    seen: dict


def start(learner, env, seed=0):
    """Learner and state for the trainer, one seed."""
    learner = jax.tree.map(lambda x: x[None] if eqx.is_array(x) else x, traced(learner.bind(env.spec(), 100)))
    return learner, init_states(learner, env, jax.random.split(jax.random.key(seed), 1))


def train(learner, env, states, meta_steps):
    return run_chunk((learner, env, None), jax.tree.map(jnp.copy, states), jnp.asarray(meta_steps, jnp.int32))[0]


# (a) A replay buffer in `inner`, adaptation every four steps


class Memory(NamedTuple):
    """A ring of transitions."""

    observation: jax.Array
    action: jax.Array
    reward: jax.Array
    next_observation: jax.Array
    terminated: jax.Array


class Inner(NamedTuple):
    q: jax.Array
    memory: Memory
    count: jax.Array  # transitions stored so far


class ReplayQ(Learner):
    """Tabular Q-learning from a ring of 64 transitions; four steps, then eight sampled mini-batches."""

    tasks: int = 2
    capacity: int = 64

    def schedule(self, episodes=None):
        return Schedule(25, 4, 1)

    def init(self, key):
        return Meta(jnp.zeros((self.bound.observation.size, 2)), {})

    def begin(self, meta, key, descriptor):
        whole, real = jnp.zeros(self.capacity, jnp.int32), jnp.zeros(self.capacity)
        return Inner(meta.params, Memory(whole, whole, real, whole, real), jnp.zeros((), jnp.int32)), ()

    def act(self, meta, inner, carry, step, key, explore):
        key_coin, key_action = jax.random.split(key)
        greedy = jnp.argmax(inner.q[step.observation]).astype(jnp.int32)
        other = jax.random.randint(key_action, (), 0, 2, jnp.int32)
        return jnp.where((jax.random.uniform(key_coin) < 0.5) & explore, other, greedy), carry, ()

    def adapt(self, meta, inner, data, key):
        new = Memory(
            data.step.observation, data.action, data.reward, data.next_observation, data.terminated.astype(float)
        )
        slots = (inner.count + jnp.arange(4)) % self.capacity
        memory = jax.tree.map(lambda ring, x: ring.at[slots].set(x[:, 0]), inner.memory, new)
        count = inner.count + 4

        def learn(q, key):
            rows = jax.random.randint(key, (16,), 0, jnp.minimum(count, self.capacity))
            batch = jax.tree.map(lambda ring: ring[rows], memory)
            target = batch.reward + 0.9 * (1.0 - batch.terminated) * jnp.max(q[batch.next_observation], -1)
            return q.at[batch.observation, batch.action].set(target), None

        q, _ = jax.lax.scan(learn, inner.q, jax.random.split(key, 8))
        return Inner(q, memory, count)

    def update(self, meta, lifetimes, key):
        return meta, {}


def test_a_replay_buffer_holds_the_last_transitions_of_the_life():
    env = Corridor()
    learner = ReplayQ().bind(env.spec())
    meta = learner.init(jax.random.key(0))
    schedule = learner.schedule()
    task = jnp.asarray(1, jnp.int32)
    begin = eqx.filter_jit(lambda key: advance(learner, env, meta, born(learner, env, meta, task, key, 1), schedule))
    _, life = begin(jax.random.key(3))
    memory, data = life.last.inner.memory, life.data
    assert int(life.last.inner.count) == 100
    order = (36 + np.arange(64)) % 64  # the 64 youngest of 100, oldest first
    for ring, recorded in (
        (memory.observation, data.step.observation),
        (memory.action, data.action),
        (memory.reward, data.reward),
        (memory.next_observation, data.next_observation),
        (memory.terminated, data.terminated),
    ):
        np.testing.assert_array_equal(np.asarray(ring)[order], np.asarray(recorded).reshape(100)[36:])
    assert np.sum(np.asarray(data.terminated)) >= 2  # and it lived through several episodes


def test_the_replay_learner_learns_within_a_life():
    env = Corridor()
    learner = ReplayQ().bind(env.spec())
    tasks = jnp.array([0, 1], jnp.int32)
    keys = jax.random.split(jax.random.key(1), 2)
    lived = examine(learner, env, learner.init(keys[0]), tasks, keys, learner.schedule(), None)
    assert lived.probe.shape == (2, 26)
    # with nothing learned the greedy action is 0, which is right in task 0 alone
    np.testing.assert_array_equal(lived.probe[:, 0], [1.0, 0.0])
    np.testing.assert_array_equal(lived.probe[:, -1], [1.0, 1.0])
    # the optimal values, in the cells that lead to the goal of task 1
    np.testing.assert_allclose(lived.life.agent.inner.q[1, [2, 3], 1], [0.9, 1.0], rtol=1e-6)


# (b) Lives that outlast a meta-step


class Elder(Learner):
    """Its lives last five meta-steps; it adds up what it earns."""

    tasks: int = 5

    lifespan = 5
    privileged = "training"

    def schedule(self, episodes=None):
        return Schedule(2, 3, 1)

    def init(self, key):
        lives = jnp.zeros(self.tasks)
        whole = jnp.zeros(self.tasks, jnp.int32)
        seen = {"first": lives, "last": lives, "task": lives, "time": lives, "replayed": jnp.zeros((self.tasks, 2))}
        return Meta(jnp.ones(()), seen | {"age": whole, "fresh": lives.astype(bool)})

    def begin(self, meta, key, descriptor):
        return meta.params, ()

    def act(self, meta, inner, carry, step, key, explore):
        return jnp.zeros((), jnp.int32), carry, ()

    def adapt(self, meta, inner, data, key):
        return inner + jnp.sum(data.reward) + jax.random.uniform(key)

    def update(self, meta, lifetimes: Any, key):
        judge = lambda inner, data: inner
        seen = {
            "first": lifetimes.first.inner,
            "last": lifetimes.last.inner,
            "task": lifetimes.descriptor[:, 0],
            "time": lifetimes.data.step.observation[:, 0, 0, 0, 0],
            "replayed": jax.vmap(lambda life: replay(self, meta, life, judge))(lifetimes),
            "age": lifetimes.age,
            "fresh": lifetimes.fresh,
        }
        return Meta(meta.params + 1.0, seen), {}


@pytest.fixture(scope="module")
def elders():
    """What update saw in each of twelve meta-steps, and the last state."""
    env = Clock()
    learner, states = start(Elder(), env)
    seen = []
    for _ in range(12):
        states = train(learner, env, states, 1)
        seen.append(jax.tree.map(lambda x: np.asarray(x[0]), states.meta.seen))
    return learner, env, states, seen


def test_lives_end_in_turn_and_their_ages_are_staggered(elders):
    *_, seen = elders
    for step in range(5, 12):
        np.testing.assert_array_equal(seen[step]["age"], 2 * ((step + np.arange(5)) % 5))
    for step in range(12):
        np.testing.assert_array_equal(seen[step]["fresh"], seen[step]["age"] == 0)


def test_inner_task_and_episode_go_on_where_the_last_meta_step_left_them(elders):
    *_, seen = elders
    for before, now in pairwise(seen):
        old = ~now["fresh"]
        assert np.sum(old) == 4
        np.testing.assert_array_equal(now["first"][old], before["last"][old])
        np.testing.assert_array_equal(now["task"][old], before["task"][old])
    assert len({float(x["first"][x["fresh"]][0]) for x in seen[1:]}) == 11  # newborns begin from the newest `meta`
    assert any(np.any(x["time"] > 0) for x in seen)  # episodes outlast a meta-step


def test_replay_of_a_persistent_life_starts_from_its_stored_inner_state(elders):
    *_, seen = elders
    for now in seen:
        np.testing.assert_array_equal(now["replayed"][:, 0], now["first"])
        assert np.all(now["replayed"][:, 1] > now["first"])
        assert np.all(now["last"] > now["replayed"][:, 1])


def test_persistent_lives_survive_a_checkpoint(elders, tmp_path):
    learner, env, states, _ = elders
    checkpoint.save(tmp_path / "12", states, 12)
    loaded = checkpoint.load(tmp_path / "12", states)
    on, resumed = train(learner, env, states, 3), train(learner, env, loaded, 3)
    require_same(on, resumed, "resumed lives differ")


# (c) A population: evolution strategies with antithetic twins


class Twins(Learner):
    """Evolution strategies (Salimans et al., 2017, arXiv:1703.03864) with antithetic noise."""

    tasks: int = 64
    sigma: float = 0.1
    rate: float = 0.1

    twins = 2
    privileged = "training"

    def schedule(self, episodes=None):
        return Schedule(1, 1, 1)

    def noise(self, key, pairs):
        return jax.random.normal(key, (pairs, self.bound.action.size))

    def init(self, key):
        size = self.bound.action.size
        seen = {"task": jnp.zeros((self.tasks, size)), "key": jnp.zeros((self.tasks, 2), jnp.uint32)}
        noise = jnp.zeros((self.tasks // 2, size))
        return Meta(jnp.zeros(size), seen | {"action": jnp.zeros((self.tasks, size)), "noise": noise})

    def propose(self, meta, key, n):
        noise = self.noise(key, n // 2)
        both = jnp.stack([noise, -noise], 1).reshape(n, -1)
        return jax.vmap(lambda x: meta._replace(params=meta.params + self.sigma * x))(both)

    def begin(self, meta, key, descriptor):
        return (), ()

    def act(self, meta, inner, carry, step, key, explore):
        return meta.params, carry, ()

    def adapt(self, meta, inner, data, key):
        return inner

    def update(self, meta, lifetimes, key):
        noise = self.noise(key, self.tasks // 2)  # the key that `propose` got
        reward = lifetimes.data.reward.reshape(-1, 2)
        gradient = jnp.mean((reward[:, 0] - reward[:, 1])[:, None] * noise, 0) / (2 * self.sigma)
        seen = {
            "task": lifetimes.descriptor,
            "key": jax.random.key_data(lifetimes.key),
            "action": lifetimes.data.action[:, 0, 0, 0],
            "noise": noise,
        }
        return Meta(meta.params + self.rate * gradient, seen), {}


def test_twins_share_task_and_key_and_differ_in_sign():
    env = Target()
    learner, states = start(Twins(), env)
    seen = jax.tree.map(lambda x: np.asarray(x[0]), train(learner, env, states, 1).meta.seen)
    np.testing.assert_array_equal(seen["task"][::2], seen["task"][1::2])
    np.testing.assert_array_equal(seen["key"][::2], seen["key"][1::2])
    assert len(np.unique(seen["key"], axis=0)) == 32
    np.testing.assert_allclose(seen["action"][::2], 0.1 * seen["noise"], rtol=1e-6)
    np.testing.assert_allclose(seen["action"][::2], -seen["action"][1::2], rtol=1e-6)


def test_one_step_of_evolution_is_the_closed_form():
    env = Target()
    learner, states = start(Twins(), env)
    after = train(learner, env, states, 1).meta
    seen = jax.tree.map(lambda x: np.asarray(x[0]), after.seen)
    # on a quadratic (R+ - R-) / (2 sigma) = -2 (theta - g) . noise, without error
    slope = -2 * np.sum((0.0 - seen["task"][::2]) * seen["noise"], -1, keepdims=True)
    np.testing.assert_allclose(after.params[0], 0.1 * np.mean(slope * seen["noise"], 0), rtol=1e-4)


def test_evolution_finds_the_known_optimum():
    env = Target()
    learner, states = start(Twins(rate=0.02), env)
    after = train(learner, env, states, 400).meta.params[0]
    np.testing.assert_allclose(after, [0.5, -1.0], atol=0.05)


def test_draw_gives_twins_the_same_life():
    env = Target()
    tasks, keys = draw(Twins(tasks=6).bind(env.spec()), env, jax.random.key(0))
    numbers = jax.random.key_data(keys)
    np.testing.assert_array_equal(tasks[::2], tasks[1::2])
    np.testing.assert_array_equal(numbers[::2], numbers[1::2])
