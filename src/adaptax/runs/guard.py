"""Numbers that must be finite and are not: noticed after every chunk, and looked for where they began.

Noticing looks at metrics and outer states alone, and costs next to nothing. Only when something is found, the chunk is
lived again from the state before it, one meta-step at a time (the same program, so the same numbers), and the first
meta-step that goes wrong is taken apart: what was seen, done and paid in which life, and what the update made of it.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify

from adaptax.adapters.watched import in_short
from adaptax.core.env import HostEnvironment
from adaptax.core.learner import Learner, traced
from adaptax.core.trainer import SOUND, Fixed, TrainState, advance_by, host_lived, lived, update_from
from adaptax.core.types import Lifetime, Metrics, PyTree, Transition
from adaptax.runs.run import Run

# in the order in which a step makes them; what it knew of the step before comes first
MADE: dict[str, Any] = {
    "observation": lambda data: data.step.observation,
    "action": lambda data: data.action,
    "record of act": lambda data: data.extras,
    "reward": lambda data: data.reward,
    "next observation": lambda data: data.next_observation,
}
FROM_ENVIRONMENT = ("observation", "reward", "next observation")


class Fault(NamedTuple):
    """The first meta-step of a chunk that goes wrong."""

    before: TrainState  # the states `[S]` that it began with, all finite
    after: TrainState
    metrics: dict[str, np.ndarray]  # `[S, n]` of the chunk's meta-steps up to it; its own come last
    bad: np.ndarray  # bool `[S]`: which seeds
    words: str  # the first number that is not finite, and where it arose

    @property
    def remedy(self) -> str:
        """What to try."""
        if self.words.startswith("the environment"):
            return "Look at what the environment's reset and step return in that task"
        more = "" if "operation" in self.words else "; debug_nans (--debug-nans) names the operation"
        return f"Try a smaller learning_rate or max_gradient{more}"


@eqx.filter_jit
def _finite(tree: PyTree) -> jax.Array:
    """Bool `[S]`: whether all numbers of a tree with leading axis S are finite."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    finite = [jnp.isfinite(x).reshape(len(x), -1).all(1) for x in leaves]
    return jnp.all(jnp.stack(finite), 0) if finite else jnp.array(True)


def spoilt(states: TrainState, metrics: dict[str, np.ndarray]) -> np.ndarray:
    """Bool `[S]`: the seeds of which a metric `[S, n]`, the outer state or a living agent is not finite."""
    outlasting = None if states.lives is None else states.lives.agent
    good = np.broadcast_to(_finite((states.meta, outlasting)), states.step.shape)
    for found in metrics.values():
        good = good & np.isfinite(found).all(1)
    return ~good


def first_fault(run: Run, fixed: Fixed, end: int, debug_nans: bool) -> Fault:
    """Lives a chunk that went wrong again, up to the meta-step that does.

    Args:
        run: The run as it was before that chunk.
        fixed: What the chunk was computed with.
        end: The meta-step that it ended with.
        debug_nans: Also name the operation, which compiles the meta-step once more with a check of each.
    """
    columns, before = [], run.saved.states
    while True:
        after, metrics = advance_by(fixed, before, 1)
        columns.append(metrics)
        bad = spoilt(after, metrics)
        if bad.any() or int(after.step[0]) == end:
            break
        before = after
    found = jax.tree.map(lambda *xs: np.concatenate(xs, 1), *columns)
    seed = int(np.argmax(bad))
    learner = traced(run.learner_of(seed))
    state = jax.tree.map(lambda x: x[seed], before)
    # what a simulator on the host does not do again is at least named
    words = where_from(learner, fixed[1], state) or _in_update(*jax.tree.map(lambda x: x[seed], (after.meta, metrics)))
    words = words or "a number in its lives is not finite, and was finite when they were lived again"
    words += f", at meta-step {int(after.step[0])} of {run.settings.name(seed)}"
    if debug_nans:
        on_host = isinstance(run.env, HostEnvironment)
        words += f". The operation: {'not known on the host' if on_host else operation(learner, run.env, state)}"
    return Fault(before, after, told(found), bad, words)


def told(metrics: dict[str, Any]) -> dict[str, Any]:
    """The metrics that a learner has; the others are the guard's."""
    return {name: found for name, found in metrics.items() if name != SOUND}


def _relived(learner: Learner, env: Any, state: TrainState) -> tuple[PyTree, Lifetime, PyTree]:
    """One meta-step that hides nothing: tasks, lives, and what the update returns."""
    lives, lifetimes, key = lived(learner, env, state)
    return lives.task, lifetimes, learner.update(state.meta, lifetimes, key)


_relive = eqx.filter_jit(_relived)


def where_from(learner: Learner, env: Any, state: TrainState) -> str:
    """The first number of one meta-step that is not finite, in words; empty where all are."""
    if isinstance(env, HostEnvironment):
        tasks, lifetimes, key = host_lived(learner, env, state)
        updated = update_from(learner, state.meta, lifetimes, key)
    else:
        tasks, lifetimes, updated = _relive(learner, env, state)
    return _in_lives(tasks, lifetimes) or _in_update(*updated)


def _in_lives(tasks: PyTree, lifetimes: Lifetime) -> str:
    """The first number in the record of B lives that is not finite: the earliest step, and there what was made first.

    An `adapt` that failed shows in what the agent does next, or in what it leaves behind.
    """
    found = []
    for rank, (name, part) in enumerate(MADE.items()):
        if bad := _bad_steps(part(lifetimes.data)):
            phase, step, life, copy = bad
            found.append((phase, step, rank, life, copy, name))
    if found:
        phase, step, _, life, copy, name = min(found)
        which = f" (copy {copy})" if lifetimes.data.reward.shape[3] > 1 else ""
        moment = f"step {step} of phase {phase}" if lifetimes.data.reward.shape[1] > 1 else f"step {step}"
        blame = "environment" if name in FROM_ENVIRONMENT else "learner"
        value = _first_bad(MADE[name](_at(lifetimes.data, (life, phase, step, copy))))
        task = in_short(jax.tree.map(lambda x: x[life], tasks))
        return f"the {blame}'s {name} is {value} in {moment} of life {life}{which}, in the task {task}"
    return _named("inner state after the last adaptation", lifetimes.last.inner)


def _at(data: Transition, where: tuple[int, ...]) -> Transition:
    return jax.tree.map(lambda x: x[where], data)


def _bad_steps(tree: PyTree) -> tuple[int, int, int, int] | None:
    """The earliest (phase, step, life, copy) at which a leaf `[B, K, T, E, ...]` is not finite."""
    leaves = [np.asarray(x) for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    bad = [~np.isfinite(x).reshape(*x.shape[:4], -1).all(-1) for x in leaves]
    found = np.argwhere(np.moveaxis(np.any(bad, 0), 0, 2)) if bad else np.empty((0, 4), int)
    return tuple(found[0].tolist()) if len(found) else None


def _first_bad(tree: PyTree) -> float:
    numbers = np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])
    return float(numbers[~np.isfinite(numbers)][0])


def _in_update(meta: PyTree, metrics: Metrics) -> str:
    """The first number that is not finite in what an update returned."""
    return _named("metric", told(metrics)) or _named("outer state", meta)


def _named(what: str, tree: PyTree) -> str:
    """The first leaf that is not finite, by its path, and its first such number."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if jnp.issubdtype(leaf.dtype, jnp.inexact) and not np.isfinite(leaf).all():
            return f"the {what} {jax.tree_util.keystr(path, simple=True, separator='.')} is {_first_bad(leaf)}"
    return ""


def operation(learner: Learner, env: Any, state: TrainState) -> str:
    """The operation of one meta-step that makes the first NaN, and the line of code that it stands in."""
    numbers, static = eqx.partition((learner, env, state), eqx.is_array)
    remake = lambda numbers: _relived(*eqx.combine(numbers, static))
    checked = checkify.checkify(remake, errors=checkify.nan_checks)
    error, _ = jax.jit(checked)(numbers)
    return error.get() or "none makes a NaN; infinity is not looked for"
