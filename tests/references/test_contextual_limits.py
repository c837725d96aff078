from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.lifetime import where
from adaptax.envs.contextual import BarcodeBandit, WheelBandit
from adaptax.references import references
from adaptax.references.contextual import interval_regret, one_good_arm

KEYS = jax.random.split(jax.random.key(0), 1000)


def draw(env, split: str):
    return jax.jit(jax.vmap(env.tasks.sampler(split)))(KEYS)


@pytest.mark.parametrize("split", ["test", "ood"])
def test_wheel_policies_earn_what_references_say(split):
    env = WheelBandit(pulls=40, noise=0.001)
    tasks = draw(env, split)
    prior = env.limit if split == "test" else 1.0

    def earned(task, key):
        def pull(known, key):
            key_reset, key_arm = jax.random.split(key)
            context, _ = env.reset(task, key_reset)
            radius = jnp.linalg.norm(context)
            quarter = jnp.argmax(jax.vmap(lambda arm: env.means(jnp.zeros(()), context, arm)[0])(jnp.arange(5)))
            tried = 1.0 + 49.0 * (radius - known[0]) / (known[1] - known[0]) > 1.2
            arms = jnp.stack([jnp.where(tried, quarter, 0), jnp.zeros((), int), jax.random.randint(key_arm, (), 0, 5)])
            means, best = jax.vmap(lambda arm: env.means(task, context, arm))(arms)
            rim = best[0] == env.high
            high = jnp.where(tried & rim, jnp.minimum(radius, known[1]), known[1])
            low = jnp.where(tried & ~rim, radius, known[0])
            return jnp.stack([low, high]), jnp.append(means, best[0])

        return jax.lax.scan(pull, jnp.array([0.0, prior]), jax.random.split(key, env.pulls))[1].sum(0)

    lives = np.asarray(jax.jit(jax.vmap(earned))(tasks, KEYS), np.float64)
    values = references(env, tasks, seed=0, episodes=40, split=split).values
    shift = 40 * env.expected_best - lives[:, 3].mean() if split == "test" else 0.0
    for i, name in enumerate(["interval", "safe", "random", "oracle"]):
        regret = values["oracle"] - values[name]
        missed = lives[:, 3] - lives[:, i]
        assert regret == pytest.approx(missed.mean(), abs=3.5 * missed.std() / np.sqrt(1000) + 0.05), name
    assert values["oracle"] == pytest.approx(lives[:, 3].mean() + shift, rel=0.02)


def test_who_knows_the_family_of_wheels_loses_next_to_nothing():
    env = WheelBandit()
    regret = interval_regret(env, np.linspace(0, 0.9, 2001), 500, seed=0, limit=env.limit)
    assert 0.2 < regret.mean() < 1.1  # five tries in vain
    found = references(env, np.linspace(0, 0.9, 2001), seed=0, episodes=2000)
    assert found.optimal is None
    assert found.values["oracle"] == pytest.approx(2000 * 36.824)
    assert found.values["safe"] < found.values["random"] < found.values["interval"] < found.values["oracle"]


def best_of_all(arms: int, pulls: int, chance: float) -> float:
    """The same value without the theorem: the best over all arms at every pull, for each multiset of s - f."""

    @lru_cache(None)
    def value(known: tuple[int, ...], left: int) -> float:
        return max(pull(known, i, left) for i in range(arms)) if left else 0.0

    def pull(known: tuple[int, ...], arm: int, left: int) -> float:
        odds = np.array([(chance / (1 - chance)) ** d for d in known])
        good = odds[arm] / odds.sum()
        mean = chance * good + (1 - chance) * (1 - good)
        others = known[:arm] + known[arm + 1 :]
        won, lost = (tuple(sorted([*others, known[arm] + step])) for step in (1, -1))
        return mean * (1 + value(won, left - 1)) + (1 - mean) * value(lost, left - 1)

    return value((0,) * arms, pulls)


@pytest.mark.parametrize(("arms", "pulls", "chance"), [(2, 12, 0.9), (3, 9, 0.6), (4, 8, 0.75), (10, 10, 0.9)])
def test_one_good_arm_against_all_policies(arms, pulls, chance):
    assert one_good_arm(arms, pulls, chance)[pulls] == pytest.approx(best_of_all(arms, pulls, chance), abs=1e-12)


def test_one_good_arm_by_hand():
    np.testing.assert_allclose(
        one_good_arm(4, 4, 1.0), [0, 1 / 4, 3 / 4, 6 / 4, 10 / 4]
    )  # found at once, or crossed out
    two = one_good_arm(2, 2, 0.9)
    np.testing.assert_allclose(two, [0, 0.5, 0.5 + 0.82])  # a win or a loss says the same: 0.9 * 0.9 + 0.1 * 0.1


def test_known_values_of_barcodes():
    found = references(BarcodeBandit(), draw(BarcodeBandit(), "test"), seed=0, episodes=100)
    values = {name: f"{value:.1f}" for name, value in found.values.items()}
    assert values == {"oracle": "900.0", "separate": "843.8", "forgetful": "443.6", "random": "180.0"}
    assert found.optimal is None
    free = BarcodeBandit(cover=False)
    assert references(free, draw(free, "test"), seed=0, episodes=100).optimal == found.values["separate"]
    assert references(free, draw(free, "ood"), seed=0, episodes=100, split="ood").optimal is None


@pytest.mark.parametrize("cover", [True, False])
def test_remembering_each_barcode_earns_what_references_say(cover):
    """The likeliest arm of the barcode shown, by successes less failures, in lives of the environment itself."""
    env = BarcodeBandit(arms=3, bandits=3, bits=2, pulls=4, visits=6, cover=cover)
    tasks = draw(env, "test")

    def earned(task, key):
        def pull(now, key):
            state, lead = now
            key_step, key_reset = jax.random.split(key)
            arm = jnp.argmax(lead[state.bandit])
            after, _, reward, _, truncated = env.step(task, state, arm, key_step)
            lead = lead.at[state.bandit, arm].add(2 * reward - 1)
            mean = jnp.where(arm == task.good[state.bandit], env.chance, 1 - env.chance)
            return (where(truncated, env.reset(task, key_reset)[0], after), lead), mean

        key_first, key_life = jax.random.split(key)
        begin = env.reset(task, key_first)[0], jnp.zeros((3, 3))
        return jax.lax.scan(pull, begin, jax.random.split(key_life, 24))[1].sum()

    lives = np.asarray(jax.jit(jax.vmap(earned))(tasks, KEYS))
    separate = references(env, tasks, seed=0, episodes=6).values["separate"]
    assert abs(lives.mean() - separate) < 3 * lives.std() / np.sqrt(1000)
