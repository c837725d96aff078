"""The outer loop: compiled chunks of meta-steps, with Python between them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

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
from adaptax.core.types import Lifetime, Metrics, PRNGKey, PRNGKeys, PyTree

Fixed = tuple[Learner, Any, Mesh | None]  # what a chunk is computed with: learners `[S]`, environment, devices
LONGEST = 128  # meta-steps of a chunk
SOUND = "sound"  # a metric of every meta-step: 1 where all numbers that its lives recorded are finite, else NaN


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


def lived(
    learner: Learner, env: Environment, state: TrainState, devices: Mesh | None = None
) -> tuple[Life, Lifetime, PRNGKey]:
    """The lives of one meta-step, their record, and the key of its update. A mesh spreads B over its axis `tasks`."""
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
    return *jax.vmap(live, (axis, 0))(meta, lives), key_update


def meta_step(
    learner: Learner, env: Environment, state: TrainState, devices: Mesh | None = None
) -> tuple[TrainState, Metrics]:
    """One meta-step: B tasks, B lives, one update."""
    lives, lifetimes, key = lived(learner, env, state, devices)
    meta, metrics = learner.update(state.meta, lifetimes, key)
    kept = lives if learner.lifespan > 1 else None
    return TrainState(meta, kept, state.key, state.step + 1), metrics | soundness(lifetimes)


def soundness(lifetimes: Lifetime) -> Metrics:
    """What a number that is not finite cannot hide from, though an update may squash it."""
    numbers = [x for x in jax.tree.leaves(lifetimes.data) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return {SOUND: jnp.where(jnp.stack([jnp.isfinite(x).all() for x in numbers]).all(), 1.0, jnp.nan)}


@eqx.filter_jit
def run_chunk(fixed: Fixed, states: TrainState, count: jax.Array) -> tuple[TrainState, Metrics]:
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


def advance_by(fixed: Fixed, states: TrainState, count: int) -> tuple[TrainState, dict[str, np.ndarray]]:
    """`count` meta-steps of every seed, `LONGEST` at most; returns new states and metrics `[S, count]`."""
    run: Callable = host_chunk if isinstance(fixed[1], HostEnvironment) else run_chunk
    states, metrics = run(fixed, states, jnp.asarray(count, jnp.int32))
    return states, jax.tree.map(lambda x: np.asarray(x)[:, :count], metrics)


def host_chunk(fixed: Fixed, states: TrainState, count: jax.Array) -> tuple[TrainState, Metrics]:
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
            _, lifetimes, key = host_lived(learner, env, state)
            meta, metrics = update_from(learner, state.meta, lifetimes, key)
            state = state._replace(meta=meta, step=state.step + 1)
            found.append(metrics | soundness(lifetimes))
        results.append((state, jax.tree.map(lambda *xs: jnp.stack(xs), *found)))
    return jax.tree.map(lambda *xs: jnp.stack(xs), *results)


def host_lived(learner: Learner, env: HostEnvironment, state: TrainState) -> tuple[PyTree, Lifetime, PRNGKey]:
    """The tasks of one meta-step on the host, the record of the lives in them, and the key of its update."""
    key_draw, key_update = jax.random.split(jax.random.fold_in(state.key, state.step))
    tasks, keys = draw(learner, env, key_draw)
    return tasks, host_lifetimes(learner, env, state.meta, tasks, keys, learner.schedule(), explore=True), key_update


update_from = eqx.filter_jit(lambda learner, meta, lifetimes, key: learner.update(meta, lifetimes, key))
