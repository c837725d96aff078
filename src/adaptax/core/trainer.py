"""The outer loop: compiled chunks of meta-steps, with Python between them."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from adaptax.core.env import AbstractEnvironment, Environment, HostEnvironment
from adaptax.core.host import host_draw, host_lifetimes
from adaptax.core.learner import Learner
from adaptax.core.lifetime import Life, advance, born, where
from adaptax.core.types import Metrics, PRNGKey, PRNGKeys, PyTree

LONGEST = 128  # meta-steps of a chunk
SECONDS = 1.0  # that a chunk takes, about: signals are answered between chunks


class TrainState(NamedTuple):
    """All that training needs to go on; meta-step i draws all its keys from `fold_in(key, i)`."""

    meta: PyTree
    lives: Life | None  # lives that outlast a meta-step (`learner.lifespan` > 1)
    key: PRNGKey
    step: jax.Array


def draw(learner: Learner, env: AbstractEnvironment, key: PRNGKey) -> tuple[PyTree, PRNGKeys]:
    """B training tasks and B keys of lives; twins share both."""
    key_task, key_life = jax.random.split(key)
    index = jnp.arange(learner.tasks) // learner.twins
    task_keys, life_keys = (jax.vmap(jax.random.fold_in, (None, 0))(key, index) for key in (key_task, key_life))
    if isinstance(env, HostEnvironment):
        return host_draw(env, "train", task_keys), life_keys
    return jax.vmap(env.tasks.train)(task_keys), life_keys


def initial_state(learner: Learner, env: AbstractEnvironment, key: PRNGKey) -> TrainState:
    """The state before the first meta-step."""
    key_init, key_train, key_births = jax.random.split(key, 3)
    state = TrainState(learner.init(key_init), None, key_train, jnp.zeros((), jnp.int32))
    if learner.lifespan == 1:
        return state
    if not isinstance(env, Environment):
        raise TypeError("lives that outlast a meta-step need a compiled environment")
    return state._replace(lives=births(learner, env, state.meta, None, key_births))


def births(learner: Learner, env: Environment, meta: PyTree, axis: int | None, key: PRNGKey) -> Life:
    """B newborn agents in fresh training tasks; `axis` is 0 where each has a `meta` of its own."""
    begin = lambda meta, task, key: born(learner, env, meta, task, key, learner.schedule().copies)
    return jax.vmap(begin, (axis, 0, 0))(meta, *draw(learner, env, key))


def meta_step(
    learner: Learner, env: Environment, state: TrainState, devices: Mesh | None = None
) -> tuple[TrainState, Metrics]:
    """One meta-step: B tasks, B lives, one update. With a mesh, B is spread over its axis `tasks`."""
    key_draw, key_update = jax.random.split(jax.random.fold_in(state.key, state.step))
    proposals = learner.propose(state.meta, key_update, learner.tasks)
    meta, axis = (state.meta, None) if proposals is None else (proposals, 0)
    lives = births(learner, env, meta, axis, key_draw)
    if learner.lifespan > 1:  # one in `lifespan` of the old lives ends here and makes room
        over = (state.step + jnp.arange(learner.tasks) // learner.twins) % learner.lifespan == 0
        lives = jax.vmap(where)(over, lives, state.lives)
    if devices is not None:
        spread = NamedSharding(devices, PartitionSpec("tasks"))
        lives = jax.lax.with_sharding_constraint(lives, spread)
    live = lambda meta, life: advance(learner, env, meta, life, learner.schedule())
    lives, lifetimes = jax.vmap(live, (axis, 0))(meta, lives)
    meta, metrics = learner.update(state.meta, lifetimes, key_update)
    kept = lives if learner.lifespan > 1 else None
    return TrainState(meta, kept, state.key, state.step + 1), metrics


@eqx.filter_jit(donate="all-except-first")
def run_chunk(
    fixed: tuple[Learner, Environment, Mesh | None], states: TrainState, count: jax.Array
) -> tuple[TrainState, Metrics]:
    """`count` meta-steps of every seed, one seed after the other; metrics are `[S, LONGEST]`, of which `count` are.

    The float fields of the learner and all leaves of `states` have a leading axis S of seeds (or of a sweep).
    """
    learners, env, devices = fixed
    numbers, static = eqx.partition(learners, eqx.is_array)

    def one_seed(numbers: Learner, state: TrainState) -> tuple[TrainState, Metrics]:
        learner = eqx.combine(numbers, static)
        step = partial(meta_step, learner, env, devices=devices)
        program, shapes = jax.make_jaxpr(step, return_shape=True)(state)  # traced here, once; its metrics' shapes too
        zeros = jax.tree.map(lambda s: jnp.zeros((LONGEST, *s.shape), s.dtype), shapes[1])

        def one_step(i: jax.Array, now: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
            outputs = jaxpr_as_fun(program)(*jax.tree.leaves(now[0]))
            state, metrics = jax.tree.unflatten(jax.tree.structure(shapes), outputs)
            return state, jax.tree.map(lambda kept, x: kept.at[i].set(x), now[1], metrics)

        return jax.lax.fori_loop(0, count, one_step, (state, zeros))

    return over_seeds(one_seed, numbers, states)


def over_seeds(function, *arguments: PyTree) -> PyTree:
    """Maps over the leading axis S inside one compiled program, in sequence: no slower than S runs, compiled once."""
    if jax.tree.leaves(arguments)[0].shape[0] == 1:
        result = function(*jax.tree.map(lambda x: x[0], arguments))
        return jax.tree.map(lambda x: x[None], result)
    return jax.lax.map(lambda xs: function(*xs), arguments)


@eqx.filter_jit
def init_states(learners: Learner, env: AbstractEnvironment, keys: PRNGKeys) -> TrainState:
    """The states before the first meta-step, for S seeds."""
    numbers, static = eqx.partition(learners, eqx.is_array)
    return over_seeds(lambda n, key: initial_state(eqx.combine(n, static), env, key), numbers, keys)


def chunks(
    learners: Learner, env: AbstractEnvironment, states: TrainState, due: Callable[[int], int], devices: Mesh | None
) -> Iterator[tuple[TrainState, dict[str, np.ndarray]]]:
    """Trains in short chunks up to the meta-step that is `due` after a meta-step; there is an end where none follows.

    Yields:
        The states (they are consumed when the generator goes on) and the metrics `[S, n]` of the chunk's n meta-steps.
    """
    step, length = int(states.step[0]), 1
    advance_by: Callable = host_chunk if isinstance(env, HostEnvironment) else run_chunk
    while step < (end := due(step)):
        count, begun = min(length, LONGEST, end - step), time.monotonic()
        states, metrics = advance_by((learners, env, devices), states, jnp.asarray(count, jnp.int32))
        found = jax.tree.map(lambda x: np.asarray(x)[:, :count], metrics)  # noqa: B023 (used at once)
        length = max(1, int(count * SECONDS / max(time.monotonic() - begun, 1e-9)))  # the first one compiles
        step += count
        yield states, found


def host_chunk(
    fixed: tuple[Learner, HostEnvironment, None], states: TrainState, count: jax.Array
) -> tuple[TrainState, Metrics]:
    """The same for simulators on the host, seed by seed; metrics are `[S, count]`.

    Raises:
        TypeError: the learner proposes a population, which the host loop does not live.
    """
    learners, env, _ = fixed
    results = []
    for seed in range(states.step.shape[0]):
        learner, state = jax.tree.map(lambda x: x[seed] if eqx.is_array(x) else x, (learners, states))  # noqa: B023
        if learner.propose(state.meta, state.key, learner.tasks) is not None:
            raise TypeError(f"{type(learner).__name__} proposes a population: that needs a compiled environment")
        found = []
        for _ in range(int(count)):
            key_draw, key_update = jax.random.split(jax.random.fold_in(state.key, state.step))
            tasks, keys = draw(learner, env, key_draw)
            lifetimes = host_lifetimes(learner, env, state.meta, tasks, keys, learner.schedule(), explore=True)
            meta, metrics = _update(learner, state.meta, lifetimes, key_update)
            state = state._replace(meta=meta, step=state.step + 1)
            found.append(metrics)
        results.append((state, jax.tree.map(lambda *xs: jnp.stack(xs), *found)))
    return jax.tree.map(lambda *xs: jnp.stack(xs), *results)


_update = eqx.filter_jit(lambda learner, meta, lifetimes, key: learner.update(meta, lifetimes, key))
