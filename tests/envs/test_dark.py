import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptax.envs.dark import DarkKeyDoor, DarkRoom, DarkRoomTask, KeyDoorTask
from lives import DOWN, LEFT, NOOP, RIGHT, UP, draw, rows, shown, walked


def cell(x: int, y: int):
    return jnp.array([x, y], jnp.int32)


def test_the_goal_pays_in_each_step_and_ends_nothing():
    env = DarkRoom(horizon=6)
    walk = walked(env, DarkRoomTask(cell(4, 4), cell(5, 5)), [UP, RIGHT, NOOP, LEFT, RIGHT, RIGHT])
    assert walk.first.tolist() == [4, 4] and walk.seen.tolist() == [[4, 5], [5, 5], [5, 5], [4, 5], [5, 5], [6, 5]]
    assert walk.reward.tolist() == [0, 1, 1, 0, 1, 0]
    assert not walk.terminated.any() and walk.truncated.tolist() == [False] * 5 + [True]


@given(st.lists(st.integers(0, 4), min_size=20, max_size=20))
def test_nobody_leaves_the_room(actions):
    walk = walked(DarkRoom(size=3), DarkRoomTask(cell(1, 1), cell(2, 0)), actions)
    places = np.vstack([walk.first, walk.seen])
    assert ((places >= 0) & (places < 3)).all() and (np.abs(np.diff(places, axis=0)).sum(1) <= 1).all()
    assert (walk.reward == (walk.seen == [2, 0]).all(1)).all()


def test_goals_are_uniform_and_episodes_begin_in_the_centre():
    tasks = draw(DarkRoom(), "train", 8100)
    assert (tasks.start == 4).all()
    counts = np.unique(tasks.goal, axis=0, return_counts=True)[1]
    assert len(counts) == 81 and ((counts - 100) ** 2 / 100).sum() < 124.8  # chi-square, 80 degrees, 0.1 %


@pytest.mark.parametrize("family", [DarkRoom, DarkKeyDoor])
def test_where_episodes_begin(family):
    assert len(rows(draw(family(size=3, start="random"), "test", 500).start)) == 9
    corners = np.unique(draw(family(size=5), "ood", 100).start, axis=0)
    assert corners.tolist() == [[0, 0], [0, 4], [4, 0], [4, 4]]


def test_the_key_opens_the_door():
    task = KeyDoorTask(cell(4, 4), cell(4, 5), cell(4, 6))
    walk = walked(DarkKeyDoor(horizon=3), task, [UP, NOOP, UP])
    assert walk.seen.tolist() == [[4, 5], [4, 5], [4, 6]]
    assert walk.reward.tolist() == [1, 0, 1]  # one gets the key but once
    assert walk.terminated.tolist() == [False, False, True] and not walk.truncated.any()


def test_without_the_key_the_door_is_a_cell_like_any_other():
    task = KeyDoorTask(cell(4, 4), cell(4, 3), cell(4, 5))
    walk = walked(DarkKeyDoor(horizon=5), task, [UP, NOOP, DOWN, DOWN, LEFT])
    assert walk.reward.tolist() == [0, 0, 0, 1, 0]
    assert not walk.terminated.any() and walk.truncated.tolist() == [False] * 4 + [True]


def test_a_key_at_the_start_takes_a_step():
    task = KeyDoorTask(cell(4, 4), cell(4, 4), cell(4, 5))
    assert walked(DarkKeyDoor(), task, [NOOP, UP]).reward.tolist() == [1, 1]


def test_each_pair_of_key_and_door_is_in_one_split():
    counts = {"train": 2000, "validation": 300, "test": 300}
    found = [draw(DarkKeyDoor(size=3), split, count) for split, count in counts.items()]
    pairs = [rows(np.concatenate([tasks.key, tasks.door], 1)) for tasks in found]
    assert sum(map(len, pairs)) == len(set.union(*pairs)) == 9 * 8
    held = draw(DarkKeyDoor(size=3), "ood", 300)
    assert rows(np.concatenate([held.key, held.door], 1)) == pairs[2]


def test_features_span_the_room():
    features = DarkKeyDoor().describe(KeyDoorTask(cell(4, 4), cell(0, 8), cell(4, 6)))
    np.testing.assert_allclose(features, [-1, 1, 0, 0.5])
    np.testing.assert_allclose(DarkRoom().describe(DarkRoomTask(cell(4, 4), cell(0, 8))), [-1, 1])


def test_cells_by_hand_are_checked():
    outside = DarkRoomTask(cell(4, 4), cell(9, 0))
    assert DarkRoom().task_problems(outside) == ["the goal's coordinates must lie between 0 and 8"]
    same = KeyDoorTask(*[cell(4, 4)] * 3)
    assert DarkKeyDoor().task_problems(same) == ["key and door must be in different cells"]


def test_pictures_show_what_the_agent_cannot_see():
    env, task = DarkKeyDoor(), KeyDoorTask(cell(4, 4), cell(4, 5), cell(0, 0))
    state, _ = env.reset(task, jax.random.key(0))
    after = env.step(task, state, jnp.asarray(UP), jax.random.key(0))[0]
    roles = [shown(env, task, now) for now in (state, after)]
    assert [r.count("key") for r in roles] == [1, 0]  # once taken it is gone
    assert all(r.count("door") == r.count("agent") == 1 and r.count("hidden") == 2 for r in roles)
    room, there = DarkRoom(), DarkRoomTask(cell(4, 4), cell(4, 5))
    assert shown(room, there, room.reset(there, jax.random.key(0))[0])[-3:] == ["hidden", "goal", "agent"]
