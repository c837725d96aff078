"""What is lost by taking a solution to another task."""

import itertools

import numpy as np
import pytest

from adaptax.references.planning import Tables, value_iteration
from adaptax.references.transfer import model_distance, transfer_regret, transfer_values


def drawn(seed, count, states=3, actions=2):
    rng = np.random.default_rng(seed)
    transition = rng.dirichlet(np.ones(states), (count, states, actions))
    return Tables(transition, rng.normal(1.0, 1.0, (count, states, actions)))


def test_values_of_a_policy_are_those_of_following_it_step_by_step():
    sources, targets, horizon = drawn(0, 4), drawn(1, 5), 3
    policies = value_iteration(sources, horizon)[1]
    found = transfer_values(sources, targets, horizon)
    for i, j in itertools.product(range(4), range(5)):
        likely, earned = np.array([1.0, 0.0, 0.0]), 0.0
        for step in range(horizon):
            action = policies[step, i]
            earned += likely @ targets.reward[j, np.arange(3), action]
            likely = likely @ targets.transition[j, np.arange(3), action]
        assert found[i, j] == pytest.approx(earned)


def test_regret_is_zero_at_home_and_nowhere_negative():
    tasks = drawn(2, 6)
    regret = transfer_regret(tasks, tasks, 4)
    np.testing.assert_allclose(np.diag(regret), 0.0, atol=1e-12)
    assert (regret > -1e-12).all() and regret[~np.eye(6, dtype=bool)].max() > 0.1
    assert not np.allclose(regret, regret.T)


def test_the_distance_of_models_bounds_the_regret():
    sources, targets, horizon = drawn(3, 30), drawn(4, 20), 4
    bound = model_distance(sources, targets, horizon)
    assert (2 * bound >= transfer_regret(sources, targets, horizon) - 1e-12).all()
    best = [value_iteration(tasks, horizon)[0][0, :, 0] for tasks in (sources, targets)]
    assert (bound >= np.abs(best[0][:, None] - best[1][None]) - 1e-12).all()
    np.testing.assert_allclose(np.diag(model_distance(sources, sources, horizon)), 0.0, atol=1e-12)


def test_blocks_are_one_whole(monkeypatch):
    tasks = drawn(5, 7)
    whole = transfer_values(tasks, tasks, 3)
    monkeypatch.setattr("adaptax.references.transfer.PAIRS", 15)
    np.testing.assert_array_equal(transfer_values(tasks, tasks, 3), whole)
