import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.types import Step, Transition
from adaptax.envs.bandits import (
    Bandit,
    BernoulliBandit,
    DependentBandit,
    Gaussian,
    GaussianBandit,
    Informative,
    InformativeBandit,
)
from adaptax.ops.spaces import Discrete


def pull(arm: int) -> Transition:
    nothing, no = jnp.zeros(()), jnp.array(False)
    return Transition(Step(jnp.zeros(1), nothing, nothing, no), jnp.asarray(arm), nothing, jnp.zeros(1), no, no, ())


def draw(env: Bandit, split: str, count: int):
    return jax.jit(jax.vmap(env.tasks.sampler(split)))(jax.random.split(jax.random.key(0), count))


def test_an_arm_pays_with_its_probability_and_ends_the_episode():
    env, task = BernoulliBandit(arms=3), jnp.array([0.0, 0.3, 1.0])
    keys = jax.random.split(jax.random.key(1), 2000)
    play = jax.jit(jax.vmap(lambda arm, key: env.step(task, (), arm, key), (None, 0)))
    rewards = [play(jnp.asarray(arm), keys)[2] for arm in range(3)]
    assert rewards[0].max() == 0 and rewards[2].min() == 1
    assert abs(float(rewards[1].mean()) - 0.3) < 3 * np.sqrt(0.3 * 0.7 / 2000)
    _, _, _, terminated, truncated = play(jnp.asarray(1), keys)
    assert terminated.all() and not truncated.any()


def test_the_score_has_the_mean_of_the_reward_and_less_variance():
    env = BernoulliBandit(arms=5)
    tasks = draw(env, "test", 20_000)
    best_guess = np.asarray(jax.vmap(lambda task: env.score(task, pull(0), "test"))(tasks))
    assert abs(best_guess.mean() - 0.5) < 3 * best_guess.std() / np.sqrt(20_000)
    clairvoyant = jax.vmap(lambda task: env.score(task, pull(0)._replace(action=jnp.argmax(task)), "test"))(tasks)
    np.testing.assert_allclose(clairvoyant, 5 / 6, rtol=1e-6)


def test_without_a_known_best_arm_the_score_is_the_expected_reward():
    env, task = BernoulliBandit(arms=2), jnp.array([0.2, 0.7])
    for split in ("ood", None):
        assert env.score(task, pull(1), split) == task[1]


def test_slots_beyond_the_arms_never_pay():
    few, all_ = BernoulliBandit(arms=3, slots=5), BernoulliBandit(arms=3)
    for split in ("train", "test", "ood"):
        tasks = np.asarray(draw(few, split, 50))
        assert few.action_space == Discrete(5) and (tasks[:, 3:] == 0).all()
        np.testing.assert_array_equal(tasks[:, :3], draw(all_, split, 50))
    assert BernoulliBandit(arms=3, slots=2).problems() == ["slots must be 0, or at least arms = 3"]


def test_good_arms_are_rare_out_of_distribution():
    chances = np.asarray(draw(BernoulliBandit(), "ood", 4000))
    assert abs(chances.mean() - 0.25) < 0.01  # Beta(1, 3)
    assert abs((chances > 0.5).mean() - 0.125) < 0.01


def test_splits_draw_different_tasks_of_the_same_kind():
    train, test = (np.asarray(draw(BernoulliBandit(), split, 4000)) for split in ("train", "test"))
    assert not np.isin(train, test).all()
    for chances in (train, test):
        np.testing.assert_allclose(np.quantile(chances, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.02)


@pytest.mark.parametrize(("kind", "better"), [("easy", 0.9), ("medium", 0.75), ("hard", 0.6)])
def test_dependent_arms_are_one_number_and_its_complement(kind, better):
    chances = np.asarray(draw(DependentBandit(arms_are=kind), "train", 2000))
    np.testing.assert_allclose(chances.sum(1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(chances.max(1), better, rtol=1e-6)
    assert abs((chances[:, 0] > 0.5).mean() - 0.5) < 3 * 0.5 / np.sqrt(2000)


def test_uniform_dependent_arms_fill_the_unit_interval_and_independent_ones_break_the_rule():
    env = DependentBandit()
    inside, outside = (np.asarray(draw(env, split, 4000)) for split in ("test", "ood"))
    np.testing.assert_allclose(inside.sum(1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(np.quantile(inside[:, 0], [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.03)
    assert abs(np.corrcoef(outside.T)[0, 1]) < 0.06
    assert inside.max(1).mean() == pytest.approx(env.best, abs=0.01)


def test_the_arm_that_informs_pays_the_number_of_the_best():
    env = InformativeBandit()
    tasks = draw(env, "test", 500)
    means = np.asarray(jax.jit(jax.vmap(env.means))(tasks))
    assert means.shape == (500, 11)
    best = np.argmax(means, 1)
    assert set(best) == set(range(10))
    np.testing.assert_allclose(means[:, 10], (best + 1) / 10, rtol=1e-6)
    np.testing.assert_allclose(np.sort(means[:, :10], 1), [[1.0] * 9 + [5.0]] * 500)
    assert env.pay(Informative(jnp.asarray(3), 5.0, 1.0), jnp.asarray(10), jax.random.key(0)) == pytest.approx(0.4)
    assert env.task_problems(Informative(jnp.asarray(10), 5.0, 1.0)) == ["best must lie between 0 and 9"]


def test_gaussian_arms_pay_their_mean_and_noise():
    env = GaussianBandit(arms=2, noise=0.5)
    keys = jax.random.split(jax.random.key(1), 4000)
    task = Gaussian(jnp.array([0.2, 0.7]), jnp.array(0.5))
    paid = np.asarray(jax.jit(jax.vmap(lambda key: env.step(task, (), jnp.asarray(1), key)[2]))(keys))
    assert abs(paid.mean() - 0.7) < 3 * 0.5 / np.sqrt(4000)
    assert abs(paid.std() - 0.5) < 0.02
    assert np.all(np.asarray(draw(env, "ood", 10).noise) == 1.0)
