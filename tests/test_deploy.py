"""Agents outside training code."""

import dataclasses
import json
from pathlib import Path

import equinox as eqx
import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax as ax
from adaptax import testing
from adaptax.config import checked_arguments
from adaptax.core.evaluate import examine
from adaptax.core.learner import traced
from adaptax.deploy import given_task
from adaptax.envs.bandits import BernoulliBandit
from adaptax.envs.point import PointNavigation
from adaptax.errors import CheckpointError, ConfigError
from adaptax.evaluation import curve_table, text_of
from adaptax.fields import Count, Whole
from adaptax.measure import draw_tasks
from tiny import BANDIT, GRID, MAML, ORACLE, POINT, RANDOM, RL2, newborn

pytestmark = pytest.mark.usefixtures("unvalidated")


def live(agent: ax.Agent, env: ax.Environment, task, seed: int, steps: int) -> list[float]:
    """The loop that a user writes, drawing the environment's numbers as the compiled loop does."""
    from adaptax.core.lifetime import copies_of, step_keys, streams

    life, key = agent.begin(seed=seed), jax.random.key(seed)
    schedule, rewards, t = agent.schedule, [], 0
    state, observation = env.reset(task, copies_of(streams(key).resets, 0, 1)[0])
    while t < steps:
        _, key_step, key_reset = (
            k[t % schedule.steps, 0] for k in step_keys(key, jnp.asarray(t // schedule.steps), schedule)
        )
        action = life.act(np.asarray(observation))
        state, observation, reward, terminated, truncated = env.step(task, state, jnp.asarray(action), key_step)
        again = life.observe(np.asarray(observation), float(reward), bool(terminated), bool(truncated))
        rewards.append(float(reward))
        t += 1
        if again:
            state, observation = env.reset(task, copies_of(streams(key).resets, t // schedule.steps, 1)[0])
        elif terminated or truncated:
            state, observation = env.reset(task, key_reset)
    return rewards


@pytest.mark.parametrize(
    ("learner", "env"),
    [
        (dataclasses.replace(RL2, sample=True), GRID),
        (ax.MAML(copies=1, hidden=8, inner_steps=2), POINT),
    ],
)
def test_a_life_in_hand_is_the_life_that_evaluation_examines(learner: ax.Learner, env: ax.Environment) -> None:
    agent = newborn(learner, env)
    task, schedule = env.tasks.test(jax.random.key(3)), agent.schedule
    lived = examine(traced(agent.learner), env, agent.meta, task[None], jax.random.key(7)[None], schedule, None)
    rewards = live(agent, env, task, 7, schedule.phases * schedule.steps)
    np.testing.assert_allclose(rewards, np.ravel(lived.score), rtol=1e-4, atol=1e-5)
    assert len(set(rewards)) > 1  # else any life would do


class OwnPoint(PointNavigation):
    """An environment that no registry knows."""


def test_runs_in_folders_are_opened_with_what_they_cannot_hold(tmp_path: Path) -> None:
    smaller = lambda rule, params, data: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params)) + data.reward.mean()
    learner, env = dataclasses.replace(MAML, inner_loss=smaller), OwnPoint(horizon=5)
    run = ax.train(learner, env, meta_steps=1, out=tmp_path / "run")
    with pytest.raises(ConfigError, match="own inner_loss"):
        ax.load(tmp_path / "run", env=env)
    with pytest.raises(ConfigError, match="own inner_loss"):
        ax.adapt(tmp_path / "run", env=env)
    with pytest.raises(ConfigError, match=r"in Python env="):
        ax.adapt(tmp_path / "run", learner=learner)
    agent = ax.load(tmp_path / "run", env=env, learner=learner)
    jax.tree.map(np.testing.assert_array_equal, agent.meta, ax.load(run).meta)
    adapted = [ax.adapt(where, env=env, learner=learner, lives=2).as_dict() for where in (run, tmp_path / "run")]
    assert adapted[0] == adapted[1]


def test_what_was_never_validated_is_refused(tmp_path: Path) -> None:
    run = ax.train(RL2, BANDIT, meta_steps=9, validate_every=9, callbacks=[lambda now: True])
    for use in (ax.load, ax.adapt):
        with pytest.raises(CheckpointError, match="take the one called last"):
            use(run)
    assert ax.load(run, checkpoint="last").begin().act(np.zeros(1)) in (0, 1, 2)


def test_an_adapted_agent_can_be_kept_and_taken_up_again(tmp_path: Path) -> None:
    agent = newborn(RL2, BANDIT)
    life = agent.begin(seed=0)
    for reward in (1.0, 0.0, 1.0):
        life.act(np.zeros(1))
        life.observe(np.zeros(1), reward, True, False)
    life.save(tmp_path / "agent.safetensors")
    again = agent.begin(seed=0, adapted=tmp_path / "agent.safetensors")
    np.testing.assert_array_equal(again.adapted.carry, life.adapted.carry)
    assert np.abs(np.asarray(life.adapted.carry)).max() > 0
    (tmp_path / "other").write_text("not what was kept")
    with pytest.raises(CheckpointError, match="other is damaged"):
        agent.begin(adapted=tmp_path / "other")
    for one in (life, again):  # the last action and reward enter the memory with the next step
        one.act(np.zeros(1), explore=False)
        one.observe(np.zeros(1), 0.0, True, False)
    np.testing.assert_array_equal(again.adapted.carry, life.adapted.carry)


def test_a_replay_is_taken_up_in_as_many_copies_as_it_was_kept_of(tmp_path: Path) -> None:
    small = testing.small(ax.make_learner("dqn"))
    agents = [newborn(dataclasses.replace(small, copies=copies), GRID, copies) for copies in (2, 1)]
    agents[0].begin(seed=1).save(tmp_path / "agent")
    agents[0].begin(adapted=tmp_path / "agent")
    with pytest.raises(CheckpointError, match=r"in 2 copies, and this .* load the agent with copies=2"):
        agents[1].begin(adapted=tmp_path / "agent")


@pytest.mark.parametrize("learner", [MAML, RL2], ids=["maml", "rl2"])
def test_an_agent_adapted_in_several_copies_goes_on_in_one(tmp_path: Path, learner: ax.Learner) -> None:
    agents = [newborn(learner, POINT, copies) for copies in (3, 1, 2)]
    lives = [agents[0].begin(seed=1)]
    for _ in range(agents[0].schedule.steps):
        lives[0].act(np.arange(6.0).reshape(3, 2) / 6)
        lives[0].observe(np.zeros((3, 2)), [1.0, 2.0, 3.0], np.zeros(3, bool), np.zeros(3, bool))
    lives[0].save(tmp_path / "agent")
    lives += [agent.begin(adapted=tmp_path / "agent") for agent in agents[1:]]
    first = lambda life: life.adapted._replace(carry=jax.tree.map(lambda x: x[:, :1], life.adapted.carry))
    for life in lives[1:]:
        jax.tree.map(np.testing.assert_array_equal, first(life), first(lives[0]))
    assert lives[1].act(np.zeros(2)).shape == (2,) and lives[2].act(np.zeros((2, 2))).shape == (2, 2)


def test_results_print_as_their_tables() -> None:
    run = ax.train(RL2, BANDIT, meta_steps=1)
    for result in (ax.adapt(run, lives=3), ax.evaluate(run, tasks=5)):
        assert repr(result) == result.table() and "95 % interval" in result.table()


def test_adapt_says_in_which_task_and_in_how_many_copies() -> None:
    run = ax.train(MAML, POINT, meta_steps=1)
    many, one = (ax.adapt(run, task=[0.25, -0.5], lives=3, copies=copies) for copies in (None, 1))
    assert (many.as_dict()["copies"], one.as_dict()["copies"]) == (MAML.copies, 1)
    assert one.as_dict()["task"] == [0.25, -0.5] and "task: [0.25, -0.5]" in one.table()
    assert "3 lives in one environment" in one.table() and one.as_dict()["episode_count"] == [3] * 2


def test_curves_leave_out_episodes_that_few_lives_finished() -> None:
    values, interval = [float(i) for i in range(30)], [[0.0] * 30, [1.0] * 30]
    text = text_of([curve_table(values, interval, "lived", 1, [8] * 12 + [4] * 3 + [3] * 15)])
    assert " 15 " in text and " 16 " not in text and "fewer than half" in text


def test_actions_stay_within_the_bounds_and_keep_their_shape() -> None:
    wild = dataclasses.replace(MAML, log_std=3.0)
    one, two = (newborn(wild, POINT, copies).begin() for copies in (1, 2))
    for _ in range(5):
        single, double = one.act(np.zeros(2)), two.act(np.zeros((2, 2)))
        assert single.shape == (2,) and double.shape == (2, 2)
        assert np.abs(double).max() <= 0.1 + 1e-6 >= np.abs(single).max()
        one.observe(np.zeros(2), 0.0, False, False)
        two.observe(np.zeros((2, 2)), 0.0, False, False)


def test_copies_are_counted() -> None:
    run = ax.train(RANDOM, BANDIT, meta_steps=1)
    for copies in (0, -1):
        with pytest.raises(ConfigError, match="copies"):
            ax.load(run, copies=copies)


def test_an_observation_of_another_shape_is_refused() -> None:
    life = newborn(RL2, BANDIT).begin(seed=0)
    with pytest.raises(ValueError, match=r"shape \(3,\); this agent was trained on \(1,\)"):
        life.act(np.zeros(3))


def test_nonsense_is_refused_and_the_life_goes_on() -> None:
    life = newborn(RL2, GRID).begin(seed=0)
    for nonsense in (9, -1, np.nan, "x", None, 1j):
        with pytest.raises(ValueError, match="must be a whole number from 0 to 8"):
            life.act(nonsense)
    life.act(np.asarray(0))
    for observation, reward in ((9, 0.0), (1, float("nan")), (1, float("inf"))):
        with pytest.raises(ValueError, match=r"must be a (whole|finite) number"):
            life.observe(np.asarray(observation), reward, False, False)
    assert life.observe(np.asarray(1), 0.5, False, False) is False


def test_observe_before_act_is_refused() -> None:
    life = newborn(RANDOM, BANDIT).begin()
    with pytest.raises(RuntimeError, match="call act"):
        life.observe(np.zeros(1), 0.0, True, False)


def test_an_oracle_must_be_told() -> None:
    agent = newborn(ORACLE, BANDIT)
    with pytest.raises(ConfigError, match="3 finite numbers: this learner is told"):
        agent.begin()
    for wrong in ([0.1, 0.9], [0.1, np.nan, 0.2]):
        with pytest.raises(ConfigError, match="3 finite numbers: array"):
            agent.begin(descriptor=np.array(wrong))
    assert agent.begin(descriptor=np.array([0.1, 0.9, 0.2])).act(np.zeros(1)) in (0, 1, 2)


def test_several_copies_act_together() -> None:
    life = ax.load(ax.train(MAML, POINT, meta_steps=1), copies=4).begin(seed=1)
    for _ in range(5):
        actions = life.act(np.zeros((4, 2)))
        assert actions.shape == (4, 2)
        again = life.observe(np.zeros((4, 2)), np.zeros(4), np.zeros(4, bool), np.zeros(4, bool))
    assert again and life.phases == 1


def test_adapt_without_a_task_draws_a_test_task(tmp_path: Path) -> None:
    run = ax.train(RL2, BANDIT, meta_steps=1)
    adapted = ax.adapt(run, lives=3, episodes=5)
    adapted.save(tmp_path / "agent")
    again = ax.load(run).begin(adapted=tmp_path / "agent").adapted
    jax.tree.map(np.testing.assert_array_equal, again, adapted.agent.agent)
    result = adapted.as_dict()
    assert len(result["episode_return"]) == 5 and len(result["phase_return"]) == 2
    task, _ = draw_tasks(BANDIT, "test", 3, seed=1)  # drawn as examinations are: by keys that no training uses
    assert ax.adapt(run, task=task[0], lives=3, episodes=5).as_dict() == result


def test_numbers_that_are_none_are_named_at_once() -> None:
    run = ax.train(RANDOM, BANDIT, meta_steps=1)
    with pytest.raises(ConfigError, match=r"episodes is 0; .*\nlives is -1; "):
        ax.adapt(run, episodes=0, lives=-1)
    with pytest.raises(ConfigError, match=r"tasks is 0; .* whole number >= 1"):
        ax.evaluate(run, tasks=0)
    with pytest.raises(ConfigError, match="slots must be 0, or at least arms = 3"):
        ax.evaluate(run, env=BernoulliBandit(arms=3, slots=1))
    values = checked_arguments(tasks=(np.int64(3), Count), episodes=(None, Count | None), seed=(jnp.asarray(2), Whole))
    assert values == [3, None, 2] and [type(value) for value in values] == [int, type(None), int]
    with pytest.raises(ConfigError, match=r"tasks is array\(\[5, 6\]\)"):
        checked_arguments(tasks=(np.array([5, 6]), Count))


@pytest.mark.parametrize(
    ("env", "given", "problem"),
    [
        (BANDIT, "[0.1, 0.2, 1.5]", "probability must lie between 0 and 1"),
        (BANDIT, [0.1, -0.2, 0.5], "probability must lie between 0 and 1"),
        (BANDIT, "[0.1, 0.2", "it is no JSON .*delimiter"),
        (BANDIT, "0.1", "task must be 3 finite numbers"),
        ("pendulum", {"length": "x", "mass": 1, "gravity": 10, "gain": 1}, r"task\.length must be one finite number"),
        (GRID, "[3, 0]", "between 0 and 2"),
        (GRID, [1.5, 0], "whole numbers"),
        (POINT, "[0.1, Infinity]", "finite numbers"),
        (POINT, [1e300, 0.0], "finite numbers"),
        (POINT, "[" * 100_000, "recursion"),
        (
            "cartpole",
            {"length": 0.5, "cart_mass": 0, "pole_mass": -1, "gravity": 9.8, "force": 0},
            "force must not be 0",
        ),
        ("cartpole", {"length": 0.5}, "an object with length, cart_mass, pole_mass, gravity, force"),
        ("pendulum", '{"length": 0, "mass": 1, "gravity": 10, "gain": -1}', "length must be positive"),
    ],
)
def test_a_task_given_by_hand_must_be_one_of_the_family(env, given, problem: str) -> None:
    env = ax.make(env) if isinstance(env, str) else env
    with pytest.raises(ConfigError, match=f"{problem}.*; an example: ."):
        given_task(env, given)


class Goal(eqx.Module):
    """A task of somebody's own making."""

    x: jax.Array
    places: tuple[jax.Array, list[jax.Array]]


class Anything(PointNavigation):
    """A family whose tasks are no plain arrays."""

    @property
    def tasks(self) -> ax.TaskSplit:
        goal = lambda key: Goal(jax.random.uniform(key), (jnp.arange(2.0), [jnp.ones(())]))
        return ax.TaskSplit.iid(goal, None)


def test_tasks_of_any_tree_can_be_given() -> None:
    env = Anything()
    drawn = env.tasks.test(jax.random.key(1))
    assert given_task(env, drawn).x == drawn.x
    with pytest.raises(ConfigError, match="a Goal can only be given from Python"):
        given_task(env, "[1, 2]")
    pair = ax.from_gymnasium(lambda task: gym.make("CartPole-v1"), lambda rng: (np.ones(2), 3.0))
    assert given_task(pair, "[[1, 2], 4]")[1] == 4.0
    with pytest.raises(ConfigError, match="must be a list of 2"):
        given_task(pair, [1.0])


@pytest.mark.parametrize("name", ["bernoulli-bandit", "grid-navigation", "point-navigation", "cartpole", "pendulum"])
def test_a_task_may_be_given_as_it_is_drawn_or_as_json_shows_it(name: str) -> None:
    env = ax.make(name)
    drawn = env.tasks.train(jax.random.key(1))
    plain = jax.tree.map(lambda x: np.asarray(x).tolist(), drawn._asdict() if hasattr(drawn, "_asdict") else drawn)
    for given in (drawn, plain, json.dumps(plain)):
        jax.tree.map(np.testing.assert_array_equal, given_task(env, given), drawn)
