"""Mountain treasure: those who know where it is, who climb to see it, and who walk round until they meet it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from adaptax.envs.point import PointState
from adaptax.envs.treasure import STEP, MountainTreasure
from adaptax.references.base import Reference, references


class Known(NamedTuple):
    """What a walker remembers."""

    seen: Bool[Array, ""]  # the treasure, from the top
    paid: Bool[Array, ""]  # one stands at it


# (position, treasure, what is known) -> whereto
Walk = Callable[[Float[Array, "2"], Float[Array, "2"], Known], Float[Array, "2"]]


@references.register
def _treasure(
    env: MountainTreasure, tasks: Float[Array | np.ndarray, "N 2"], seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    """Nobody here but `oracle` uses in later episodes what the earlier ones have shown."""
    del seed, split
    walks = {"oracle": straight, "climb": climb, "circle": around(1.0), "fast circle": around(0.93, fast=True)}
    mean = {name: walk_returns(env, tasks, walk).mean() for name, walk in walks.items()}
    return Reference(None, {name: float(value) * episodes for name, value in mean.items()})


def straight(position: Float[Array, "2"], treasure: Float[Array, "2"], known: Known) -> Float[Array, "2"]:
    """Straight to the treasure, which no step misses by more than it must."""
    del position, known
    return treasure


def climb(position: Float[Array, "2"], treasure: Float[Array, "2"], known: Known) -> Float[Array, "2"]:
    r"""Up to the top in ten steps, and from there to the treasure.

    With n steps down, $\rho_t$ the distance from the top after step t, and rewards as by default, the return is

    $$10\,(100 - 10 - n + 1) - 5\,(10 + n - 1) - \sum_t \max(0, 0.5 - \rho_t)$$

    where a treasure at the angle $\phi$ is reached in n = 7 (diagonally) to 9 steps; 736.9 is the mean over $\phi$.
    """
    return jnp.where(known.paid, position, jnp.where(known.seen, treasure, 0.0))


def around(radius: float, fast: bool = False) -> Walk:
    r"""Round the top at that distance until paid, and then no more.

    By a tenth of the radius in angle a step, a treasure at the angle $\phi$ from the start is met after
    $n \approx \lceil (\phi - 0.1) / 0.1 \rceil$ steps, which returns $10\,(101 - n) - 5\,(n - 1)$: 551.0 on average.

    Args:
        radius: Distance from the top.
        fast: Whether the longer coordinate of each move is as long as a move may be.
    """

    def walk(position: Float[Array, "2"], treasure: Float[Array, "2"], known: Known) -> Float[Array, "2"]:
        del treasure
        angle = jnp.arctan2(position[1], position[0])
        length = jnp.maximum(jnp.abs(jnp.cos(angle)), jnp.abs(jnp.sin(angle))) if fast else 1.0
        angle = angle + STEP / (radius * length)
        return jnp.where(known.paid, position, radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)]))

    return walk


def walk_returns(env: MountainTreasure, tasks: Float[Array | np.ndarray, "N 2"], walk: Walk) -> Float[np.ndarray, " N"]:
    """Return of one episode of a walk for each task, lived in the environment itself."""
    key = jax.random.key(0)  # nothing is random

    def episode(treasure: Float[Array, "2"]) -> Float[Array, ""]:
        def move(now: tuple[PointState, Known], _) -> tuple[tuple[PointState, Known], Float[Array, ""]]:
            state, known = now
            action = (walk(state.position, treasure, known) - state.position) / STEP
            state, seen, reward, _, _ = env.step(treasure, state, action, key)
            known = Known(known.seen | jnp.any(seen[2:] != 0), known.paid | (reward > 0))
            return (state, known), reward

        nothing = Known(jnp.array(False), jnp.array(False))
        return jax.lax.scan(move, (env.reset(treasure, key)[0], nothing), length=env.horizon)[1].sum()

    return np.asarray(jax.jit(jax.vmap(episode))(jnp.asarray(tasks, float)))
