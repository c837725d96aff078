from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.envs.room_navigation import RoomNavigation, RoomState
from adaptax.references import references
from adaptax.references.room_navigation import rooms_optimal, rooms_oracle
from lives import draw


@pytest.mark.parametrize("env", [RoomNavigation(), RoomNavigation(room=5, corridor=2, horizon=70)])
def test_the_oracle_goes_straight_from_goal_to_goal(env):
    goals, half = env.all_tasks, env.room // 2
    along = np.abs(np.diff(goals[:, :, 0], axis=1))
    first, second, third = 2 * half, along[:, 0] + 2 * half, along[:, 1] + 2 * half  # through the door and to a corner
    there = env.horizon - first - second - third + 1
    by_the_way = 1.1 * (goals[:, 0, 1] == goals[:, 2, 1])  # the last leg may pass the first goal, which pays again
    returns = 1 + 10 + 100 * there - 0.1 * (first + second + third - 3) + by_the_way
    np.testing.assert_allclose(rooms_oracle(env, goals), returns)


def test_known_values():
    env = RoomNavigation()
    found = references(env, env.all_tasks, seed=0, episodes=1)
    assert f"{found.optimal:.1f}" == "2809.0" and f"{found.values['oracle']:.1f}" == "3376.6"
    # Having found all goals in the first episode, one goes straight from goal to goal in the second.
    assert rooms_optimal(env, 2) == pytest.approx(2809.0 + 3376.6)
    assert references(env, draw(env, "ood", 20), seed=0, episodes=1, split="ood").optimal is None


def test_too_large_rooms_have_no_values():
    env = RoomNavigation(room=51, corridor=50)
    assert references(env, env.all_tasks, seed=0, episodes=1) == (None, {})


@pytest.mark.parametrize(
    ("env", "episodes"), [(RoomNavigation(horizon=9, corridor=1), 1), (RoomNavigation(horizon=4), 3)]
)
def test_bayes_optimal_value_by_another_program(env, episodes):
    """Written as a game against chance: tasks are lists, and every step is one of the environment's."""
    tasks = env.all_tasks
    places = np.argwhere(~env.walls)[:, ::-1].astype(np.int32)

    def arrive(task, place, reached):
        state = RoomState(place, reached, jnp.zeros((), jnp.int32))
        after, _, reward, _, _ = env.step(task, state, jnp.zeros((), jnp.int32), jax.random.key(0))
        return reward, after.reached

    each = jax.vmap(jax.vmap(jax.vmap(arrive, (None, None, 0)), (None, 0, None)), (0, None, None))
    reward, reached = (np.asarray(x) for x in jax.jit(each)(tasks, places, jnp.arange(4, dtype=jnp.int32)))
    where = {tuple(place): i for i, place in enumerate(places.tolist())}
    begin = where[tuple(env.centre.tolist())]

    @lru_cache(None)
    def value(place: int, stage: int, belief: tuple[int, ...], left: int) -> float:
        if left == 0:
            return 0.0
        if left % env.horizon == 0:
            place, stage = begin, 0
        x, y = places[place].tolist()
        beside = {where.get((x + right, y + up), place) for right, up in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))}
        return max(after(to, stage, belief, left) for to in beside)

    def after(place: int, stage: int, belief: tuple[int, ...], left: int) -> float:
        seen = {}
        for task in belief:
            seen.setdefault((round(float(reward[task, place, stage]), 6), int(reached[task, place, stage])), []).append(
                task
            )
        return sum(
            len(tasks) / len(belief) * (paid + value(place, now, tuple(tasks), left - 1))
            for (paid, now), tasks in seen.items()
        )

    assert rooms_optimal(env, episodes) == pytest.approx(value(begin, 0, tuple(range(48)), episodes * env.horizon))
