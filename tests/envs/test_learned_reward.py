import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptax.envs.learned_reward import EmptyRooms, ObjectsTask, RandomABC, RoomsTask

UP, RIGHT, DOWN, LEFT = range(4)
HOUSE = [".....", "..#..", "#.##.", ".....", "..#.."]  # rooms of 2x2, the doors at their upper and right cells
ROOMS, OBJECTS = EmptyRooms(size=2, horizon=12), RandomABC()


def rooms_task(goal: tuple[int, int], sign: int = 1) -> RoomsTask:
    return RoomsTask(jnp.array(goal), jnp.array(sign))


def objects_task(sign: int = 1) -> ObjectsTask:
    return ObjectsTask(jnp.array([-0.7, -0.3, 0.4]), jnp.array(sign))


@eqx.filter_jit
def walk(env, task, actions):
    """Cells, rewards, terminations and truncations of a walk from the start."""

    def move(state, action):
        state, *seen = env.step(task, state, action, jax.random.key(0))
        return state, seen

    return jax.lax.scan(move, env.reset(task, jax.random.key(0))[0], actions)[1]


def lived(env, task, actions: list[int]) -> tuple[list[int], list[float], list[bool], list[bool]]:
    cells, rewards, terminated, truncated = walk(env, task, jnp.array(actions))
    return cells.tolist(), [round(x, 5) for x in rewards.tolist()], terminated.tolist(), truncated.tolist()


def test_rooms_are_joined_by_doors_in_the_middle_of_their_walls():
    assert ["".join(".#"[int(wall)] for wall in row) for row in ROOMS.walls[::-1]] == HOUSE
    walls = EmptyRooms().walls
    assert walls.shape == (11, 11) and (~walls).sum() == 4 * 25 + 4
    assert not walls[2, 5] and not walls[5, 8] and walls[5, 5]


@given(st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_walks_lead_through_free_cells_next_to_each_other(actions):
    cells, _, _, truncated = lived(ROOMS, rooms_task((4, 4)), actions)
    y, x = np.divmod([0, *cells], ROOMS.width)
    assert not ROOMS.walls[y, x].any()
    assert (np.abs(np.diff(x)) + np.abs(np.diff(y)) <= 1).all()
    assert cells[-1] == 24 or truncated.index(True) == 11


def test_the_goal_pays_once_and_ends_the_episode():
    cells, rewards, terminated, truncated = lived(ROOMS, rooms_task((1, 2)), [LEFT, RIGHT, UP, RIGHT, LEFT, UP])
    assert cells == [0, 1, 6, 7, 6, 11]
    assert rewards == [0, 0, 0, 0, 0, 1]
    assert terminated == [False] * 5 + [True] and not any(truncated)


@pytest.mark.parametrize("corner", [(4, (UP, RIGHT)), (0, (DOWN, LEFT)), (2, (DOWN, RIGHT))])
def test_objects_lie_in_corners_and_end_the_episode(corner):
    _, (one, other) = corner
    _, rewards, terminated, truncated = lived(OBJECTS, objects_task(), [one, one, other, other])
    worth = {(UP, RIGHT): -0.7, (DOWN, LEFT): -0.3, (DOWN, RIGHT): 0.4}[one, other]
    assert rewards == [0, 0, 0, worth] and terminated == [False] * 3 + [True] and not any(truncated)


def test_the_fourth_corner_is_empty_and_time_ends_an_episode():
    _, rewards, terminated, truncated = lived(OBJECTS, objects_task(), [UP, LEFT] * 5)
    assert not any(rewards) and not any(terminated) and truncated == [False] * 9 + [True]


@given(st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_turned_round_every_move_goes_the_opposite_way(actions):
    opposite = [(action + 2) % 4 for action in actions]
    assert lived(OBJECTS, objects_task(), actions) == lived(OBJECTS, objects_task(-1), opposite)


def draw(env, split: str):
    keys = jax.random.split(jax.random.key(0), 4000)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(env.tasks.sampler(split)))(keys))


def test_goals_are_uniform_over_the_free_cells_but_the_start():
    goals, counts = np.unique(draw(ROOMS, "train").goal, axis=0, return_counts=True)
    assert sorted(goals.tolist()) == sorted(ROOMS.goals.tolist()) and len(goals) == 19
    np.testing.assert_allclose(counts, 4000 / 19, atol=60)
    assert (draw(ROOMS, "test").sign == 1).all() and (draw(ROOMS, "ood").sign == -1).all()


def test_worths_fill_their_ranges():
    worth = draw(OBJECTS, "test").worth
    for column, (low, high) in zip(worth.T, [(-1, 1), (-0.5, 0), (0, 0.5)], strict=True):
        np.testing.assert_allclose(np.quantile(column, [0, 0.5, 1]), [low, (low + high) / 2, high], atol=0.05)
        assert column.min() >= low and column.max() <= high


def test_features_tell_the_task():
    np.testing.assert_allclose(ROOMS.describe(rooms_task((0, 4), -1)), [-1, 1, -1])
    np.testing.assert_allclose(OBJECTS.describe(objects_task()), [-0.7, -0.3, 0.4, 1])


def test_what_is_wrong_is_said():
    assert RandomABC(size=4).problems() == ["size must be odd, so that there is a middle: 4 is not"]
    assert RandomABC(size=7, horizon=5).problems() == ["horizon must be at least size - 1 = 6"]
    wrong = lambda goal, sign: ROOMS.task_problems(jax.tree.map(np.asarray, rooms_task(goal, sign)))
    assert [len(wrong(*given)) for given in (((2, 2), 3), ((5, 0), 1), ((4, 1), -1))] == [2, 1, 0]


@pytest.mark.parametrize(("env", "task", "hidden"), [(ROOMS, rooms_task((4, 1)), 1), (OBJECTS, objects_task(), 3)])
def test_pictures_show_what_is_hidden(env, task, hidden):
    scene = env.render(task, env.reset(task, jax.random.key(0))[0])
    roles = [getattr(shape, "role", None) for shape in scene.shapes]
    assert roles.count("hidden") == hidden and roles.count("agent") == 1
