"""The rules of a life, on an environment whose every number can be said by heart."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.learner import Learner
from adaptax.core.lifetime import advance, born, replay, streams
from adaptax.core.types import Schedule
from adaptax.testing.toys import Clock

NEVER = 99  # a task that never terminates before the horizon


class Meta(NamedTuple):
    params: jax.Array


class Counter(Learner):
    """Acts at random, counts its phases in `inner` and its steps in `carry`, and remembers its birth."""

    tasks: int = 2

    def schedule(self, episodes=None):
        return Schedule(2, 3, 2)

    def init(self, key):
        return Meta(jnp.zeros(1))

    def begin(self, meta, key, descriptor):
        told = jnp.zeros(()) if descriptor is None else descriptor[0]
        return {"phases": jnp.zeros((), jnp.int32), "told": told, "adapt": jnp.zeros(())}, jnp.zeros((), jnp.int32)

    def act(self, meta, inner, carry, step, key, explore):
        action = jax.random.randint(key, (), 0, 3, jnp.int32)
        return (action if explore else jnp.zeros_like(action)), carry + 1, (inner["phases"], carry)

    def adapt(self, meta, inner, data, key):
        return inner | {"phases": inner["phases"] + 1, "adapt": inner["adapt"] + jax.random.uniform(key)}

    def update(self, meta, lifetimes, key):
        return meta, {}


class Restarting(Counter):
    """The same with new episodes in every phase."""

    reset_each_phase = True


class Told(Counter):
    """The same, and sees the descriptor at birth."""

    privileged = "always"


class Trained(Counter):
    """The same, and sees the descriptor in `update` only."""

    privileged = "training"


@eqx.filter_jit
def live(learner, task, key, schedule, explore=True):
    env = Clock()
    learner = learner.bind(env.spec())
    meta = learner.init(key)
    return advance(learner, env, meta, born(learner, env, meta, task, key, schedule.copies), schedule, explore)


def lived(learner, task=NEVER, schedule=Schedule(2, 6, 2), explore=True):  # noqa: B008
    end, life = live(learner, jnp.asarray(task, jnp.int32), jax.random.key(7), schedule, explore)
    return end, life


def flat(x):
    """`[K, T, E, ...]` as `[K * T, E, ...]`."""
    return np.asarray(x).reshape(-1, *x.shape[2:])


def test_shapes_are_phases_steps_copies():
    _, life = lived(Counter())
    assert life.data.reward.shape == (2, 6, 2)
    assert life.data.step.observation.shape == (2, 6, 2, 2)
    assert life.first.carry.shape == (2,)


def step_key(steps, phase, purpose, copy):
    """Keys of the six steps of one phase in one copy: 0 to act, 1 to step, 2 to restart."""
    for index in (phase, purpose, copy):
        steps = jax.random.fold_in(steps, index)
    return jax.random.split(steps, 6)


def test_numbers_come_from_life_step_and_copy():
    _, life = lived(Counter())
    steps = streams(jax.random.key(7)).steps
    for phase, time, copy in ((0, 0, 0), (0, 0, 1), (0, 4, 0), (1, 5, 1)):
        key_act, key_step = (step_key(steps, phase, purpose, copy)[time] for purpose in (0, 1))
        assert life.data.reward[phase, time, copy] == jax.random.uniform(key_step)
        assert life.data.action[phase, time, copy] == jax.random.randint(key_act, (), 0, 3, jnp.int32)


def test_a_longer_phase_begins_with_the_same_numbers():
    short, long = (lived(Counter(), schedule=Schedule(1, steps, 2))[1].data for steps in (6, 9))
    np.testing.assert_array_equal(long.reward[:, :6], short.reward)


def test_episode_names_come_from_the_keys_of_restarts():
    _, life = lived(Counter(), task=2)
    keys = streams(jax.random.key(7))
    first = jax.random.fold_in(jax.random.fold_in(keys.resets, 0), 1)
    restart = step_key(keys.steps, 0, 2, 1)[1]
    tags = flat(life.data.step.observation)[:, 1, 1]
    assert tags[0] == jax.random.uniform(first)
    assert tags[2] == jax.random.uniform(restart)


def test_no_number_is_drawn_twice():
    _, life = lived(Counter())
    rewards = flat(life.data.reward)
    assert len(np.unique(rewards)) == rewards.size


def test_more_copies_do_not_change_what_a_copy_draws():
    _, one = lived(Counter(), task=3, schedule=Schedule(2, 6, 2))
    _, other = lived(Counter(), task=3, schedule=Schedule(2, 6, 3))
    for name in ("reward", "action", "next_observation", "terminated"):
        np.testing.assert_array_equal(flat(getattr(one.data, name)), flat(getattr(other.data, name))[:, :2])


def test_an_episode_ends_and_restarts_within_a_phase():
    _, life = lived(Counter(), task=2)
    times = flat(life.data.step.observation)[:, 0, 0]
    np.testing.assert_array_equal(times, [0, 1] * 6)
    np.testing.assert_array_equal(flat(life.data.step.first)[:, 0], [True, False] * 6)
    np.testing.assert_array_equal(flat(life.data.terminated)[:, 0], [False, True] * 6)


def test_next_observation_is_the_true_successor():
    _, life = lived(Counter(), task=2)
    before, after = flat(life.data.step.observation), flat(life.data.next_observation)
    np.testing.assert_array_equal(after[:, :, 0], before[:, :, 0] + 1)  # time 2 at the end, though 0 follows
    np.testing.assert_array_equal(after[:, :, 1], before[:, :, 1])  # of the same episode
    assert np.all(before[2::2, :, 1] != before[1:-1:2, :, 1])  # a new episode has another name


@pytest.mark.parametrize(
    ("task", "terminated", "truncated"), [(NEVER, [], [4, 9]), (3, [2, 5, 8, 11], []), (5, [4, 9], [])]
)
def test_terminated_is_not_truncated(task, terminated, truncated):
    _, life = lived(Counter(), task=task)
    np.testing.assert_array_equal(np.flatnonzero(flat(life.data.terminated)[:, 1]), terminated)
    np.testing.assert_array_equal(np.flatnonzero(flat(life.data.truncated)[:, 1]), truncated)


def test_a_phase_boundary_does_not_restart_unless_asked():
    times = lambda learner: flat(lived(learner, schedule=Schedule(3, 2, 1))[1].data.step.observation)[:, 0, 0]
    np.testing.assert_array_equal(times(Counter()), [0, 1, 2, 3, 4, 0])  # 5 is the horizon
    np.testing.assert_array_equal(times(Restarting()), [0, 1, 0, 1, 0, 1])


def test_restarted_phases_begin_new_episodes_but_the_agent_remembers():
    _, life = lived(Restarting(), schedule=Schedule(3, 2, 2))
    step = life.data.step
    assert len(np.unique(np.asarray(step.observation)[:, 0, :, 1])) == 6
    assert np.all(step.first[:, 0]) and not np.any(step.first[:, 1])
    np.testing.assert_array_equal(step.previous_reward[1:, 0], life.data.reward[:-1, -1])
    np.testing.assert_array_equal(step.previous_action[1:, 0], life.data.action[:-1, -1])


def test_the_first_step_has_no_past():
    _, life = lived(Counter())
    assert np.all(life.data.step.first[0, 0])
    assert np.all(np.asarray(life.data.step.previous_action[0, 0]) == -1)
    assert np.all(np.asarray(life.data.step.previous_reward[0, 0]) == 0.0)
    np.testing.assert_array_equal(flat(life.data.step.previous_reward)[1:], flat(life.data.reward)[:-1])


def test_inner_changes_every_phase_and_carry_every_step():
    end, life = lived(Counter())
    phases, carry = life.data.extras
    np.testing.assert_array_equal(np.asarray(phases)[:, :, 0], [[0] * 6, [1] * 6])
    np.testing.assert_array_equal(flat(carry)[:, 1], np.arange(12))
    assert int(end.age) == 2 and int(life.age) == 0 and bool(life.fresh)
    assert int(life.last.inner["phases"]) == 2


def test_replay_folds_through_the_adaptation_that_acted():
    _, life = lived(Counter(), schedule=Schedule(4, 3, 2))
    learner = Counter().bind(Clock().spec())
    judge = lambda inner, data: (inner["phases"], inner["adapt"])
    phases, drawn = replay(learner, learner.init(jax.random.key(7)), life, judge, first=2)
    keys = streams(jax.random.key(7)).adapt
    uniform = [jax.random.uniform(jax.random.fold_in(keys, k)) for k in range(4)]
    np.testing.assert_array_equal(phases, [2, 3])
    np.testing.assert_array_equal(drawn, np.cumsum(np.asarray(uniform))[1:3])
    assert float(life.last.inner["adapt"]) == pytest.approx(float(sum(uniform)), rel=1e-6)


@pytest.mark.parametrize(("learner", "told", "recorded"), [(Counter, 0, None), (Trained, 0, 4), (Told, 4, 4)])
def test_the_descriptor_goes_where_it_may(learner, told, recorded):
    _, life = lived(learner(), task=4)
    assert float(life.first.inner["told"]) == told
    seen = None if life.descriptor is None else float(life.descriptor[0])
    assert seen == recorded


def test_greedy_life_takes_the_mode():
    _, life = lived(Counter(), explore=False)
    assert np.all(np.asarray(life.data.action) == 0)
