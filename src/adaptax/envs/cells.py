"""What families on a grid of cells share: moves, numbers of cells, and where an agent is."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from adaptax.core.types import PRNGKey
from adaptax.ops.scene import Role

MOVES = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))  # noop, up, right, down, left as (x, y)


class GridState(NamedTuple):
    """Where the agent is (x, y), and steps taken."""

    position: Int[Array, "2"]
    time: Int[Array, ""]


def at(position: Int[Array, "2"]) -> GridState:
    """The state as an episode begins there."""
    return GridState(position, jnp.zeros((), jnp.int32))


def moved(position: Int[Array, "2"], action: Int[Array, ""]) -> Int[Array, "2"]:
    """The cell that a move leads to, were there no walls and no edge."""
    return position + jnp.asarray(MOVES, jnp.int32)[action]


def number_of(position: Int[Array, "2"], width: int) -> Int[Array, ""]:
    """The number of a cell, row by row."""
    return position[1] * width + position[0]


def cells_of(width: int, height: int) -> Int[np.ndarray, "cells 2"]:
    """All cells (x, y), by their number."""
    y, x = np.divmod(np.arange(width * height), width)
    return np.stack([x, y], -1).astype(np.int32)


def one_of(cells: Int[np.ndarray, "N *rest"], key: PRNGKey) -> Int[Array, "*rest"]:
    """One entry, drawn uniformly."""
    return jnp.asarray(cells)[jax.random.randint(key, (), 0, len(cells))]


@jax.jit
def reached(free: Bool[Array, "H W"], start: Int[Array, "2"]) -> Bool[Array, "H W"]:
    """Which free cells `[y, x]` can be walked to."""

    def spread(now: tuple[Bool[Array, "H W"], Bool[Array, "H W"]]) -> tuple[Bool[Array, "H W"], Bool[Array, "H W"]]:
        wide = jnp.pad(now[0], 1)
        beside = wide[1:-1, 2:] | wide[1:-1, :-2] | wide[2:, 1:-1] | wide[:-2, 1:-1]
        return now[0] | (beside & free), now[0]

    nothing = jnp.zeros_like(free)
    first = nothing.at[start[1], start[0]].set(True)
    return jax.lax.while_loop(lambda now: jnp.any(now[0] != now[1]), spread, (first, nothing))[0]


def spot(cell: Int[Array | np.ndarray, "2"]) -> tuple[int, int]:
    """A cell as plain numbers."""
    return int(cell[0]), int(cell[1])


def mark(cell: Int[Array | np.ndarray, "2"], role: Role) -> tuple[int, int, Role]:
    """A cell and what lies in it, as scenes have it."""
    return *spot(cell), role
