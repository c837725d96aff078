"""What `record` gives is what `evaluate` measures."""

import numpy as np
import pytest

import adaptax as ax
from adaptax.adapters.on_host import OnHost
from adaptax.errors import ConfigError
from tiny import GRID, RL2

pytestmark = pytest.mark.usefixtures("unvalidated")


def test_recorded_lives_are_those_that_evaluation_sums_up():
    run = ax.train(RL2, GRID, meta_steps=1, seeds=2)
    lives = ax.record(run, tasks=6)
    result = ax.evaluate(run, tasks=6)
    assert lives.data.reward.shape[:2] == (2, 6)
    np.testing.assert_allclose(lives.data.reward.sum((2, 3)).mean(-1), result.samples.total_return, rtol=1e-5)
    over = lives.data.terminated | lives.data.truncated
    assert over.sum() == 2 * 6 * result.samples.episode_return.shape[-1]
    assert len(lives.tasks) == 6


def test_simulators_live_the_same():
    run = ax.train(RL2, GRID, meta_steps=1)
    compiled, on_host = (ax.record(run, tasks=3, env=env) for env in (GRID, OnHost(GRID)))
    np.testing.assert_array_equal(compiled.data.action, on_host.data.action)
    np.testing.assert_allclose(compiled.data.reward, on_host.data.reward)


def test_wrong_arguments_are_named():
    run = ax.train(RL2, GRID, meta_steps=1)
    with pytest.raises(ConfigError, match="tasks is 0"):
        ax.record(run, tasks=0)
