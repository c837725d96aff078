"""The heart: how every agent lives. Birth, phases of acting and adapting, and the replay that meta-gradients take.

Written for one task. Randomness is derived per (life, step, copy), never carried along, so that the compiled
loop here and the host loop in `core.host` draw the same numbers.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from adaptax.core.env import Environment
from adaptax.core.learner import Learner
from adaptax.core.types import Agent, Lifetime, PRNGKey, PRNGKeys, PyTree, Schedule, Step, Task, Transition


class Keys(NamedTuple):
    """The four streams of one life."""

    begin: PRNGKey
    steps: PRNGKey
    resets: PRNGKey
    adapt: PRNGKey


class Life(NamedTuple):
    """One agent living in one task, between two phases. A PyTree of arrays: it can be stored and taken up again."""

    task: Task
    descriptor: jax.Array
    agent: Agent
    env_state: PyTree  # [E, ...]
    step: Step  # [E, ...]
    age: jax.Array  # phases lived
    key: PRNGKey


def streams(key: PRNGKey) -> Keys:
    """The four streams of a life from its key."""
    return Keys(*jax.random.split(key, 4))


def copies_of(key: PRNGKey, index: jax.Array | int, copies: int) -> PRNGKeys:
    """Keys `[E]` of the copies at one point of a stream."""
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, index), jnp.arange(copies, dtype=jnp.int32))


def step_keys(key: PRNGKey, age: jax.Array, schedule: Schedule) -> tuple[PRNGKeys, PRNGKeys, PRNGKeys]:
    """Keys `[T, E]` for acting, stepping and restarting in one phase; made at once, outside the scan."""
    moments = jax.vmap(lambda k: jax.random.split(k, schedule.steps), out_axes=1)
    now = jax.random.fold_in(streams(key).steps, age)
    act, step, reset = (moments(copies_of(now, purpose, schedule.copies)) for purpose in range(3))
    return act, step, reset


def learn_key(key: PRNGKey, age: jax.Array, part: jax.Array | int) -> PRNGKey:
    """The key of one call of `learn` in a phase."""
    now = jax.random.fold_in(streams(key).steps, age)
    return jax.random.fold_in(jax.random.fold_in(now, 3), part)  # after the three purposes of `step_keys`


def where(condition: jax.Array, new: PyTree, old: PyTree) -> PyTree:
    """`new` where `condition`, leaf by leaf."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), new, old)


def appended(trees: PyTree, last: PyTree) -> PyTree:
    """One more entry at the end of the leading axis."""
    return jax.tree.map(lambda xs, x: jnp.concatenate([xs, x[None]]), trees, last)


def conceive(learner: Learner, meta: PyTree, descriptor: jax.Array | None, key: PRNGKey, copies: int) -> Agent:
    """The agent at its birth; the descriptor reaches it only at privilege `always`."""
    inner, carry = learner.begin(meta, streams(key).begin, descriptor if learner.privileged == "always" else None)
    return Agent(inner, jax.tree.map(lambda x: jnp.broadcast_to(x, (copies, *x.shape)), carry))


def restart(env: Environment, task: Task, key: PRNGKeys, step: Step) -> tuple[PyTree, Step]:
    """New episodes in all copies; `key` is `[E]`. The agent still knows its last action and reward."""
    env_state, observation = jax.vmap(env.reset, (None, 0))(task, key)
    return env_state, step._replace(observation=observation, first=jnp.ones_like(step.first))


def born(learner: Learner, env: Environment, meta: PyTree, task: Task, key: PRNGKey, copies: int) -> Life:
    """A new life in `task`, before its first phase."""
    descriptor = env.describe(task)
    nothing = jnp.broadcast_to(env.action_space.none(), (copies, *env.action_space.none().shape))
    blank = Step(jnp.zeros(()), nothing, jnp.zeros(copies), jnp.ones(copies, bool))
    env_state, step = restart(env, task, copies_of(streams(key).resets, 0, copies), blank)
    agent = conceive(learner, meta, descriptor, key, copies)
    return Life(task, descriptor, agent, env_state, step, jnp.zeros((), jnp.int32), key)


def collect(
    learner: Learner, env: Environment, meta: PyTree, life: Life, keys: PyTree, explore: bool
) -> tuple[Life, Transition]:
    """Acts for T steps in all E copies; `inner` stays as it is. Episodes end and restart by themselves."""
    copy = _act_and_step(learner, env, meta, life, explore)
    start = (life.agent.carry, life.env_state, life.step)
    (carry, env_state, step), data = jax.lax.scan(lambda now, k: jax.vmap(copy)(now, k), start, keys)
    return life._replace(agent=life.agent._replace(carry=carry), env_state=env_state, step=step), data


def _act_and_step(learner: Learner, env: Environment, meta: PyTree, life: Life, explore: bool) -> Callable:
    def copy(now: tuple[PyTree, PyTree, Step], keys: tuple[PRNGKeys, ...]) -> tuple[tuple, Transition]:
        (carry, env_state, step), (key_act, key_step, key_reset) = now, keys
        action, carry, extras = learner.act(meta, life.agent.inner, carry, step, key_act, explore)
        state, successor, reward, terminated, truncated = env.step(life.task, env_state, action, key_step)
        over = terminated | truncated
        state, observation = where(over, env.reset(life.task, key_reset), (state, successor))
        record = Transition(step, action, reward, successor, terminated, truncated, extras)
        return (carry, state, Step(observation, action, reward, over)), record

    return copy


def live_phase(
    learner: Learner, env: Environment, meta: PyTree, life: Life, schedule: Schedule, explore: bool
) -> tuple[Life, Transition]:
    """One phase: act for T steps, learn on the way, then adapt once."""
    if learner.reset_each_phase:
        env_state, step = restart(
            env, life.task, copies_of(streams(life.key).resets, life.age, schedule.copies), life.step
        )
        life = life._replace(env_state=env_state, step=step)
    keys, every = step_keys(life.key, life.age, schedule), learner.learns_every(schedule)
    acting = partial(collect, learner, env, meta, explore=explore)
    life, data = act_and_learn(learner, meta, life, keys, acting, every) if every else acting(life, keys=keys)
    return adapted(learner, meta, life, data), data


def act_and_learn(
    learner: Learner, meta: PyTree, life: Life, keys: PyTree, acting: Callable, every: int
) -> tuple[Life, Transition]:
    """A phase of acting, with `learn` after every so many steps."""

    def part(now: Life, given: tuple[PyTree, jax.Array]) -> tuple[Life, Transition]:
        now, data = acting(now, keys=given[0])
        return learned(learner, meta, now, data, given[1]), data

    life, data = jax.lax.scan(part, life, in_parts(keys, every))
    return life, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), data)


def in_parts(tree: PyTree, steps: int) -> tuple[PyTree, jax.Array]:
    """`[T, ...]` as `[T / steps, steps, ...]`, with the numbers of the parts."""
    parts = jax.tree.map(lambda x: x.reshape(-1, steps, *x.shape[1:]), tree)
    return parts, jnp.arange(jax.tree.leaves(parts)[0].shape[0], dtype=jnp.int32)


def learned(learner: Learner, meta: PyTree, life: Life, data: Transition, part: jax.Array) -> Life:
    """The life after what is learned on the way, from one part of a phase."""
    inner = learner.learn(meta, life.agent.inner, data, learn_key(life.key, life.age, part))
    return life._replace(agent=life.agent._replace(inner=inner))


def adapted(learner: Learner, meta: PyTree, life: Life, data: Transition) -> Life:
    """The life after the slow adaptation that ends a phase."""
    key = jax.random.fold_in(streams(life.key).adapt, life.age)
    inner = learner.adapt(meta, life.agent.inner, data, key)
    return life._replace(agent=life.agent._replace(inner=inner), age=life.age + 1)


def advance(
    learner: Learner, env: Environment, meta: PyTree, life: Life, schedule: Schedule, explore: bool = True
) -> tuple[Life, Lifetime]:
    """K phases; returns the life as it stands then, and the record of what happened."""
    live = lambda now, _: live_phase(learner, env, meta, now, schedule, explore)
    before, earlier = jax.lax.scan(live, life, length=schedule.phases - 1)
    end, last = live(before, None)  # apart: where nothing reads what the last `adapt` made, the compiler drops it
    return end, recorded(learner, life, end, appended(earlier, last))


def recorded(learner: Learner, start: Life, end: Life, data: Transition) -> Lifetime:
    """The record of the phases between two points of a life."""
    descriptor = None if learner.privileged == "never" else start.descriptor
    record = learner.record(end.agent)
    return Lifetime(data, start.agent, end.agent, start.age == 0, record, descriptor, start.key, start.age)


def replay(
    learner: Learner,
    meta: PyTree,
    life: Lifetime,
    judge: Callable[[PyTree, Transition], PyTree],
    first: int = 0,
    remat: bool = False,
) -> PyTree:
    r"""What `judge` says of each phase, as a differentiable function of `meta`: the path of every meta-gradient.

    $\phi_0$ comes from `begin`, $\phi_{k+1}$ from the very `learn` and `adapt` that acted, and phase k is judged by
    `judge(phi_k, data_k)`. It folds: no stack of inner states is kept.

    Args:
        learner: The learner that lived.
        meta: The outer state to differentiate by.
        life: One life (no task axis).
        judge: Maps the inner state and the data `[T, E, ...]` of one phase to what is wanted of it.
        first: The first phase to be judged; those before are adapted through.
        remat: Recompute each `adapt` in the backward pass instead of storing it.

    Returns:
        The judgements, stacked along a leading axis: one for each phase from `first` on.
    """
    phases, steps, copies = life.data.reward.shape
    key_adapt = streams(life.key).adapt
    every = learner.learns_every(Schedule(phases, steps, copies))

    def adapt(inner: PyTree, data: Transition, k: jax.Array) -> PyTree:
        if every:
            learn = lambda now, x: learner.learn(meta, now, x[0], learn_key(life.key, life.age + k, x[1]))
            parts = in_parts(data, every)
            inner, _ = jax.lax.scan(lambda now, x: (learn(now, x), None), inner, parts)
        return learner.adapt(meta, inner, data, jax.random.fold_in(key_adapt, life.age + k))

    adapt = jax.checkpoint(adapt) if remat else adapt
    inner = conceive(learner, meta, life.descriptor, life.key, copies=1).inner
    inner = where(life.fresh, inner, life.first.inner) if learner.lifespan > 1 else inner

    def pass_by(inner: PyTree, phase: tuple[Transition, jax.Array]) -> tuple[PyTree, None]:
        return adapt(inner, *phase), None

    def pass_judged(inner: PyTree, phase: tuple[Transition, jax.Array]) -> tuple[PyTree, PyTree]:
        return adapt(inner, *phase), judge(inner, phase[0])

    def slice_phases(start: int, stop: int) -> tuple[Transition, jax.Array]:
        return jax.tree.map(lambda x: x[start:stop], (life.data, jnp.arange(phases, dtype=jnp.int32)))

    inner, _ = jax.lax.scan(pass_by, inner, slice_phases(0, first))
    inner, judged = jax.lax.scan(pass_judged, inner, slice_phases(first, phases - 1))
    last = judge(inner, jax.tree.map(lambda x: x[-1], life.data))  # no adaptation after the phase judged last
    return appended(judged, last)
