"""A replay buffer inside a life: a ring of the last steps, from which n-step experience is drawn. A tree of arrays."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.types import PRNGKey, Transition
from adaptax.ops.spaces import ActionSpace, Space


class Experience(NamedTuple):
    """What is kept of one step; leaves `[C, E, ...]` in a replay."""

    observation: Array
    action: Array
    reward: Float[Array, "..."]
    next_observation: Array  # the true successor, also where the episode ended
    terminated: Bool[Array, "..."]
    over: Bool[Array, "..."]  # terminated or truncated: the next step belongs to another episode


class Replay(NamedTuple):
    """The last C steps of E copies, in the order in which they were lived."""

    kept: Experience
    written: Int[Array, ""]  # steps ever written, of each copy
    priority: Float[Array, "C E"] | None = None  # of the experience that begins there; None draws all alike


class Drawn(NamedTuple):
    """N pieces of n-step experience: what was earned, and where and with which weight a value goes on from there."""

    observation: Array
    action: Array
    gain: Float[Array, " N"]  # discounted rewards of n steps, or up to the end of the episode
    next_observation: Array  # where these steps led to
    discount: Float[Array, " N"]  # gamma to their number; 0 where the world ended the episode
    weight: Float[Array, " N"]  # corrects for what is drawn more often
    place: Int[Array, " N"]  # in the ring, of its first step
    copy: Int[Array, " N"]


def empty(observation: Space, action: ActionSpace, capacity: int, copies: int, prioritised: bool = False) -> Replay:
    """A replay of so many steps of each copy, in which nothing is yet."""
    room = lambda x: jnp.zeros((capacity, copies, *x.shape), x.dtype)
    seen, chosen, number, flag = observation.none(), action.none(), jnp.zeros(()), jnp.zeros((), bool)
    kept = Experience(*map(room, (seen, chosen, number, seen, flag, flag)))
    return Replay(kept, jnp.zeros((), jnp.int32), jnp.zeros((capacity, copies)) if prioritised else None)


def experience(data: Transition) -> Experience:
    """What is kept of recorded steps."""
    over = data.terminated | data.truncated
    return Experience(data.step.observation, data.action, data.reward, data.next_observation, data.terminated, over)


def write(replay: Replay, data: Transition) -> Replay:
    """With the steps `[t, E, ...]` in it; the oldest make room."""
    capacity, number = replay.kept.reward.shape[0], data.reward.shape[0]
    rows = next_rows(replay.written, number, capacity)
    kept = jax.tree.map(lambda old, x: old.at[rows].set(x), replay.kept, experience(data))
    priority = replay.priority
    if priority is not None:  # who has never been looked at is looked at soon
        priority = priority.at[rows].set(jnp.maximum(jnp.max(priority), 1e-3))
    return Replay(kept, replay.written + number, priority)


def next_rows(written: Int[Array, ""], number: int, capacity: int) -> Int[Array, " number"]:
    """Where in a ring the next so many go."""
    return (written + jnp.arange(number, dtype=jnp.int32)) % capacity


def added(ring: Any, new: tuple) -> Any:
    """A ring, a NamedTuple `(leaves [R, ...], ..., written)`, with more rows `[n, ...]`; the oldest make room."""
    *old, written = ring
    number, capacity = (jax.tree.leaves(x)[0].shape[0] for x in (new, old))
    rows = next_rows(written, number, capacity)
    return type(ring)(*jax.tree.map(lambda old, x: old.at[rows].set(x), tuple(old), new), written + number)


def draw(
    replay: Replay, key: PRNGKey, number: int, steps: int, discount: Array | float, correction: Array | float = 1.0
) -> Drawn:
    """So much n-step experience, drawn with replacement.

    Args:
        replay: At least `steps` of each copy must be in it.
        key: For the drawing.
        number: N.
        steps: n; rewards after the end of an episode are not counted.
        discount: Gamma.
        correction: Where there are priorities: how far weights make up for them, 0 not at all, 1 wholly
            (Schaul et al., 2015, arXiv:1511.05952).
    """
    capacity, copies = replay.kept.reward.shape
    held = jnp.minimum(replay.written, capacity)
    begins = jnp.maximum(held - steps + 1, 1)  # the newest n - 1 have not been followed for n steps yet
    oldest, among = replay.written - held, (begins * copies).astype(float)
    if replay.priority is None:
        index = (jax.random.uniform(key, (number,)) * among).astype(jnp.int32)
        place, copy = (oldest + index // copies) % capacity, index % copies
        return followed(replay.kept, place, copy, steps, discount)
    age = (jnp.arange(capacity, dtype=jnp.int32) - oldest) % capacity
    share = jnp.where((age < begins)[:, None], replay.priority, 0.0).ravel()
    mass = jnp.cumsum(share)
    index = jnp.searchsorted(mass, jax.random.uniform(key, (number,)) * mass[-1], side="right").astype(jnp.int32)
    index = jnp.where(share[index] > 0, index, jnp.argmax(share))  # sums in float32 may lead to what has no share
    weight = (among * share[index] / mass[-1]) ** -correction
    found = followed(replay.kept, index // copies, index % copies, steps, discount)
    return found._replace(weight=weight / jnp.max(weight))


def followed(
    kept: Experience, place: Int[Array, " N"], copy: Int[Array, " N"], steps: int, discount: Array | float
) -> Drawn:
    """What came of so many steps from each place on, in the same episode; all have the same weight."""
    capacity = kept.reward.shape[0]

    def one(place: Array, copy: Array) -> Drawn:
        rows = (place + jnp.arange(steps, dtype=jnp.int32)) % capacity
        reward, over = kept.reward[rows, copy], kept.over[rows, copy]
        goes_on = jnp.cumprod(1.0 - over[:-1].astype(reward.dtype))
        counts = jnp.concatenate([jnp.ones_like(reward[:1]), goes_on])
        number = jnp.sum(counts)
        last = (place + number.astype(jnp.int32) - 1) % capacity
        return Drawn(
            observation=kept.observation[place, copy],
            action=kept.action[place, copy],
            gain=jnp.sum(counts * discount ** jnp.arange(steps).astype(reward.dtype) * reward),
            next_observation=kept.next_observation[last, copy],
            discount=discount**number * (1.0 - kept.terminated[last, copy].astype(reward.dtype)),
            weight=jnp.ones_like(number),
            place=place,
            copy=copy,
        )

    return jax.vmap(one)(place, copy)
