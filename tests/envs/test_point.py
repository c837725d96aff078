import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptax.envs.point import PointNavigation, PointState, SemicircleNavigation

at = st.floats(-1, 1, width=32)


def stand(position: tuple[float, float], time: int = 0) -> PointState:
    return PointState(jnp.asarray(position), jnp.asarray(time, jnp.int32))


@given(at, at, at, at, st.floats(-5, 5, width=32), st.floats(-5, 5, width=32))
def test_moves_are_clipped_on_each_axis_and_pay_the_distance_left(x, y, goal_x, goal_y, move_x, move_y):
    env, goal = PointNavigation(), np.array([goal_x, goal_y], np.float32)
    after = env.step(jnp.asarray(goal), stand((x, y)), jnp.array([move_x, move_y]), jax.random.key(0))
    expected = np.array([x, y]) + np.clip([move_x, move_y], -0.1, 0.1)
    np.testing.assert_allclose(after[1], expected, atol=1e-6)
    np.testing.assert_array_equal(after[0].position, after[1])
    np.testing.assert_allclose(after[2], -np.linalg.norm(expected - goal), atol=1e-6)


def test_both_coordinates_near_the_goal_end_an_episode():
    env, goal, still = PointNavigation(horizon=10), jnp.array([0.3, 0.3]), jnp.zeros(2)
    ends = lambda position, time: [bool(x) for x in env.step(goal, stand(position, time), still, jax.random.key(0))[3:]]
    assert ends((0.309, 0.291), 0) == [True, False]
    assert ends((0.309, 0.311), 0) == [False, False]
    assert ends((0.0, 0.0), 9) == [False, True]
    assert ends((0.3, 0.3), 9) == [True, False]


def draw(env: PointNavigation | SemicircleNavigation, split: str) -> np.ndarray:
    return np.asarray(jax.jit(jax.vmap(env.tasks.sampler(split)))(jax.random.split(jax.random.key(0), 4000)))


def test_goals_fill_the_square_and_out_of_distribution_the_frame():
    env = PointNavigation()
    inside, outside = draw(env, "train"), draw(env, "ood")
    np.testing.assert_allclose(
        np.quantile(inside, [0, 0.25, 0.5, 0.75, 1], axis=0)[:, 0], [-0.5, -0.25, 0, 0.25, 0.5], atol=0.03
    )
    radius = np.abs(outside).max(1)
    assert radius.min() >= 0.5 and radius.max() <= 1.0
    assert {tuple(side) for side in np.sign(outside[np.abs(outside).min(1) > 0.5])} == {
        (-1, -1),
        (-1, 1),
        (1, -1),
        (1, 1),
    }


def test_features_are_the_goal_in_units_of_the_square():
    np.testing.assert_allclose(PointNavigation(size=2.0).describe(jnp.array([1.0, -2.0])), [0.5, -1.0])


@pytest.mark.parametrize(("away", "sparse", "dense"), [(0.0, 1.0, 0.0), (0.15, 0.85, -0.15), (0.25, 0.0, -0.25)])
def test_sparse_reward_is_paid_near_the_goal_alone(away, sparse, dense):
    goal, state = jnp.array([0.6, 0.8]), stand((0.6, 0.8 - away), 19)
    for env, reward in ((SemicircleNavigation(), sparse), (SemicircleNavigation(sparse=False), dense)):
        after = env.step(goal, state, jnp.zeros(2), jax.random.key(0))
        assert float(after[2]) == pytest.approx(reward, abs=1e-6)
        assert not after[3] and after[4]


def test_goals_lie_on_the_upper_semicircle_and_out_of_distribution_on_the_lower():
    upper, lower = (draw(SemicircleNavigation(), split) for split in ("test", "ood"))
    for goals, sign in ((upper, 1), (lower, -1)):
        np.testing.assert_allclose(np.linalg.norm(goals, axis=1), 1, rtol=1e-5)
        angle = np.arccos(goals[:, 0])  # uniform from 0 to pi on either
        np.testing.assert_allclose(np.quantile(angle, [0.25, 0.5, 0.75]), np.pi * np.array([1, 2, 3]) / 4, atol=0.1)
        assert (sign * goals[:, 1] >= -1e-6).all()


@pytest.mark.parametrize("env", [PointNavigation(), SemicircleNavigation()])
def test_the_picture_shows_goal_and_point(env):
    scene = env.render(jnp.array([0.25, -0.5]), stand((0.5, 0.25)))
    assert [shape.role for shape in scene.shapes] == ["wall", "hidden", "agent"]
    assert [shape[:2] for shape in scene.shapes[1:]] == [(0.25, -0.5), (0.5, 0.25)]
