import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from hypothesis import given
from hypothesis import strategies as st
from rollout import returned

from adaptax.envs.pendulum import STANDARD, Pendulum, PendulumPhysics, PendulumState, held
from adaptax.ops.spaces import Box

CHANGES = [{}, {"length": 0.7}, {"mass": 1.6}, {"gravity": 6.0}, {"gain": 0.6}, {"gain": -1.3}]

GYMNASIUM = Pendulum(horizon=200, lean=0.0)

step = jax.jit(GYMNASIUM.step)


def simulator(physics: PendulumPhysics, start: np.ndarray) -> PendulumEnv:
    sim = PendulumEnv()
    sim.reset(seed=0)
    length, mass, gravity, gain = map(float, physics)
    sim.l, sim.m, sim.g, sim.max_torque = length, mass, gravity, 2 * abs(gain)
    sim.state = start
    return sim


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_equals_gymnasium_when_one_parameter_changes(change, x64):
    physics, rng = STANDARD._replace(**change), np.random.default_rng(2)
    task = PendulumPhysics(*map(jnp.asarray, physics))
    start = rng.uniform([-np.pi, -1], [np.pi, 1])
    sim, angles = simulator(physics, start), []
    state = PendulumState(*map(jnp.asarray, start), time=jnp.zeros((), jnp.int32))
    for t in range(200):
        # Half of the time with the motion, to swing round and be wrapped; some actions are beyond the limits.
        action = 2.5 * np.sign(state.angular_velocity * physics.gain) if t % 40 < 20 else rng.uniform(-3, 3)
        seen, reward, terminated, truncated, _ = sim.step(physics.gain * np.array([action]))
        state, observation, our_reward, our_end, our_cut = step(task, state, jnp.array([action]), jax.random.key(0))
        np.testing.assert_allclose([state.angle, state.angular_velocity], sim.state, rtol=0, atol=1e-8)
        np.testing.assert_allclose(observation, seen, rtol=0, atol=1e-5)
        np.testing.assert_allclose(our_reward, reward, rtol=0, atol=1e-8)
        assert (bool(our_end), bool(our_cut)) == (terminated, truncated or t == 199)
        angles.append(float(state.angle))
    assert max(np.abs(angles)) > np.pi


def test_each_parameter_matters():
    state, outcomes = PendulumState(jnp.asarray(1.0), jnp.asarray(0.5), jnp.zeros((), jnp.int32)), []
    for change in CHANGES:
        task = PendulumPhysics(*(jnp.asarray(x) for x in STANDARD._replace(**change)))
        outcomes.append(float(step(task, state, jnp.ones(1), jax.random.key(0))[0].angular_velocity))
    assert len(set(outcomes)) == len(CHANGES)


@given(st.floats(-20, 20, width=32), st.floats(-8, 8, width=32), st.floats(-4, 4, width=32), st.integers(0, 2**30))
def test_observations_and_rewards_are_bounded_and_a_reversed_motor_is_the_opposite_action(angle, speed, action, seed):
    env, state = Pendulum(), PendulumState(jnp.asarray(angle), jnp.asarray(speed), jnp.zeros((), jnp.int32))
    task = env.tasks.train(jax.random.key(seed))
    _, observation, reward, _, _ = step(task, state, jnp.array([action]), jax.random.key(0))
    assert isinstance(env.observation_space, Box)
    low, high = env.observation_space.bounds()
    assert jnp.all((low - 1e-6 <= observation) & (observation <= high + 1e-6))
    assert -(np.pi**2 + 0.1 * 64 + 0.001 * 2.6**2) * (1 + 1e-6) <= reward <= 0
    reversed_ = step(task._replace(gain=-task.gain), state, jnp.array([-action]), jax.random.key(0))
    np.testing.assert_array_equal(observation, reversed_[1])
    np.testing.assert_array_equal(reward, reversed_[2])


def draw(env: Pendulum, split: str, count: int = 500) -> np.ndarray:
    return np.stack(jax.jit(jax.vmap(env.tasks.sampler(split)))(jax.random.split(jax.random.key(1), count)), -1)


def test_tasks_lie_within_the_spreads_and_ood_tasks_outside():
    env = Pendulum(mass_spread=2.0)
    spreads = np.log([1.3, 2.0, 1.3, 1.3])
    inside, outside = (np.log(np.abs(draw(env, s) / np.array(STANDARD))) / spreads for s in ("train", "ood"))
    assert np.abs(inside).max() <= 1.0001 and (inside.max(0) > 0.95).all() and (inside.min(0) < -0.95).all()
    assert np.abs(outside).min() >= 0.9999 and np.abs(outside).max() <= 1.2501
    assert 0.4 < (draw(env, "train")[:, 3] < 0).mean() < 0.6


def test_features_tell_tasks_apart_and_are_small():
    env = Pendulum()
    features = np.asarray(
        jax.jit(jax.vmap(lambda key: env.describe(env.tasks.train(key))))(jax.random.split(jax.random.key(2), 200))
    )
    assert np.abs(features).max() <= 1
    assert len(np.unique(features.round(5), axis=0)) == 200


def test_starts_are_spread_as_in_gymnasium():
    task = PendulumPhysics(*map(jnp.asarray, STANDARD))
    states, observations = jax.jit(jax.vmap(GYMNASIUM.reset, (None, 0)))(task, jax.random.split(jax.random.key(3), 500))
    assert 3.1 < np.abs(states.angle).max() <= np.pi
    assert 0.98 < np.abs(states.angular_velocity).max() <= 1
    np.testing.assert_allclose(observations[:, 0], np.cos(states.angle), atol=1e-6)


def test_pendulums_lean_as_far_as_they_can_be_held():
    env = Pendulum()
    tasks = jax.vmap(env.tasks.sampler("ood"))(jax.random.split(jax.random.key(1), 500))
    states, observations = jax.jit(jax.vmap(env.reset))(tasks, jax.random.split(jax.random.key(3), 500))
    limit = np.arcsin(np.minimum(4 * np.abs(tasks.gain) / (tasks.mass * tasks.gravity * tasks.length), 1))
    fraction = np.asarray(states.angle / limit)
    assert 0.675 <= np.abs(fraction).min() < 0.68 and 0.895 < np.abs(fraction).max() <= 0.90001
    assert 0.4 < (fraction > 0).mean() < 0.6
    np.testing.assert_allclose(observations[:, 1], np.sin(states.angle), atol=1e-6)
    np.testing.assert_array_equal(observations[:, 2], 0.0)
    # there the whole torque balances gravity
    task = PendulumPhysics(*map(jnp.asarray, STANDARD))
    state = PendulumState(held(task), jnp.zeros(()), jnp.zeros((), jnp.int32))
    assert abs(step(task, state, jnp.array([-2.0]), jax.random.key(0))[0].angular_velocity) < 1e-5


def earned(policy) -> float:
    """Mean return of `policy(observation, task, time, key) -> torque asked for`."""
    return returned(Pendulum(), lambda *now: policy(*now)[None], 2000)


def upright(observation, task) -> jax.Array:
    """The action after which the angle obeys a critically damped equation."""
    angle = jnp.arctan2(observation[1], observation[0])
    fall = 3 * task.gravity / (2 * task.length) * observation[1]
    return (-16 * angle - 8 * observation[2] - fall) * task.mass * task.length**2 / (3 * task.gain)


def test_known_values():
    standard = PendulumPhysics(*map(jnp.asarray, STANDARD))
    first = [earned(lambda o, t, time, k, c=c: upright(o, t) * jnp.where(time < 1, c, 1)) for c in (1, -1, 0)]
    assert first == [pytest.approx(-1.43, abs=0.03), pytest.approx(-179, abs=3), pytest.approx(-62, abs=4)]
    told = earned(lambda o, t, time, k: upright(o, standard) * jnp.sign(t.gain))
    assert told == pytest.approx(-1.9, abs=0.1)
    assert earned(lambda o, t, time, k: upright(o, standard)) == pytest.approx(-227, abs=7)
    assert earned(lambda o, t, time, k: jnp.zeros(())) == pytest.approx(-250, abs=2)
    assert earned(lambda o, t, time, k: jax.random.uniform(k, minval=-2, maxval=2)) == pytest.approx(-269, abs=4)
