"""Dark rooms: the task is where the goal, or the key and the door, cannot be seen."""

from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from adaptax.core.env import Environment, TaskSplit
from adaptax.core.types import PRNGKey
from adaptax.envs.cells import MOVES, GridState, at, cells_of, mark, moved, one_of, spot
from adaptax.envs.splits import held_out
from adaptax.fields import Count, Range
from adaptax.ops.scene import Scene, cells
from adaptax.ops.spaces import Discrete, MultiDiscrete

Size = Annotated[int, Range(3, 100)]
Start = Literal["centre", "random"]


class DarkRoomTask(NamedTuple):
    """Where one begins and where the goal is (x, y)."""

    start: Int[Array, "2"]
    goal: Int[Array, "2"]


class DarkRoom(Environment):
    r"""An empty room with a goal that only the reward tells of.

    The agent moves by one cell: noop, up (y + 1), right (x + 1), down, left; a move into a wall does nothing. Each step
    that ends on the goal pays 1, any other nothing; nothing ends an episode but its `horizon`. The observation is where
    the agent is, (x, y), which a network reads as two one-hot vectors.

    Splits: `train`, `validation` and `test` draw the goal uniformly over all cells (kind `iid`: the protocol averages
    over all of them); in `ood` all episodes begin in one of the four corners, where the way is longest (none
    with `start` random, which begins there too).

    Known values (`adaptax.references`): by default a known goal returns 16.543 an episode, 15.062 if episodes begin
    anywhere. A step shows one cell at most, so n episodes find at most 20 n of the 81 goals; a search that finds
    so many is known, up to the 80 of n = 4. In a life of 8 episodes it returns 100.988, and no agent more than 102.654.

    Attributes:
        size: Cells on a side.
        horizon: Steps of an episode.
        start: Where the episodes of a life begin: in the `centre`, or in a `random` cell drawn with the task.
        tries: Episodes in a life.

    References:
        Laskin et al., 2022, "In-context reinforcement learning with algorithm distillation", arXiv:2210.14215.

    Differences from the paper:
        A life is 8 episodes, twice what a good search needs, not a learning history of hundreds. With `start` random
        all episodes of a life begin in the same cell.
    """

    size: Size = 9
    horizon: Count = 20
    start: Start = "centre"
    tries: Count = 8

    observation_space = property(lambda self: MultiDiscrete((self.size, self.size)))
    action_space = property(lambda self: Discrete(len(MOVES)))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: self.tries)

    @property
    def tasks(self) -> TaskSplit:
        """Goals anywhere; out of distribution from a corner."""
        rooms = cells_of(self.size, self.size)

        def draw(starts: np.ndarray, key: PRNGKey) -> DarkRoomTask:
            key_start, key_goal = jax.random.split(key)
            return DarkRoomTask(one_of(starts, key_start), one_of(rooms, key_goal))

        starts, corners = _starts(self.size, self.start), _corners(self.size)
        elsewhere = (lambda key: draw(corners, key)) if self.start == "centre" else None
        return TaskSplit.iid(lambda key: draw(starts, key), elsewhere)

    def task_problems(self, task: DarkRoomTask) -> list[str]:
        """Start and goal are cells of the room."""
        return _outside(task, self.size)

    def reset(self, task: DarkRoomTask, key: PRNGKey) -> tuple[GridState, Int[Array, "2"]]:
        """Back to the start."""
        del key
        return at(task.start), task.start

    def step(
        self, task: DarkRoomTask, state: GridState, action: Int[Array, ""], key: PRNGKey
    ) -> tuple[GridState, Int[Array, "2"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Moves by one cell."""
        del key
        position = jnp.clip(moved(state.position, action), 0, self.size - 1)
        time = state.time + 1
        reward = jnp.all(position == task.goal).astype(float)
        return GridState(position, time), position, reward, jnp.array(False), time >= self.horizon

    def describe(self, task: DarkRoomTask) -> Float[Array, "2"]:
        """The goal's coordinates, from -1 to 1; the start is seen."""
        return _scaled(task.goal, self.size)

    def render(self, task: DarkRoomTask, state: GridState) -> Scene:
        """The room and its goal."""
        marks = (mark(task.goal, "goal"), mark(state.position, "agent"))
        return cells(np.zeros((self.size, self.size), bool), marks, (spot(task.goal),))


class KeyDoorTask(NamedTuple):
    """Where one begins, and where key and door are (x, y)."""

    start: Int[Array, "2"]
    key: Int[Array, "2"]
    door: Int[Array, "2"]


class KeyDoorState(NamedTuple):
    """Where the agent is, whether it has the key, and steps taken."""

    position: Int[Array, "2"]
    has_key: Bool[Array, ""]
    time: Int[Array, ""]


class DarkKeyDoor(Environment):
    r"""An empty room with a key to be found first and then a door, both dark.

    Moves and observation are those of `DarkRoom`. The first step that ends on the key pays 1; a step that ends on the
    door with the key pays 1 and terminates the episode. Without the key the door is a cell like any other, and of what
    it holds the agent sees nothing: the reward tells.

    Splits: of all pairs of key and door, in different cells, told apart by a hash, eight tenths are for `train`, one
    for `validation`, one for `test` (kind `disjoint`); in `ood` all episodes begin in one of the four corners, with
    pairs of the test's tenth (none with `start` random).

    Known values (`adaptax.references`): by default, on average over all pairs, a life that goes straight to the key and
    on to the door in every episode returns 112.713, one that has to search for them in quarters of the room 94.278.
    Over the pairs of one split both are a little more or less.

    Attributes:
        size: Cells on a side.
        horizon: Longest episode, steps.
        start: Where the episodes of a life begin: in the `centre`, or in a `random` cell drawn with the task.
        tries: Episodes in a life, as long as the longest; who is through earlier gets more of them.

    References:
        Laskin et al., 2022, "In-context reinforcement learning with algorithm distillation", arXiv:2210.14215.

    Differences from the paper:
        As for `DarkRoom`; a life is 500 steps. Episodes begin in the centre, as in public re-implementations, and pairs
        are held out. Key and door are never in one cell.
    """

    size: Size = 9
    horizon: Count = 50
    start: Start = "centre"
    tries: Count = 10

    observation_space = property(lambda self: MultiDiscrete((self.size, self.size)))
    action_space = property(lambda self: Discrete(len(MOVES)))
    episode_steps = property(lambda self: self.horizon)
    episodes = property(lambda self: self.tries)

    @property
    def tasks(self) -> TaskSplit:
        """Pairs, some held out; out of distribution from a corner."""
        usual = self._split(_starts(self.size, self.start))
        return usual._replace(ood=self._split(_corners(self.size)).test) if self.start == "centre" else usual

    def _split(self, starts: np.ndarray) -> TaskSplit:
        """Pairs of key and door, and one of the starts."""
        rooms = cells_of(self.size, self.size)

        def draw(key: PRNGKey) -> KeyDoorTask:
            key_start, key_key, key_door = jax.random.split(key, 3)
            return KeyDoorTask(one_of(starts, key_start), one_of(rooms, key_key), one_of(rooms, key_door))

        differ = lambda task: jnp.any(task.key != task.door)
        return held_out(draw, lambda task: jnp.concatenate([task.key, task.door]), None, differ)

    def task_problems(self, task: KeyDoorTask) -> list[str]:
        """All are cells of the room; key and door differ."""
        same = ["key and door must be in different cells"] if np.array_equal(task.key, task.door) else []
        return _outside(task, self.size) + same

    def reset(self, task: KeyDoorTask, key: PRNGKey) -> tuple[KeyDoorState, Int[Array, "2"]]:
        """Back to the start, without the key."""
        del key
        return KeyDoorState(task.start, jnp.array(False), jnp.zeros((), jnp.int32)), task.start

    def step(
        self, task: KeyDoorTask, state: KeyDoorState, action: Int[Array, ""], key: PRNGKey
    ) -> tuple[KeyDoorState, Int[Array, "2"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """Moves by one cell; takes the key that is there, opens the door."""
        del key
        position = jnp.clip(moved(state.position, action), 0, self.size - 1)
        has_key = state.has_key | jnp.all(position == task.key)
        opened = has_key & jnp.all(position == task.door)
        reward = (has_key & ~state.has_key).astype(float) + opened.astype(float)
        after = KeyDoorState(position, has_key, state.time + 1)
        return after, position, reward, opened, (after.time >= self.horizon) & ~opened

    def describe(self, task: KeyDoorTask) -> Float[Array, "4"]:
        """The coordinates of key and door, from -1 to 1; the start is seen."""
        return _scaled(jnp.concatenate([task.key, task.door]), self.size)

    def render(self, task: KeyDoorTask, state: KeyDoorState) -> Scene:
        """The room, the key where it still lies, and the door."""
        lying = () if state.has_key else (mark(task.key, "key"),)
        marks = (*lying, mark(task.door, "door"), mark(state.position, "agent"))
        return cells(np.zeros((self.size, self.size), bool), marks, (spot(task.key), spot(task.door)))


def _starts(size: int, start: Start) -> Int[np.ndarray, "starts 2"]:
    """Where a life can begin."""
    return np.full((1, 2), size // 2, np.int32) if start == "centre" else cells_of(size, size)


def _corners(size: int) -> Int[np.ndarray, "4 2"]:
    """The four corners."""
    return (size - 1) * cells_of(2, 2)


def _outside(task: DarkRoomTask | KeyDoorTask, size: int) -> list[str]:
    """What lies outside the room."""
    out = [name for name, cell in task._asdict().items() if np.any((cell < 0) | (cell >= size))]
    return [f"the {name}'s coordinates must lie between 0 and {size - 1}" for name in out]


def _scaled(numbers: Int[Array, " F"], size: int) -> Float[Array, " F"]:
    """Coordinates from -1 to 1."""
    return 2.0 * numbers.astype(float) / (size - 1) - 1.0
