"""From recorded steps to curves: hand-made records with known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax as ax
from adaptax.core.evaluate import Lived
from adaptax.measure import draw_tasks, measure, summarise
from adaptax.ops.returns import first_episode_return


def lived(score: list, over: list) -> Lived:
    """One life of one phase in one copy."""
    score_, over_ = (jnp.asarray(x, kind).reshape(1, 1, len(x), 1) for x, kind in ((score, float), (over, bool)))
    return Lived(score_, over_, jnp.zeros((1, 2)), ())


def test_episodes_as_lived_and_the_unfinished_one() -> None:
    samples = summarise(lived([1.0, 2.0, 4.0, 8.0, 16.0], [0, 1, 0, 1, 0]), reset_each_phase=False)
    np.testing.assert_array_equal(samples.episode_return, [[3.0, 12.0]])
    np.testing.assert_array_equal(samples.total_return, [31.0])
    np.testing.assert_array_equal(samples.return_at_step, [[np.nan, 3.0, 3.0, 12.0, 12.0]])


def test_a_phase_that_resets_cuts_the_episode_under_way() -> None:
    score = jnp.asarray([[1.0, 2.0], [4.0, 8.0]]).reshape(1, 2, 2, 1)
    over = jnp.asarray([[0, 0], [0, 1]], bool).reshape(1, 2, 2, 1)
    cut = summarise(Lived(score, over, jnp.zeros((1, 3)), ()), reset_each_phase=True)
    np.testing.assert_array_equal(cut.episode_return, [[12.0]])
    on = summarise(Lived(score, over, jnp.zeros((1, 3)), ()), reset_each_phase=False)
    np.testing.assert_array_equal(on.episode_return, [[15.0]])


def test_a_life_has_finished_an_episode_when_all_its_copies_have() -> None:
    score = jnp.asarray([[1.0, 10.0], [1.0, 10.0]]).reshape(1, 1, 2, 2)  # [N, K, T, E]
    over = jnp.asarray([[1, 0], [1, 1]], bool).reshape(1, 1, 2, 2)
    samples = summarise(Lived(score, over, jnp.zeros((1, 2)), ()), reset_each_phase=False)
    np.testing.assert_array_equal(samples.episode_return, [[(1 + 20) / 2, np.nan]])
    np.testing.assert_array_equal(samples.total_return, [(2 + 20) / 2])


def test_a_life_that_finishes_nothing_has_no_episode_return() -> None:
    samples = summarise(lived([1.0, 1.0], [0, 0]), reset_each_phase=False)
    assert np.isnan(samples.episode_return).all() and samples.total_return == [2.0]


def test_a_probe_counts_its_first_episode_only() -> None:
    score = jnp.asarray([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    over = jnp.asarray([[0, 1], [1, 0], [0, 0]], bool)
    assert first_episode_return(score, over) == (3.0 + 1.0) / 2


def test_blocks_do_not_change_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    env = ax.make("bernoulli-bandit", arms=2, pulls=3)
    learner = ax.Random(tasks=2).bind(env.spec())
    tasks, keys = draw_tasks(env, "test", 7, 0)
    whole, _ = measure(learner, env, learner.init(jax.random.key(0)), tasks, keys, learner.schedule(), "test")
    monkeypatch.setattr("adaptax.measure.CELLS", 9)
    parts, _ = measure(learner, env, learner.init(jax.random.key(0)), tasks, keys, learner.schedule(), "test")
    for ours, theirs in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_same_seed_gives_every_learner_the_same_tasks_and_splits_differ() -> None:
    env = ax.make("point-navigation")
    first, again = draw_tasks(env, "test", 5, 3), draw_tasks(env, "test", 5, 3)
    np.testing.assert_array_equal(first[0], again[0])
    for split in ("train", "validation"):
        assert not np.any(np.asarray(draw_tasks(env, split, 5, 3)[0]) == np.asarray(first[0]))


def test_pseudo_regret_has_the_mean_of_the_reward_and_less_noise() -> None:
    env = ax.make("bernoulli-bandit", arms=3, pulls=5)
    learner = ax.Random(tasks=2).bind(env.spec())
    tasks, keys = draw_tasks(env, "test", 4000, 1)
    meta = learner.init(jax.random.key(0))
    counted, _ = measure(learner, env, meta, tasks, keys, learner.schedule(), "test")
    plain, _ = measure(learner, env, meta, tasks, keys, learner.schedule(), None)
    assert counted.total_return.mean() == pytest.approx(2.5, abs=4 * counted.total_return.std() / 4000**0.5)
    assert plain.total_return.mean() == pytest.approx(2.5, abs=4 * plain.total_return.std() / 4000**0.5)
