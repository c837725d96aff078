import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptax.envs.point import PointState
from adaptax.envs.treasure import MountainTreasure

ENV = MountainTreasure()
STEP = jax.jit(lambda goal, state, action: ENV.step(goal, state, action, jax.random.key(0)))
at = st.floats(-1.5, 1.5, width=32)


def stay(position: tuple[float, float], goal: tuple[float, float] = (0.6, 0.8), time: int = 0):
    return STEP(jnp.array(goal), PointState(jnp.array(position), jnp.array(time, jnp.int32)), jnp.zeros(2))


@pytest.mark.parametrize(
    ("position", "reward"),
    [
        ((0.0, 0.0), -5.5),  # the top
        ((0.3, 0.0), -5.2),
        ((0.0, -0.9), -5.0),
        ((0.0, -1.3), -6.5),  # beyond the circle
        ((0.6, 0.72), 10.0),  # near the treasure
        ((0.6, 0.69), -5.0),
    ],
)
def test_what_places_pay(position, reward):
    assert float(stay(position)[2]) == pytest.approx(reward, abs=1e-5)


@given(at, at)
def test_the_treasure_is_seen_from_the_top_alone(x, y):
    state, seen, _, terminated, _ = stay((x, y))
    np.testing.assert_array_equal(seen[:2], state.position)
    np.testing.assert_allclose(seen[2:], [0.6, 0.8] if np.hypot(x, y) < 0.1 - 1e-4 else [0, 0])
    assert not terminated


def test_ten_steps_up_see_the_treasure_and_nine_do_not():
    state, observation = ENV.reset(jnp.array([0.6, 0.8]), jax.random.key(0))
    np.testing.assert_array_equal(observation, [0, -1, 0, 0])
    for _ in range(9):
        state, observation, *_ = STEP(jnp.array([0.6, 0.8]), state, jnp.array([0.0, 1.0]))
    np.testing.assert_array_equal(observation[2:], 0)
    _, observation, *_ = STEP(jnp.array([0.6, 0.8]), state, jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(observation, [0, 0, 0.6, 0.8], atol=1e-6)


@given(at, at, st.floats(-5, 5, width=32), st.floats(-5, 5, width=32))
def test_moves_are_clipped_on_each_axis_and_at_the_edge(x, y, dx, dy):
    state = PointState(jnp.array([x, y]), jnp.array(0, jnp.int32))
    after = STEP(jnp.array([0.6, 0.8]), state, jnp.array([dx, dy]))[0].position
    np.testing.assert_allclose(after, np.clip([x, y] + 0.1 * np.clip([dx, dy], -1, 1), -1.5, 1.5), atol=1e-6)


def test_only_time_ends_an_episode():
    assert [bool(stay((0.0, 0.0), time=time)[4]) for time in (98, 99)] == [False, True]


def draw(split: str) -> np.ndarray:
    return np.asarray(jax.jit(jax.vmap(ENV.tasks.sampler(split)))(jax.random.split(jax.random.key(0), 2000)))


def test_treasures_lie_on_the_circle_and_out_of_distribution_outside_it():
    inside, outside = draw("train"), draw("ood")
    np.testing.assert_allclose(np.linalg.norm(inside, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.histogram(np.arctan2(*inside.T), 8, (-np.pi, np.pi))[0], 250, atol=60)
    radius = np.linalg.norm(outside, axis=1)
    assert radius.min() >= 1.15 and radius.max() <= 1.4


def test_treasures_that_never_pay_are_refused():
    for goal in ([0.3, 0.3], [0.0, 1.6]):
        assert ENV.task_problems(np.array(goal)) != []
    assert ENV.task_problems(np.array([0.0, -1.4])) == []


def test_the_picture_shows_treasure_and_agent():
    goal = jnp.array([0.6, 0.8])
    scene = ENV.render(goal, ENV.reset(goal, jax.random.key(0))[0])
    assert [getattr(shape, "role", None) for shape in scene.shapes] == ["wall", "hazard", "key", "hidden", "agent"]
    assert scene.shapes[-1][:2] == (0.0, -1.0)
