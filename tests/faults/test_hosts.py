"""F20, F24 and F25: simulators that raise, that return what they did not declare, and that reset themselves."""

import tempfile
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax as ax
from adaptax.adapters.on_host import OnHost
from adaptax.adapters.watched import RESTARTS, watched
from adaptax.cli import main
from adaptax.core.host import host_draw, host_lifetimes, pick
from adaptax.core.lifetime import advance, born
from adaptax.core.trainer import draw, initial_state
from adaptax.core.types import Schedule, Transition
from adaptax.deploy import adapt
from adaptax.errors import ConfigError, FaultyEnvironmentError, NumericalError
from adaptax.ops.returns import gae
from adaptax.ops.spaces import Box, Discrete, Space
from adaptax.runs import open_run, read_lines

RANDOM = ax.Random(tasks=4, copies=2)
TRAIN: dict[str, Any] = {"meta_steps": 1, "progress": None}
SEED = np.array([1, 2], np.uint32)
NOTHING = np.zeros(2, np.float32)


class Loose(OSError):
    """What the simulators here raise."""


class Plant:
    """Counts its steps, since it was made and in the episode, and breaks as `fault` says."""

    def __init__(self, weight: float, fault: Callable[[Any], Any]):
        self.weight, self.fault, self.age, self.time, self.seed = weight, fault, 0, 0, 0

    def begin(self, seed: int) -> np.ndarray:
        self.time, self.seed = -1, seed
        return self.next()[0]

    def next(self) -> Any:
        self.time += 1
        here = np.array([self.weight, self.time], np.float32), 1.0, False, self.time >= 3
        fault = self.fault(self)
        self.age += self.time > 0
        if isinstance(fault, Exception):
            raise fault
        return here if fault is None else fault


class Shown(gym.Env):
    """The plant as a Gymnasium environment."""

    observation_space, action_space = gym.spaces.Box(-1.0, 9.0, (2,)), gym.spaces.Box(-1.0, 1.0, (2,))

    def __init__(self, plant: Plant):
        self.plant = plant

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.plant.begin(seed or 0), {}

    def step(self, action: Any) -> Any:
        return *self.plant.next(), {}


def by_gymnasium(fault: Callable[[Plant], Any], **more: Any) -> ax.HostEnvironment:
    make = lambda weight: Shown(Plant(weight, fault))
    return ax.from_gymnasium(make, lambda rng: {"weight": rng.uniform()}, episode_steps=3, **more)


class Heavy(NamedTuple):
    """A task that no literal of Python makes."""

    weight: Any


class OwnSimulator(ax.Simulator):
    def __init__(self, plant: Plant):
        self.plant = plant

    def reset(self, seed: np.ndarray) -> Any:
        return self.plant.begin(int(seed[0]))

    def step(self, action: Any, seed: np.ndarray) -> Any:
        self.plant.seed = int(seed[0])
        return self.plant.next()


class Own(ax.HostEnvironment):
    """The plant as somebody's own family, with a space and actions of one's choice."""

    fault: Callable[[Plant], Any]
    space: Space = Box(-1.0, 9.0, (2,))
    longest: int = 3

    observation_space = property(lambda self: self.space)
    action_space = property(lambda self: Discrete(3))
    episode_steps = property(lambda self: self.longest)
    episodes = property(lambda self: 2)
    tasks = property(lambda self: ax.TaskSplit.iid(lambda key: Heavy(np.asarray(jax.random.uniform(key))), None))

    def describe(self, task: Heavy) -> Any:
        return jnp.asarray(task.weight)[None]

    def simulator(self, task: Heavy) -> ax.Simulator:
        return OwnSimulator(Plant(float(task.weight), self.fault))


class Forgiving(Own):
    on_error = "restart"


FAMILIES = {"gymnasium": by_gymnasium, "own": Own}
RESTARTING = {"gymnasium": lambda fault: by_gymnasium(fault, on_error="restart"), "own": Forgiving}


def limit_of(env: ax.HostEnvironment) -> tuple[float, int]:
    """The second largest weight that training draws first, and the life that has the largest."""
    learner = RANDOM.bind(env.spec())
    state = initial_state(learner, env, jax.random.key(0))
    tasks, _ = draw(learner, env, jax.random.split(jax.random.fold_in(state.key, state.step))[0])
    seen = np.ravel(jax.tree.leaves(tasks)[0]).tolist()
    return sorted(seen)[-2], int(np.argmax(seen))


def again(error: BaseException, env: ax.HostEnvironment) -> None:
    """Does what an error says that would show it again."""
    exec(textwrap.dedent(str(error).split("trained on:\n")[1]), {"env": env})


def at(moment: int, limit: float = -1.0) -> Callable[[Plant], Exception | None]:
    """Raises at that step of a plant, counted from 0 since it was made, where the weight is above the limit."""
    return lambda plant: Loose(f"cable {plant.seed}") if (plant.age, plant.weight > limit) == (moment, True) else None


# F20


@pytest.mark.fault("F20")
@pytest.mark.parametrize("kind", FAMILIES)
def test_a_simulator_that_raises_is_named_and_can_be_seen_again(kind: str) -> None:
    limit, life = limit_of(FAMILIES[kind](lambda plant: None))
    # in its second episode, by its steps since it was made: only all that was asked of it before shows it again
    env = FAMILIES[kind](at(4, limit))
    with pytest.raises(FaultyEnvironmentError) as caught:
        ax.train(RANDOM, env, **TRAIN)
    told, cause = str(caught.value), caught.value.__cause__
    assert isinstance(cause, Loose) and caught.value.exit_code == 3
    assert f"the simulator raised Loose: {cause}, in step 4 of life {life}, copy 0 (step 1 of its episode 1)" in told
    assert "in the task " in told and "after the action " in told and "; reset with [" in told
    assert "on_error='restart'" in told
    with pytest.raises(Loose) as seen:
        again(caught.value, env)
    assert str(seen.value) == str(cause)  # the seed and all


@pytest.mark.fault("F20")
@pytest.mark.parametrize("kind", FAMILIES)
def test_a_reset_that_raises_is_named_and_can_be_seen_again(kind: str) -> None:
    env = FAMILIES[kind](lambda plant: Loose(f"cable {plant.seed}") if plant.age == 3 and not plant.time else None)
    with pytest.raises(FaultyEnvironmentError, match=r"in step 3 of life 0.*, at the reset with seed \[") as caught:
        ax.train(RANDOM, env, **TRAIN)
    with pytest.raises(Loose, match=str(caught.value.__cause__)):
        again(caught.value, env)


@pytest.mark.fault("F20")
def test_a_simulator_that_cannot_be_made_is_named() -> None:
    def make(weight: float) -> gym.Env:
        made.append(weight)
        if len(made) > 2:
            raise Loose("no socket is left")
        return Shown(Plant(weight, lambda plant: None))

    made: list[float] = []
    env = ax.from_gymnasium(make, lambda rng: {"weight": rng.uniform()}, episode_steps=3)
    with pytest.raises(
        FaultyEnvironmentError, match=r"no socket is left, in step 0 of life 0, copy 1.*it was made"
    ) as e:
        ax.train(RANDOM, env, **TRAIN)
    with pytest.raises(Loose, match="no socket"):
        again(e.value, env)


@pytest.mark.fault("F20")
def test_a_long_way_to_it_is_kept_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    env = Own(at(70))
    simulator = watched(env).attended(env.tasks.test(jax.random.key(0)), 0, 0, False)
    with pytest.raises(FaultyEnvironmentError, match="the 94 calls before") as caught:
        for moment in range(80):
            if moment % 3 == 0:
                simulator.reset(SEED)
            simulator.step(np.int32(1), SEED + np.uint32(moment))
    assert len(str(caught.value)) < 1000
    with pytest.raises(Loose, match=str(caught.value.__cause__)):
        again(caught.value, env)


@pytest.mark.fault("F20")
def test_a_simulator_that_raises_is_named_wherever_it_lives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[bool] = []
    env = Own(lambda plant: at(2)(plant) if broken else None)
    run = ax.train(RANDOM, env, out=tmp_path / "run", **TRAIN)
    broken.append(True)
    # greedy probes come first, on simulators of their own
    words = r"Loose: cable \d+, in step 2 of the probes of life 0, copy 0"
    with pytest.raises(FaultyEnvironmentError, match=words):
        ax.evaluate(run, tasks=4)
    with pytest.raises(FaultyEnvironmentError, match=words):
        adapt(run, lives=4)
    with pytest.raises(FaultyEnvironmentError, match=words.replace("the probes of ", "")):
        ax.record(run, tasks=4)
    (tmp_path / "mine.py").write_text("from test_hosts import Own, at\nenv = Own(at(2))\n")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(tmp_path / "run"), "--env-file", f"{tmp_path}/mine.py:env", "--tasks", "4"])
    assert ended.value.code == 3 and "the simulator raised Loose" in capsys.readouterr().err


class Apart(Own):
    """Weights below zero are for validation."""

    @property
    def tasks(self) -> ax.TaskSplit:
        above = lambda key: Heavy(np.asarray(jax.random.uniform(key)))
        below = lambda key: Heavy(-np.asarray(jax.random.uniform(key)))
        return ax.TaskSplit(above, below, above, None, "disjoint")


@pytest.mark.fault("F20")
def test_a_simulator_that_raises_in_validation_is_named() -> None:
    env = Apart(lambda plant: Loose("cable") if plant.weight < 0 and plant.age == 2 else None)
    with pytest.raises(FaultyEnvironmentError, match=r"in step 2 of the probes of life 0, copy 0 .*weight=-0"):
        ax.train(RANDOM, env, **TRAIN)


@pytest.mark.fault("F20")
def test_what_cannot_be_closed_does_not_hide_what_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    def close(self: Any) -> None:
        raise BrokenPipeError if self.plant.age == 2 else SystemError("closed twice")

    monkeypatch.setattr(OwnSimulator, "close", close)
    with pytest.raises(FaultyEnvironmentError, match="cable"):
        env = Own(at(2))
        simulator = watched(env).attended(env.tasks.test(jax.random.key(0)), 0, 0, False)
        try:
            simulator.reset(SEED)
            for _ in range(3):
                simulator.step(np.int32(0), SEED)
        finally:
            simulator.close()


# The simulator is another one then


def lives_of(env: ax.HostEnvironment, learner: ax.Learner = RANDOM) -> Transition:
    """Four lives of six steps in two copies."""
    learner, keys = learner.bind(env.spec()), jax.random.split(jax.random.key(0), 4)
    tasks = host_draw(env, "train", keys)
    return host_lifetimes(learner, watched(env), learner.init(keys[0]), tasks, keys, Schedule(1, 6, 2), True).data


@pytest.mark.fault("F20")
@pytest.mark.parametrize("kind", RESTARTING)
def test_an_episode_whose_simulator_raised_is_truncated_there(kind: str) -> None:
    whole = lives_of(FAMILIES[kind](lambda plant: None))
    limit = np.sort(np.unique(whole.step.observation[..., 0]))[-2] + 1e-6
    broken = RESTARTING[kind](lambda plant: at(1, limit)(plant) if plant.time else None)
    with pytest.warns(RuntimeWarning, match=r"^[2-9] episodes were truncated because a simulator raised.*Loose: cable"):
        data = lives_of(broken)
    hit = np.asarray(whole.step.observation[:, 0, 0, 0, 0]) > limit
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(data), strict=True):
        np.testing.assert_array_equal(np.asarray(one)[~hit], np.asarray(other)[~hit])  # no other life has changed
    life = jax.tree.map(lambda x: np.asarray(x)[hit][0, 0, :, 0], data)
    # each new simulator breaks in its second step again: one step, then the one that is cut
    assert life.step.observation[:, 1].tolist() == [0, 1, 0, 1, 0, 1]
    assert life.next_observation[:, 1].tolist() == [1, 1, 1, 1, 1, 1]
    assert life.reward.tolist() == [1, 0, 1, 0, 1, 0]
    assert life.truncated.tolist() == [False, True] * 3 and not life.terminated.any()
    assert life.step.first.tolist() == [True, False] * 3
    assert np.isfinite(life.next_observation).all()


@pytest.mark.fault("F20")
def test_restarts_are_counted_told_once_and_found_in_the_folder(tmp_path: Path) -> None:
    limit, _ = limit_of(Forgiving(lambda plant: None))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ax.train(RANDOM, Forgiving(at(2, limit)), out=tmp_path / "run", **TRAIN)
    assert len(told) == 2  # one of the meta-step, one of its validation
    counts = [event["count"] for event in read_lines(tmp_path / "run" / "events.jsonl") if "count" in event]
    assert counts == [2 * 2] and str(told[0].message).startswith("4 episodes")  # two copies, twice each


@pytest.mark.fault("F20")
def test_a_simulator_that_keeps_raising_is_an_error_after_all() -> None:
    env = Forgiving(at(1))
    simulator = watched(env).attended(env.tasks.test(jax.random.key(0)), 7, 0, False)
    simulator.reset(SEED)
    cut = 0
    with pytest.raises(
        FaultyEnvironmentError, match=f"life 7.*Mend the simulator: restarted {RESTARTS} times"
    ) as caught:
        for _ in range(100):
            if simulator.step(np.int32(0), SEED)[3]:
                cut += 1
                simulator.reset(SEED)
    assert cut == RESTARTS
    assert str(caught.value).count("sim.reset(") == 1  # what was asked of those before it is none of its
    with pytest.raises(Loose):
        again(caught.value, env)
    with pytest.warns(RuntimeWarning, match=f"^{RESTARTS} episodes"):
        simulator.close()


@pytest.mark.fault("F20")
def test_every_life_has_its_own_restarts() -> None:
    env = watched(Forgiving(lambda plant: at(1)(plant) if plant.time else None))
    for _ in range(2):  # seven in each
        simulator = env.attended(env.tasks.test(jax.random.key(0)), 0, 0, False)
        for _ in range(7):
            simulator.reset(SEED)
            ends = [simulator.step(np.int32(0), SEED)[3] for _ in range(2)]
            assert ends == [False, True]
        with pytest.warns(RuntimeWarning, match="^7 episodes"):
            simulator.close()


@pytest.mark.fault("F20")
@pytest.mark.parametrize(("moment", "restarted"), [("reset", "1 episode was"), ("step", "8 episodes were")])
def test_a_fresh_simulator_that_fails_at_once_is_an_error(moment: str, restarted: str) -> None:
    worn: list[bool] = []

    def fault(plant: Plant) -> Exception | None:
        failing = plant.age == 2 or (worn and (moment == "reset" or plant.time))
        worn.extend([True] * bool(failing))
        return Loose("worn out") if failing else None

    once = pytest.warns(RuntimeWarning, match=f"^{restarted} truncated")  # where all break in one step, each once
    with once, pytest.raises(FaultyEnvironmentError, match="a fresh simulator failed at once"):
        ax.train(RANDOM, Forgiving(fault), **TRAIN)


@pytest.mark.fault("F20")
def test_a_run_that_failed_can_go_on_with_restarts(tmp_path: Path) -> None:
    limit, _ = limit_of(by_gymnasium(lambda plant: None))
    fault = lambda plant: at(2, limit)(plant) if plant.time else None
    with pytest.raises(FaultyEnvironmentError):
        ax.train(RANDOM, by_gymnasium(fault), out=tmp_path / "run", **TRAIN)
    with pytest.warns(RuntimeWarning, match="episodes were truncated"):
        run = ax.resume(tmp_path / "run", env=by_gymnasium(fault, on_error="restart"), progress=None)
    assert run.step == 1


@pytest.mark.fault("F20")
def test_a_policy_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="on_error is 'again'; it must be one of fail, restart"):
        by_gymnasium(lambda plant: None, on_error="again")

    class Wrong(Own):
        on_error = "again"

    with pytest.raises(ConfigError, match="on_error is 'again'; it must be one of fail, restart"):
        watched(Wrong(lambda plant: None))


@pytest.mark.fault("F37")
def test_a_learner_that_diverged_is_not_the_simulators_fault() -> None:
    env = Forgiving(lambda plant: None)
    simulator = watched(env).attended(env.tasks.test(jax.random.key(0)), 2, 1, False)
    simulator.reset(SEED)
    with pytest.raises(NumericalError, match=r"action is \[nan  0\.\] in step 0 of life 2, copy 1.*it has diverged"):
        simulator.step(np.array([np.nan, 0.0]), SEED)


# F25

SEEN = np.zeros(2, np.float32)
ODD = {
    "expected finite numbers of shape (2,), got shape (3,) of float32": (np.zeros(3, np.float32), 1.0, False, False),
    "got shape () of float64": (0.0, 1.0, False, False),
    "got shape (2,) of <U1": (np.array(["a", "b"]), 1.0, False, False),
    "got shape (2,) of complex64": (np.zeros(2, np.complex64), 1.0, False, False),
    "got a dict with the keys 'seen', 'extra'": ({"seen": SEEN, "extra": 1}, 1.0, False, False),
    "got tuple of 2: ndarray, dict": ((SEEN, {}), 1.0, False, False),
    "got NoneType": (None, 1.0, False, False),
    "[nan  0.]": (np.array([np.nan, 0.0], np.float32), 1.0, False, False),
    "[1.e+300 0.e+000]": (np.array([1e300, 0.0]), 1.0, False, False),
    "the reward must be one finite number, got nan": (SEEN, float("nan"), False, False),
    "the reward must be one finite number, got np.float32(inf)": (SEEN, np.float32("inf"), False, False),
    "the reward must be one finite number, got array([1.])": (SEEN, np.ones(1), False, False),
    "the reward must be one finite number, got None": (SEEN, None, False, False),
    "the reward must be one finite number, got '1'": (SEEN, "1", False, False),
    "terminated must be True or False, got 'no'": (SEEN, 1.0, "no", False),
    "truncated must be True or False, got 0": (SEEN, 1.0, False, 0),
}


@pytest.mark.fault("F25")
@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("words", ODD)
def test_what_a_simulator_must_not_return_is_named(kind: str, words: str) -> None:
    env = FAMILIES[kind](lambda plant: ODD[words] if plant.age == 4 and plant.time else None)
    simulator = watched(env).attended(env.tasks.test(jax.random.key(0)), 3, 1, False)
    with pytest.raises(FaultyEnvironmentError) as caught:
        for _ in range(2):
            simulator.reset(SEED)
            ends = [simulator.step(NOTHING, SEED)[2:] for _ in range(3)]
            assert ends == [(False, False), (False, False), (False, True)]
    told = str(caught.value)
    assert words in told and "in step 4 of life 3, copy 1 (step 1 of its episode 1), in the task " in told
    assert "To mend it: " in told and caught.value.exit_code == 3


@pytest.mark.fault("F25")
@pytest.mark.parametrize("given", [3, -1, 0.5, np.float32(1.0), np.array([1]), None])
def test_what_lies_outside_a_discrete_space_is_named(given: Any) -> None:
    env = Own(lambda plant: (given if plant.time == 2 else plant.time, 1.0, False, False), Discrete(3))
    simulator = watched(env).attended(env.tasks.test(jax.random.key(0)), 0, 0, False)
    assert simulator.reset(SEED) == 0 and simulator.step(np.int32(0), SEED)[0] == 1
    with pytest.raises(
        FaultyEnvironmentError, match=r"expected a whole number from 0 to 2, got .* in step 1 of life 0"
    ):
        simulator.step(np.int32(0), SEED)


@pytest.mark.fault("F25")
def test_a_step_of_other_parts_is_named() -> None:
    env = Own(lambda plant: (SEEN, 1.0, False, False, {}) if plant.time else None)
    with pytest.raises(
        FaultyEnvironmentError, match="step must return four values, got tuple of 5, in step 0 of life 0"
    ):
        lives_of(env)


@pytest.mark.fault("F25")
def test_what_numbers_are_wide_enough_is_taken_as_it_is() -> None:
    given = ([0, 1], np.float32(0.5), np.False_, np.array(True))
    env = Own(lambda plant: given if plant.time else None)
    data = jax.tree.map(np.asarray, lives_of(env))
    assert data.next_observation.dtype == np.float32 and np.all(data.next_observation == np.array([0, 1]))
    assert np.all(data.reward == 0.5) and not data.terminated.any() and data.truncated.all()


@pytest.mark.fault("F25")
@pytest.mark.parametrize("kind", FAMILIES)
def test_a_drift_is_found_at_its_step_before_any_update_uses_it(tmp_path: Path, kind: str) -> None:
    """The shape changes at step 500 of all that this family's simulators step."""
    steps: list[int] = []

    def fault(plant: Plant) -> Any:
        steps.extend([0] * bool(plant.time))
        return (np.zeros(1, np.float32), 1.0, False, False) if len(steps) > 500 else None

    a_meta_step = 4 * 2 * 6  # and nothing else before the end, for validation comes last
    env = FAMILIES[kind](fault)
    del steps[:]
    with pytest.raises(FaultyEnvironmentError, match=r"got shape \(1,\) of float32"):
        ax.train(RANDOM, env, meta_steps=30, validate_every=30, checkpoint_every=1, out=tmp_path / "run", progress=None)
    assert len(steps) == 501
    kept = open_run(tmp_path / "run", env=env)
    assert kept.step == 500 // a_meta_step
    assert read_lines(tmp_path / "run" / "events.jsonl")[-1]["reason"].startswith("FaultyEnvironmentError: the obs")


# F24


class Counting(ax.Environment):
    """Shows how many steps an episode has had. Task 0 ends after two; task 1 counts from 4 and is cut after three."""

    observation_space = property(lambda self: Box(0.0, 9.0, (1,)))
    action_space = property(lambda self: Discrete(2))
    episode_steps = property(lambda self: 3)
    episodes = property(lambda self: 2)
    tasks = property(lambda self: ax.TaskSplit.iid(lambda key: jax.random.bernoulli(key).astype(float), None))

    def reset(self, task, key):
        return 4.0 * task, 4.0 * task[None]

    def step(self, task, state, action, key):
        state = state + 1.0
        return state, state[None], jnp.ones(()), (task == 0.0) & (state == 2.0), (task == 1.0) & (state == 7.0)

    def describe(self, task):
        return task[None]


class Counter(gym.Env):
    """The same as a Gymnasium environment."""

    observation_space, action_space = gym.spaces.Box(0.0, 9.0, (1,)), gym.spaces.Discrete(2)

    def __init__(self, cut: float):
        self.cut, self.number = cut, 0.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.number = 4.0 * self.cut
        return np.array([self.number], np.float32), {}

    def step(self, action: int) -> Any:
        self.number += 1.0
        over = self.number == (7.0 if self.cut else 2.0)
        return np.array([self.number], np.float32), 1.0, bool(over and not self.cut), bool(over and self.cut), {}


class SameStep(gym.Wrapper):
    """Resets within the step that ends an episode, and says what was seen last under a name of its own."""

    name = "final_obs"

    def step(self, action: Any) -> Any:
        seen, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            info[self.name] = seen
            seen, _ = self.env.reset()
        return seen, reward, terminated, truncated, info


class SameStepOfOld(SameStep):
    name = "final_observation"


class Still(ax.Random):
    """Always acts 1."""

    def act(self, meta, inner, carry, step, key, explore):
        return jnp.array(1, jnp.int32), carry, ()


WRAPPERS = {
    "disabled": lambda env: env,
    "next step": gym.wrappers.Autoreset,
    "same step": SameStep,
    "same step, before Gymnasium 1.0": SameStepOfOld,
}
WAYS = ["compiled", "on host", *WRAPPERS]
CUT = np.array([0.0, 1.0], np.float32)


def counted(way: str) -> Transition:
    """The lives of both tasks, two phases of four steps, leaves `[2, 8, ...]`."""
    learner, keys = Still(tasks=2).bind(Counting().spec()), jax.random.split(jax.random.key(0), 2)
    schedule = Schedule(2, 4, 1)
    if way == "compiled":
        env, meta = Counting(), learner.init(keys[0])
        live = lambda task, key: advance(learner, env, meta, born(learner, env, meta, task, key, 1), schedule)
        data = jax.jit(jax.vmap(lambda task, key: live(task, key)[1].data))(jnp.asarray(CUT), keys)
    else:
        make = lambda cut: WRAPPERS[way](Counter(cut))
        sample = lambda rng: {"cut": float(rng.integers(2))}
        on_host = way == "on host"
        env = OnHost(Counting()) if on_host else ax.from_gymnasium(make, sample, episode_steps=3)
        tasks = CUT if on_host else {"cut": CUT}
        data = host_lifetimes(learner, watched(env), learner.init(keys[0]), tasks, keys, schedule, True).data
    return jax.tree.map(lambda x: np.asarray(x).reshape(2, 8, *np.shape(x)[4:]), data)


@pytest.mark.fault("F24")
@pytest.mark.parametrize("way", WAYS)
def test_the_successor_recorded_is_the_true_one_and_boundaries_are_told_apart(way: str) -> None:
    data = counted(way)
    ends, cut = (pick(data, task) for task in (0, 1))
    assert ends.step.observation[:, 0].tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert ends.next_observation[:, 0].tolist() == [1, 2, 1, 2, 1, 2, 1, 2]
    assert ends.terminated.tolist() == [False, True] * 4 and not ends.truncated.any()
    assert ends.step.first.tolist() == [True, False] * 4
    assert cut.step.observation[:, 0].tolist() == [4, 5, 6, 4, 5, 6, 4, 5]
    assert cut.next_observation[:, 0].tolist() == [5, 6, 7, 5, 6, 7, 5, 6]
    assert cut.truncated.tolist() == [False, False, True] * 2 + [False] * 2 and not cut.terminated.any()
    # the end of a phase, after four steps, is none of an episode
    assert cut.step.first.tolist() == [True, False, False] * 2 + [True, False]
    # an episode that begins leaves what was done and paid before; a life that begins, in another task, does not
    for life in (ends, cut):
        assert life.step.previous_action.tolist() == [-1, *[1] * 7]
        assert life.step.previous_reward.tolist() == [0, *[1] * 7]


@pytest.mark.fault("F24")
@pytest.mark.parametrize("way", WAYS)
def test_truncation_bootstraps_and_termination_does_not(way: str) -> None:
    r"""$V(o) = 2 o$, $\gamma = \lambda = 1/2$; the table is by hand.

    Task 0: $\delta$ is 1 + 2/2 - 0 = 2 and 1 + 0 - 2 = -1 (nothing is to come), so A is 2 - 1/4 = 1.75 and -1.
    Task 1: $\delta$ is 1 + 10/2 - 8 = -2, 1 + 12/2 - 10 = -3, 1 + 14/2 - 12 = -4 (from 7, not from 4), and again -2;
    A is -2 + (-4)/4 = -3, -3 + (-4)/4 = -4, -4 (what follows is another episode), and -2 where the data end.
    """
    data = jax.tree.map(lambda x: np.moveaxis(x[:, :4], 0, 1), counted(way))
    terminated, over = data.terminated.astype(np.float32), (data.terminated | data.truncated).astype(np.float32)
    value, following = 2.0 * data.step.observation[..., 0], 2.0 * data.next_observation[..., 0]
    discount = 0.5 * (1.0 - terminated)
    reward, discount, value, following, follow = map(jnp.asarray, (data.reward, discount, value, following, 1.0 - over))
    advantage = gae(reward, discount, value, following, 0.5, follow)
    np.testing.assert_allclose(advantage.T, [[1.75, -1.0, 1.75, -1.0], [-3.0, -4.0, -4.0, -2.0]])


@pytest.mark.fault("F24")
@pytest.mark.parametrize("mode", list(gym.vector.AutoresetMode))
def test_a_vector_environment_is_no_environment(mode: Any) -> None:
    vector = lambda: gym.vector.SyncVectorEnv([lambda: Counter(0.0)] * 2, autoreset_mode=mode)
    with pytest.raises(
        TypeError, match=r"makes something else: SyncVectorEnv.*every task and copy gets one of its own"
    ):
        ax.from_gymnasium(vector, episode_steps=3)
