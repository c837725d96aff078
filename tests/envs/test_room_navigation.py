import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.config import replaced
from adaptax.envs.room_navigation import RoomNavigation
from adaptax.errors import ConfigError
from adaptax.references.maze import UNREACHABLE, steps_to
from lives import DOWN, LEFT, NOOP, RIGHT, UP, draw, rows, shown, walked

# The first goal above on the left of the middle room, the second below on the left of the left one.
TASK = np.array([[6, 2], [0, 0], [8, 0]], np.int32)
TO_FIRST, TO_SECOND, TO_THIRD = [LEFT, UP], [DOWN] + [LEFT] * 6 + [DOWN], [UP] + [RIGHT] * 8 + [DOWN]


def test_the_map():
    walls = RoomNavigation().walls
    assert ["".join(".#"[wall] for wall in line) for line in walls.astype(int)] == (
        ["...###...###...", "...............", "...###...###..."]
    )
    assert (~walls).sum() == 33  # three rooms of nine and two corridors of three, as the paper's code counts them
    env = RoomNavigation(room=5, corridor=2)
    assert env.width == 19 and (~env.walls).sum() == 3 * 25 + 2 * 2


def paid(*rewards: float) -> list[float]:
    return [float(np.float32(reward)) for reward in rewards]


def test_goals_pay_in_their_order():
    walk = walked(RoomNavigation(), TASK, TO_FIRST + TO_SECOND + TO_THIRD + [NOOP, UP])
    assert walk.first == 15 + 7 and walk.seen[[0, 1, 9, 19]].tolist() == [15 + 6, 30 + 6, 0, 8]
    assert walk.reward.tolist() == paid(-0.1, 1, *[-0.1] * 7, 10, *[-0.1] * 9, 100, 100, -0.1)
    assert not (walk.terminated | walk.truncated).any()


def test_goals_out_of_order_do_not_pay():
    walk = walked(RoomNavigation(horizon=7), TASK, [RIGHT, DOWN, NOOP, LEFT, LEFT, UP, UP])
    assert walk.reward.tolist() == paid(*[-0.1] * 6, 1)
    assert walk.truncated.tolist() == [False] * 6 + [True]
    walk = walked(RoomNavigation(), TASK, [*[LEFT] * 7, DOWN, UP, *[RIGHT] * 6, UP, NOOP])
    assert walk.reward.tolist() == paid(*[-0.1] * 15, 1, 1)  # the second came before the first


def test_walls_stop():
    walk = walked(RoomNavigation(), TASK, [UP, UP, RIGHT, RIGHT, DOWN, RIGHT, UP, DOWN])
    assert walk.seen.tolist() == [37, 37, 38, 38, 23, 24, 24, 24]


def test_there_are_48_tasks_and_48_others():
    env = RoomNavigation()
    known, across = draw(env, "train", 2000), draw(env, "ood", 2000)
    assert rows(known) == rows(env.all_tasks) == rows(draw(env, "test", 2000))
    assert len(rows(known)) == len(rows(across)) == 48 and not rows(known) & rows(across)
    for tasks, same_side in ((known, True), (across, False)):
        assert ((tasks[:, 0, 0] < 7) == (tasks[:, 1, 0] < 7)).all() == same_side
        assert (tasks[:, 0] != tasks[:, 2]).any(1).all()
        assert np.isin(tasks[:, [0, 2], 0], [6, 8]).all() and np.isin(tasks[:, 1, 0], [0, 2, 12, 14]).all()
        assert not env.task_problems(tasks[0])
    assert ((across[:, 0, 0] < 7) != (across[:, 1, 0] < 7)).all()


@pytest.mark.parametrize("env", [RoomNavigation(), RoomNavigation(room=5, corridor=1)])
def test_all_goals_can_be_reached(env):
    goals = env.all_tasks.reshape(-1, 2)
    steps = steps_to(np.broadcast_to(~env.walls, (len(goals), *env.walls.shape)), goals)
    assert steps[:, env.centre[1], env.centre[0]].max() < UNREACHABLE


def test_what_cannot_be():
    with pytest.raises(ConfigError, match="odd"):
        replaced(RoomNavigation(), {"room": 4}, "room-navigation")
    env = RoomNavigation()
    for wrong in (TASK + 20, np.array([[6, 2], [4, 0], [8, 0]]), TASK[[0, 1, 0]]):
        assert len(env.task_problems(wrong)) == 1


def test_features_and_picture():
    env = RoomNavigation()
    np.testing.assert_allclose(env.describe(jnp.asarray(TASK)), [-1 / 7, 1, -1, -1, 1 / 7, -1], atol=1e-6)
    assert shown(env, jnp.asarray(TASK), env.reset(jnp.asarray(TASK), jax.random.key(0))[0])[-3:] == ["1", "2", "3"]
