import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.envs.grid import GridNavigation
from adaptax.references import bandit_limits
from adaptax.references.bandit_limits import bernoulli_optimal, two_armed
from adaptax.references.grid import grid_optimal, known_goal_return


@pytest.mark.parametrize(
    ("arms", "pulls", "value"),
    [
        (1, 7, "3.50000"),
        (2, 10, "6.02179"),
        (5, 10, "6.65999"),
        (10, 10, "6.71395"),
        (50, 10, "6.71395"),
        (2, 100, "64.91842"),
    ],
)
def test_bayes_optimal_values_of_bernoulli_bandits(arms, pulls, value):
    assert f"{bernoulli_optimal(arms, pulls):.5f}" == value


def test_one_and_two_pulls_by_hand():
    assert bernoulli_optimal(3, 1) == pytest.approx(1 / 2)
    # After a success stay (2/3), after a failure try another arm (1/2).
    assert bernoulli_optimal(3, 2) == pytest.approx(1 / 2 + (2 / 3 + 1 / 2) / 2)
    assert bernoulli_optimal(2, 2) == pytest.approx(1 / 2 + (2 / 3 + 1 / 2) / 2)


@pytest.mark.parametrize("pulls", [3, 6, 9])
def test_both_programs_for_two_arms_agree(pulls):
    several = bandit_limits._several_arms(2, pulls)  # pyright: ignore[reportPrivateUsage]
    assert several == pytest.approx(two_armed(pulls).value, abs=1e-12)


@pytest.mark.parametrize(("arms", "pulls"), [(5, 100), (500, 500), (2, 501)])
def test_too_large_a_problem_has_no_value(arms, pulls):
    assert bernoulli_optimal(arms, pulls) is None


@pytest.mark.parametrize(("episodes", "total"), [(1, "4.0000"), (2, "15.0714"), (3, "26.1429"), (4, "37.2143")])
def test_bayes_optimal_values_of_grid_navigation(episodes, total):
    returns = grid_optimal(5, 15, episodes)
    assert returns is not None
    assert f"{returns.sum():.4f}" == total
    np.testing.assert_allclose(returns, [4.0] + [11.0714286] * (episodes - 1), atol=1e-6)


def test_grid_navigation_against_all_walks():
    """In a 3x3 grid with two episodes of four steps, every walk is lived in the environment itself."""
    env = GridNavigation(size=3, horizon=4, tries=2)
    walks = jnp.array(list(itertools.product(range(1, 5), repeat=4)))

    def rewards(goal, actions):
        def move(state, action):
            state, _, reward, _, _ = env.step(goal, state, action, jax.random.key(0))
            return state, reward

        return jax.lax.scan(move, env.reset(goal, jax.random.key(0))[0], actions)[1]

    earned = np.asarray(
        jax.vmap(lambda goal: jax.vmap(lambda walk: rewards(goal, walk))(walks))(jnp.asarray(env.goals))
    )
    found = np.any(earned > 0, -1)
    when = earned.argmax(-1)
    first = np.where(found, -0.1 * when + 4 - when, -0.4)  # having found it, one stays
    known = known_goal_return(env.goals.sum(1), 4)[:, None]
    best = max((first[:, i] + np.where(found[:, [i]], known, first).T).mean(1).max() for i in range(len(walks)))
    returns = grid_optimal(3, 4, 2)
    assert returns is not None and returns.sum() == pytest.approx(best, abs=1e-6)


def test_short_episodes_and_large_grids_have_no_value():
    assert grid_optimal(5, 7, 2) is None  # the farthest goal is 8 cells away
    assert grid_optimal(9, 30, 2) is None


def test_return_of_a_known_goal_is_what_the_environment_pays():
    env = GridNavigation()
    goal, steps = jnp.array([4, 3]), [2] * 4 + [1] * 3 + [0] * 8
    state, total = env.reset(goal, jax.random.key(0))[0], 0.0
    for action in steps:
        state, _, reward, _, _ = env.step(goal, state, jnp.asarray(action), jax.random.key(0))
        total += float(reward)
    assert total == pytest.approx(float(known_goal_return(np.array(7), 15)), abs=1e-5)
