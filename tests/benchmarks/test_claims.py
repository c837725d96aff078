"""The measures behind the claims, on behaviour whose answer is known."""

import importlib

import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.envs.dark import DarkRoomTask, KeyDoorTask
from adaptax.references.bandit_limits import two_armed

PULLS = 20


@pytest.fixture
def claims(benchmarks):
    return importlib.import_module("claims")


def play(prefers, wrong: float) -> tuple[np.ndarray, np.ndarray]:
    """Lives of the Bayes-optimal policy that does the opposite in a share of the pulls."""
    rng = np.random.default_rng(0)
    chances = rng.random((500, 2))
    action, won = np.zeros((500, PULLS), int), np.zeros((500, PULLS), bool)
    for life, (first, second) in enumerate(chances):
        known = [0, 0, 0]  # pulls and successes of the first arm, successes of the second
        for done in range(PULLS):
            likes = prefers[done][known[0]][known[1], known[2]]
            arm = int(likes < 0 or (likes == 0 and rng.random() < 0.5))
            arm = 1 - arm if rng.random() < wrong else arm
            paid = rng.random() < (first, second)[arm]
            known = [known[0] + (arm == 0), known[1] + (arm == 0) * paid, known[2] + (arm == 1) * paid]
            action[life, done], won[life, done] = arm, paid
    return action, won


def test_the_optimal_policy_agrees_with_itself(claims):
    prefers = two_armed(PULLS, keep=True).prefers
    assert claims.agreement(*play(prefers, wrong=0.0), prefers).min() == 1


def test_mistakes_are_counted_unless_both_arms_are_as_good(claims):
    prefers = two_armed(PULLS, keep=True).prefers
    action, won = play(prefers, wrong=0.1)
    agreed = claims.agreement(action, won, prefers)
    assert agreed[:, 0].min() == 1  # nothing is known: both are best
    assert 0.89 < agreed[:, 1:].mean() < 0.93


def test_the_bayes_policy_of_a_wrong_prior_is_no_better_than_that_of_the_right_one(claims):
    for test in claims.BEST:
        right = two_armed(PULLS, test).value
        assert all(two_armed(PULLS, test, believed).value <= right + 1e-9 for believed in claims.BEST)


def test_what_a_goal_that_was_found_is_worth(claims):
    tasks = DarkRoomTask(jnp.array([[4, 4], [4, 4]]), jnp.array([[4, 6], [0, 0]]))
    reward = np.zeros((2, 3, 20))
    reward[0, 0, -1] = 1  # found in the last step of the first episode
    reward[0, 1, 1:], reward[0, 2, 10:] = 1, 1  # straight there: 19; then late: 10
    found, share = claims.after_finding(tasks, reward)
    assert found.tolist() == [[1, 1, 1], [0, 0, 0]]
    assert share == pytest.approx((19 + 10) / (2 * 19))


def test_what_a_door_that_was_opened_is_worth(claims):
    tasks = KeyDoorTask(jnp.array([[4, 4]]), jnp.array([[4, 6]]), jnp.array([[4, 8]]))  # two steps to each
    reward, opened = np.zeros((1, 50)), np.zeros((1, 50), bool)
    reward[0, [5, 39, 41, 43, 47]], opened[0, [39, 43]] = 1, True
    done, share = claims.after_opening(tasks, reward, opened)
    assert done[0].tolist() == [0.0] * 39 + [1.0] * 11
    assert share == pytest.approx(3 / 5)  # ten steps: two ways there and back, and the key


def test_first_and_last_whole_episode(claims):
    arrived, late = np.zeros((2, 12), bool), np.zeros((2, 12), bool)
    arrived[0, [4, 7, 9]] = True  # 5, 3 and 2 steps; then an episode that the life cuts off
    late[1, [5, 11]] = True
    assert claims.episode_steps(arrived, late).tolist() == [[5, 2], [np.inf, np.inf]]
    ways = claims.spread(np.array([[1.0, 1.5, 2.0, np.inf]]))
    assert ways["near"] == [0.5] and ways["arrived"] == [0.75]


@pytest.mark.parametrize("env", ["point-navigation", "grid-navigation"])
def test_gradient_and_memory_are_trained_on_as_many_steps(claims, env):
    assert claims.training_steps("maml", env) == claims.training_steps("rl2", env)
