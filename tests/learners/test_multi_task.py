"""The batch that the one policy for all tasks learns from."""

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core.types import Step, Transition
from adaptax.envs.point import PointNavigation
from adaptax.learners.multi_task import MultiTask

REWARD = np.array([1.0, -2.0, 3.0, 4.0])
TERMINATED, TRUNCATED = np.array([0, 1, 0, 0], bool), np.array([0, 0, 1, 0], bool)


def test_a_cut_episode_is_bootstrapped_and_one_that_ended_is_not():
    learner = MultiTask(tasks=2, copies=1, hidden=8, minibatches=1, discount=0.9, gae_lambda=0.5)
    learner = learner.bind(PointNavigation(horizon=4).spec())
    params = learner.init(jax.random.key(0)).params
    now, following = jax.random.normal(jax.random.key(1), (2, 4, 1, 2))
    off = jnp.zeros((4, 1))
    step = Step(now, jnp.zeros((4, 1, 2)), off, off.astype(bool).at[0].set(True))
    ended, cut = (jnp.asarray(x)[:, None] for x in (TERMINATED, TRUNCATED))
    data = Transition(step, jnp.zeros((4, 1, 2)), jnp.asarray(REWARD, float)[:, None], following, ended, cut, off)
    batch = learner.batch(params, data, jnp.zeros(0))

    value, beyond = (np.array([learner.critic.apply(params["value"], x[0])[0] for x in xs]) for xs in (now, following))
    delta = REWARD + 0.9 * np.where(TERMINATED, 0.0, beyond) - value
    expected = np.zeros(5)
    for t in reversed(range(4)):
        expected[t] = delta[t] + 0.9 * 0.5 * (0.0 if TERMINATED[t] or TRUNCATED[t] else expected[t + 1])
    np.testing.assert_allclose(batch.advantage[:, 0], expected[:4], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(batch.target[:, 0], expected[:4] + value, rtol=1e-4, atol=1e-5)
