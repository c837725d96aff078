"""Planning is exact, and the classical algorithms earn what is published."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from adaptax.envs.tabular import MDP, TabularMDP
from adaptax.references import references
from adaptax.references import tabular_agents as agents
from adaptax.references.planning import Tables, action_values, optimistic_values, value_iteration
from adaptax.references.tabular import episode_values, random_values

ORACLE, ORACLE_ERROR = 21.825, 0.016  # mean over the prior, simulated before


def small(count: int = 3) -> Tables:
    return agents.drawn(count, states=2, actions=2, seed=0)


def test_value_iteration_finds_the_best_of_all_policies():
    tasks, horizon = small(), 3
    found, policy = value_iteration(tasks, horizon)

    def value(task, choices):
        ahead = np.zeros(2)
        for action in choices:  # from the last step back; an action for each state
            ahead = np.array([task.reward[0, s, a] + task.transition[0, s, a] @ ahead for s, a in enumerate(action)])
        return ahead

    decisions = list(itertools.product(range(2), repeat=2))
    for i in range(3):
        task = tasks.some(np.s_[i : i + 1])
        best = np.max([value(task, choices) for choices in itertools.product(decisions, repeat=horizon)], 0)
        np.testing.assert_allclose(found[0, i], best)
        np.testing.assert_allclose(value(task, policy[::-1, i]), best)


def test_many_tasks_are_planned_in_blocks(monkeypatch):
    tasks = small(7)
    whole = value_iteration(tasks, 4)
    monkeypatch.setattr("adaptax.references.planning.BLOCK", 20)  # two tasks
    for one, other in zip(whole, value_iteration(tasks, 4), strict=True):
        np.testing.assert_array_equal(one, other)


def test_optimism_is_the_best_of_all_plausible_transitions():
    tasks = agents.drawn(2, states=4, actions=2, seed=1)
    slack = np.random.default_rng(2).uniform(0, 1.5, tasks.reward.shape)
    found = optimistic_values(tasks, slack, horizon=2)
    ahead = found[1].max(-1)
    for at in np.ndindex(*tasks.reward.shape):
        # p - P = up - down; sum |p - P| <= slack; sum p = 1; 0 <= p
        gain = np.concatenate([ahead[at[0]], -ahead[at[0]]])
        likely = tasks.transition[at]
        best = linprog(
            -gain,
            A_ub=np.vstack([np.ones(8), np.hstack([-np.eye(4), np.eye(4)])]),
            b_ub=np.append(slack[at], likely),
            A_eq=np.append(np.ones(4), -np.ones(4))[None],
            b_eq=[0.0],
        )
        assert found[0][at] == pytest.approx(tasks.reward[at] + likely @ ahead[at[0]] - best.fun)
    np.testing.assert_allclose(optimistic_values(tasks, 0 * slack, 2), action_values(tasks, 2))


def test_the_oracle_over_the_prior():
    values = episode_values(agents.drawn(10_000, 10, 5, seed=0), horizon=10)
    error = np.hypot(ORACLE_ERROR, values.std() / 100)
    assert abs(values.mean() - ORACLE) < 3 * error


@pytest.mark.parametrize("policy", ["oracle", "random"])
def test_exact_values_are_what_the_environment_pays(policy):
    env = TabularMDP(states=4, actions=3, horizon=5)
    task, lives = env.tasks.test(jax.random.key(0)), 20_000
    tables = Tables(*(np.asarray(entries)[None] for entries in task))
    best = jnp.asarray(value_iteration(tables, env.horizon)[1][:, 0], jnp.int32)

    def life(key):
        def move(state, key):
            key_act, key_step = jax.random.split(key)
            random = jax.random.randint(key_act, (), 0, env.actions, jnp.int32)
            action = best[state.time, state.state] if policy == "oracle" else random
            state, _, reward, _, _ = env.step(task, state, action, key_step)
            return state, reward

        return jax.lax.scan(move, env.reset(task, key)[0], jax.random.split(key, env.horizon))[1].sum()

    paid = np.asarray(jax.jit(jax.vmap(life))(jax.random.split(jax.random.key(1), lives)))
    exact = {"oracle": episode_values, "random": random_values}[policy](tables, env.horizon)
    assert abs(paid.mean() - exact[0]) < 3 * paid.std() / lives**0.5


# The paper's agents believe that rewards have mean 0 before they have seen any.
PLANNERS = {
    "psrl": (agents.psrl(), 0.0),
    "opsrl": (agents.psrl(agents.SAMPLES), 0.0),
    "ucrl2": (agents.ucrl2(0.4), 0.0),
    "beb": (agents.beb(1.0), 0.0),
    "epsilon-greedy 0.1": (agents.posterior_mean, 0.1),
    "epsilon-greedy 0.2": (agents.posterior_mean, 0.2),
}
PUBLISHED = [
    ("psrl", 10, 138.1, 1_000),
    ("opsrl", 10, 144.1, 500),
    ("ucrl2", 10, 146.6, 1_000),
    ("beb", 10, 150.2, 2_000),
    ("epsilon-greedy 0.1", 10, 132.8, 2_000),
    ("psrl", 25, 408.8, 1_000),
    ("opsrl", 25, 425.2, 200),
    ("ucrl2", 25, 424.1, 400),
    ("beb", 25, 427.8, 1_000),
    ("epsilon-greedy 0.2", 25, 377.3, 1_000),
]


@pytest.fixture(scope="module")
def tasks():
    return agents.drawn(2_000, 10, 5, seed=0)


@pytest.mark.parametrize(("name", "episodes", "published", "count"), PUBLISHED)
def test_published_rows(tasks, name, episodes, published, count):
    planner, epsilon = PLANNERS[name]
    first = tasks.some(slice(count))
    who = lambda *world: agents.Planning(planner, *world, epsilon=epsilon, prior_mean=0.0)
    earned = agents.live(who, first, horizon=10, episodes=episodes, seed=0)
    luck = episodes * (episode_values(first, 10) - ORACLE)  # of having drawn these tasks
    error = np.hypot((earned - luck).std() / count**0.5, earned.std() / 1_000**0.5)  # theirs: a thousand tasks
    assert abs((earned - luck).mean() - published) < 3 * error


def test_random_play_is_published(tasks):
    values = 10 * random_values(tasks, 10)
    assert abs(values.mean() - 100.1) < 3 * values.std() * np.hypot(1 / 2_000**0.5, 1 / 1_000**0.5)


@pytest.mark.parametrize(("episodes", "value", "best_published"), [(10, 161.8, 160.1), (25, 459.3, 447.2)])
def test_to_take_each_state_for_a_bandit_earns_more_than_what_is_published(tasks, episodes, value, best_published):
    first = tasks.some(slice(1_000))
    who = lambda *world: agents.Planning(agents.bandits(1.0), *world, every_step=True)
    luck = episodes * (episode_values(first, 10) - ORACLE)
    earned = agents.live(who, first, horizon=10, episodes=episodes, seed=0) - luck
    error = earned.std() / 1_000**0.5
    assert abs(earned.mean() - value) < 3 * error and earned.mean() > best_published


def test_what_is_known_after_some_steps():
    known = agents.Known(np.zeros((1, 2, 1, 2)), np.zeros((1, 2, 1)), prior_mean=1.0)
    known.visits[0, 1, 0] = [0, 3]
    known.paid[0, 1, 0] = 7.0
    transition, reward = known.expected()
    np.testing.assert_allclose(transition[0, :, 0], [[1 / 2, 1 / 2], [1 / 5, 4 / 5]])
    np.testing.assert_allclose(reward[0, :, 0], [1.0, 2.0])
    draws = [known.sampled(np.random.default_rng(seed)).reward[0, 1, 0] for seed in range(2_000)]
    assert np.mean(draws) == pytest.approx(2.0, abs=0.04) and np.std(draws) == pytest.approx(0.5, abs=0.03)


def test_q_learning_by_hand():
    agent = agents.QLearning(0.5, 10, (1, 2, 2), np.random.default_rng(0), epsilon=0.0)
    agent.value[0, 1] = [3.0, 4.0]
    agent.see((np.array([0]), np.array([0]), np.array([1])), np.array([1.0]), np.array([1]))
    np.testing.assert_allclose(agent.value[0, 0], [0, 0.5 * (1 + 0.9 * 4)])
    assert agent.act(0, np.array([0])) == [1]


def test_constants_are_tuned_once_and_on_tasks_of_their_own():
    best = agents.tuned("beb", states=3, actions=2, horizon=3, episodes=2)
    assert best is agents.tuned("beb", states=3, actions=2, horizon=3, episodes=2)
    tasks = agents.drawn(agents.TUNING_TASKS, 3, 2, agents.TUNING)
    earned = [play(tasks, 3, 2, agents.TUNING).mean() for play in agents.contenders()["beb"]]
    assert best(tasks, 3, 2, agents.TUNING).mean() == max(earned)


def test_there_are_fewer_lives_where_these_are_large_or_long():
    assert agents.affordable(2_000, states=10, actions=5, horizon=10, episodes=10) == 2_000
    assert agents.affordable(300, states=10, actions=5, horizon=10, episodes=100) == 200
    assert agents.affordable(300, states=10, actions=5, horizon=1_000, episodes=10) == 20
    assert agents.affordable(300, states=100, actions=10, horizon=10, episodes=10) == 10
    assert agents.affordable(300, states=1_000, actions=10, horizon=10, episodes=10) == 1


def test_references_are_in_order():
    env = TabularMDP(states=4, actions=3, horizon=5)
    draw = jax.jit(jax.vmap(env.tasks.test))(jax.random.split(jax.random.key(0), 500))
    found = references(env, draw, seed=0, episodes=5)
    values = found.values
    assert found.optimal is None
    assert set(values) == {"oracle", *agents.contenders(), "random"}
    assert values["random"] < values["psrl"] < values["greedy"] < values["beb each step"] < values["oracle"]
    assert values == references(env, draw, seed=0, episodes=5).values


def test_fewer_tasks_are_simulated_where_there_are_many(monkeypatch):
    """What the oracle earns less on those tells how lucky they are."""
    env = TabularMDP(states=3, actions=2, horizon=4)
    tasks = MDP(*agents.drawn(3_000, 3, 2, seed=0))
    whole = references(env, tasks, seed=0, episodes=2).values
    monkeypatch.setattr("adaptax.references.tabular.SIMULATED", 200)
    part = references(env, tasks, seed=0, episodes=2).values
    assert all(part[name] == whole[name] for name in ("oracle", "random"))
    assert all(part[name] == pytest.approx(whole[name], abs=0.5) for name in agents.contenders())
