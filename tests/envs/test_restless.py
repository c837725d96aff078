import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.types import Step, Transition
from adaptax.envs.restless import Drift, RestlessBandit


def ways(env: RestlessBandit, split: str, count: int) -> Drift:
    return jax.jit(jax.vmap(env.tasks.sampler(split)))(jax.random.split(jax.random.key(0), count))


def test_a_way_starts_anywhere_and_moves_as_fast_as_its_volatility():
    env = RestlessBandit()
    drawn = ways(env, "train", 4000)
    way, volatility = np.asarray(drawn.probability), np.asarray(drawn.volatility)
    assert way.min() >= 0 and way.max() <= 1
    np.testing.assert_allclose(np.quantile(way[:, 0], [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.03)
    np.testing.assert_allclose(np.quantile(way[:, -1], [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.03)
    calm = volatility < 0.1
    assert abs(calm.mean() - 0.5) < 0.03
    inside = (way[calm, :-1] > 0.1) & (way[calm, :-1] < 0.9)  # where a calm step is not reflected
    assert np.diff(way[calm], axis=1)[inside].std() == pytest.approx(env.low, rel=0.02)
    assert np.all(np.asarray(ways(env, "ood", 5).volatility) == np.float32(0.3))


def test_pays_with_the_chance_of_the_moment_and_scores_it():
    env = RestlessBandit(pulls=4)
    task = Drift(jnp.array([0.0, 1.0, 1.0, 0.25]), jnp.array(0.1))
    key, no = jax.random.key(0), jnp.array(False)
    state, seen = env.reset(task, key)
    paid, scores, ends = [], [], []
    for action in (0, 0, 1, 1):
        now = seen
        state, seen, reward, _, over = env.step(task, state, jnp.asarray(action), key)
        record = Transition(Step(now, state, reward, no), jnp.asarray(action), reward, seen, no, over, ())
        paid.append(float(reward))
        scores.append(float(env.score(task, record, "test")))
        ends.append(bool(over))
    assert paid[:3] == [0.0, 1.0, 0.0]
    assert scores == [0.0, 1.0, 0.0, 0.75]
    assert ends == [False, False, False, True]
