import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptax.envs.grid import GridNavigation, GridState

NOOP, UP, RIGHT, DOWN, LEFT = range(5)


def walk(env: GridNavigation, goal: tuple[int, int], actions: list[int]) -> tuple[list[int], list[float], list[bool]]:
    """Cells, rewards and truncations of a walk from the start."""

    def move(state, action):
        state, cell, reward, terminated, truncated = env.step(jnp.array(goal), state, action, jax.random.key(0))
        return state, (cell, reward, truncated, terminated)

    start, _ = env.reset(jnp.array(goal), jax.random.key(0))
    _, (cells, rewards, truncated, terminated) = jax.lax.scan(move, start, jnp.array(actions))
    assert not terminated.any()
    return cells.tolist(), [round(x, 6) for x in rewards.tolist()], truncated.tolist()


def test_moves_and_numbers_of_cells():
    env = GridNavigation()
    _, first = env.reset(jnp.array([4, 4]), jax.random.key(0))
    assert int(first) == 0
    cells, _, _ = walk(env, (4, 4), [UP, RIGHT, RIGHT, DOWN, LEFT, NOOP])
    assert cells == [5, 6, 7, 2, 1, 1]


def test_walls_stop():
    cells, _, _ = walk(GridNavigation(size=3), (2, 2), [DOWN, LEFT, UP, UP, UP, RIGHT, RIGHT, RIGHT])
    assert cells == [0, 0, 3, 6, 6, 7, 8, 8]


def test_the_goal_pays_in_each_step_and_ends_nothing():
    _, rewards, truncated = walk(GridNavigation(horizon=5), (2, 0), [RIGHT, RIGHT, NOOP, DOWN, UP])
    assert rewards == [-0.1, 1.0, 1.0, 1.0, -0.1]
    assert truncated == [False, False, False, False, True]


@given(st.lists(st.integers(0, 4), min_size=15, max_size=15))
def test_cells_are_in_the_space_and_next_to_each_other(actions):
    cells, _, truncated = walk(GridNavigation(), (3, 3), actions)
    x, y = np.array([0, *cells]) % 5, np.array([0, *cells]) // 5
    assert (y < 5).all() and (np.abs(np.diff(x)) + np.abs(np.diff(y)) <= 1).all()
    assert truncated.index(True) == 14


def draw(env: GridNavigation, split: str, count: int) -> np.ndarray:
    return np.asarray(jax.jit(jax.vmap(env.tasks.sampler(split)))(jax.random.split(jax.random.key(5), count)))


def test_goals_are_uniform_outside_the_start_corner():
    goals, counts = np.unique(draw(GridNavigation(), "train", 4200), axis=0, return_counts=True)
    assert len(goals) == 21
    assert (goals.max(1) >= 2).all()
    assert ((counts - 200) ** 2 / 200).sum() < 45.3  # chi-square, 20 degrees of freedom, 0.1 %


def test_goals_out_of_distribution_are_no_goals_of_training():
    goals = np.unique(draw(GridNavigation(), "ood", 100), axis=0)
    assert goals.tolist() == [[0, 1], [1, 0], [1, 1]]


def test_features_span_the_grid():
    env = GridNavigation(size=4)
    np.testing.assert_allclose(env.describe(jnp.array([0, 3], jnp.int32)), [-1, 1])
    assert len({tuple(np.asarray(env.describe(jnp.asarray(goal)))) for goal in env.goals}) == 12


@pytest.mark.parametrize("time", [0, 13])
def test_step_is_a_function_of_its_arguments(time):
    state = GridState(jnp.array([2, 3], jnp.int32), jnp.asarray(time, jnp.int32))
    after = GridNavigation().step(jnp.array([3, 3]), state, jnp.asarray(RIGHT), jax.random.key(0))
    assert (int(after[1]), float(after[2]), bool(after[4])) == (18, 1.0, False)
