"""The measures behind the claims, on behaviour whose answer is known."""

import importlib

import numpy as np
import pytest

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
