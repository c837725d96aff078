import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.envs.bandits import BernoulliBandit
from adaptax.envs.cartpole import CartPole
from adaptax.envs.grid import GridNavigation
from adaptax.envs.point import REACHED, PointNavigation, SemicircleNavigation
from adaptax.references import Reference, references
from adaptax.references.point import straight_walk


def draw(env, split: str, count: int):
    return jax.jit(jax.vmap(env.tasks.sampler(split)))(jax.random.split(jax.random.key(0), count))


def test_bandit_references_are_in_order():
    env = BernoulliBandit()
    found = references(env, draw(env, "test", 20_000), seed=0, episodes=10)
    assert found.optimal is not None and f"{found.optimal:.5f}" == "6.65999"
    values = found.values
    assert values["oracle"] == pytest.approx(50 / 6)
    assert values["random"] == pytest.approx(5.0, abs=0.05)
    assert values["random"] < values["thompson"] < values["greedy"] < found.optimal < values["oracle"]
    assert abs(values["gittins"] - found.optimal) < 0.03
    assert abs(values["ucb1"] - found.optimal) < 0.03


def test_bandits_out_of_distribution_have_no_optimum_and_plain_rewards():
    env = BernoulliBandit(arms=2)
    tasks = np.array([[0.1, 0.3], [0.2, 0.6]])
    for split in ("ood", None):
        found = references(env, tasks, seed=0, episodes=5, split=split)
        assert found.optimal is None
        assert found.values["oracle"] == pytest.approx(5 * 0.45)
        assert found.values["random"] == pytest.approx(5 * 0.3)


def test_grid_navigation():
    env = GridNavigation()
    found = references(env, env.goals, seed=0, episodes=4)
    assert found.optimal == pytest.approx(37.2143, abs=5e-5)
    assert found.values == {"oracle": pytest.approx(44.2857, abs=5e-5)}
    assert references(env, draw(env, "ood", 5), seed=0, episodes=4, split="ood").optimal is None


def test_the_way_to_all_goals():
    middle = (np.arange(100) + 0.5) / 100 - 0.5
    goals = np.stack(np.meshgrid(middle, middle), -1).reshape(-1, 2)
    env = PointNavigation()
    assert f"{straight_walk(env, goals).mean():.3f}" == "-0.506"
    values = references(env, goals, seed=0, episodes=1).values
    assert f"{values['still']:.2f}" == "-38.26"
    assert -0.506 - 100 * REACHED < values["oracle"] < -0.506  # it walks, and then stays at the edge


@pytest.mark.parametrize("policy", ["oracle", "still"])
def test_point_navigation_is_what_the_environment_pays(policy):
    """In 24 steps."""
    env = PointNavigation(horizon=24)
    goals = draw(env, "test", 50)
    speed = env.speed if policy == "oracle" else 0.0

    def life(goal):
        begin = env.reset(goal, jax.random.key(0))[0]

        def move(state, _):
            edge = jnp.where(jnp.abs(goal) == jnp.abs(goal).max(), 1.0001 * REACHED, 0.0)
            action = jnp.clip(goal - jnp.sign(goal) * edge - state.position, -speed, speed)
            state, _, reward, terminated, truncated = env.step(goal, state, action, jax.random.key(0))
            return jax.tree.map(lambda x, y: jnp.where(terminated | truncated, x, y), begin, state), reward

        return jax.lax.scan(move, begin, length=24)[1].sum()

    paid = float(jax.jit(jax.vmap(life))(goals).mean())
    assert references(env, goals, seed=0, episodes=1).values[policy] == pytest.approx(paid, abs=1e-4)
    assert references(env, goals, seed=0, episodes=3).values[policy] == pytest.approx(3 * paid, abs=1e-3)


@pytest.mark.parametrize(("sparse", "oracle"), [(False, "-3.841"), (True, "13.382")])
def test_the_way_to_a_semicircle(sparse, oracle):
    angle = (np.arange(2000) + 0.5) / 2000 * np.pi
    goals = np.stack([np.cos(angle), np.sin(angle)], -1)
    env = SemicircleNavigation(sparse=sparse)
    values = references(env, goals, seed=0, episodes=1).values
    assert f"{values['oracle']:.3f}" == oracle
    assert values["still"] == pytest.approx(0 if sparse else -20)

    def life(goal):
        def move(state, _):
            state, _, reward, _, _ = env.step(goal, state, goal - state.position, jax.random.key(0))
            return state, reward

        return jax.lax.scan(move, env.reset(goal, jax.random.key(0))[0], length=20)[1].sum()

    paid = float(jax.jit(jax.vmap(life))(jnp.asarray(goals, float)).mean())
    assert values["oracle"] == pytest.approx(paid, abs=1e-3)
    assert references(env, goals, seed=0, episodes=20).values["oracle"] == pytest.approx(20 * paid, abs=0.02)


def test_nothing_is_known_of_other_environments():
    env = CartPole()
    assert references(env, draw(env, "test", 2), seed=0, episodes=1) == Reference(None, {})
