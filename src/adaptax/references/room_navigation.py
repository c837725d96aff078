"""Room navigation: exact values for who knows the goals, and for who has to find them."""

from functools import lru_cache
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from adaptax.core.env import in_training
from adaptax.envs.cells import MOVES, cells_of
from adaptax.envs.room_navigation import GOAL_REWARDS, RoomNavigation, RoomState
from adaptax.references.base import Reference, references

STAY = 0  # the action that leads to the cell where one is
MAX_CELLS = 500  # of a map: beyond, there is more to know than can be looked at in seconds
BRANCHES = 3  # a cell holds the first goal, the third or none; or the second or none


@references.register
def _rooms(
    env: RoomNavigation, tasks: Int[Array | np.ndarray, "N 3 2"], seed: int, episodes: int, split: str | None = "test"
) -> Reference:
    """The oracle knows the goals; the optimum finds them as fast as can be expected. Neither for large maps."""
    del seed
    if env.width * env.room > MAX_CELLS:
        return Reference(None, {})
    optimal = rooms_optimal(env, episodes) if in_training(split) else None
    different, which = np.unique(np.asarray(tasks), axis=0, return_inverse=True)
    return Reference(optimal, {"oracle": float(rooms_oracle(env, different)[which].mean()) * episodes})


class _Model(NamedTuple):
    """The rules of the rooms, read off the environment itself. The number of goals reached is r."""

    start: int
    beside: np.ndarray  # [cells, actions] where each move leads
    reward: np.ndarray  # [tasks, r, cells] for a step that ends there
    reached: np.ndarray  # [tasks, r, cells] after it


@eqx.filter_jit
def _arrivals(env: RoomNavigation, tasks: Array, cells: Array) -> tuple[Array, Array, Array]:
    """What each move from each cell leads to, for each number of goals reached: `[tasks, r, cells, actions]`."""

    def arrive(task: Array, reached: Array, cell: Array, action: Array) -> tuple[Array, Array, Array]:
        state = RoomState(cell, reached, jnp.zeros((), jnp.int32))
        after, number, reward, _, _ = env.step(task, state, action, jax.random.key(0))
        return number, reward, after.reached

    every = arrive
    for axis in ((None, None, None, 0), (None, None, 0, None), (None, 0, None, None), (0, None, None, None)):
        every = jax.vmap(every, axis)
    actions = jnp.arange(len(MOVES), dtype=jnp.int32)
    return every(tasks, jnp.arange(len(GOAL_REWARDS) + 1, dtype=jnp.int32), cells, actions)


def _model(env: RoomNavigation, tasks: Int[np.ndarray, "N 3 2"]) -> _Model:
    """The model for tasks given."""
    found = _arrivals(env, jnp.asarray(tasks), jnp.asarray(cells_of(env.width, env.room)))
    number, reward, reached = (np.asarray(x) for x in found)
    start = int(env.centre[1]) * env.width + int(env.centre[0])
    paid = reward[..., STAY].astype(float).round(6)  # as written, without float32's error
    return _Model(start, number[0, 0], paid, reached[..., STAY])


def rooms_oracle(env: RoomNavigation, tasks: Int[np.ndarray, "N 3 2"]) -> Float[np.ndarray, " N"]:
    """Return of an episode for who knows the goals, by backward induction over (goals reached, cell)."""
    model = _model(env, tasks)
    value, places = np.zeros_like(model.reward), np.arange(env.width * env.room)
    for _ in range(env.horizon):
        worth = model.reward + value[np.arange(len(tasks))[:, None, None], model.reached, places]  # of ending there
        value = worth[..., model.beside].max(-1)
    return value[:, 0, model.start]


@lru_cache
def rooms_optimal(env: RoomNavigation, episodes: int) -> float:
    r"""The Bayes-optimal return of a life: the most that can be expected of who knows the rules but not the goals.

    All is deterministic, so what an agent knows is the set of tasks that would have paid as it was paid. With t steps
    left, in cell c after r goals, believing in the set B,
    $V_t(c, r, B) = \max_a \sum_{r'} \frac{|B'|}{|B|} (\rho + V_{t-1}(c', r', B'))$, where $B' \subseteq B$ are the
    tasks that pay $\rho$ for arriving in c'. Sets that cannot come up are never looked at.
    """
    nodes = _Nodes.of(_model(env, env.all_tasks))
    value = np.zeros(len(nodes.again))
    for left in range(episodes * env.horizon):
        later = value[nodes.again] if left % env.horizon == 0 else value  # the step after this one begins an episode
        value = (nodes.reward + (nodes.chance * later[nodes.after]).sum(-1)).max(-1)
    return float(value[0])


class _Nodes(NamedTuple):
    """All (cell, goals reached, belief) that can come up; the first is the beginning of the life."""

    reward: np.ndarray  # [nodes, actions] expected
    after: np.ndarray  # [nodes, actions, 3] nodes that may follow
    chance: np.ndarray  # [nodes, actions, 3]
    again: np.ndarray  # [nodes] the beginning of an episode with that belief

    @staticmethod
    def of(model: _Model) -> "_Nodes":
        outcomes, begin = _outcomes(model), (model.start, 0, 2 ** len(model.reward) - 1)
        number, known, rows, again = {begin: 0}, [begin], [], []

        def numbered(node: tuple[int, int, int]) -> int:
            if node not in number:
                number[node] = len(known)
                known.append(node)
            return number[node]

        for cell, reached, belief in known:  # grows as it is read
            again.append(numbered((model.start, 0, belief)))
            for to in model.beside[cell].tolist():
                found = [(rho, after, belief & tasks) for rho, after, tasks in outcomes[reached][to] if belief & tasks]
                shares = [
                    (b.bit_count() / belief.bit_count(), rho, numbered((to, after, b))) for rho, after, b in found
                ]
                rows.append(shares + [(0.0, 0.0, 0)] * (BRANCHES - len(shares)))
        chance, reward, after = np.moveaxis(np.array(rows).reshape(len(known), -1, BRANCHES, 3), -1, 0)
        return _Nodes((chance * reward).sum(-1), after.astype(int), chance, np.array(again))


def _outcomes(model: _Model) -> list[list[list[tuple[float, int, int]]]]:
    """By goals reached and cell: what arriving there can pay, the goals reached then, and in which tasks, as bits."""

    def of_cell(reward: np.ndarray, reached: np.ndarray) -> list[tuple[float, int, int]]:
        bits = [1 << task for task in range(len(reward))]
        pairs = list(zip(reward.tolist(), reached.tolist(), strict=True))
        return [(*pair, sum(b for b, other in zip(bits, pairs, strict=True) if other == pair)) for pair in set(pairs)]

    _, stages, places = model.reward.shape
    return [[of_cell(model.reward[:, r, c], model.reached[:, r, c]) for c in range(places)] for r in range(stages)]
