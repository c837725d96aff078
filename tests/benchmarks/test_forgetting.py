"""What a chain forgets: the tasks that it is judged in are those that it has come by."""

import importlib

import jax
import numpy as np

from adaptax.core.trainer import initial_state, lived, meta_step
from adaptax.envs.grid import GridNavigation
from adaptax.learners.warm_start import WarmStart
from adaptax.testing import small


def test_earlier_tasks_of_a_chain_are_those_it_learned(benchmarks):
    forgetting, env = importlib.import_module("forgetting"), GridNavigation()
    learner = small(WarmStart(tasks=1)).bind(env.spec(), 3)
    state, told = initial_state(learner, env, jax.random.key(0)), []
    for _ in range(3):
        told.append(np.asarray(lived(learner, env, state)[0].descriptor[0]))
        state, _ = meta_step(learner, env, state)
    for ago in (1, 2, 3):
        task = forgetting.come_by(learner, env, state, ago)
        np.testing.assert_array_equal(env.describe(task), told[-ago])
