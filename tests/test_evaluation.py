"""What an evaluation may say, and when it must say nothing."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax as ax
from adaptax.core.env import TaskSplit
from adaptax.core.types import Schedule
from adaptax.errors import ConfigError, NumericalError
from adaptax.evaluation import comparable_references
from adaptax.measure import draw_tasks
from adaptax.nn.net import pure
from adaptax.nn.recurrent import gru
from adaptax.ops.spaces import Box
from adaptax.testing.probes import GoalOnLine
from adaptax.testing.toys import Corridor
from tiny import BANDIT, MAML, ORACLE, POINT, RANDOM, RL2, SCRATCH

pytestmark = pytest.mark.usefixtures("unvalidated")


@pytest.fixture(scope="module")
def random() -> ax.Run:
    return ax.train(RANDOM, BANDIT, meta_steps=1)


def test_evaluations_are_paired_on_the_same_tasks() -> None:
    run = ax.train(RANDOM, GoalOnLine(), meta_steps=1)
    first, second = ax.evaluate(run, tasks=30, seed=4), ax.evaluate(run, tasks=30, seed=4)
    mean, low, high = first.minus(second)
    assert np.all(mean == 0) and np.all(low == 0) and np.all(high == 0)
    with pytest.raises(ValueError, match="evaluate both alike"):
        first.minus(ax.evaluate(run, tasks=20, seed=4))


def test_episodes_that_both_finished_are_paired_and_unlike_lives_are_not() -> None:
    learner, env = ax.Scratch(tasks=2, copies=1, hidden=8, steps=30), Corridor()
    run = ax.train(learner, env, meta_steps=1)
    lazy = ax.train(dataclasses.replace(learner, inner_lr=0.0), env, meta_steps=1)
    ours, theirs = ax.evaluate(run, tasks=8, episodes=4), ax.evaluate(lazy, tasks=8, episodes=4)
    assert not np.array_equal(ours.samples.total_return, theirs.samples.total_return)
    shorter = ours._replace(samples=ours.samples._replace(episode_return=ours.samples.episode_return[..., :2]))
    assert shorter.minus(theirs, "episode_return")[0].shape == (2,)
    with pytest.raises(ValueError, match="env_steps"):
        ours.minus(theirs._replace(steps=[2 * step for step in theirs.steps]))  # as in two copies


def test_the_score_follows_the_samples(random: ax.Run) -> None:
    one = ax.evaluate(random, tasks=20)
    zero, best = one.references["random"], one.references["optimal"]
    half = one._replace(samples=one.samples._replace(total_return=np.full((3, 20), (zero + best) / 2)), seeds=3)
    assert half.normalised == pytest.approx(0.5) and half.as_dict()["normalised"] == pytest.approx(0.5)
    assert half.as_dict()["env_steps"] == 3 * one.env_steps == 3 * 20 * 4
    assert not half.as_dict()["above_optimum"]
    assert half.as_dict()["regret"] == pytest.approx(one.references["oracle"] - (zero + best) / 2)
    assert "regret" in half.table()
    unknown = half._replace(references={"random": zero})
    assert unknown.as_dict()["regret"] is None and "regret" not in unknown.table()


def test_more_than_the_optimum_is_an_error_of_measurement_but_luck_is_not(random: ax.Run) -> None:
    one = ax.evaluate(random, tasks=20)
    best, noise = one.references["optimal"], np.random.default_rng(0).normal(size=(3, 400))
    earned = lambda mean: one._replace(samples=one.samples._replace(total_return=mean + noise - noise.mean()), seeds=3)
    lucky, wrong = earned(best + 1 / np.sqrt(1200)), earned(best + 8 / np.sqrt(1200))
    says = lambda result: "error of measurement" in " ".join(result.table().split())
    assert not lucky.above_optimum and not says(lucky)
    assert wrong.above_optimum and says(wrong)


def test_where_all_lives_earn_the_same_there_is_no_scale() -> None:
    for fields, episodes in (({"arms": 1, "pulls": 4}, None), ({"arms": 3, "pulls": 4}, 1)):
        run = ax.train(RANDOM, ax.make("bernoulli-bandit", **fields), meta_steps=1)
        result = ax.evaluate(run, tasks=50, episodes=episodes)
        assert result.normalised is None and "optimal" in result.references


def test_references_live_whole_episodes_or_are_left_out() -> None:
    env = ax.make("grid-navigation")
    tasks, _ = draw_tasks(env, "test", 10, 0)
    parts = ax.Scratch(tasks=2, copies=1, steps=5).bind(env.spec())  # each phase begins anew
    whole = RANDOM.bind(env.spec())
    assert comparable_references(parts, env, tasks, Schedule(6, 5, 1), "test", 0) == (
        {},
        None,
    )  # no episode of 15 is ever whole
    assert comparable_references(whole, env, tasks, Schedule(6, 5, 1), "test", 0)[1] is not None  # two are


def test_a_sweep_is_judged_point_by_point() -> None:
    run = ax.train(RL2, BANDIT, meta_steps=2, seeds=2, sweep={"learning_rate": [1e-3, 1.0]})
    with pytest.raises(ConfigError, match=r"say which point to evaluate, of 0: .*0.001.*; 1: .*1.0"):
        ax.evaluate(run, tasks=10)
    with pytest.raises(ConfigError, match="point is 2; it must be >= 0 and < 2"):
        ax.evaluate(run, tasks=10, point=2)
    points = [ax.evaluate(run, tasks=10, point=point) for point in (0, 1)]
    assert [p.seeds for p in points] == [2, 2]
    assert points[1].learner_fields == {"learning_rate": 1.0}
    alone = ax.train(RL2, BANDIT, meta_steps=2, seeds=2, sweep={"learning_rate": [1.0, 1.0]})
    ours, theirs = (x.samples.total_return for x in (points[1], ax.evaluate(alone, tasks=10, point=0)))
    np.testing.assert_array_equal(ours, theirs)


def test_lives_that_diverge_are_not_left_out() -> None:
    run = ax.train(SCRATCH, POINT, meta_steps=1)
    assert np.isfinite(ax.evaluate(run, tasks=5).samples.total_return).all()
    with pytest.raises(NumericalError, match=r"of 5 lives have returns that are not finite, the first in task \d"):
        ax.evaluate(run, tasks=5, learner_fields={"inner_lr": 1e30})


def test_an_oracle_is_told_the_task(random: ax.Run) -> None:
    with pytest.raises(ConfigError, match="oracle is a run of random, which is not told the task"):
        ax.evaluate(random, tasks=5, oracle=random)
    told, lost = (ax.train(learner, POINT, meta_steps=1) for learner in (ORACLE, SCRATCH))
    assert "oracle run" in ax.evaluate(lost, tasks=5, oracle=told).references
    with pytest.raises(ConfigError, match="not the environment of the test"):
        ax.evaluate(lost, tasks=5, oracle=told, env=ax.make("point-navigation", horizon=6))
    several = dataclasses.replace(told.settings, sweep={"log_std": [-1.0, 1.0]})
    swept = ax.Run(told.learner, POINT, several, told.saved, None)
    with pytest.raises(ConfigError, match="oracle's run is a sweep"):
        ax.evaluate(lost, tasks=5, oracle=swept)


def test_a_life_of_short_phases_holds_the_episodes_asked_for() -> None:
    learner = ax.Scratch(tasks=2, copies=1, steps=5, inner_steps=2).bind(ax.make("point-navigation", horizon=10).spec())
    assert learner.schedule() == Schedule(3, 5, 1)
    assert learner.schedule(4) == Schedule(8, 5, 1)
    assert ax.MultiTask(steps=20).bind(learner.bound).schedule(3).phases == 2


def test_it_says_whether_tasks_are_fresh_draws_or_were_never_trained_on(random: ax.Run) -> None:
    half = lambda key: jnp.full((), 0.5)

    class Apart(GoalOnLine):
        tasks = property(lambda self: TaskSplit(half, half, half, None, "disjoint"))

    assert ax.evaluate(random, tasks=5).as_dict()["task_kind"] == "iid"
    run = ax.train(RANDOM, Apart(), meta_steps=1)
    assert ax.evaluate(run, tasks=5).as_dict()["task_kind"] == "disjoint"


def test_seeds_of_scratch_start_apart() -> None:
    runs = [ax.train(SCRATCH, POINT, meta_steps=1, seed=seed) for seed in (0, 1)]
    first, second = (ax.evaluate(run, tasks=5).samples.total_return for run in runs)
    assert not np.allclose(first, second)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [(2, 5, r"gives an array of shape \(5,\); it must give \(2,\)"), (3, 2, "network cannot read the 2 numbers")],
)
def test_a_network_of_the_wrong_size_is_refused(inputs: int, outputs: int, message: str) -> None:
    network = pure(lambda key: eqx.nn.Linear(inputs, outputs, key=key))
    with pytest.raises(ConfigError, match=message):
        ax.train(dataclasses.replace(MAML, network=network), POINT, meta_steps=1)


def test_a_memory_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="network cannot read the 6 numbers"):  # place, step, reward, first
        ax.train(dataclasses.replace(RL2, network=gru(3, 4)), POINT, meta_steps=1)
    short = gru(6, 4)._replace(outputs=5)
    with pytest.raises(ConfigError, match=r"gives an array of shape \(4,\); it must give \(5,\)"):
        ax.train(dataclasses.replace(RL2, network=short), POINT, meta_steps=1)


def test_wrong_arguments_are_named(random: ax.Run) -> None:
    with pytest.raises(ConfigError, match="point is -1"):
        ax.evaluate(random, tasks=5, point=-1)


def test_actions_of_several_axes_are_refused() -> None:
    class Matrix(GoalOnLine):
        action_space = property(lambda self: Box(-1.0, 1.0, (2, 2)))

    with pytest.raises(ConfigError, match=r"actions have shape \(2, 2\); they must have one axis"):
        ax.train(RANDOM, Matrix(), meta_steps=1)
