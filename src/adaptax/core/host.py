"""The same lives where the simulators are ordinary Python objects: a Python loop around the same compiled functions.

It draws the same numbers as `core.lifetime`, and what it records is the same `Lifetime`. No callbacks from compiled
code into stateful objects: acting and adapting are compiled, stepping is plain Python.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core.env import HostEnvironment, Simulator
from adaptax.core.evaluate import Lived, probe_life, scores
from adaptax.core.learner import Learner
from adaptax.core.lifetime import Life, adapted, conceive, copies_of, learned, recorded, step_keys, streams
from adaptax.core.types import Lifetime, PRNGKey, PRNGKeys, PyTree, Schedule, Step, Task, Transition
from adaptax.ops.returns import first_episode_return

Simulators = list[list[Simulator]]  # [B][E]


def pick(tree: PyTree, index: int) -> PyTree:
    """One entry of the leading axis."""
    return jax.tree.map(lambda x: x[index], tree)


def stack(trees: list[PyTree], axis: int = 0) -> PyTree:
    """Trees of equal structure along a new axis."""
    return jax.tree.map(lambda *xs: np.stack(xs, axis), *trees)


def host_draw(env: HostEnvironment, split: str, keys: PRNGKeys) -> Task:
    """One task for each key; samplers on the host are ordinary Python."""
    return stack([env.tasks.sampler(split)(key) for key in keys])


@contextmanager
def built(env: HostEnvironment, tasks: Task, copies: int, probe: bool = False) -> Iterator[Simulators]:
    """E simulators of each task, which are closed at the end, also where one of them fails."""
    simulators: Simulators = [[] for _ in jax.tree.leaves(tasks)[0]]
    try:
        for b, e in np.ndindex(len(simulators), copies):
            simulators[b].append(env.attended(pick(tasks, b), b, e, probe))
        yield simulators
    finally:
        for simulator in (s for row in simulators for s in row):
            simulator.close()


@eqx.filter_jit
def begin_lives(learner: Learner, meta: PyTree, tasks: Task, descriptors: Any, keys: PRNGKeys, copies: int) -> Life:
    """Newborn agents whose simulators have not started yet."""
    spaces = learner.bound

    def birth(task: Task, descriptor: jax.Array, key: PRNGKey) -> Life:
        blank = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (copies, *x.shape)),
            Step(spaces.observation.none(), spaces.action.none(), jnp.zeros(()), jnp.array(True)),
        )
        agent = conceive(learner, meta, descriptor, key, copies)
        return Life(task, descriptor, agent, (), blank, jnp.zeros((), jnp.int32), key)

    return jax.vmap(birth)(tasks, descriptors, keys)


def host_births(
    learner: Learner, env: HostEnvironment, meta: PyTree, tasks: Task, keys: PRNGKeys, copies: int, sims: Simulators
) -> Life:
    """Newborn agents, each with its simulators at the start of an episode."""
    descriptors = np.stack([env.describe(pick(tasks, b)) for b in range(len(sims))])
    lives = begin_lives(learner, meta, tasks, descriptors, keys, copies)
    return host_restart(lives, sims, restart_seeds(lives, copies))


@eqx.filter_jit
def restart_seeds(lives: Life, copies: int) -> jax.Array:
    """Seeds `[B, E, 2]` of the episodes that begin now."""
    keys = jax.vmap(lambda life: copies_of(streams(life.key).resets, life.age, copies))(lives)
    return jax.random.key_data(keys)


@eqx.filter_jit
def phase_keys(lives: Life, schedule: Schedule) -> tuple[PRNGKeys, jax.Array, jax.Array]:
    """Keys `[T, B, E]` for acting in the coming phase, and seeds for stepping and restarting."""
    act, step, reset = jax.vmap(lambda life: step_keys(life.key, life.age, schedule), out_axes=1)(lives)
    return act, jax.random.key_data(step), jax.random.key_data(reset)


def host_restart(lives: Life, simulators: Simulators, seeds: Any) -> Life:
    """New episodes in all simulators."""
    seeds = np.asarray(seeds)
    first = [[(sim.reset(seeds[b, e]),) for e, sim in enumerate(row)] for b, row in enumerate(simulators)]
    observation = jnp.asarray(_gather(first, 0, np.asarray(lives.step.observation)))
    return lives._replace(step=lives.step._replace(observation=observation, first=jnp.ones_like(lives.step.first)))


@eqx.filter_jit
def act_all(learner: Learner, meta: PyTree, lives: Life, keys: PRNGKeys, t: Any, explore: bool) -> tuple:
    """`act` in all copies of all tasks, at step t of the phase."""
    act = lambda inner, carry, step, key: learner.act(meta, inner, carry, step, key, explore)
    return jax.vmap(jax.vmap(act, (None, 0, 0, 0)))(lives.agent.inner, lives.agent.carry, lives.step, keys[t])


def host_collect(
    learner: Learner,
    meta: PyTree,
    lives: Life,
    simulators: Simulators,
    schedule: Schedule,
    explore: bool,
    learning: bool,
) -> tuple[Life, Transition]:
    """Acts for T steps in all copies of all tasks, and learns on the way; the record has leaves `[B, T, E, ...]`."""
    stride = learner.learns_every(schedule) if learning else 0
    act_keys, *seeds = phase_keys(lives, schedule)
    step_seeds, reset_seeds = map(np.asarray, seeds)
    records = []
    for t in range(schedule.steps):
        action, carry, extras = act_all(learner, meta, lives, act_keys, np.int32(t), explore)
        now, chosen = jax.tree.map(np.asarray, (lives.step, action))
        outcome = [
            [_simulate(sim, chosen[b, e], step_seeds[t, b, e], reset_seeds[t, b, e]) for e, sim in enumerate(row)]
            for b, row in enumerate(simulators)
        ]
        likes = (now.observation, now.observation, now.previous_reward, now.first, now.first)
        successor, following, reward, terminated, truncated = (
            _gather(outcome, i, like) for i, like in enumerate(likes)
        )
        extras = jax.tree.map(np.asarray, extras)
        records.append(Transition(now, chosen, reward, successor, terminated, truncated, extras))
        step = Step(following, chosen, reward, terminated | truncated)
        lives = lives._replace(agent=lives.agent._replace(carry=carry), step=step)
        if stride and (t + 1) % stride == 0:
            lives = learn_all(learner, meta, lives, stack(records[-stride:], axis=1), np.int32(t // stride))
    return lives, stack(records, axis=1)


def _gather(outcome: list[list[tuple]], which: int, like: np.ndarray) -> Any:
    """One quantity of all copies of all tasks as an array of the shape and type that the compiled functions know."""
    return np.asarray([[copy[which] for copy in row] for row in outcome]).reshape(like.shape).astype(like.dtype)


def _simulate(sim: Simulator, action: Any, seed: np.ndarray, reset_seed: np.ndarray) -> tuple:
    """One step of one copy; where an episode ends, the next one begins and its first observation follows."""
    successor, reward, terminated, truncated = sim.step(action, seed)
    if not (terminated or truncated):
        return successor, successor, reward, False, False
    successor = np.array(successor)  # a simulator may show a buffer of its own, which `reset` writes into
    following = sim.reset(reset_seed)
    return successor, following, reward, bool(terminated), bool(truncated)


adapt_all = eqx.filter_jit(
    lambda learner, meta, lives, data: jax.vmap(lambda life, d: adapted(learner, meta, life, d))(lives, data)
)
learn_all = eqx.filter_jit(
    lambda learner, meta, lives, data, part: jax.vmap(lambda life, d: learned(learner, meta, life, d, part))(
        lives, data
    )
)
record_all = eqx.filter_jit(
    lambda learner, start, end, data: jax.vmap(lambda s, e, d: recorded(learner, s, e, d))(start, end, data)
)


def host_phase(
    learner: Learner, meta: PyTree, lives: Life, simulators: Simulators, schedule: Schedule, explore: bool
) -> tuple[Life, Transition]:
    """One phase of all lives: act for T steps, learn on the way, then adapt once."""
    if learner.reset_each_phase:
        lives = host_restart(lives, simulators, restart_seeds(lives, schedule.copies))
    lives, data = host_collect(learner, meta, lives, simulators, schedule, explore, learning=True)
    return adapt_all(learner, meta, lives, data), data


def host_lifetimes(
    learner: Learner, env: HostEnvironment, meta: PyTree, tasks: Task, keys: PRNGKeys, schedule: Schedule, explore: bool
) -> Lifetime:
    """B whole lives, as `core.lifetime.advance` would record them."""
    phases = []
    with built(env, tasks, schedule.copies) as simulators:
        start = lives = host_births(learner, env, meta, tasks, keys, schedule.copies, simulators)
        for _ in range(schedule.phases):
            lives, data = host_phase(learner, meta, lives, simulators, schedule, explore)
            phases.append(data)
    return record_all(learner, start, lives, stack(phases, axis=1))


def host_examine(
    learner: Learner,
    env: HostEnvironment,
    meta: PyTree,
    tasks: Task,
    keys: PRNGKeys,
    schedule: Schedule,
    split: str | None,
) -> Lived:
    """Lives in the tasks given, with probes on simulators of their own: `core.evaluate.examine` on the host."""
    length = schedule._replace(phases=1, steps=env.episode_steps)
    could, earned, overs = [], [], []

    def probe(lives: Life) -> None:
        start = jax.vmap(probe_life)(lives)
        start = host_restart(start, probes, restart_seeds(start, schedule.copies))
        _, data = host_collect(learner, meta, start, probes, length, explore=False, learning=False)
        over = data.terminated | data.truncated
        could.append(np.asarray(jax.vmap(first_episode_return)(jnp.asarray(counted(data)), over)))

    def counted(data: Transition) -> np.ndarray:
        return np.asarray(jax.vmap(lambda task, d: scores(env, task, d, split))(tasks, data))

    with built(env, tasks, schedule.copies) as simulators, built(env, tasks, schedule.copies, probe=True) as probes:
        lives = host_births(learner, env, meta, tasks, keys, schedule.copies, simulators)
        probe(lives)
        for _ in range(schedule.phases):
            lives, data = host_phase(learner, meta, lives, simulators, schedule, learner.explores_by_noise)
            earned.append(counted(data))
            overs.append(data.terminated | data.truncated)
            probe(lives)
    score, over, probed = (jnp.asarray(np.stack(column, 1)) for column in (earned, overs, could))
    return Lived(score, over, probed, lives)
