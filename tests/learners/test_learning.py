"""Learners trained for seconds, against values that are known exactly.

The thresholds leave room below what seeds 0, 1 and 2 reach, which stands beside each.
"""

import gymnasium as gym
import numpy as np
import pytest

import adaptax as ax
from adaptax.references.bandit_limits import bernoulli_optimal, informative_optimal
from adaptax.references.two_step import stays
from adaptax.testing.probes import CueRecall, GoalOnLine, IdentityTask

pytestmark = pytest.mark.usefixtures("unvalidated")

# The inner loop of all that adapt by gradient: one step on ten copies of an episode.
INNER = {"copies": 10, "hidden": 16, "inner_lr": 1.0}


def trained(learner, env, meta_steps, split="validation", tasks=1000, **settings):
    """Trains, then evaluates the last state."""
    run = ax.train(learner, env, meta_steps=meta_steps, log_every=meta_steps, **settings)
    return ax.evaluate(run, split=split, tasks=tasks, checkpoint="last")


def means(curves):
    """Mean over tasks of a curve `[S, N, points]` of one seed."""
    return np.nanmean(curves[0], 0)


class Signed(ax.RL2):
    """RL2 whose policy follows `sign` times the advantage: with 1 it is RL2 itself."""

    sign: float = 1.0

    def _loss(self, params, part, entropy_weight):
        return ax.RL2._loss(self, params, part._replace(advantage=self.sign * part.advantage), entropy_weight)


def test_rl2_remembers_and_with_the_wrong_sign_it_does_not():
    env = CueRecall()
    learner = Signed(tasks=128, hidden=16, minibatches=2, learning_rate=1e-2)
    run = ax.train(learner, env, meta_steps=100, log_every=100, sweep={"sign": [1.0, -1.0]})
    points = [ax.evaluate(run, split="validation", checkpoint="last", point=point) for point in (0, 1)]
    right, wrong = (means(point.samples.episode_return) for point in points)
    assert np.all(right > 0.95 * env.optimum)  # 1.0, 1.0, 1.0
    assert np.all(wrong < env.blind)


def test_rl2_explores_and_exploits_as_well_as_bayes():
    learner = ax.RL2(tasks=512, hidden=16, minibatches=8, learning_rate=2e-2, entropy=0.03)
    env = ax.make("bernoulli-bandit", arms=2, pulls=10)
    earned = trained(learner, env, 100, "test", 20_000).samples.total_return.mean()
    optimum, random = bernoulli_optimal(arms=2, pulls=10) or np.nan, 5.0
    way = (earned - random) / (optimum - random)  # 0.994, 0.993, 0.983
    assert 0.97 < way < 1.02  # three standard errors above the optimum


def test_rl2_asks_the_arm_that_tells():
    learner = ax.RL2(tasks=256, hidden=16, learning_rate=1e-2, entropy=0.5, gae_lambda=0.95, value_scale=10.0)
    samples = trained(learner, ax.make("informative-bandit", arms=4, pulls=3), 600, "test").samples
    # To ask costs most of the first pull, and the rest pays: 5/8 + 5 + 5, the optimum. 1.00, 1.00, 1.00 of it
    assert means(samples.episode_return)[1:] == pytest.approx([5.0, 5.0], abs=0.1)
    assert samples.total_return.mean() == pytest.approx(informative_optimal(4, 3), abs=0.05)


def test_rl2_behaves_as_if_it_had_a_model():
    env = ax.make("two-step", trials=20)
    learner = ax.RL2(tasks=128, hidden=16, learning_rate=1e-2, entropy=0.02, gae_lambda=0.9, value_scale=10.0)
    run = ax.train(learner, env, meta_steps=150, log_every=150)
    data = ax.record(run, tasks=1000, checkpoint="last").data
    life = lambda x: np.asarray(x).reshape(1000, -1)
    repeats = stays(life(data.action), life(data.step.observation), life(data.reward))
    assert np.nanmean(repeats.interaction) > 0.4  # 0.55, 0.61, 0.66; 0 for habit
    assert life(data.reward).sum(1).mean() > 13.3  # 13.61, 13.66, 13.68 of 13.69, +- 0.06; random 10


def test_attention_keeps_what_each_state_told():
    env = ax.make("tabular-mdp", states=3, actions=3, horizon=5, tries=6)
    sizes = {"tasks": 128, "hidden": 16, "minibatches": 8, "learning_rate": 1e-2}
    learner = ax.RL2(memory="attention", discount=0.5, gae_lambda=0.5, value_scale=3.0, **sizes)
    earned = trained(learner, env, 100, "test", 2000).samples.total_return.mean()
    # 44.5, 44.2, 44.3; a GRU 39.3; who knows the prior and plans greedily 42.2, each state a bandit 45.3, random 29.6
    assert 43 < earned < 46.5


def test_the_gymnasium_family_of_the_readme_is_learned():
    def make(gravity):
        env = gym.make("CartPole-v1", max_episode_steps=40)
        setattr(env.unwrapped, "gravity", gravity)  # noqa: B010 (no type knows it)
        return env

    env = ax.from_gymnasium(make, lambda rng: {"gravity": rng.uniform(5.0, 15.0)})
    learner = ax.RL2(tasks=8, hidden=16, minibatches=2, learning_rate=2e-2, across_episodes=False)
    assert means(trained(learner, env, 20, tasks=20).samples.episode_return)[0] > 35  # 40 at 30 meta-steps; random 21


def test_rl2_finds_the_side_in_one_step_and_keeps_it():
    env = GoalOnLine()
    samples = trained(ax.RL2(tasks=64, hidden=16, minibatches=2, learning_rate=1e-2), env, 60).samples
    assert 0.97 * env.optimal_total < samples.total_return.mean() < 1.02 * env.optimal_total
    assert means(samples.episode_return)[1] > 0.97 * env.optimum


def test_maml_goes_where_one_step_goes_far():
    env = GoalOnLine()
    maml = trained(ax.MAML(tasks=16, learning_rate=1e-2, **INNER), env, 100)
    scratch = trained(ax.Scratch(**INNER), env, 1)
    could, lived = means(maml.samples.phase_return), means(maml.samples.episode_return)
    assert abs(could[0] - env.blind) < 0.1  # three standard errors: nobody knows the side before adaptation
    assert could[-1] > 0.97 * env.optimum
    # One step from anywhere tells left from right, so greedy actions are right for `scratch` too: not so what it lives.
    assert lived[1] > 0.95 * env.optimum
    assert maml.minus(scratch, "episode_return")[1][1] > 0.5


def test_maml_does_not_lose_by_adapting():
    env = IdentityTask()
    samples = trained(ax.MAML(tasks=16, learning_rate=1e-2, **INNER), env, 100).samples
    could, lived = means(samples.phase_return), means(samples.episode_return)
    assert could[0] > 0.97 * env.optimum and lived[0] > 0.97 * env.optimum
    assert could[-1] > could[0] - 0.01 and lived[1] > lived[0] - 0.01


def test_reptile_learns_where_to_start():
    env = IdentityTask()
    samples = trained(ax.Reptile(tasks=16, **INNER), env, 100).samples
    lived = means(samples.episode_return)
    assert lived[0] > 0.95 * env.optimum and lived[1] > 0.95 * env.optimum


def test_the_oracle_uses_what_it_is_told():
    env = GoalOnLine()
    samples = trained(ax.Oracle(tasks=16, copies=8, hidden=16, learning_rate=1e-2), env, 50).samples
    assert means(samples.episode_return)[0] > 0.97 * env.optimum
