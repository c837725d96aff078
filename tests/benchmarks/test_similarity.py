"""The benchmark of distances between tasks: its scores and its estimates against other ways to compute them."""

import importlib

import numpy as np
import pytest
from scipy.stats import rankdata

from adaptax.references.planning import Tables


@pytest.fixture
def similarity(benchmarks):
    """The script as a module."""
    return importlib.import_module("similarity")


def test_rank_correlation_is_within_each_target(similarity):
    rng = np.random.default_rng(0)
    distance, truth = rng.random((5, 40)), rng.random((5, 40)) + 100 * np.arange(5)[:, None]
    pairs = zip(rankdata(distance, axis=1), rankdata(truth, axis=1), strict=True)
    expected = [np.corrcoef(*pair)[0, 1] for pair in pairs]
    np.testing.assert_allclose(similarity.within(distance, truth), expected)


def test_the_truth_scores_best_and_its_opposite_worst(similarity):
    rng = np.random.default_rng(1)
    best, earned = np.full(30, 2.0), rng.random((30, 200))
    truth, worst = (similarity.score([sign * (best[:, None] - earned)], earned, best) for sign in (1.0, -1.0))
    assert truth["rank_correlation"]["mean"] == pytest.approx(1.0)
    assert worst["rank_correlation"]["mean"] == pytest.approx(-1.0)
    libraries = earned.reshape(30, 2, 100)
    assert truth["regret_of_100"]["mean"] == pytest.approx((2.0 - libraries.max(-1)).mean())
    assert worst["share_of_100"]["mean"] == pytest.approx(libraries.min(-1).mean() / 2.0)
    assert truth["regret_of_10"]["mean"] > truth["regret_of_100"]["mean"], "a larger library holds better sources"


def test_posterior_means_by_hand(similarity):
    steps = np.zeros((1, similarity.STEPS, 4))
    steps[0, :, 0], steps[0, :, 1] = 3, 2  # always the same state and action
    steps[0, :, 2], steps[0, :, 3] = 5.0, np.arange(similarity.STEPS) % 2  # pays 5, leads to 0 and 1 in turn
    tasks = similarity.Tasks(Tables(np.zeros(0), np.zeros(0)), np.zeros(0), steps)
    found = similarity.posterior(tasks)
    assert found.reward[0, 3, 2] == pytest.approx((1.0 + 5.0 * 100) / 101)
    np.testing.assert_allclose(found.transition[0, 3, 2, :3], [51 / 110, 51 / 110, 1 / 110])
    assert found.reward[0, 0, 0] == 1.0 and (found.transition[0, 0, 0] == 0.1).all()


def test_tasks_are_the_same_every_time_and_steps_are_lived_in_them(similarity):
    tasks, again = (similarity.make(7, 3, "test") for _ in range(2))
    np.testing.assert_array_equal(tasks.steps, again.steps)
    state, action, _, after = np.moveaxis(tasks.steps, -1, 0).astype(int)
    assert state[:, 0].max() == 0 and (state[:, 10::10] == 0).all(), "episodes of ten steps begin in state 0"
    goes_on = np.arange(1, similarity.STEPS) % 10 != 0
    np.testing.assert_array_equal(state[:, 1:][:, goes_on], after[:, :-1][:, goes_on])
    assert len(np.unique(action)) == 5
    assert tasks.descriptor.shape == (3, 10 * 5 * 10 + 10 * 5)
