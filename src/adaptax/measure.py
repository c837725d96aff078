"""Measuring lives: from recorded steps to curves per episode, per phase and per environment step."""

import math
import warnings
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np

from adaptax.adapters.watched import watched
from adaptax.core.env import AbstractEnvironment, HostEnvironment
from adaptax.core.evaluate import Lived, examine
from adaptax.core.host import host_draw, host_examine
from adaptax.core.learner import Learner
from adaptax.core.lifetime import conceive
from adaptax.core.types import PRNGKeys, PyTree, Schedule, Task
from adaptax.errors import NumericalError

POINTS = 100  # on a curve over environment steps
EXAMINATION = 2**31 - 1  # the place among the keys of a seed that examinations draw from; no training reaches it
CELLS = 4_000_000  # environment steps examined by one call of the compiled program
BYTES = 2**30  # of agents in it: a Q-network has a replay in each life
SIMULATORS = 256  # open at once, where they are Python objects
ENDLESS = 2**20  # phases: nobody says how long a life in hand will be


class Samples(NamedTuple):
    """What was measured, life by life: leading axes `[S, N]` (seeds, tasks). NaN marks what a life did not reach."""

    total_return: np.ndarray  # [S, N]
    episode_return: np.ndarray  # [S, N, episodes]
    phase_return: np.ndarray  # [S, N, K + 1]
    return_at_step: np.ndarray  # [S, N, points]


def whole_life(learner: Learner, episodes: int | None = None) -> Schedule:
    """The length of a life that holds `episodes` episodes, or of a training life, if it lasts several meta-steps."""
    schedule = learner.schedule(episodes)
    return schedule if episodes else schedule._replace(phases=schedule.phases * learner.lifespan)


def life_of_use(learner: Learner, episodes: int | None = None, copies: int | None = None) -> Schedule:
    """The same, of a life of use; it warns of one that is over before its learner makes the first update."""
    schedule = whole_life(learner, episodes)
    schedule = schedule._replace(copies=copies or schedule.copies, in_use=True)
    if learner.learns_every(schedule._replace(phases=ENDLESS)) and not learner.learns_every(schedule):
        warnings.warn(
            f"a life of {schedule.length} steps is over before {type(learner).__name__} makes its first update: how it "
            "starts is all that is seen; more episodes, or a smaller warm_up, show how it learns on",
            stacklevel=3,
        )
    return schedule


def draw_tasks(env: AbstractEnvironment, split: str, count: int, seed: int) -> tuple[Task, jax.Array]:
    """`count` tasks of a split and the keys of the lives in them; the same for every learner."""
    key_task, key_life = jax.random.split(jax.random.fold_in(jax.random.key(seed), EXAMINATION))
    keys, life_keys = jax.random.split(key_task, count), jax.random.split(key_life, count)
    if isinstance(env, HostEnvironment):
        return host_draw(env, split, keys), life_keys
    return _drawn(env, split, keys), life_keys


@eqx.filter_jit
def _drawn(env: AbstractEnvironment, split: str, keys: PRNGKeys) -> Task:
    """Compiled once for a family and a number of tasks: each validation of a training draws them anew."""
    return jax.vmap(env.tasks.sampler(split))(keys)


def measure(
    learner: Learner,
    env: AbstractEnvironment,
    meta: PyTree,
    tasks: Task,
    keys: jax.Array,
    schedule: Schedule,
    split: str | None,
) -> tuple[Samples, PyTree]:
    """Lives in the tasks given, for one seed; samples have leading axis `[N]`. Also the lives of the first block.

    Large numbers of tasks are examined in blocks of one size, so that memory stays bounded and one program serves all.
    """
    count = keys.shape[0]
    on_host = isinstance(env, HostEnvironment)
    run: Callable = host_examine if on_host else examine
    limit, each = (SIMULATORS, 2) if on_host else (CELLS, schedule.phases * schedule.steps)  # simulators, with probes
    most = max(1, min(limit // (each * schedule.copies), BYTES // agent_bytes(learner, meta, schedule.copies)))
    block = math.ceil(count / math.ceil(count / most))
    parts, lives = [], None
    for start in range(0, count, block):
        rows = np.minimum(np.arange(start, start + block), count - 1)  # the last block is padded with its last task
        given = jax.tree.map(lambda x: x[rows], tasks)  # noqa: B023
        lived = run(learner, watched(env, start), meta, given, keys[rows], schedule, split)
        lives = lived.life if start == 0 else lives
        kept = min(block, count - start)
        part = jax.tree.map(lambda x: np.asarray(x)[:kept], lived._replace(life=()))  # noqa: B023
        _check(part, start)
        parts.append(summarise(part, learner.reset_each_phase))
    return Samples(*(_padded(list(column), np.concatenate) for column in zip(*parts, strict=True))), lives


def agent_bytes(learner: Learner, meta: PyTree, copies: int) -> int:
    """Bytes of one agent at work; only shapes are looked at."""
    born = lambda meta, descriptor, key: conceive(learner, meta, descriptor, key, copies)
    shapes = eqx.filter_eval_shape(born, meta, np.zeros(learner.bound.descriptor, np.float32), jax.random.key(0))
    return max(1, sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(shapes)))


def _check(lived: Lived, start: int) -> None:
    """That all returns are numbers: lives left out would leave out the worst.

    Raises:
        NumericalError: some are not.
    """
    earned, could = (np.isfinite(x).reshape(len(x), -1).all(1) for x in (lived.score, lived.probe))
    if (bad := np.flatnonzero(~(earned & could))).size:
        raise NumericalError(
            f"{bad.size} of {earned.size} lives have returns that are not finite, the first in task {start + bad[0]}: "
            "the learner diverged there (try a smaller step size), or the environment returns NaN"
        )


def summarise(lived: Lived, reset_each_phase: bool) -> Samples:
    """Curves of N lives from their records `[N, K, T, E]`; copies are averaged."""
    score, over = (np.moveaxis(np.asarray(x), 3, 1) for x in (lived.score, lived.over))  # [N, E, K, T]
    lives, copies, phases, steps = score.shape
    cut = over.copy()
    if reset_each_phase:
        cut[..., -1] = True  # the phase's end cuts the episode under way
    flat = lambda x: x.reshape(lives * copies, phases * steps)
    score, over, cut = flat(score).astype(np.float64), flat(over), flat(cut)
    number = np.cumsum(cut, 1) - cut  # which piece of an episode each step belongs to
    pieces = int(number.max()) + 1
    index = number + pieces * np.arange(len(number))[:, None]
    earned = np.bincount(index.ravel(), score.ravel(), pieces * len(number)).reshape(-1, pieces)
    finished = np.bincount(index.ravel(), over.ravel(), pieces * len(number)).reshape(-1, pieces) > 0
    episodes = np.full((len(number), max(int(finished.sum(1).max()), 1)), np.nan)
    order = np.cumsum(finished, 1) - 1
    rows, columns = np.nonzero(finished)
    episodes[rows, order[rows, columns]] = earned[rows, columns]
    last = np.cumsum(over, 1)[:, ticks(phases * steps)] - 1  # the episode finished last by each tick
    at_step = np.where(last >= 0, np.take_along_axis(episodes, np.maximum(last, 0), 1), np.nan)
    per_life = lambda x: x.reshape(lives, copies, -1).mean(1)  # a life has finished what all its copies have
    total = score.sum(1).reshape(lives, copies).mean(1)
    return Samples(total, per_life(episodes), np.asarray(lived.probe, np.float64), per_life(at_step))


def ticks(length: int) -> np.ndarray:
    """The steps that a curve over a life of `length` steps is drawn at."""
    return np.unique(np.linspace(0, length - 1, min(length, POINTS)).round().astype(int))


def stack_seeds(samples: list[Samples]) -> Samples:
    """Samples of S seeds with a leading axis; seeds that finished fewer episodes are padded with NaN."""
    return Samples(*(_padded(list(column), np.stack) for column in zip(*samples, strict=True)))


def _padded(arrays: list[np.ndarray], join: Callable[[list[np.ndarray]], np.ndarray]) -> np.ndarray:
    """Joined after padding the last axis with NaN to one width."""
    if arrays[0].ndim == 1:
        return join(arrays)
    width = max(x.shape[-1] for x in arrays)
    return join([np.pad(x, ((0, 0), (0, width - x.shape[-1])), constant_values=np.nan) for x in arrays])
