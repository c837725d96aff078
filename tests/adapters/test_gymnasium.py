import inspect
import subprocess
import sys
from typing import Any, cast

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import adaptax as ax
from adaptax import testing
from adaptax.adapters.gymnasium import from_gymnasium, to_gymnasium, to_space
from adaptax.adapters.watched import watched
from adaptax.core.host import built, host_draw
from adaptax.envs.bandits import BernoulliBandit
from adaptax.envs.point import PointNavigation
from adaptax.errors import ConfigError, FaultyEnvironmentError, NumericalError
from adaptax.ops.spaces import Box, Discrete
from adaptax.testing.compare import require_finite

BOUNDS = np.array([[-1.0], [-1.0]], np.float32), np.array([[2.0], [3.0]], np.float32)
NARROW = np.array([0.0, -2.0], np.float32), np.array([1.0, np.inf], np.float32)
SEED = np.array([1, 2], np.uint32)


class Scales(gym.Env):
    """A user's environment: what it is asked to do is weighed, and everything is remembered."""

    def __init__(self, weight=1.0, observation=None, action=None, seen=None):
        self.observation_space = observation or gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = action or gym.spaces.Box(*BOUNDS)
        self.weight, self.seen, self.actions, self.seeds = weight, seen, [], []

    def look(self):
        return self.observation_space.sample() * 0 if self.seen is None else self.seen

    def reset(self, *, seed=None, options=None):
        self.seeds.append(seed)
        return self.look(), {}

    def step(self, action):
        self.actions.append(action)
        return self.look(), self.weight, False, False, {}


def weigh(rng):
    return {"weight": rng.uniform()}


def family(**fields):
    return from_gymnasium(lambda weight: Scales(weight, **fields), weigh, episode_steps=3)


def test_a_users_own_environment_in_ten_lines():
    def sample(rng):
        return {"gravity": rng.uniform(5.0, 15.0)}

    def make(gravity):
        env: Any = gym.make("CartPole-v1", max_episode_steps=10)
        env.unwrapped.gravity = gravity
        return env

    env = ax.from_gymnasium(make, sample)
    run = ax.train(ax.RL2(tasks=2, hidden=4, minibatches=2, epochs=1), env, seed=0, meta_steps=1)
    require_finite(run.meta("last"), "the trained state")
    testing.check_environment(env)


def test_tasks_reach_make_as_they_were_drawn():
    env = family()
    tasks = host_draw(env, "train", jax.random.split(jax.random.key(0), 3))
    again = host_draw(env, "train", jax.random.split(jax.random.key(0), 3))
    np.testing.assert_array_equal(tasks["weight"], again["weight"])
    assert len(set(tasks["weight"])) == 3
    with built(env, tasks, copies=2) as simulators:
        rows: Any = simulators
        for row, weight in zip(rows, tasks["weight"], strict=True):
            assert [sim.env.weight for sim in row] == [weight, weight]
            assert row[0].env is not row[1].env


def test_simulators_are_closed_when_one_of_them_fails():
    opened: list[Scales] = []
    closed: list[Scales] = []

    class Breaks(Scales):
        def step(self, action):
            raise OSError("the cable is loose")

        def close(self):
            closed.append(self)

    def make(weight):
        opened.append(Breaks(weight))
        return opened[-1]

    learner, env = ax.Random(tasks=2), from_gymnasium(make, weigh, episode_steps=3)
    opened.clear()
    closed.clear()
    with pytest.raises(Exception, match="the cable is loose"):
        ax.train(learner, env, meta_steps=1)
    assert len(opened) == 2 and closed == opened


def test_splits_are_different_streams_and_ood_is_its_own():
    outside = lambda rng: {"weight": 7.0}
    env = from_gymnasium(lambda weight: Scales(weight), weigh, ood=outside, episode_steps=3)
    key = jax.random.key(0)
    drawn = [env.tasks.sampler(split)(key)["weight"] for split in ("train", "validation", "test", "ood")]
    assert len(set(drawn)) == 4 and drawn[3] == 7.0 and env.tasks.kind == "iid"


def test_without_tasks_out_of_distribution_there_is_no_such_split():
    testing.check_environment(env := family())
    with pytest.raises(ConfigError, match="split is 'ood'; this family has train, validation, test"):
        env.tasks.sampler("ood")


def test_the_descriptor_is_the_tasks_numbers_unless_a_function_says_otherwise():
    def draw(rng):
        return {"b": np.array([1.0, 2.0]), "a": 3}

    makes = lambda a, b: Scales()
    env = from_gymnasium(makes, draw, episode_steps=3)
    np.testing.assert_array_equal(env.describe(draw(None)), [3.0, 1.0, 2.0])
    assert env.spec().descriptor == 3
    env = from_gymnasium(makes, draw, describe=lambda task: task["a"] ** 2, episode_steps=3)
    np.testing.assert_array_equal(env.describe(draw(None)), [9.0])


@pytest.mark.parametrize("given", [{"episodes": 0}, {"episode_steps": -1}])
def test_numbers_are_judged(given):
    with pytest.raises(ConfigError, match=f"{next(iter(given))} is .*; it must be a whole number >= 1"):
        from_gymnasium("CartPole-v1", **given)


@pytest.mark.parametrize("make", ["CartPole-v1", lambda: gym.make("CartPole-v1")])
def test_one_plain_environment_is_one_task(make):
    env = from_gymnasium(make)
    assert env.action_space == Discrete(2) and env.observation_space.size == 4 and env.episode_steps == 500
    tasks = host_draw(env, "test", jax.random.split(jax.random.key(0), 2))
    with built(env, tasks, copies=1) as simulators:
        assert len(simulators) == 2
        assert simulators[0][0].reset(SEED).shape == (4,)


def test_every_episode_is_seeded_by_its_own_number():
    sim: Any = family().simulator({"weight": 1.0})
    for seed in (SEED, SEED, SEED + 1, np.array([2**32 - 1, 0], np.uint32)):
        sim.reset(seed.astype(np.uint32))
    first, again, other, largest = sim.env.seeds
    assert first == again != other and 0 <= largest < 2**31


def test_actions_are_clipped_and_get_their_shape_back():
    env = family()
    assert env.action_space == Box(-1.0, (2.0, 3.0), (2,))
    sim: Any = env.simulator({"weight": 1.0})
    sim.reset(SEED)
    sim.step(np.array([-5.0, 9.0]), SEED)
    (action,) = sim.env.actions
    np.testing.assert_array_equal(action, [[-1.0], [3.0]])
    assert action.dtype == np.float32


def test_a_learner_that_diverged_is_not_the_environments_fault():
    sim = watched(family()).attended({"weight": 1.0}, 0, 0, False)
    sim.reset(SEED)
    with pytest.raises(NumericalError, match=r"action is \[nan  0\.\] in step 0 of life 0.*: it has diverged"):
        sim.step(np.array([np.nan, 0.0]), SEED)
    assert not sim.inside.env.actions


def test_the_episode_limit_truncates():
    sim: Any = family().simulator({"weight": 1.0})
    for _ in range(2):
        sim.reset(SEED)
        ends = [sim.step(np.zeros(2), SEED)[2:] for _ in range(3)]
        assert ends == [(False, False), (False, False), (False, True)]


def test_the_limit_of_a_wrapper_and_the_name_inside_it_are_found():
    env = from_gymnasium(lambda: gym.wrappers.TimeLimit(Scales(), 7))
    assert env.episode_steps == 7 and env.called == "Scales"
    assert from_gymnasium("CartPole-v1").called == "CartPole-v1"


def test_an_environment_without_a_limit_asks_for_one():
    with pytest.raises(ConfigError, match=r"episode_steps=200"):
        from_gymnasium(lambda: Scales())


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (gym.spaces.Discrete(3), Discrete(3)),
        (gym.spaces.Box(-1.0, 1.0, (2, 2)), Box(-1.0, 1.0, (2, 2))),
        (gym.spaces.Box(*NARROW), Box((0.0, -2.0), (1.0, float("inf")), (2,))),
        (gym.spaces.Box(-np.finfo(np.float32).max, np.finfo(np.float32).max, (1,)), Box(-np.inf, np.inf, (1,))),
    ],
)
def test_supported_spaces(space, expected):
    assert to_space(space) == expected


UNSUPPORTED = [gym.spaces.Discrete(3, start=1), gym.spaces.MultiBinary(2), gym.spaces.Dict(a=gym.spaces.Discrete(2))]


@pytest.mark.parametrize("space", UNSUPPORTED, ids=str)
def test_other_spaces_name_what_is_supported_and_the_remedy(space):
    with pytest.raises(ConfigError, match=r"Discrete that starts at 0, Box, and .*FlattenObservation"):
        from_gymnasium(lambda: Scales(observation=space), episode_steps=3)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (lambda rng: {"weight": "heavy"}, r"task\['weight'\] is 'heavy'.*numbers only"),
        (lambda rng: {}, "leave `sample` out"),
    ],
)
def test_tasks_are_numbers(sample, message):
    with pytest.raises(TypeError, match=message):
        from_gymnasium(lambda weight=0: Scales(), sample, episode_steps=3)


def test_tasks_of_a_family_have_the_same_parts():
    family = from_gymnasium(
        lambda weights: Scales(), lambda rng: {"weights": np.ones(rng.integers(1, 9))}, episode_steps=3
    )
    with pytest.raises(TypeError, match=r"same parts; one has task\['weights'\] of shape \(\d,\), another"):
        for seed in range(9):
            family.tasks.train(jax.random.key(seed))


def test_an_instance_is_not_a_maker():
    with pytest.raises(TypeError, match=r"lambda: gymnasium\.make"):
        inspect.unwrap(from_gymnasium)(cast(Any, Scales()))  # as users have it: without the type checks of the tests


def test_what_makes_no_environment_is_named():
    with pytest.raises(TypeError, match="makes something else: NoneType"):
        from_gymnasium(lambda: None)


@pytest.mark.parametrize(
    ("space", "seen"),
    [
        (None, np.zeros(3, np.float32)),
        (None, np.array(["a", "b"])),
        (gym.spaces.Discrete(3), 3),
        (gym.spaces.Discrete(3), 0.5),
    ],
    ids=["shape", "dtype", "range", "fraction"],
)
def test_an_observation_outside_its_space_is_reported(space, seen):
    sim = watched(family(observation=space, seen=seen)).attended({"weight": 1.0}, 0, 0, False)
    with pytest.raises(FaultyEnvironmentError, match=r"expected .* got shape"):
        sim.reset(SEED)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda sim: 1 / 0, "the simulator raised ZeroDivisionError: division by zero"),
        (
            lambda sim: (sim.look(), 0.0, False, {}),
            r"<Scales instance>: step must return 5 values, as Gymnasium has them, in step 0 of life 0",
        ),
        (lambda sim: (sim.look(), np.nan, False, False, {}), "the reward must be one finite number, got nan"),
        (lambda sim: (sim.look() + np.inf, 0.0, False, False, {}), r"expected finite numbers .* \[inf inf\]"),
    ],
)
def test_what_a_faulty_environment_does_is_named(monkeypatch, answer, expected):
    sim = watched(family()).attended({"weight": 1.0}, 0, 0, False)
    sim.reset(SEED)
    inside = sim.inside.env
    monkeypatch.setattr(inside, "step", lambda action: answer(inside))
    with pytest.raises(FaultyEnvironmentError, match=expected):
        sim.step(np.zeros(2, np.float32), SEED)


def test_a_task_with_other_spaces_is_reported():
    make = lambda weight: Scales(observation=gym.spaces.Discrete(2 + int(weight)))
    env = from_gymnasium(make, lambda rng: {"weight": 1}, episode_steps=3)
    with pytest.raises(FaultyEnvironmentError, match="share their spaces"):
        env.simulator({"weight": 2})


def test_without_gymnasium_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ImportError, match=r'pip install "adaptax\[gymnasium\]"'):
        from_gymnasium("CartPole-v1")


def test_gymnasium_is_not_imported_with_the_package():
    code = "import adaptax, sys; assert 'gymnasium' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr == ""


# The checker recommends normalised actions and bounded observations; the families have neither.
@pytest.mark.filterwarnings("ignore:.*(symmetric and normalized|infinity|Not able to test alternative render).*")
@pytest.mark.filterwarnings("ignore:.*(equal|spec).*:UserWarning")
@pytest.mark.parametrize("family", [PointNavigation(horizon=5), BernoulliBandit(arms=3)], ids=["box", "discrete"])
def test_a_compiled_task_passes_gymnasiums_own_checks(family):
    check_env(to_gymnasium(family, family.tasks.test(jax.random.key(0))), skip_render_check=True)


def test_a_compiled_task_steps_as_it_does_without_gymnasium():
    family = PointNavigation(horizon=5)
    task = family.tasks.test(jax.random.key(0))
    env = to_gymnasium(family, task, seed=3)
    state, _ = family.reset(task, jax.random.key(0))
    env.reset()
    for _ in range(5):
        action = env.action_space.sample()
        state, *expected = family.step(task, state, jnp.asarray(action), jax.random.key(0))
        found = env.step(action)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
        np.testing.assert_allclose(float(found[1]), expected[1], rtol=1e-6)
        assert found[2:4] == (bool(expected[2]), bool(expected[3]))


def test_a_compiled_task_is_seeded():
    bandit = BernoulliBandit(arms=2)
    lives = []
    for seed in (0, 0, 1):
        env = to_gymnasium(bandit, jnp.array([0.5, 0.5]), seed=seed)
        episodes = [env.reset() and env.step(0)[1] for _ in range(20)]
        lives.append(episodes)
    assert lives[0] == lives[1] != lives[2] and len(set(lives[0])) == 2


class Noise(PointNavigation):
    """Shows random numbers, at a reset by a key that it splits first."""

    def reset(self, task, key):
        return jnp.zeros(2), jax.random.normal(jax.random.split(key)[1], (2,))

    def step(self, task, state, action, key):
        return state, jax.random.normal(key, (2,)), jnp.zeros(()), jnp.array(False), jnp.array(False)


def test_no_two_moments_of_a_compiled_task_share_their_chance():
    env = to_gymnasium(Noise(), jnp.zeros(2))
    seen = [env.reset(seed=0)[0], *(env.step(np.zeros(2))[0] for _ in range(4))]
    assert len({tuple(x) for x in seen}) == 5


def test_there_and_back():
    compiled = PointNavigation(horizon=5)
    make = lambda goal: to_gymnasium(compiled, jnp.asarray(goal, float))
    env = from_gymnasium(make, lambda rng: {"goal": rng.uniform(-0.5, 0.5, 2)}, episode_steps=5)
    assert env.observation_space == compiled.observation_space and env.action_space.size == 2
    testing.check_environment(env)
