"""Evaluation: the same lives on unseen tasks, without `update`.

Two questions, kept apart. What did this life earn? The returns as lived, exploration included. What could it do now?
Greedy returns on probe episodes that start from a copy of the agent after each phase and that `adapt` never sees.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from adaptax.core.env import AbstractEnvironment, Environment
from adaptax.core.learner import Learner
from adaptax.core.lifetime import Life, born, collect, copies_of, live_phase, restart, step_keys, streams
from adaptax.core.types import PRNGKey, PRNGKeys, PyTree, Schedule, Task, Transition
from adaptax.ops.returns import first_episode_return

PROBE = 2**31 - 1  # the place in a life's streams that probes draw from; no life reaches it


class Lived(NamedTuple):
    """One life under examination."""

    score: jax.Array  # [K, T, E] the rewards, or what the environment counts instead
    over: jax.Array  # [K, T, E] an episode ended with this step
    probe: jax.Array  # [K + 1] greedy return after k phases, mean over copies
    life: PyTree  # `Life` after the last phase


def scores(env: AbstractEnvironment, task: Task, data: Transition, split: str | None) -> jax.Array:
    """What the environment counts for each step `[T, E]` of a phase."""
    return jax.vmap(jax.vmap(lambda transition: env.score(task, transition, split)))(data)


def probe_life(life: Life) -> Life:
    """A copy of the life that draws other numbers than the life itself."""
    return life._replace(key=jax.random.fold_in(life.key, PROBE))


def probe(
    learner: Learner, env: Environment, meta: PyTree, life: Life, schedule: Schedule, split: str | None
) -> jax.Array:
    """Greedy return on one fresh episode in each copy, from a copy of the agent as it stands."""
    start, length = probe_life(life), schedule._replace(phases=1, steps=env.episode_steps)
    env_state, step = restart(env, life.task, copies_of(streams(start.key).resets, life.age, length.copies), life.step)
    start = start._replace(env_state=env_state, step=step)
    _, data = collect(learner, env, meta, start, step_keys(start.key, life.age, length), explore=False)
    return first_episode_return(scores(env, life.task, data, split), data.terminated | data.truncated)


def examine_one(
    learner: Learner, env: Environment, meta: PyTree, task: Task, key: PRNGKey, schedule: Schedule, split: str | None
) -> Lived:
    """One life of K phases with a probe before, between and after them."""

    def phase(life: Life, _: None) -> tuple[Life, tuple[jax.Array, jax.Array, jax.Array]]:
        could = probe(learner, env, meta, life, schedule, split)
        life, data = live_phase(learner, env, meta, life, schedule, learner.explores_by_noise)
        return life, (scores(env, task, data, split), data.terminated | data.truncated, could)

    life = born(learner, env, meta, task, key, schedule.copies)
    life, (score, over, could) = jax.lax.scan(phase, life, length=schedule.phases)
    return Lived(score, over, jnp.append(could, probe(learner, env, meta, life, schedule, split)), life)


@eqx.filter_jit
def examine(
    learner: Learner, env: Environment, meta: PyTree, tasks: Task, keys: PRNGKeys, schedule: Schedule, split: str | None
) -> Lived:
    """Lives in the tasks given (leading axis N)."""
    return jax.vmap(lambda task, key: examine_one(learner, env, meta, task, key, schedule, split))(tasks, keys)
