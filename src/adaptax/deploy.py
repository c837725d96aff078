"""Trained agents at work: lives outside any training code, and adaptation to a task of one's own."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from rich.table import Table

from adaptax.checkpoint import from_arrays, plain, read, to_arrays, write_tensors
from adaptax.config import checked_arguments
from adaptax.core.env import AbstractEnvironment, HostEnvironment
from adaptax.core.host import act_all, adapt_all, begin_lives, learn_all, phase_keys, stack
from adaptax.core.learner import Learner, traced
from adaptax.core.lifetime import Life
from adaptax.core.types import Agent as AgentState
from adaptax.core.types import PyTree, Schedule, Step, Task, Transition
from adaptax.errors import CheckpointError, ConfigError
from adaptax.evaluation import curve_table, finished, interval_text, number_text, text_of
from adaptax.fields import Count, Whole
from adaptax.measure import ENDLESS, Samples, draw_tasks, life_of_use, measure
from adaptax.ops.spaces import Discrete
from adaptax.ops.statistics import bootstrap_mean, nanmean
from adaptax.registry import name_of
from adaptax.runs import Run, elsewhere, opened

ArrayLike = Any  # whatever numpy makes an array of


class Kept(NamedTuple):
    """What a life goes on from: the agent, and what it did and got last, which a memory reads with its next step."""

    agent: AgentState
    action: Any
    reward: Any


def kept(life: Life) -> Kept:
    """Of one life or several."""
    return Kept(life.agent, life.step.previous_action, life.step.previous_reward)


class Agent:
    """A trained learner, ready to live in a task that some other program runs.

    Attributes:
        learner: The learner, bound.
        meta: What it learned (of one seed).
        schedule: Steps in a phase, and copies it acts in.
        learns_every: Steps between two calls of the learner's `learn`; 0 is never.
    """

    def __init__(self, learner: Learner, meta: PyTree, schedule: Schedule):
        self.learner, self.meta, self.schedule = traced(learner), meta, schedule
        self.learns_every = learner.learns_every(schedule._replace(phases=ENDLESS, in_use=True))

    def begin(
        self, seed: int = 0, descriptor: np.ndarray | None = None, adapted: str | Path | None = None
    ) -> "LifeInHand":
        """Birth in a new task.

        Args:
            seed: Of everything random in this life.
            descriptor: The task's features, for learners that are told (`privileged` "always").
            adapted: A file kept by `LifeInHand.save` or `adapt`: start from that state instead of a newborn's. It may
                come from another number of copies, where the learner does not keep what each of them lived.

        Raises:
            CheckpointError: the file `adapted` is damaged, or of another agent.
            ConfigError: the learner must be told the task and was not, or not so.
        """
        size = self.learner.bound.descriptor
        told = np.zeros((1, size)) if descriptor is None else np.asarray(descriptor, float).reshape(1, -1)
        unsaid = self.learner.privileged == "always" and descriptor is None
        if unsaid or told.size != size or not np.isfinite(told).all():
            why = "this learner is told the task" if unsaid else f"{descriptor!r} is none"
            raise ConfigError(f"give begin() the task's descriptor, {size} finite numbers: {why}")
        keys = jax.random.key(seed)[None]
        life = begin_lives(self.learner, self.meta, jnp.zeros(1), jnp.asarray(told, float), keys, self.schedule.copies)
        if adapted is not None:
            agent, action, reward = _taken_up(Path(adapted), kept(life))
            step = life.step._replace(previous_action=action, previous_reward=reward)
            life = life._replace(agent=agent, step=step)
        return LifeInHand(self, life)


def _taken_up(path: Path, like: Kept) -> Kept:
    """What was kept in a file. Kept by another number of copies, all go on with the memory of its first."""
    arrays, copies = read(path), like.reward.shape[1]
    rewards = arrays.get(".reward", np.zeros(0))
    lived = rewards.shape[1] if rewards.ndim == 2 else copies
    try:
        found = from_arrays(arrays, _among(like, lived), path)
    except CheckpointError as error:
        if lived == copies:
            raise
        said = f"{path} is of a life in {lived} copies, and this learner keeps what each of them lived"
        raise CheckpointError(f"{said}: load the agent with copies={lived}") from error
    return found if lived == copies else _among(found, copies)


def _among(one: Kept, copies: int) -> Kept:
    """The first copy's memory, last action and last reward in that many copies."""
    spread = lambda tree: jax.tree.map(lambda x: jnp.repeat(x[:, :1], copies, 1), tree)
    return Kept(one.agent._replace(carry=spread(one.agent.carry)), spread(one.action), spread(one.reward))


class LifeInHand:
    """One life, step by step: `act`, let the world move, `observe`, and again. It adapts by itself, phase by phase."""

    def __init__(self, agent: Agent, life: Any):
        self.agent, self._life = agent, life
        self._records: list[Transition] = []
        self._pending: tuple | None = None
        self._keys = phase_keys(life, agent.schedule)[0]

    @property
    def phases(self) -> int:
        """Phases lived."""
        return int(self._life.age[0])

    @property
    def adapted(self) -> Any:
        """The agent as it stands, `inner` and `carry`, with leading axes for the life and the copy."""
        return self._life.agent

    def act(self, observation: ArrayLike, explore: bool | None = None) -> np.ndarray:
        """The next action (with several copies, leading axis E on observation and action).

        Args:
            observation: What is seen now; after an episode's end, the first observation of the next one.
            explore: Whether to try things; None is the learner's own way of living in a new task.

        Returns:
            The action, shaped as the space that the agent was trained on (from Gymnasium: flat), within its bounds.

        Raises:
            ValueError: The observation is none of the space that the agent was trained on.
        """
        learner, life = self.agent.learner, self._life
        explore = learner.explores_by_noise if explore is None else explore
        self._life = life._replace(step=life.step._replace(observation=jnp.asarray(self._seen(observation))))
        moment = np.int32(len(self._records))
        action, carry, extras = act_all(learner, self.agent.meta, self._life, self._keys, moment, explore)
        self._pending = (np.asarray(action), carry, jax.tree.map(np.asarray, extras))
        chosen = self._within(self._pending[0])
        return chosen[0] if self.agent.schedule.copies > 1 else np.asarray(chosen[0, 0])

    def observe(
        self,
        next_observation: ArrayLike,
        reward: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike,
    ) -> bool:
        """What came of the last action; adapts where a phase ends.

        Returns:
            Whether the learner wants a new episode to begin now although none has ended (a phase has).

        Raises:
            RuntimeError: `act` was not called before.
            ValueError: The observation is none of the space, or the reward is not finite.
        """
        if self._pending is None:
            raise RuntimeError("observe() tells what came of an action: call act() first")
        action, carry, extras = self._pending
        step, shape = jax.tree.map(np.asarray, self._life.step), self._life.step.first.shape
        wide: Callable[..., Any] = lambda x, dtype: np.broadcast_to(np.asarray(x, dtype).reshape(1, -1), shape)
        successor = self._seen(next_observation)
        earned = wide(reward, step.previous_reward.dtype)
        if not np.isfinite(earned).all():
            raise ValueError(f"the reward is {reward}; it must be a finite number")
        ended, cut = wide(terminated, bool), wide(truncated, bool)
        self._pending = None
        self._records.append(Transition(step, action, earned, successor, ended, cut, extras))
        following = Step(successor, action, earned, ended | cut)
        agent = self._life.agent._replace(carry=carry)
        self._life = self._life._replace(agent=agent, step=jax.tree.map(jnp.asarray, following))
        stride, steps = self.agent.learns_every, len(self._records)
        if stride and steps % stride == 0:
            data, part = stack(self._records[-stride:], axis=1), np.int32(steps // stride - 1)
            self._life = learn_all(self.agent.learner, self.agent.meta, self._life, data, part)
        if steps < self.agent.schedule.steps:
            return False
        self._adapt()
        return self.agent.learner.reset_each_phase

    def _seen(self, observation: ArrayLike) -> Any:
        """An observation with its leading axes for the life and the copy."""
        like, seen, space = self._life.step.observation, np.asarray(observation), self.agent.learner.bound.observation
        if seen.size != like.size:
            expected = like.shape[1:] if self.agent.schedule.copies > 1 else like.shape[2:]
            raise ValueError(f"the observation has shape {seen.shape}; this agent was trained on {expected}")
        if seen.dtype.kind not in "biuf" or not space.legal(seen).all():
            raise ValueError(f"the observation is {seen}; it must be {space.content}")
        return seen.reshape(like.shape).astype(like.dtype)

    def _within(self, actions: np.ndarray) -> np.ndarray:
        """Actions as a plant may take them; what the policy meant is recorded as it is."""
        space = self.agent.learner.bound.action
        if isinstance(space, Discrete):
            return actions
        return np.clip(actions, *(np.reshape(bound, space.shape) for bound in space.bounds()))

    def _adapt(self) -> None:
        agent, data = self.agent, stack(self._records, axis=1)
        self._life, self._records = adapt_all(agent.learner, agent.meta, self._life, data), []
        if agent.learner.reset_each_phase:
            first = jnp.ones_like(self._life.step.first)
            self._life = self._life._replace(step=self._life.step._replace(first=first))
        self._keys = phase_keys(self._life, agent.schedule)[0]

    def save(self, path: str | Path) -> None:
        """Keeps the adapted agent in a safetensors file; `Agent.begin(adapted=path)` takes it up again."""
        write_tensors(Path(path), to_arrays(kept(self._life)))


def load(
    run: Run | str | Path,
    *,
    checkpoint: str | int = "best",
    copies: int | None = None,
    learner: Learner | None = None,
    env: AbstractEnvironment | None = None,
) -> Agent:
    """A trained agent; of a run with several seeds, the one that did best on validation tasks.

    Args:
        run: A run or its folder.
        checkpoint: "best", "last" or a step.
        copies: Environment copies it acts in; by default 1.
        learner: The learner, where it is not a registered one.
        env: The environment it was trained on, where that is not a registered one.

    Raises:
        CheckpointError: the folder is no run, or has no such checkpoint.
        ConfigError: the learner or environment must be given.
    """
    (copies,) = checked_arguments(copies=(copies, Count | None))
    run = opened(run, env, learner)
    index = best_index(run)
    schedule = run.learner.schedule()._replace(copies=copies or 1)
    return Agent(
        in_copies(run.learner_of(index), schedule.copies),
        jax.tree.map(lambda x: x[index], run.meta(checkpoint)),
        schedule,
    )


def in_copies(learner: Learner, copies: int) -> Learner:
    """The learner living in so many copies of its task, whatever it was trained in."""
    names = [field.name for field in dataclasses.fields(learner)]
    return eqx.tree_at(lambda now: now.copies, learner, copies) if "copies" in names else learner


def best_index(run: Run) -> int:
    """Which of the S runs did best on validation tasks."""
    return int(np.argmax(run.saved.best_score))


class Adaptation(NamedTuple):
    """Lives in one task."""

    learner: str
    environment: str
    task: Any  # plain lists and numbers
    lives: int
    copies: int
    samples: Samples  # leading axes [1, lives]
    agent: Kept  # of the first life, after its last phase

    def as_dict(self) -> dict[str, Any]:
        """Returns per episode with intervals over lives, and the greedy return before and after."""
        names = ("learner", "environment", "task", "lives", "copies")
        result: dict[str, Any] = {name: getattr(self, name) for name in names}
        result["episode_count"], intervals = finished(self.samples), {}
        for name in ("episode_return", "phase_return", "total_return"):
            values = getattr(self.samples, name)
            result[name] = nanmean(values).tolist()
            intervals[name] = [bound.tolist() for bound in bootstrap_mean(values)]
        result |= {"before": result["phase_return"][0], "after": result["phase_return"][-1], "ci95": intervals}
        return plain(result)

    def save(self, path: str | Path) -> None:
        """Keeps the adapted agent in a safetensors file; `Agent.begin(adapted=path)` takes it up again."""
        write_tensors(Path(path), to_arrays(self.agent))

    def __repr__(self) -> str:
        return self.table()

    def table(self) -> str:
        """The same as text for a terminal."""
        data, where = self.as_dict(), "one environment" if self.copies == 1 else f"{self.copies} copies of it at once"
        table = Table(title=f"{self.learner} adapting to one task of {self.environment}\n{self.lives} lives in {where}")
        for name in ("greedy return", "", "95 % interval"):
            table.add_column(name, justify="left" if name == "greedy return" else "right")
        for name, place in (("before", 0), ("after", -1)):
            low, high = (bound[place] for bound in data["ci95"]["phase_return"])
            table.add_row(name, number_text(data["phase_return"][place]), interval_text(low, high))
        lived = data["episode_return"], data["ci95"]["episode_return"]
        text = text_of([table, curve_table(*lived, "as lived: return of episode", 1, data["episode_count"])])
        return f"{text}task: {json.dumps(self.task)}\n"


def adapt(
    run: Run | str | Path,
    *,
    task: Task | None = None,
    env: AbstractEnvironment | None = None,
    episodes: int | None = None,
    lives: int = 20,
    copies: int | None = None,
    seed: int = 1,
    checkpoint: str | int = "best",
    learner: Learner | None = None,
) -> Adaptation:
    """Lets a trained agent live in a task of one's own.

    Args:
        run: A run or its folder.
        task: The task, as the environment draws them or as plain lists and dicts of numbers; None is one test task
            drawn from the environment (for an environment of one task, that one).
        env: Another environment with spaces of the same sizes, for example `from_gymnasium(make)`.
        episodes: Episodes in a life; None is as many as a training life has in that environment.
        lives: Lives in the task, for the intervals.
        copies: Copies of the environment that one life acts in; 1 is what one plant gets, None as in training.
        seed: Of tasks and lives.
        checkpoint: "best", "last" or a step.
        learner: The learner, where it is not a registered one.

    Raises:
        CheckpointError: the folder is no run, has no such checkpoint, or what was trained does not fit `env`.
        ConfigError: the learner or environment must be given, or an argument is wrong.
    """
    numbers = checked_arguments(
        episodes=(episodes, Count | None), copies=(copies, Count | None), lives=(lives, Count), seed=(seed, Whole)
    )
    episodes, copies, lives, seed = numbers
    run = opened(run, env, learner)
    learners, env, metas = elsewhere(run, env, None, checkpoint)
    index = best_index(run)
    learner, meta = learners[index], jax.tree.map(lambda x: x[index], metas)
    drawn, keys = draw_tasks(env, "test", lives, seed)
    task = jax.tree.map(lambda x: x[0], drawn) if task is None else given_task(env, task)
    every = jax.tree.map(lambda x: np.broadcast_to(np.asarray(x), (lives, *np.shape(x))), task)
    every = every if isinstance(env, HostEnvironment) else jax.tree.map(jnp.asarray, every)
    learner = learner if copies is None else in_copies(learner, copies)
    schedule = life_of_use(learner, episodes, copies)
    samples, ended = measure(learner, env, meta, every, keys, schedule, None)
    first = jax.tree.map(lambda x: x[:1], kept(ended))  # a life of its own, as `Agent.begin` makes it
    wide = Samples(*(x[None] for x in samples))
    # a family on the host may draw tasks that JSON cannot hold
    plainly = json.loads(json.dumps(_example(jax.tree.map(np.asarray, task)), default=repr))
    return Adaptation(name_of(run.learner), name_of(env), plainly, lives, schedule.copies, wide, first)


def given_task(env: AbstractEnvironment, given: Any) -> Task:
    """A task given by hand: as the environment draws them, or as JSON has it: lists for arrays, dicts for parameters.

    Raises:
        ConfigError: it is none of the environment's; the message shows what would be.
    """
    like = jax.tree.map(np.asarray, env.tasks.test(jax.random.key(0)))
    try:
        given = json.loads(given) if isinstance(given, str) else given
        if jax.tree.structure(given) == jax.tree.structure(like):
            where = lambda path: "task" + jax.tree_util.keystr(path)
            task = jax.tree_util.tree_map_with_path(lambda path, x, y: _number(x, y, where(path)), like, given)
        else:
            task = _fill(like, given, "task")
        if wrong := env.task_problems(task):
            raise ValueError("; ".join(wrong))
    except (ValueError, TypeError, RecursionError) as error:
        why = f"it is no JSON ({error})" if isinstance(error, json.JSONDecodeError) else error
        raise ConfigError(
            f"the task does not fit {name_of(env)}: {why}; an example: {json.dumps(_example(like, 20))}"
        ) from error
    return task


def _fill(like: Any, given: Any, where: str) -> Any:
    if isinstance(like, dict) or hasattr(like, "_fields"):
        parts = like if isinstance(like, dict) else like._asdict()
        if not isinstance(given, dict) or set(given) != set(parts):
            raise ValueError(f"{where} must be an object with {', '.join(parts)}")
        values = {name: _fill(part, given[name], f"{where}.{name}") for name, part in parts.items()}
        return values if isinstance(like, dict) else type(like)(**values)
    if isinstance(like, tuple | list):
        if not isinstance(given, tuple | list) or len(given) != len(like):
            raise ValueError(f"{where} must be a list of {len(like)}")
        pairs = enumerate(zip(like, given, strict=True))
        return type(like)(_fill(part, value, f"{where}[{i}]") for i, (part, value) in pairs)
    if not isinstance(like, np.ndarray):
        raise ValueError(f"a {type(like).__name__} can only be given from Python, as env.tasks draws it")
    return _number(like, given, where)


def _number(like: np.ndarray, given: Any, where: str) -> np.ndarray:
    """An array like another one, from numbers."""
    kind = "whole" if like.dtype.kind in "iu" else "finite"
    many = f"{like.size} {kind} numbers" + (f" of shape {like.shape}" if like.ndim > 1 else "")
    wrong = ValueError(f"{where} must be {many if like.ndim else f'one {kind} number'}")
    exact = np.asarray(given)
    if exact.dtype.kind not in "biuf" or exact.shape != like.shape:
        raise wrong
    with np.errstate(all="ignore"):
        array = exact.astype(like.dtype)
    if not np.isfinite(array).all() or (kind == "whole" and not np.array_equal(array, exact)):
        raise wrong
    return array


def _example(like: Any, longest: int | None = None) -> Any:
    """A task as JSON has it; of arrays of more numbers than `longest` only how many."""
    if isinstance(like, dict) or hasattr(like, "_fields"):
        parts = like if isinstance(like, dict) else like._asdict()
        return {name: _example(value, longest) for name, value in parts.items()}
    if isinstance(like, tuple | list):
        return [_example(value, longest) for value in like]
    if not isinstance(like, np.ndarray):
        return repr(like)
    if longest and like.size > longest:
        return f"lists of {' x '.join(map(str, like.shape))} numbers"
    return np.round(like.astype(float), 3).tolist() if like.dtype.kind == "f" else like.tolist()
