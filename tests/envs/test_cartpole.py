import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from hypothesis import given
from hypothesis import strategies as st
from rollout import returned
from scipy.linalg import solve_discrete_are

from adaptax.envs.cartpole import STANDARD, CartPole, CartPolePhysics, CartPoleState, caught

GYMNASIUM = {
    "length": "length",
    "cart_mass": "masscart",
    "pole_mass": "masspole",
    "gravity": "gravity",
    "force": "force_mag",
}
CHANGES = [
    {},
    {"length": 0.9},
    {"cart_mass": 2.3},
    {"pole_mass": 0.4},
    {"gravity": 3.7},
    {"force": 4.0},
    {"force": -12.0},
]

step = jax.jit(CartPole().step)


def simulator(physics: CartPolePhysics, start: np.ndarray) -> CartPoleEnv:
    sim = CartPoleEnv()
    sim.reset(seed=0)
    for ours, theirs in GYMNASIUM.items():
        setattr(sim, theirs, getattr(physics, ours))
    sim.total_mass = sim.masspole + sim.masscart  # the simulator stores what it derives
    sim.polemass_length = sim.masspole * sim.length
    sim.state = start
    return sim


def balancing(state: CartPoleState, physics: CartPolePhysics, rng: np.random.Generator) -> int:
    """A clumsy controller, so that lives are neither short nor all alike."""
    right = state.angle + 0.3 * state.angular_velocity > 0
    return int((right == (physics.force > 0)) ^ (rng.random() < 0.2))


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_equals_gymnasium_when_one_parameter_changes(change, x64):
    physics, rng = STANDARD._replace(**change), np.random.default_rng(1)
    task, lengths = CartPolePhysics(*map(jnp.asarray, physics)), []
    for _ in range(3):
        start = rng.uniform(-0.05, 0.05, 4)
        sim = simulator(physics, start)
        state, terminated = CartPoleState(*map(jnp.asarray, start), time=jnp.zeros((), jnp.int32)), False
        while not terminated and state.time < 150:
            action = balancing(state, physics, rng)
            seen, reward, terminated, _, _ = sim.step(action)
            state, observation, our_reward, our_end, _ = step(task, state, jnp.asarray(action), jax.random.key(0))
            np.testing.assert_allclose(observation, np.asarray(sim.state), rtol=0, atol=1e-9)
            np.testing.assert_allclose(observation, seen, rtol=1e-6)
            np.testing.assert_array_equal(observation, jnp.stack(state[:4]))
            assert (float(our_reward), bool(our_end)) == (reward, terminated)
        lengths.append(int(state.time))
    assert max(lengths) > 20


def test_each_parameter_matters():
    state = CartPoleState(*jnp.array([0.1, 0.2, 0.1, 0.5]), time=jnp.zeros((), jnp.int32))
    outcomes = []
    for change in CHANGES:
        task = CartPolePhysics(*(jnp.asarray(x) for x in STANDARD._replace(**change)))
        outcomes.append(tuple(np.asarray(step(task, state, jnp.asarray(1), jax.random.key(0))[1])))
    assert len(set(outcomes)) == len(CHANGES)


@given(st.tuples(*[st.floats(-0.25, 0.25, width=32)] * 4), st.floats(1, 30, width=32), st.sampled_from([0, 1]))
def test_a_reversed_motor_is_the_other_action(start, force, action):
    state = CartPoleState(*map(jnp.asarray, start), time=jnp.zeros((), jnp.int32))
    task = CartPolePhysics(*(jnp.asarray(x) for x in STANDARD._replace(force=force)))
    forward = step(task, state, jnp.asarray(action), jax.random.key(0))[1]
    reversed_ = step(task._replace(force=-task.force), state, jnp.asarray(1 - action), jax.random.key(0))[1]
    np.testing.assert_array_equal(forward, reversed_)


def test_ends():
    env, task = CartPole(horizon=3), CartPolePhysics(*map(jnp.asarray, STANDARD))

    def end(position: float, angle: float, time: int) -> tuple[bool, bool]:
        state = CartPoleState(
            jnp.asarray(position), jnp.zeros(()), jnp.asarray(angle), jnp.zeros(()), jnp.asarray(time)
        )
        _, _, reward, terminated, truncated = env.step(task, state, jnp.asarray(0), jax.random.key(0))
        assert reward == 1
        return bool(terminated), bool(truncated)

    assert end(0.0, 0.0, 0) == (False, False)
    assert end(0.0, 0.0, 2) == (False, True)
    assert end(2.41, 0.0, 2) == (True, False)
    assert end(-2.41, 0.0, 0) == end(0.0, 0.2095, 0) == end(0.0, -0.2095, 0) == (True, False)
    assert end(2.39, 0.2093, 0) == (False, False)


def draw(env: CartPole, split: str, count: int = 500) -> np.ndarray:
    return np.stack(jax.jit(jax.vmap(env.tasks.sampler(split)))(jax.random.split(jax.random.key(1), count)), -1)


def test_tasks_lie_within_the_spreads_and_ood_tasks_outside():
    env = CartPole(length_spread=1.5)
    spreads = np.log([1.5, 1.2, 2, 1.2, 1.5])
    inside, outside = (np.log(np.abs(draw(env, s) / np.array(env.middle))) / spreads for s in ("train", "ood"))
    assert np.abs(inside).max() <= 1.0001 and (inside.max(0) > 0.95).all() and (inside.min(0) < -0.95).all()
    assert np.abs(outside).min() >= 0.9999 and np.abs(outside).max() <= 1.2501
    assert (outside.max(0) > 1).all() and (outside.min(0) < -1).all()


def test_half_of_the_motors_are_reversed():
    assert 0.4 < (draw(CartPole(), "train")[:, 4] < 0).mean() < 0.6
    assert 0.4 < (draw(CartPole(), "ood")[:, 4] < 0).mean() < 0.6
    assert (draw(CartPole(reversed_motors=0.0), "test")[:, 4] > 0).all()


def test_no_spread_is_the_standard_cart_pole():
    env = CartPole(200, 1, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, pole=0.5, motor=10.0)
    for split in ("train", "ood"):
        np.testing.assert_allclose(draw(env, split, 3), np.tile(np.array(STANDARD), (3, 1)), rtol=1e-6)


def test_features_tell_tasks_apart_and_are_small():
    env = CartPole()
    features = np.asarray(
        jax.jit(jax.vmap(lambda key: env.describe(env.tasks.train(key))))(jax.random.split(jax.random.key(2), 200))
    )
    assert np.abs(features).max() <= 1.0001
    assert len(np.unique(features.round(5), axis=0)) == 200
    standard = env.describe(CartPolePhysics(*map(jnp.asarray, env.middle)))
    np.testing.assert_allclose(standard, [0, 0, 0, 0, 0, 1], atol=1e-6)


def test_starts_are_spread_as_in_gymnasium():
    task = CartPolePhysics(*map(jnp.asarray, STANDARD))
    starts = np.asarray(
        jax.jit(jax.vmap(CartPole(lean=0.0).reset, (None, 0)))(task, jax.random.split(jax.random.key(3), 500))[1]
    )
    assert 0.049 < np.abs(starts).max() <= 0.05
    np.testing.assert_allclose(starts.mean(0), 0, atol=0.006)


def test_poles_lean_as_far_as_can_be_caught():
    env = CartPole()
    tasks = jax.vmap(env.tasks.sampler("ood"))(jax.random.split(jax.random.key(1), 500))
    states, starts = jax.jit(jax.vmap(env.reset))(tasks, jax.random.split(jax.random.key(3), 500))
    limit = np.abs(tasks.force) / ((tasks.cart_mass + tasks.pole_mass) * tasks.gravity)
    fraction = np.asarray(starts[:, 2] / np.minimum(limit, 0.2094395))
    assert 0.675 <= np.abs(fraction).min() < 0.68 and 0.895 < np.abs(fraction).max() <= 0.90001
    assert 0.4 < (fraction > 0).mean() < 0.6
    # there a push balances gravity: the pole neither falls nor rises, but for what the cart's own weight adds
    balance = CartPolePhysics(*map(jnp.asarray, STANDARD._replace(force=2.0)))
    lean = states._replace(angle=caught(balance), velocity=0.0, angular_velocity=0.0, position=0.0, time=0)
    assert abs(step(balance, lean, jnp.asarray(1), jax.random.key(0))[0].angular_velocity) < 0.001


def stood(policy) -> float:
    """Mean steps of an episode of `policy(observation, task, time, key) -> bool`."""
    return returned(CartPole(), lambda *now: policy(*now).astype(int), 4000)


def feedback() -> jax.Array:
    """Gains of linear-quadratic feedback for the middle of the range, from the step's own derivatives."""
    rest = CartPoleState(*jnp.zeros(4), time=jnp.zeros((), jnp.int32))

    def push(state, force):
        state = rest._replace(**dict(zip(CartPoleState._fields, state, strict=False)))
        return step(CartPole().middle._replace(force=force), state, jnp.asarray(1), jax.random.key(0))[1]

    change, effect = (np.asarray(d, float) for d in jax.jacobian(push, (0, 1))(jnp.zeros(4), jnp.zeros(())))
    effect, cost = effect[:, None], 0.01 * np.eye(1)
    value = solve_discrete_are(change, effect, np.diag([0.001, 0.001, 1.0, 0.1]), cost)
    return jnp.asarray(-np.linalg.solve(effect.T @ value @ effect + cost, effect.T @ value @ change)[0])


def test_known_values():
    gains = feedback()
    told = lambda observation, task, wrong: ((gains @ observation) * task.force > 0) ^ wrong
    after = [stood(lambda observation, task, time, key, n=n: told(observation, task, time < n)) for n in range(3)]
    assert after == [pytest.approx(200, abs=0.1), pytest.approx(88, abs=3), pytest.approx(9.4, abs=0.5)]
    assert stood(lambda observation, task, time, key: gains @ observation > 0) == pytest.approx(102, abs=3)
    assert stood(lambda observation, task, time, key: jax.random.bernoulli(key)) == pytest.approx(8.6, abs=0.5)
