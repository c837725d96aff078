"""Point navigation: who knows the goal walks straight to it."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from adaptax.envs.point import REACHED, PointNavigation, SemicircleNavigation
from adaptax.references.base import Reference, references


@references.register
def _point(
    env: PointNavigation, tasks: Float[Array | np.ndarray, "N 2"], seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    """The oracle walks straight to the goal and stays just outside of it; `still` never moves.

    At the goal an episode ends and the next one begins at the origin: who arrives pays for the way once more, who stays
    at the edge pays a hundredth a step. It begins anew after `horizon` steps, as learners that reset each phase do.
    """
    del seed, split
    goals = np.abs(np.asarray(tasks, np.float64))
    edge = np.where(goals == goals.max(-1, keepdims=True), REACHED, 0.0)  # on the longer axis
    oracle = -np.linalg.norm(np.maximum(_walk(env, goals), edge), axis=-1).sum(0).mean()
    still = -env.horizon * np.linalg.norm(goals, axis=-1).mean()
    return Reference(None, {"oracle": float(oracle) * episodes, "still": float(still) * episodes})


@references.register
def _semicircle(
    env: SemicircleNavigation,
    tasks: Float[Array | np.ndarray, "N 2"],
    seed: int,
    episodes: int,
    split: str | None = "test",
) -> Reference:
    """The oracle walks straight to the goal and stays there, than which no walk is nearer in any step."""
    del seed, split
    goals = np.abs(np.asarray(tasks, np.float64))
    mean = lambda away: float(env.reward(jnp.asarray(away, float)).sum(0).mean()) * episodes
    oracle = mean(np.linalg.norm(_walk(env, goals), axis=-1))
    still = mean(np.tile(np.linalg.norm(goals, axis=-1), (env.horizon, 1)))
    return Reference(None, {"oracle": oracle, "still": still})


def straight_walk(env: PointNavigation, tasks: Float[Array | np.ndarray, "N 2"]) -> Float[np.ndarray, " N"]:
    """Return of one episode that walks straight to the goal on each axis and ends there."""
    left = _walk(env, np.abs(np.asarray(tasks, np.float64)))
    arrived = (left < REACHED).all(-1)
    going = np.cumsum(arrived, axis=0) - arrived == 0  # up to the step that arrives
    return -np.where(going, np.linalg.norm(left, axis=-1), 0.0).sum(0)


def _walk(env: PointNavigation | SemicircleNavigation, goals: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "T N 2"]:
    """What is left on each axis after each step."""
    return np.maximum(goals - env.speed * np.arange(1, env.horizon + 1)[:, None, None], 0.0)
