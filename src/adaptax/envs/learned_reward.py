"""The tasks that learned rewards were studied on: a hidden goal in empty rooms, and objects of unknown worth."""

from functools import lru_cache
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey
from adaptax.envs.cells import MOVES, GridState, at, number_of
from adaptax.fields import Count, Range
from adaptax.ops.scene import Label, Scene, cells
from adaptax.ops.spaces import Discrete

STEPS = MOVES[1:]  # up, right, down, left
WORTH = ((-1.0, 1.0), (-0.5, 0.0), (0.0, 0.5))  # what the objects A, B and C are worth: from, to
Outcome = tuple[GridState, Int[Array, ""], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]


class RoomsTask(NamedTuple):
    """The goal's cell (x, y), and 1, or -1 where every move goes the opposite way."""

    goal: Int[Array, "2"]
    sign: Int[Array, ""]


class ObjectsTask(NamedTuple):
    """What A, B and C are worth, and 1, or -1 where every move goes the opposite way."""

    worth: Float[Array, "3"]
    sign: Int[Array, ""]


class EmptyRooms(Environment):
    r"""Rooms with one invisible goal, in the same place for a whole life.

    Square rooms in a square are joined by doors in the middle of their walls. The agent starts in the lower left cell
    and moves by one cell: up (y + 1), right (x + 1), down, left; a move into a wall does nothing. Reaching the goal
    pays 1 and ends the episode, any other step pays 0; an episode is cut after `horizon` steps. The observation is the
    cell's number, $y \cdot \mathrm{width} + x$. A life has as many steps as its episodes have at most: who finds the
    goal sooner finds it more often.

    Splits: `train`, `validation` and `test` draw the goal uniformly over the free cells but the start (kind `iid`:
    with 103 goals, all are in all splits); `ood` draws it alike and turns all moves round (up goes down, left goes
    right), as in `random-abc`: where to search is as before, how to get there is not.

    Known values (`adaptax.references`): by default, who knows a goal d steps away finds it 20,000 / d times, 2782.5
    on average; searching cell after cell, the nearest first, takes 124 steps at most, and earns 2777.9.

    Attributes:
        rooms: Rooms on a side.
        size: Cells on a side of a room.
        horizon: Longest episode, steps.
        tries: Episodes in a life, if none ends early.

    References:
        Zheng et al., 2020, "What can learned intrinsic rewards capture?", arXiv:1912.05500, section 4.1.

    Differences from the paper:
        It shows the rooms but gives neither their size nor the longest episode: four rooms of 5x5 cells and 100 steps
        are ours. Its lives have 200 episodes however long they are.
    """

    rooms: Annotated[int, Range(1, 30)] = 2
    size: Annotated[int, Range(2, 30)] = 5
    horizon: Count = 100
    tries: Count = 200

    width = property(lambda self: self.rooms * (self.size + 1) - 1, doc="Cells on a side of the house.")
    observation_space = property(lambda self: Discrete(self.width**2))
    action_space = property(lambda self: Discrete(len(STEPS)))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: self.tries)

    @property
    def walls(self) -> np.ndarray:
        """The cells `[y, x]` that cannot be entered."""
        return _walls(self.rooms, self.size)

    @property
    def goals(self) -> np.ndarray:
        """The cells (x, y) that a goal can be in, `[G, 2]`."""
        return np.argwhere(~self.walls.T)[1:].astype(np.int32)  # the first is the start

    @property
    def tasks(self) -> TaskSplit:
        """Goals in any free cell but the start; out of distribution all moves are turned round."""

        def sample(key: PRNGKey, sign: int) -> RoomsTask:
            goals = jnp.asarray(self.goals)
            return RoomsTask(goals[jax.random.randint(key, (), 0, len(goals))], jnp.array(sign, jnp.int32))

        return TaskSplit.iid(lambda key: sample(key, 1), lambda key: sample(key, -1))

    def task_problems(self, task: RoomsTask) -> list[str]:
        """A goal is a free cell; moves go one way or the other."""
        x, y = task.goal
        inside = min(x, y) >= 0 and max(x, y) < self.width
        wrong = [] if inside and not self.walls[y, x] else ["the goal must be a free cell of the house"]
        return wrong + _sign_problems(task.sign)

    def reset(self, task: RoomsTask, key: PRNGKey) -> tuple[GridState, Int[Array, ""]]:
        """Back to the start."""
        del task, key
        return _enter((0, 0), self.width)

    def step(self, task: RoomsTask, state: GridState, action: Int[Array, ""], key: PRNGKey) -> Outcome:
        """Moves by one cell, unless there is a wall."""
        del key
        target = _ahead(state, action, task.sign, self.width)
        wall = jnp.asarray(self.walls)[target[1], target[0]]
        state = GridState(jnp.where(wall, state.position, target), state.time + 1)
        found = jnp.all(state.position == task.goal)
        truncated = (state.time >= self.horizon) & ~found
        return state, number_of(state.position, self.width), found.astype(float), found, truncated

    def describe(self, task: RoomsTask) -> Float[Array, "3"]:
        """The goal's coordinates, from -1 to 1, and which way moves go."""
        return jnp.append(2.0 * task.goal.astype(float) / (self.width - 1) - 1.0, task.sign.astype(float))

    def render(self, task: RoomsTask, state: GridState) -> Scene:
        """The house, its goal and the agent."""
        x, y = (int(number) for number in state.position)
        return cells(self.walls, ((x, y, "agent"),), ((int(task.goal[0]), int(task.goal[1])),))


class RandomABC(Environment):
    r"""Three objects of unknown worth, the same for a whole life; an episode collects one of them.

    The agent starts in the middle of a square and moves by one cell: up (y + 1), right (x + 1), down, left; a move
    off the grid does nothing. The objects lie in three corners: A upper right, B lower left, C lower right. Reaching
    one pays what it is worth and ends the episode, any other step pays 0; an episode is cut after `horizon` steps.
    The observation is the cell's number, $y \cdot \mathrm{size} + x$.

    A task is drawn as $A \sim U[-1, 1]$, $B \sim U[-0.5, 0]$, $C \sim U[0, 0.5]$: B is never worth a visit, A must be
    tried even though it is worth nothing on average, and then the better of A and C is to be kept to.

    Splits: `train`, `validation` and `test` are fresh draws from the same distribution (kind `iid`); `ood` draws
    worths alike and turns all moves round (up goes down, left goes right), as the paper does in its section 4.5 to
    tell knowing what to do from knowing how.

    Known values (`adaptax.references`): the objects are 4 steps away, so the 500 steps of a life can collect 125. Who
    knows their worth collects $E \max(A, C) = 19/48 = 0.3958$ each time, 49.479 in all; a Bayes-optimal agent 49.066.

    Attributes:
        size: Cells on a side, an odd number.
        horizon: Longest episode, steps.
        tries: Episodes in a life, if none ends early.

    References:
        Zheng et al., 2020, "What can learned intrinsic rewards capture?", arXiv:1912.05500, sections 4.2 and 4.5.

    Differences from the paper:
        It gives neither the size of the grid nor the lengths of an episode and of a life: 5x5 cells, 10 steps and 50
        episodes are ours. Its ABC that changes during a life is not built: a state does not outlive its episode.
    """

    size: Annotated[int, Range(3, 1001)] = 5
    horizon: Count = 10
    tries: Count = 50

    observation_space = property(lambda self: Discrete(self.size**2))
    action_space = property(lambda self: Discrete(len(STEPS)))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: self.tries)

    @property
    def corners(self) -> np.ndarray:
        """The cells (x, y) of A, B and C, `[3, 2]`."""
        end = self.size - 1
        return np.array([(end, end), (0, 0), (end, 0)], np.int32)

    @property
    def tasks(self) -> TaskSplit:
        """Worths from their ranges; out of distribution all moves are turned round."""
        low, high = np.array(WORTH, np.float32).T

        def sample(key: PRNGKey, sign: int) -> ObjectsTask:
            worth = jax.random.uniform(key, (3,), minval=low, maxval=high)
            return ObjectsTask(worth, jnp.array(sign, jnp.int32))

        return TaskSplit.iid(lambda key: sample(key, 1), lambda key: sample(key, -1))

    def problems(self) -> list[str]:
        """All corners are equally far, and can be reached."""
        middle = [] if self.size % 2 else [f"size must be odd, so that there is a middle: {self.size} is not"]
        far = [] if self.horizon >= self.size - 1 else [f"horizon must be at least size - 1 = {self.size - 1}"]
        return middle + far

    def task_problems(self, task: ObjectsTask) -> list[str]:
        """Moves go one way or the other."""
        return _sign_problems(task.sign)

    def reset(self, task: ObjectsTask, key: PRNGKey) -> tuple[GridState, Int[Array, ""]]:
        """Back to the middle."""
        del task, key
        return _enter((self.size // 2, self.size // 2), self.size)

    def step(self, task: ObjectsTask, state: GridState, action: Int[Array, ""], key: PRNGKey) -> Outcome:
        """Moves by one cell, and collects what is there."""
        del key
        state = GridState(_ahead(state, action, task.sign, self.size), state.time + 1)
        here = jnp.all(state.position[None] == jnp.asarray(self.corners), -1)
        reward = jnp.sum(jnp.where(here, task.worth, 0.0))
        truncated = (state.time >= self.horizon) & ~jnp.any(here)
        return state, number_of(state.position, self.size), reward, jnp.any(here), truncated

    def describe(self, task: ObjectsTask) -> Float[Array, "4"]:
        """The worths, and which way moves go."""
        return jnp.append(task.worth, task.sign.astype(float))

    def render(self, task: ObjectsTask, state: GridState) -> Scene:
        """The grid, its objects with their worth, and the agent."""
        x, y = (int(number) for number in state.position)
        places = [(int(i), int(j)) for i, j in self.corners]
        scene = cells(np.zeros((self.size, self.size), bool), ((x, y, "agent"),), tuple(places))
        named = zip("ABC", task.worth, places, strict=True)
        labels = [Label(i + 0.5, j + 0.5, f"{name} {float(worth):.2f}") for name, worth, (i, j) in named]
        return scene._replace(shapes=(*scene.shapes, *labels))


@lru_cache
def _walls(rooms: int, size: int) -> np.ndarray:
    """Which cells of a house `[y, x]` are walls; the doors are in the middle of the walls between two rooms."""
    place = np.arange(rooms * (size + 1) - 1) % (size + 1)
    between, middle = place == size, place == size // 2
    return (between[:, None] & ~middle) | (between & ~middle[:, None])


def _enter(cell: tuple[int, int], width: int) -> tuple[GridState, Int[Array, ""]]:
    """An episode that begins in a cell."""
    state = at(jnp.array(cell, jnp.int32))
    return state, number_of(state.position, width)


def _ahead(state: GridState, action: Int[Array, ""], sign: Int[Array, ""], width: int) -> Int[Array, "2"]:
    """The cell that a move leads to."""
    return jnp.clip(state.position + sign * jnp.asarray(STEPS, jnp.int32)[action], 0, width - 1)


def _sign_problems(sign: Int[Array | np.ndarray, ""]) -> list[str]:
    """What is wrong with which way moves go."""
    return [] if abs(sign) == 1 else ["sign must be 1, or -1 where moves go the opposite way"]
