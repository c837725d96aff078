"""Tasks drawn and walks walked, for tests."""

from functools import lru_cache
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core.lifetime import where

NOOP, UP, RIGHT, DOWN, LEFT = range(5)  # on grids of cells


class Walk(NamedTuple):
    """What a walk sees and gets; nothing begins anew where an episode ends."""

    first: np.ndarray
    seen: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


@eqx.filter_jit
def _walked(env, task, actions):
    def move(state, action):
        state, *outcome = env.step(task, state, action, jax.random.key(0))
        return state, outcome

    state, first = env.reset(task, jax.random.key(0))
    return [first, *jax.lax.scan(move, state, actions)[1]]


def walked(env, task, actions: list[int]) -> Walk:
    """A walk from the start."""
    return Walk(*(np.asarray(x) for x in _walked(env, jax.tree.map(jnp.asarray, task), jnp.array(actions, jnp.int32))))


@eqx.filter_jit
def _drawn(env, split: str, keys):
    return jax.vmap(env.tasks.sampler(split))(keys)


@lru_cache(maxsize=8)
def draw(env, split: str, count: int, seed: int = 0):
    """`count` tasks of a split, as numpy arrays."""
    return jax.tree.map(np.asarray, _drawn(env, split, jax.random.split(jax.random.key(seed), count)))


def lived(env, tasks, hints, policy, steps: int, seed: int = 0) -> np.ndarray:
    """Return of a life of so many steps in each task, of `policy(hint, state)`, which says the next action."""

    def life(task, hint, key):
        begin, _ = env.reset(task, key)

        def move(state, key):
            state, _, reward, terminated, truncated = env.step(task, state, policy(hint, state), key)
            return where(terminated | truncated, begin, state), reward

        return jax.lax.scan(move, begin, jax.random.split(key, steps))[1].sum()

    keys = jax.random.split(jax.random.key(seed), len(jax.tree.leaves(tasks)[0]))
    return np.asarray(jax.jit(jax.vmap(life))(*jax.tree.map(jnp.asarray, (tasks, hints)), keys))


def downhill(steps: np.ndarray) -> np.ndarray:
    """The move to the neighbour with the fewest steps to go, in each cell of maps `[N, y, x]`."""
    wide = np.pad(steps, ((0, 0), (1, 1), (1, 1)), constant_values=steps.max())
    beside = [wide[:, 1:-1, 1:-1], wide[:, 2:, 1:-1], wide[:, 1:-1, 2:], wide[:, :-2, 1:-1], wide[:, 1:-1, :-2]]
    return np.argmin(beside, 0).astype(np.int32)


def by_map(moves, state):
    """A policy that looks its move up."""
    return moves[state.position[1], state.position[0]]


def rows(numbers: np.ndarray) -> set[bytes]:
    """Each entry of the leading axis, to compare exactly."""
    return {row.tobytes() for row in numbers}


def shown(env, task, state) -> list[str]:
    """The roles of what a picture shows, in the order that it is drawn in; for words, the words."""
    return [getattr(shape, "role", "") or getattr(shape, "text", "") for shape in env.render(task, state).shapes]
