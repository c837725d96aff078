"""The checks catch what they are there to catch: each is shown one thing that breaks its rule."""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax import testing
from adaptax.adapters.on_host import OnHost
from adaptax.core.env import TaskSplit
from adaptax.core.learner import Learner
from adaptax.core.trainer import run_chunk
from adaptax.core.types import Schedule
from adaptax.ops.spaces import Box
from adaptax.testing.compare import differences, require_same
from adaptax.testing.learners import Watched, communicates, seed_of, train
from adaptax.testing.toys import Clock, Target

# Environments


class Endless(Clock):
    def step(self, task, state, action, key):
        state, observation, reward, _, _ = super().step(task, state, action, key)
        return state, observation, reward, jnp.array(False), jnp.array(False)


class Undefined(Clock):
    def step(self, task, state, action, key):
        state, observation, reward, terminated, truncated = super().step(task, state, action, key)
        return state, observation, reward / 0.0 * 0.0, terminated, truncated


class Outside(Clock):
    observation_space = property(lambda self: Box(0.0, 1.0, (2,)))


class Misshapen(Clock):
    observation_space = property(lambda self: Box(0.0, float("inf"), (3,)))


class WholeReward(Clock):
    def step(self, task, state, action, key):
        state, observation, _, terminated, truncated = super().step(task, state, action, key)
        return state, observation, jnp.array(1), terminated, truncated


class DriftingState(Clock):
    def step(self, task, state, action, key):
        state, *outcome = super().step(task, state, action, key)
        return (state._replace(time=state.time.astype(float)), *outcome)


class Remembering(Clock):
    """Pays more every time it is traced: what a hidden counter looks like once it is compiled."""

    def step(self, task, state, action, key):
        state, observation, reward, terminated, truncated = super().step(task, state, action, key)
        return state, observation, reward + float(next(TICKS)), terminated, truncated


class OneStream(Clock):
    @property
    def tasks(self):
        sample = lambda key: jax.random.randint(key, (), 0, 99, jnp.int32)
        return TaskSplit(sample, lambda key: sample(jax.random.fold_in(key, 1)), sample, sample, "iid")


class NotDisjoint(Clock):
    @property
    def tasks(self):
        return super().tasks._replace(kind="disjoint")


class OneSampler(Clock):
    @property
    def tasks(self):
        return super().tasks.train


class UndescribedTest(Clock):
    def describe(self, task):
        return jnp.stack([task.astype(float), jnp.inf])


class WholeDescriptor(Clock):
    def describe(self, task):
        return task[None]


class OneNumber(Clock):
    def describe(self, task):
        return task.astype(float)


class WithoutKey(Clock):
    def step(self, task, state, action):
        return super().step(task, state, action, jax.random.key(0))


TICKS = itertools.count()


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (Endless, "still going on after episode_steps = 5"),
        (Undefined, "not finite"),
        (Outside, "lies outside"),
        (Misshapen, r"reset gives an observation float32\[2\]"),
        (WholeReward, "the reward must be one float, not int32"),
        (DriftingState, "state of another structure, shape or type"),
        (Remembering, "not among its arguments"),
        (OneStream, "'train' and 'test' draw the very same tasks"),
        (NotDisjoint, "says 'disjoint', but"),
        (OneSampler, "tasks is a function, not a TaskSplit"),
        (UndescribedTest, "descriptor of a task .* is not finite"),
        (WholeDescriptor, "must return floats"),
        (OneNumber, "must return a vector, not one number"),
        (WithoutKey, r"step raises TypeError[^;]*; declare it as def step\(self, task, state, action, key\)"),
    ],
)
def test_a_broken_environment_is_caught(env, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_environment(env())


@pytest.mark.parametrize(("env", "message"), [(Endless, "still going on"), (Outside, "lies outside")])
def test_a_broken_simulator_is_caught(env, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_environment(OnHost(env()))


# Learners


class Meta(NamedTuple):
    params: dict


class Honest(Learner):
    """Adds half of what it sees to what it is; the base of those that cheat."""

    tasks: int = 4
    rate: float = 0.5

    privileged = "training"

    def schedule(self, episodes=None):
        return Schedule(2, 1, 1)

    def init(self, key):
        return Meta({"mean": jnp.zeros(2), "scale": jnp.ones(())})

    def begin(self, meta, key, descriptor):
        return meta.params["mean"], ()

    def act(self, meta, inner, carry, step, key, explore):
        return inner + meta.params["scale"] * jax.random.normal(key, (2,)), carry, ()

    def adapt(self, meta, inner, data, key):
        return inner + self.rate * data.reward[0, 0]

    def update(self, meta, lifetimes: Any, key):
        mean = meta.params["mean"] + self.rate * (jnp.mean(lifetimes.descriptor, 0) - meta.params["mean"])
        return Meta({"mean": mean, "scale": 0.9 * meta.params["scale"]}), {"reward": jnp.mean(lifetimes.data.reward)}


class Stuck(Honest):
    def update(self, meta, lifetimes, key):
        new, metrics = super().update(meta, lifetimes, key)
        return Meta(new.params | {"scale": meta.params["scale"]}), metrics


class Weak(Honest):
    def init(self, key):
        return Meta({"mean": jnp.full(2, 0.0), "scale": jnp.ones(())})


class Exploding(Honest):
    def update(self, meta, lifetimes, key):
        new, metrics = super().update(meta, lifetimes, key)
        return new, metrics | {"ratio": 0.0 / jnp.zeros(())}


class Unrepeatable(Honest):
    """Adapts differently every time it is traced, as if by a forgotten random number."""

    def adapt(self, meta, inner, data, key):
        return inner + float(next(TICKS))


class Whimsical(Honest):
    """Acts differently every time it is traced."""

    def act(self, meta, inner, carry, step, key, explore):
        return inner + float(next(TICKS)), carry, ()


@pytest.fixture(scope="module")
def honest():
    return testing.bench(Honest(), Target())


def test_an_honest_learner_passes():
    testing.check_learner(Honest(), Target())


@pytest.mark.parametrize(
    ("learner", "check", "message"),
    [
        (Stuck, testing.check_trained, "training does not move: .*scale"),
        (Weak, testing.check_traces, "traced again: weakly typed .*mean"),
        (Exploding, testing.check_finite, "a metric is not finite: .*ratio"),
        (Unrepeatable, testing.check_replay, "other inner states than those that acted"),
        (Whimsical, testing.check_host, "the host loop lives other lives"),
    ],
)
def test_a_broken_learner_is_caught(learner, check, message):
    tested = testing.bench(learner(), Target())
    with pytest.raises(AssertionError, match=message):
        check(tested)


def test_swapped_descriptors_reach_a_learner_that_may_see_them(honest):
    # so that `check_privilege`, which wants no difference, is not blind
    swapped = Watched(honest.env.env, jnp.asarray(True), honest.env.tally)
    end, _ = train(honest.learner, swapped, seed_of(honest.start, 0))
    assert differences(honest.end.meta, end.meta)


def test_unequal_seeds_or_devices_are_caught(honest):
    moved = jax.tree.map(lambda x: x + 1, honest.end.meta)
    with pytest.raises(AssertionError, match="seed 0 of two seeds on two devices differs"):
        testing.check_seeds_and_devices(honest._replace(end=honest.end._replace(meta=moved)))


def test_a_program_for_one_device_does_not_communicate(honest):
    states = jax.tree.map(jnp.copy, seed_of(honest.start, 0))
    program = run_chunk.lower((honest.learner, honest.env, None), states, jnp.asarray(1, jnp.int32)).compile()
    assert not communicates(program)


def test_differences_are_named():
    one = {"a": jnp.zeros(2), "b": jnp.arange(3), "c": jax.random.key(0)}
    other = {"a": jnp.array([0.0, 0.5]), "b": jnp.array([0, 1, 3]), "c": jax.random.key(1)}
    with pytest.raises(AssertionError, match=r"here: \['a'\] differs by up to 0.5; \['b'\] differs in 1 of 3"):
        require_same(one, other, "here")
    assert [line.split(" ")[0] for line in differences(one, other)] == ["['a']", "['b']", "['c']"]
    assert differences({"a": np.zeros(2)}, {"a": np.zeros(3)}) == ["['a'] is float64[2] here and float64[3] there"]
    assert differences({"a": 1}, {"b": 1}) == ["['a'] is in one of them only", "['b'] is in one of them only"]
    assert not differences({"a": np.array([np.nan])}, {"a": np.array([np.nan])})
