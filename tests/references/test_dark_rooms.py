import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.envs.cells import MOVES, cells_of
from adaptax.envs.dark import DarkKeyDoor, DarkRoom, DarkRoomTask, KeyDoorTask
from adaptax.references import dark, references
from adaptax.references.grid import steps_on_goal, steps_on_goal_bound, steps_there
from lives import draw, lived


def toward(target, position):
    """Along x first."""
    x, y = target - position
    return jnp.where(x > 0, 2, jnp.where(x < 0, 4, jnp.where(y > 0, 1, jnp.where(y < 0, 3, 0))))


def all_goals(size: int, start: tuple[int, int]) -> DarkRoomTask:
    goals = jnp.asarray(cells_of(size, size))
    return DarkRoomTask(jnp.broadcast_to(jnp.array(start, jnp.int32), goals.shape), goals)


def test_dark_room_oracle_from_the_centre_and_from_anywhere():
    env = DarkRoom()
    centre = references(env, all_goals(9, (4, 4)), seed=0, episodes=1)
    assert f"{centre.values['oracle']:.3f}" == "16.543"
    from_cell = [references(env, all_goals(9, (x, y)), 0, 1).values["oracle"] for x, y in cells_of(9, 9).tolist()]
    assert f"{np.mean(from_cell):.3f}" == "15.062"


def test_the_sweep_finds_as_many_goals_as_can_be_found():
    np.testing.assert_allclose(81 * dark.sweep_found(9, 20, 6), [20, 40, 60, 80, 81, 81])
    np.testing.assert_allclose(25 * dark.sweep_found(5, 6, 6), [6, 12, 18, 24, 25, 25])
    assert 100 * dark.sweep_found(10, 20, 8)[-1] == 100  # a room without a middle cell


@pytest.mark.parametrize(("size", "start"), [(9, (4, 4)), (9, (0, 0)), (6, (3, 3)), (4, (1, 3))])
def test_the_sweep_walks(size, start):
    met = sorted(dark.sweep(size, 20, 12, start).items(), key=lambda entry: entry[1])
    assert len(met) == size**2
    for (cell, step), (after, later) in itertools.pairwise(met):
        begin = start if (step - 1) // 20 < (later - 1) // 20 else cell
        since = later - 20 * ((later - 1) // 20) if begin == start else later - step
        assert sum(np.abs(np.subtract(after, begin))) <= since


@pytest.mark.parametrize(("size", "episodes"), [(9, 3), (5, 6)])
def test_dark_room_values_are_what_the_environment_pays(size, episodes):
    """Each step of these sweeps shows a new cell, so the sweep is a walk from cell to cell."""
    half = size // 2
    env, tasks = DarkRoom(size=size, horizon=half * (half + 1)), all_goals(size, (half, half))
    walk = jnp.array(list(dark.sweep(size, env.horizon, episodes, (half, half))), jnp.int32)
    walk = jnp.concatenate([walk, jnp.full((env.horizon * episodes - len(walk), 2), half, jnp.int32)])
    straight = lived(env, tasks, tasks.goal, lambda goal, state: toward(goal, state.position), env.horizon * episodes)

    def searching(task):
        def move(now, target):
            state, found = now
            target = jnp.where(found, task.goal, target)
            state, _, reward, _, truncated = env.step(task, state, toward(target, state.position), jax.random.key(0))
            begin = env.reset(task, jax.random.key(0))[0]
            return (jax.tree.map(lambda x, y: jnp.where(truncated, x, y), begin, state), found | (reward > 0)), reward

        return jax.lax.scan(move, (env.reset(task, jax.random.key(0))[0], jnp.array(False)), walk)[1].sum()

    swept = jax.jit(jax.vmap(searching))(tasks)
    values = references(env, tasks, seed=0, episodes=episodes).values
    assert values == {"oracle": pytest.approx(straight.mean()), "sweep": pytest.approx(float(swept.mean()))}


def test_small_dark_rooms_against_all_walks():
    """In 3x3 cells with two episodes of four steps, every walk is lived in the environment itself."""
    env, tasks = DarkRoom(size=3, horizon=4, tries=2), all_goals(3, (1, 1))
    walks = jnp.array(list(itertools.product(range(5), repeat=4)))

    def rewards(task, actions):
        def move(state, action):
            state, _, reward, _, _ = env.step(task, state, action, jax.random.key(0))
            return state, reward

        return jax.lax.scan(move, env.reset(task, jax.random.key(0))[0], actions)[1]

    earned = jax.jit(jax.vmap(lambda task: jax.vmap(lambda walk: rewards(task, walk))(walks)))(tasks)
    paid = np.any(earned, -1)
    first = np.where(paid, 4 - np.argmax(earned, -1), 0)  # having found it, one stays
    known = steps_there(np.abs(np.asarray(tasks.goal) - 1).sum(1), 4)[:, None]
    best = max((first[:, i] + np.where(paid[:, [i]], known, first).T).mean(1).max() for i in range(len(walks)))
    assert references(env, tasks, seed=0, episodes=2).optimal == pytest.approx(best)


def test_optimum_between_sweep_and_oracle():
    env = DarkRoom(size=5, horizon=8, tries=3)
    found = references(env, all_goals(5, (2, 2)), seed=0, episodes=3)
    assert found.optimal is not None and found.values["sweep"] <= found.optimal < found.values["oracle"]
    for split, other in (("ood", env), ("test", DarkRoom(size=5, start="random")), ("test", DarkRoom())):
        assert references(other, draw(other, split, 10), seed=0, episodes=3, split=split).optimal is None
    assert steps_on_goal(9, 20, 1, 40, np.arange(81)) is None
    assert steps_on_goal_bound(5, 8, 3, 12, np.arange(25)) >= found.optimal


def test_the_optimum_of_the_large_room_lies_between_two_near_numbers():
    found = references(DarkRoom(), all_goals(9, (4, 4)), seed=0, episodes=8)
    assert found.optimal is None and f"{found.values['sweep']:.3f}" == "100.988"
    assert f"{steps_on_goal_bound(9, 20, 8, 40, np.arange(81)):.3f}" == "102.654"


def test_key_door_values_averaged_over_all_pairs():
    cells = cells_of(9, 9)
    key, door = (jnp.asarray(cells[index]) for index in np.nonzero(~np.eye(81, dtype=bool)))
    found = references(DarkKeyDoor(), KeyDoorTask(jnp.full_like(key, 4), key, door), seed=0, episodes=10)
    assert {name: f"{value:.3f}" for name, value in found.values.items()} == {"oracle": "112.713", "sweep": "94.278"}


@pytest.mark.parametrize("env", [DarkKeyDoor(), DarkKeyDoor(size=4, horizon=7, start="random")])
def test_key_door_oracle_is_what_the_environment_pays(env):
    tasks = draw(env, "test", 50)
    policy = lambda task, state: toward(jnp.where(state.has_key, task.door, task.key), state.position)
    returns = lived(env, tasks, tasks, policy, 3 * env.horizon)
    assert references(env, tasks, seed=0, episodes=3).values["oracle"] == pytest.approx(returns.mean())


class Searcher:
    """A key-door agent that lives in the environment: it sees its cell and its reward, and sweeps."""

    def __init__(self, env: DarkKeyDoor, start: tuple[int, int]) -> None:
        self.size, self.start, self.key, self.door = env.size, start, None, None
        self.seen, self.tried = {}, {}
        self.begin()

    def begin(self) -> None:
        self.cell, self.has_key = self.start, False

    def act(self) -> int:
        if not self.key:
            target = self._next(self.start, [*dark._tour(self.size, self.start)], self.seen)  # pyright: ignore
        elif not self.has_key:
            target = self.key
        else:
            target = self.door or self._next(self.key, dark._tour(self.size, self.key)[:-1], self.tried)  # pyright: ignore
        self.went = dark._toward(self.cell, target)  # pyright: ignore[reportPrivateUsage]
        return MOVES.index(tuple(np.subtract(self.went, self.cell)))

    def _next(self, otherwise, order, seen):
        return next((cell for cell in order if cell not in seen), otherwise)

    def observe(self, reward: float) -> None:
        self.cell = self.went
        if self.has_key:
            self.tried[self.cell] = True
            self.door = self.cell if reward else self.door
        else:
            self.seen[self.cell] = True
            self.key, self.has_key = (self.cell, True) if reward else (self.key, False)


def test_key_door_sweep_is_what_the_environment_pays():
    env = DarkKeyDoor(size=4, horizon=9)
    tasks = draw(env, "train", 12)
    step = jax.jit(lambda task, state, action: env.step(task, state, action, jax.random.key(0)))
    total = 0.0
    for i in range(12):
        task = KeyDoorTask(*(jnp.asarray(x[i]) for x in tasks))
        state, _ = env.reset(task, jax.random.key(0))
        agent = Searcher(env, (2, 2))
        for _ in range(6 * env.horizon):
            state, _, reward, terminated, truncated = step(task, state, jnp.asarray(agent.act()))
            agent.observe(float(reward))
            total += float(reward)
            if terminated or truncated:
                state, _ = env.reset(task, jax.random.key(0))
                agent.begin()
    values = references(env, tasks, seed=0, episodes=6).values
    assert values["sweep"] == pytest.approx(total / 12)
    assert values["sweep"] < values["oracle"]
