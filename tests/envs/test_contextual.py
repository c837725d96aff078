import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.types import Step, Transition
from adaptax.envs.contextual import BarcodeBandit, BarcodeState, BarcodeTask, WheelBandit

WHEEL, BARCODES = WheelBandit(), BarcodeBandit()
KEYS = jax.random.split(jax.random.key(0), 4000)
TABLE = BarcodeTask(jnp.array([[0.0, 1.0], [1.0, 1.0]]), jnp.array([2, 0], jnp.int32))


def pulled(observation: jax.Array, arm: jax.Array) -> Transition:
    nothing, no = jnp.zeros(()), jnp.array(False)
    return Transition(Step(observation, nothing, nothing, no), arm, nothing, observation, no, no, ())


def draw(env, split: str):
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(env.tasks.sampler(split)))(KEYS))


@pytest.mark.parametrize(
    ("context", "means", "best"),
    [
        ((0.5, 0.5), [1.2, 50, 1, 1, 1], 50),
        ((0.5, -0.5), [1.2, 1, 50, 1, 1], 50),
        ((-0.5, 0.5), [1.2, 1, 1, 50, 1], 50),
        ((-0.5, -0.5), [1.2, 1, 1, 1, 50], 50),
        ((0.3, 0.3), [1.2, 1, 1, 1, 1], 1.2),  # near the hub
    ],
)
def test_what_the_wheel_pays(context, means, best):
    found = [WHEEL.means(jnp.array(0.6), jnp.array(context), jnp.array(arm)) for arm in range(5)]
    np.testing.assert_allclose(found, [(mean, best) for mean in means], rtol=1e-6)


def test_contexts_fill_the_disc_and_rewards_are_noisy():
    def pull(key):
        key_reset, key_step = jax.random.split(key)
        state, context = WHEEL.reset(jnp.array(0.5), key_reset)
        return context, *WHEEL.step(jnp.array(0.5), state, jnp.array(0), key_step)[1:]

    contexts, after, rewards, terminated, truncated = jax.jit(jax.vmap(pull))(KEYS)
    share = np.histogram((np.asarray(contexts) ** 2).sum(1), 10, (0, 1))[0]
    np.testing.assert_allclose(share, 400, atol=80)
    np.testing.assert_allclose(np.mean(np.asarray(contexts) > 0, 0), 0.5, atol=0.03)
    np.testing.assert_array_equal(contexts, after)
    np.testing.assert_allclose([rewards.mean(), rewards.std()], [1.2, 0.01], atol=1e-3)
    assert terminated.all() and not truncated.any()


def test_the_wheels_score_has_the_mean_of_the_reward_and_less_variance():
    tasks = jnp.asarray(draw(WHEEL, "test"))

    def both(task, key):
        key_reset, key_arm, key_step = jax.random.split(key, 3)
        context, _ = WHEEL.reset(task, key_reset)
        arm = jax.random.randint(key_arm, (), 0, 5)
        reward = WHEEL.step(task, context, arm, key_step)[2]
        moment = pulled(context, arm)
        return reward, WHEEL.score(task, moment, "test"), WHEEL.score(task, moment, "ood")

    reward, score, plain = (np.asarray(x) for x in jax.jit(jax.vmap(both))(tasks, KEYS))
    np.testing.assert_allclose(reward, plain, atol=0.1)
    error = np.std(reward - score) / np.sqrt(len(score))
    assert abs((reward - score).mean()) < 3 * error
    assert WHEEL.expected_best == pytest.approx(36.824)


def test_rims_are_thinner_out_of_distribution():
    inside, outside = draw(WHEEL, "train"), draw(WHEEL, "ood")
    np.testing.assert_allclose(np.quantile(inside, [0, 0.5, 1]), [0, 0.45, 0.9], atol=0.03)
    assert outside.min() >= 0.9 and outside.max() < 1
    assert WheelBandit(safe=0.5).problems() == ["safe must lie between low and high"]
    assert WHEEL.task_problems(np.array(1.5)) == ["the rim must begin between 0 and 1"]


@pytest.mark.parametrize("split", ["train", "ood"])
def test_barcodes_differ_and_each_arm_is_good_somewhere(split):
    barcodes, good = draw(BARCODES, split)
    assert barcodes.shape == (4000, 10, 10) and np.isin(barcodes, (0, 1)).all()
    numbers = np.sort(barcodes @ 2 ** np.arange(10.0), 1)
    assert (np.diff(numbers, axis=1) > 0).all()
    assert (np.sort(good, 1) == np.arange(10)).all()
    varying = (barcodes.min(1) < barcodes.max(1)).sum(1)
    assert (varying <= 4).all() if split == "ood" else (varying > 4).all()
    np.testing.assert_allclose(barcodes.mean((0, 1)), 0.5, atol=0.04)
    np.testing.assert_allclose(good.mean(0), 4.5, atol=0.2)


def test_good_arms_may_be_independent():
    good = draw(BarcodeBandit(arms=3, bandits=2, bits=2, cover=False), "test").good
    np.testing.assert_allclose(np.bincount(3 * good[:, 0] + good[:, 1]) / 4000, 1 / 9, atol=0.03)


def test_a_visit_shows_its_barcode_and_pays_by_its_good_arm():
    env = BarcodeBandit(arms=3, bandits=2, bits=2, pulls=3, cover=False)
    states, shown = jax.jit(jax.vmap(lambda key: env.reset(TABLE, key)))(KEYS)
    assert float(states.bandit.mean()) == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(shown, TABLE.barcodes[states.bandit])
    state = BarcodeState(jnp.array(1, jnp.int32), jnp.array(1, jnp.int32))
    play = jax.jit(jax.vmap(lambda arm, key: env.step(TABLE, state, arm, key), (None, 0)))
    for arm, chance in enumerate((0.9, 0.1, 0.1)):
        after, observation, rewards, terminated, truncated = play(jnp.array(arm), KEYS)
        assert float(rewards.mean()) == pytest.approx(chance, abs=0.02)
        assert (after.time == 2).all() and (observation == 1).all() and not (terminated | truncated).any()
        assert float(env.score(TABLE, pulled(observation[0], jnp.array(arm)), "test")) == pytest.approx(chance)
    assert env.step(TABLE, after._replace(bandit=after.bandit[0], time=after.time[0]), jnp.array(0), KEYS[0])[4]


def test_what_is_wrong_is_said():
    assert BarcodeBandit(bits=3).problems() == ["bandits must be at most 2 ** bits = 8"]
    assert BarcodeBandit(bandits=5).problems() == ["bandits must be at least arms = 10, or cover off"]
    assert BarcodeBandit(bandits=5, cover=False).problems() == []
    env = BarcodeBandit(arms=3, bandits=2, bits=2, cover=False)
    assert env.task_problems(TABLE) == []
    assert len(env.task_problems(BarcodeTask(jnp.array([[0, 1], [0, 1]]), jnp.array([0, 3])))) == 2


def test_features_and_pictures_tell_the_table():
    env = BarcodeBandit(arms=3, bandits=2, bits=2, cover=False)
    np.testing.assert_array_equal(env.describe(TABLE), [0, 1, 0, 0, 1, 1, 1, 1, 0, 0])
    scene = env.render(TABLE, env.reset(TABLE, KEYS[0])[0])
    roles = [getattr(shape, "role", None) for shape in scene.shapes]
    assert (roles.count("wall"), roles.count("hidden"), roles.count("agent")) == (3, 2, 1)
    wheel = WHEEL.render(jnp.array(0.5), jnp.array([0.1, 0.2]))
    assert [getattr(shape, "text", None) for shape in wheel.shapes[4:8]] == ["1", "2", "3", "4"]
