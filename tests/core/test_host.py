"""The host loop: Gymnasium's own CartPole against the compiled one, and reproducible lives."""

from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from adaptax.adapters.gymnasium import from_gymnasium
from adaptax.adapters.on_host import OnHost
from adaptax.core.env import Simulator
from adaptax.core.evaluate import examine
from adaptax.core.host import host_examine, host_lifetimes
from adaptax.core.learner import Learner
from adaptax.core.lifetime import advance, born
from adaptax.core.types import Schedule
from adaptax.envs.cartpole import CartPole, CartPoleState
from adaptax.envs.grid import GridNavigation
from adaptax.testing.compare import require_same

HORIZON, TASKS = 12, 4
ENV = CartPole(horizon=HORIZON)


class Coin(Learner):
    """Throws a coin for every action, the same whatever it sees."""

    tasks: int = TASKS

    def schedule(self, episodes=None):
        return Schedule(2, 40, 2)

    def init(self, key):
        return ()

    def begin(self, meta, key, descriptor):
        return (), ()

    def act(self, meta, inner, carry, step, key, explore):
        return jax.random.bernoulli(key).astype(jnp.int32), carry, ()

    def adapt(self, meta, inner, data, key):
        return inner

    def update(self, meta, lifetimes, key):
        return meta, {}


def make(physics):
    """Gymnasium's CartPole with those physics."""
    env = gymnasium.make("CartPole-v1", max_episode_steps=HORIZON)
    sim: Any = env.unwrapped
    sim.length, sim.masscart, sim.masspole, sim.gravity, sim.force_mag = physics
    sim.total_mass, sim.polemass_length = sim.masscart + sim.masspole, sim.masspole * sim.length
    return env


def gymnasium_cartpole():
    """The family of such environments, with the tasks of the compiled one."""
    return from_gymnasium(make, lambda rng: ENV.tasks.train(jax.random.key(int(rng.integers(2**31)))))


class Injected(Simulator):
    """Gymnasium's CartPole, started where the compiled one would start, its state read at full precision."""

    def __init__(self, task):
        self.task, self.sim = task, gymnasium_cartpole().simulator(task)
        self.inside: Any = self.sim.env.unwrapped

    def state(self):
        return np.asarray(self.inside.state, np.float64)

    def reset(self, seed):
        self.sim.reset(seed)
        _, start = ENV.reset(self.task, jax.random.wrap_key_data(jnp.asarray(seed)))
        self.inside.state = np.asarray(start)
        return self.state()

    def step(self, action, seed):
        _, *outcome = self.sim.step(action, seed)
        return (self.state(), *outcome)


class OnGymnasium(OnHost):
    """The compiled CartPole's family, lived in Gymnasium's."""

    def simulator(self, task):
        return Injected(task)


def tasks_and_keys():
    tasks = jax.vmap(ENV.tasks.train)(jax.random.split(jax.random.key(0), TASKS))
    return tasks, jax.random.split(jax.random.key(1), TASKS)


@eqx.filter_jit
def compiled_lives(learner, env, tasks, keys):
    schedule = learner.schedule()
    live = lambda task, key: advance(learner, env, (), born(learner, env, (), task, key, schedule.copies), schedule)[1]
    return jax.vmap(live)(tasks, keys)


def test_whole_lives_equal_gymnasium_in_float64(x64):
    tasks, keys = tasks_and_keys()
    learner = Coin().bind(ENV.spec())
    ours = compiled_lives(learner, ENV, tasks, keys).data
    on_host = jax.tree.map(np.asarray, tasks)
    theirs = host_lifetimes(learner, OnGymnasium(ENV), (), on_host, keys, learner.schedule(), explore=True).data
    assert theirs.step.observation.dtype == np.float64 and theirs.reward.shape == (TASKS, 2, 40, 2)
    assert np.sum(theirs.terminated) > 0 and np.sum(theirs.truncated) > 0  # both ends are lived through
    require_same(ours, theirs, "compiled and Gymnasium's lives differ", absolute=1e-6)


def test_every_step_equals_gymnasium_in_float32():
    tasks, keys = tasks_and_keys()
    learner = Coin().bind(ENV.spec())
    drawn = jax.tree.map(np.asarray, tasks)
    data = host_lifetimes(learner, gymnasium_cartpole(), (), drawn, keys, learner.schedule(), explore=True).data
    data = jax.tree.map(lambda x: np.asarray(x).reshape(TASKS, -1, *x.shape[4:]), data)
    assert data.step.observation.dtype == np.float32

    def step(task, observation, action):
        state = CartPoleState(*observation, time=jnp.zeros((), jnp.int32))
        return ENV.step(task, state, action, keys[0])[1:4]

    every = jax.jit(jax.vmap(jax.vmap(step, (None, 0, 0))))
    successor, reward, terminated = every(tasks, jnp.asarray(data.step.observation), jnp.asarray(data.action))
    np.testing.assert_allclose(successor, data.next_observation, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(reward, data.reward)
    np.testing.assert_array_equal(terminated, data.terminated)


def test_lives_on_gymnasium_are_the_same_whenever_they_are_lived():
    tasks, keys = tasks_and_keys()
    learner, env, tasks = Coin().bind(ENV.spec()), gymnasium_cartpole(), jax.tree.map(np.asarray, tasks)
    lives = [
        host_lifetimes(learner, env, (), tasks, k, Schedule(1, 15, 2), True).data for k in (keys, keys, keys[::-1])
    ]
    require_same(lives[0], lives[1], "two lives with one key differ")
    assert np.any(lives[0].next_observation != lives[2].next_observation)


def test_examination_on_the_host_is_the_compiled_one():
    env = GridNavigation(size=3, horizon=4)
    learner = Coin().bind(env.spec())
    keys = jax.random.split(jax.random.key(2), 3)
    tasks = jax.vmap(env.tasks.test)(keys)
    schedule = Schedule(2, 6, 2)
    ours = examine(learner, env, (), tasks, keys, schedule, None)
    theirs = host_examine(learner, OnHost(env), (), jax.tree.map(np.asarray, tasks), keys, schedule, None)
    for name in ("score", "over", "probe"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-6)
    assert ours.probe.shape == (3, 3)
