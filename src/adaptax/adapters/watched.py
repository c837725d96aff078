"""Simulators under watch: what they return is judged at every step, and where one raises, it is said which, and how.

Lives on the host go through here, whoever wrote the simulators: training, validation, `evaluate`, `adapt`, `record`.
"""

import math
import tempfile
import warnings
from collections import Counter
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np

from adaptax.adapters.wrapper import Wrapper
from adaptax.core.env import AbstractEnvironment, HostEnvironment, Simulator
from adaptax.core.types import PyTree, Task
from adaptax.errors import AdaptaxError, ConfigError, FaultyEnvironmentError, NumericalError
from adaptax.ops.spaces import Box, Discrete, Space

POLICIES = ("fail", "restart")
RESTARTS = 10  # in a life; more of them are no accidents
INLINE = 1_000  # characters of calls that an error shows; more of them go to a file


class Unfit(Exception):
    """What a simulator returned is not what its family declares: `problem` in words, and the `remedy`."""

    def __init__(self, problem: str, remedy: str):
        super().__init__(f"{problem}; {remedy}")
        self.problem, self.remedy = problem, remedy


class Judge:
    """Whether what simulators return is what the space of observations and the contract say. Quick where it is."""

    def __init__(self, space: Space):
        self.space, self.like = space, np.asarray(space.none())
        self.plain = isinstance(space, Box) and self.like.dtype == np.float32  # every finite number is legal
        self.count = space.n if isinstance(space, Discrete) else 0

    def observation(self, given: Any) -> Any:
        """The observation, as it was given or as an array.

        Raises:
            Unfit: it has another structure, shape or kind of number, or lies outside the space.
        """
        if type(given) is np.ndarray and self.plain:
            if given.dtype == self.like.dtype and given.shape == self.like.shape and np.isfinite(given).all():
                return given
        elif isinstance(given, int | np.integer) and 0 <= given < self.count:
            return given
        array = _array(given)
        alike = array.shape == self.like.shape and np.can_cast(array.dtype, self.like.dtype, "same_kind")
        if not alike or not self.space.legal(array).all():
            raise Unfit(
                f"the observation is not in its space: expected {self.space.content}, got {_named(given, array)}",
                "return what observation_space declares, or declare another; end an episode that diverges",
            )
        return array

    def outcome(self, answer: Any) -> tuple[Any, float, bool, bool]:
        """What `step` returned: observation, reward, terminated, truncated.

        Raises:
            Unfit: one of them is not what it must be.
        """
        if not isinstance(answer, tuple) or len(answer) != 4:
            what = f"{type(answer).__name__}{f' of {len(answer)}' if isinstance(answer, tuple) else ''}"
            raise Unfit(
                f"step must return four values, got {what}",
                "return (observation, reward, terminated, truncated)",
            )
        observation, reward, terminated, truncated = answer
        observation = self.observation(observation)
        if not (isinstance(reward, float) and math.isfinite(reward)):
            reward = _reward(reward)
        if not (type(terminated) is bool and type(truncated) is bool):
            terminated, truncated = _flag("terminated", terminated), _flag("truncated", truncated)
        return observation, reward, terminated, truncated


def _array(given: Any) -> np.ndarray:
    """As an array; None's where it is a list or tuple of parts that make none."""
    try:
        return np.asarray(given)
    except ValueError:
        return np.asarray(None)


def _reward(given: Any) -> float:
    array = _array(given)
    if array.dtype.kind not in "biuf" or array.ndim or not np.isfinite(array):
        raise Unfit(f"the reward must be one finite number, got {given!r}", "return float(reward)")
    return float(array)


def _flag(name: str, given: Any) -> bool:
    if not (isinstance(given, bool) or (getattr(given, "dtype", None) == np.bool_ and np.ndim(given) == 0)):
        raise Unfit(f"{name} must be True or False, got {given!r}", f"return bool({name})")
    return bool(given)


def _named(given: Any, array: np.ndarray) -> str:
    """What came instead of an observation, in words."""
    if isinstance(given, dict):
        return f"a dict with the keys {', '.join(map(repr, given))}"
    if array.dtype == object:
        of = f" of {len(given)}: {', '.join(type(part).__name__ for part in given)}" if type(given) is tuple else ""
        return f"{type(given).__name__}{of}"
    return f"shape {array.shape} of {array.dtype}: {np.array2string(array, threshold=6)}"


class Ledger:
    """The restarts of simulators: counted for each life, and told once for all that are open together."""

    def __init__(self) -> None:
        self.open, self.untold, self.last = 0, 0, ""
        self.lives: Counter[int] = Counter()
        self.unasked = 0  # since the last time that somebody asked

    def add(self, life: int, words: str) -> None:
        """Counts one restart."""
        self.lives[life] += 1
        self.untold, self.unasked, self.last = self.untold + 1, self.unasked + 1, words

    def close(self) -> None:
        """One simulator less is open; the last one tells."""
        self.open -= 1
        if self.open:
            return
        told, self.untold = self.untold, 0
        self.lives.clear()
        if told:
            episodes = "1 episode was" if told == 1 else f"{told} episodes were"
            warnings.warn(
                f"{episodes} truncated because a simulator raised, and a fresh one took its place; the last time it "
                f"was {self.last}",
                RuntimeWarning,
                stacklevel=3,
            )


class WatchedFamily(Wrapper, HostEnvironment):
    """The family `env`, each of whose simulators is watched; `watched` makes it.

    Attributes:
        env: The family.
        judge: Of what simulators return.
        ledger: Of their restarts.
        start: Number of the first life in a block of them.
    """

    env: HostEnvironment
    judge: Judge
    ledger: Ledger
    start: int = 0

    def simulator(self, task: Task) -> Simulator:
        """A new copy of `task`, as it is."""
        return self.env.simulator(task)

    def attended(self, task: Task, life: int, copy: int, probe: bool) -> "WatchedSimulator":
        """A new copy of `task`, watched."""
        return WatchedSimulator(self, task, Place(self.start + life, copy, probe))


def watched(env: AbstractEnvironment, start: int = 0) -> Any:
    """The family with its simulators watched; one that is compiled, or watched already, as it is.

    Raises:
        ConfigError: its `on_error` is neither "fail" nor "restart".
    """
    if not isinstance(env, HostEnvironment) or isinstance(env, WatchedFamily):
        return env
    if env.on_error not in POLICIES:
        raise ConfigError(f"on_error is {env.on_error!r}; it must be one of {', '.join(POLICIES)}")
    return WatchedFamily(env, Judge(env.observation_space), Ledger(), start)


def restarts(env: AbstractEnvironment) -> int:
    """How many simulators of a watched family were restarted since this was last asked."""
    if not isinstance(env, WatchedFamily):
        return 0
    found, env.ledger.unasked = env.ledger.unasked, 0
    return found


class Place(NamedTuple):
    """Which simulator of a batch of lives."""

    life: int
    copy: int
    probe: bool

    def __str__(self) -> str:
        """In words."""
        return f"{'the probes of ' if self.probe else ''}life {self.life}, copy {self.copy}"


class WatchedSimulator(Simulator):
    """One copy of one task in one place of a life: it remembers what was asked of it, and judges what it answers.

    The simulator is made at the first reset. Where it raises and its family says `on_error = "restart"`, the episode
    is truncated there, with reward 0 and the last observation, and the next reset makes a fresh one.
    """

    def __init__(self, family: WatchedFamily, task: Task, place: Place):
        self.family, self.task, self.place = family, task, place
        self.judge, self.ledger = family.judge, family.ledger
        self.inside: Simulator | None = None
        self.calls: list[tuple] = []  # (seed,) or (action, seed): all since it was made
        self.steps = self.episodes = self.moment = 0
        self.unproven = False  # made because the one before it raised, and has not stepped yet
        self.last: Any = None
        self.ledger.open += 1

    def reset(self, seed: np.ndarray) -> Any:
        """A new episode; its first observation.

        Raises:
            FaultyEnvironmentError: it raises, or what it returns is no observation.
        """
        self.episodes, self.moment = self.episodes + 1, 0
        while True:
            try:
                if self.inside is None:
                    self.calls.clear()
                    self.inside = self.family.simulator(self.task)
                self.calls.append((seed,))
                observation = self.inside.reset(seed)
                break
            except Exception as error:  # whatever somebody else's code may raise
                self._give_up(error)
        self.last = self._judged(self.judge.observation, observation)
        return self.last

    def step(self, action: Any, seed: np.ndarray) -> tuple[Any, float, bool, bool]:
        """One step: true next observation, reward, terminated, truncated.

        Raises:
            FaultyEnvironmentError: it raises, or what it returns is not what the contract says.
            NumericalError: the action is no number, which is not the simulator's fault.
        """
        assert self.inside is not None
        if action.dtype.kind == "f" and not np.isfinite(action).all():
            raise NumericalError(
                f"the learner's action is {np.asarray(action)} {self._where()}: it has diverged. Try a smaller "
                "learning_rate or inner_lr, and look for NaN in a loss or network of your own"
            )
        self.calls.append((action, seed))
        try:
            answer = self.inside.step(action, seed)
        except Exception as error:  # whatever somebody else's code may raise
            self._give_up(error)
            self.steps += 1
            return self.last, 0.0, False, True
        outcome = self._judged(self.judge.outcome, answer)
        self.last, self.unproven = outcome[0], False
        self.steps, self.moment = self.steps + 1, self.moment + 1
        return outcome

    def close(self) -> None:
        """Closes the simulator."""
        try:
            if self.inside is not None:
                self.inside.close()
        except Exception as error:  # what ended the lives is what to tell, and the others are closed too
            warnings.warn(f"closing a simulator failed: {error}", RuntimeWarning, stacklevel=2)
        finally:
            self.ledger.close()

    def _judged(self, judge: Any, answer: Any) -> Any:
        try:
            return judge(answer)
        except Unfit as error:
            raise FaultyEnvironmentError(f"{error.problem}, {self._where()}. To mend it: {error.remedy}") from None

    def _give_up(self, error: Exception) -> None:
        """Lets go of a simulator that raised; returns where another one may take its place.

        Raises:
            FaultyEnvironmentError: none may.
        """
        if isinstance(error, AdaptaxError):  # said already, but not where
            raise FaultyEnvironmentError(f"{error}, {self._where()}") from error
        broken, self.inside = self.inside, None
        if broken is not None:
            with suppress(Exception):  # what ended it is what to tell
                broken.close()
        said = str(error).strip().partition("\n")[0]
        words = f"{type(error).__name__}: {said}, {self._where()}"
        restart = self.family.env.on_error == "restart"
        if not restart or self.unproven or self.ledger.lives[self.place.life] >= RESTARTS:
            self._fail(error, words, restart)
        self.unproven = True
        self.ledger.add(self.place.life, words)

    def _fail(self, error: Exception, words: str, restart: bool) -> NoReturn:
        advice = "Mend the simulator, or let such episodes be truncated: on_error='restart'"
        if restart:
            times = self.ledger.lives[self.place.life]
            again = "a fresh simulator failed at once" if self.unproven else f"restarted {times} times in this life"
            advice = f"Mend the simulator: {again}"
        raise FaultyEnvironmentError(
            f"the simulator raised {words}{self._asked()}. {advice}. "
            f"To see it again, env being the family that was trained on:\n{self._reproduction()}"
        ) from error

    def _where(self) -> str:
        """Step, life, copy and task."""
        moment = f"step {self.moment} of its episode {self.episodes - 1}"
        return f"in step {self.steps} of {self.place} ({moment}), in the task {in_short(self.task)}"

    def _asked(self) -> str:
        """What it was asked last, in words."""
        if not self.calls:
            return ", when it was made"
        *action, seed = self.calls[-1]
        began = next(call[0] for call in reversed(self.calls) if len(call) == 1)
        if not action:
            return f", at the reset with seed {seed.tolist()}"
        return f", after the action {in_short(action[0])} with seed {seed.tolist()}; reset with {began.tolist()}"

    def _reproduction(self) -> str:
        """Lines of Python that ask a new simulator for all that this one was asked for."""
        made = f"import jax, numpy as np; sim = env.simulator({_task_code(self.task)})"
        names = {1: "reset", 2: "step"}
        calls = [f"sim.{names[len(call)]}({', '.join(map(_code, call))})" for call in self.calls]
        before = "; ".join(calls[:-1])
        if len(before) > INLINE:
            before = _filed(calls[:-1]) or before
        return "\n".join(f"    {line}" for line in (made, before, *calls[-1:]) if line)


def _filed(calls: list[str]) -> str | None:
    """A line that makes these calls from a file; None where none can be written."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="adaptax-fault-", suffix=".py", delete=False) as file:
            file.write("\n".join(calls) + "\n")
    except OSError:
        return None
    return f"from pathlib import Path; exec(Path({file.name!r}).read_text())  # the {len(calls)} calls before"


def _task_code(task: Task) -> str:
    """Python that makes the task; one that is no dict, list or tuple takes its structure from another draw."""
    try:
        return _code(task)
    except TypeError:
        like = "jax.tree.structure(env.tasks.train(jax.random.key(0)))"
        return f"jax.tree.unflatten({like}, {_code(jax.tree.leaves(task))})"


def _code(tree: PyTree) -> str:
    """Python that makes dicts, lists and tuples of numbers and arrays, of the same types.

    Raises:
        TypeError: it is something else.
    """
    if type(tree) is dict:
        return "{" + ", ".join(f"{name!r}: {_code(part)}" for name, part in tree.items()) + "}"
    if type(tree) in (list, tuple):
        parts = ", ".join(map(_code, tree))
        return f"[{parts}]" if type(tree) is list else f"({parts},)"
    array = np.asarray(tree)
    if array.dtype.kind not in "biuf" or isinstance(tree, list | tuple):
        raise TypeError(type(tree).__name__)
    text = np.array2string(array, max_line_width=1_000_000, separator=",", threshold=array.size + 1, floatmode="unique")
    text = text.replace(" ", "").replace("nan", "np.nan").replace("inf", "np.inf")
    return f"np.{'bool_' if array.dtype == np.bool_ else array.dtype.name}({text})"


def in_short(task: PyTree, longest: int = 200) -> str:
    """A task in one line."""
    shown = " ".join(str(jax.tree.map(lambda x: np.asarray(x).tolist(), task)).split())
    return shown if len(shown) <= longest else shown[:longest] + " …"
