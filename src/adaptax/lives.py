"""Lives as they were lived, step by step: for analyses of behaviour that no curve of returns can answer."""

from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np

from adaptax.adapters.watched import watched
from adaptax.config import checked_arguments
from adaptax.core.env import AbstractEnvironment, HostEnvironment
from adaptax.core.host import host_lifetimes, pick
from adaptax.core.learner import Learner
from adaptax.core.lifetime import advance, born
from adaptax.core.types import PRNGKeys, PyTree, Schedule, Task, Transition
from adaptax.fields import Count, Whole
from adaptax.measure import draw_tasks, life_of_use
from adaptax.runs import Run, elsewhere, opened


class Lives(NamedTuple):
    """What happened in N tasks: numpy arrays."""

    tasks: Task  # [N, ...]
    data: Transition  # [S, N, K, T, E, ...]: seeds, tasks, phases, steps, environment copies


def record(
    run: Run | str | Path,
    *,
    split: str = "test",
    tasks: int = 100,
    episodes: int | None = None,
    seed: int = 1,
    checkpoint: str | int = "best",
    env: AbstractEnvironment | None = None,
) -> Lives:
    """Lives on unseen tasks, as recorded; the very lives that `evaluate` with the same arguments sums up.

    Args:
        run: A run, or its folder.
        split: "test", "validation", "train" or "ood".
        tasks: N, number of tasks; all is kept in memory.
        episodes: Episodes in a life; None is as many as a training life has.
        seed: Of tasks and lives.
        checkpoint: "best" on validation tasks, "last", or a step.
        env: Test elsewhere: another environment with spaces of the same sizes.

    Raises:
        ConfigError: an argument is wrong.
        CheckpointError: the folder is no run, or what was trained does not fit `env`.
        FaultyEnvironmentError: as in `evaluate`.
    """
    run = opened(run, env)
    tasks, episodes, seed = checked_arguments(
        tasks=(tasks, Count), episodes=(episodes, Count | None), seed=(seed, Whole)
    )
    learners, env, metas = elsewhere(run, env, None, checkpoint)
    drawn, keys = draw_tasks(env, split, tasks, seed)
    schedule = life_of_use(learners[0], episodes)
    lived = [_lives(learner, env, pick(metas, i), drawn, keys, schedule) for i, learner in enumerate(learners)]
    return Lives(jax.tree.map(np.asarray, drawn), jax.tree.map(lambda *x: np.stack(x), *lived))


def _lives(
    learner: Learner, env: AbstractEnvironment, meta: PyTree, tasks: Task, keys: PRNGKeys, schedule: Schedule
) -> Transition:
    if isinstance(env, HostEnvironment):
        return host_lifetimes(learner, watched(env), meta, tasks, keys, schedule, learner.explores_by_noise).data
    return _compiled(learner, env, meta, tasks, keys, schedule)


@eqx.filter_jit
def _compiled(learner, env, meta, tasks, keys, schedule) -> Transition:
    def life(task: Task, key: jax.Array) -> Transition:
        start = born(learner, env, meta, task, key, schedule.copies)
        return advance(learner, env, meta, start, schedule, learner.explores_by_noise)[1].data

    return jax.vmap(life)(tasks, keys)
