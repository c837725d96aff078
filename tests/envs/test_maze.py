import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptax.config import replaced
from adaptax.envs.maze import ROOM, Maze, MazeTask
from adaptax.errors import ConfigError
from adaptax.references.maze import UNREACHABLE, maze_ways, steps_to
from lives import DOWN, LEFT, NOOP, RIGHT, UP, draw, rows, shown, walked

SIZES = [(3, "tree"), (5, "tree"), (2, "rooms")]

# The goal is straight above the start, behind a wall; y grows upwards.
BY_HAND = """
#######
#G....#
#####.#
#S....#
#######
#######
#######
"""


def by_hand() -> MazeTask:
    lines = BY_HAND.split()[::-1]
    find = lambda letter: next((x, y) for y, line in enumerate(lines) for x, sign in enumerate(line) if sign == letter)
    walls = np.array([[sign == "#" for sign in line] for line in lines])
    return MazeTask(jnp.asarray(walls), jnp.array(find("S"), jnp.int32), jnp.array(find("G"), jnp.int32))


@given(st.sampled_from(SIZES), st.integers(0, 3), st.sampled_from(["test", "ood"]))
def test_all_mazes_can_be_solved(size, seed, split):
    rooms, layout = size
    env = Maze(rooms=rooms, layout=layout, apart=2)
    tasks = draw(env, split, 100, seed)
    free, ways = ~tasks.walls, maze_ways(tasks)
    assert (ways >= 2 * (ROOM[layout] + 1)).all()  # two rooms on
    assert ((steps_to(free, tasks.goal) < UNREACHABLE) == free).all()  # no cell is cut off
    assert not any(tasks.walls[i, y, x] for i, (x, y) in enumerate(tasks.start))
    there = rooms + (split == "ood")
    assert (free.sum((1, 2)) == there**2 * ROOM[layout] ** 2 + there**2 - 1).all()  # rooms, and the doors of a tree
    assert ways.max() <= env.episode_steps / 2
    assert not env.task_problems(jax.tree.map(lambda x: x[0], tasks))


def test_corridors_have_no_loops():
    free = ~draw(Maze(), "ood", 500).walls
    joints = (free[:, 1:] & free[:, :-1]).sum((1, 2)) + (free[:, :, 1:] & free[:, :, :-1]).sum((1, 2))
    assert (joints == free.sum((1, 2)) - 1).all()


def test_three_rooms_on_a_side_have_192_trees_each_in_one_split():
    counts = {"train": 4000, "validation": 500, "test": 500}
    drawn = [rows(draw(Maze(rooms=3), split, count).walls) for split, count in counts.items()]
    assert len(set.union(*drawn)) == sum(map(len, drawn)) == 192
    assert 130 < len(drawn[0]) < 175


def test_no_maze_of_the_test_is_trained_on():
    train, test = rows(draw(Maze(), "train", 4000).walls), rows(draw(Maze(), "test", 500).walls)
    assert len(train) > 3000 and len(test) > 400 and not train & test


def test_starts_and_goals_are_rooms_apart():
    tasks = draw(Maze(apart=5), "train", 2000)
    assert (np.abs(tasks.start - tasks.goal).sum(1) >= 10).all()
    assert (tasks.start % 2 == 1).all() and (tasks.goal % 2 == 1).all()
    assert len(np.unique(tasks.start, axis=0)) == 12  # from the four inner rooms none is five rooms away


def test_walls_stop_and_the_goal_ends():
    env, actions = Maze(view="position", rooms=2, horizon=12), [UP, LEFT, NOOP, *[RIGHT] * 5, UP, UP, *[LEFT] * 4]
    walk = walked(env, by_hand(), actions)
    cells = [(1, 3)] * 4 + [(2, 3), (3, 3), (4, 3), (5, 3), (5, 3), (5, 4), (5, 5), (4, 5), (3, 5), (2, 5), (1, 5)]
    assert [int(walk.first), *walk.seen.tolist()] == [(y - 1) * 5 + x - 1 for x, y in cells]
    assert walk.reward.tolist() == [np.float32(-0.01)] * 13 + [1.0]
    assert walk.terminated.tolist() == [False] * 13 + [True]
    assert walk.truncated.tolist() == [False] * 11 + [True, True, False]  # nobody steps on after an end but here


def test_what_is_seen_of_the_walls():
    walk = walked(Maze(rooms=2), by_hand(), [*[RIGHT] * 4, UP, UP, *[LEFT] * 4])
    window = lambda observation: observation.reshape(3, 3).astype(int)[::-1].tolist()
    assert window(walk.first) == [[1, 1, 1], [1, 0, 0], [1, 1, 1]]
    assert window(walk.seen[3]) == [[1, 0, 1], [0, 0, 1], [1, 1, 1]]
    assert window(walk.seen[4]) == [[0, 0, 1], [1, 0, 1], [0, 0, 1]]
    assert window(walk.seen[-1]) == [[1, 1, 1], [1, 1, 0], [1, 1, 1]]  # the middle: this is the goal


def test_the_full_view_shows_all():
    task = by_hand()
    walk = walked(Maze(rooms=2, view="full"), task, [RIGHT, RIGHT, DOWN, LEFT])
    for cell, seen in zip([(1, 3), (2, 3), (3, 3), (3, 3), (2, 3)], [walk.first, *walk.seen], strict=True):
        np.testing.assert_array_equal(seen[..., 0], task.walls[1:-1, 1:-1])
        assert np.argwhere(seen[..., 1]).tolist() == [[cell[1] - 1, cell[0] - 1]]
        assert np.argwhere(seen[..., 2]).tolist() == [[4, 0]]


def test_features_tell_tasks_apart():
    env = Maze()
    features = np.asarray(jax.jit(jax.vmap(env.describe))(draw(env, "train", 500)))
    assert features.shape == (500, 81 + 4) and np.abs(features).max() == 1
    assert len(rows(features)) == 500


@pytest.mark.parametrize(
    ("fields", "what"),
    [({"rooms": 2, "apart": 1}, "too few mazes"), ({"apart": 7}, "<= 6"), ({"rooms": 17}, "<= 16")],
)
def test_what_cannot_be(fields, what):
    with pytest.raises(ConfigError, match=what):
        replaced(Maze(), fields, "maze")


def test_mazes_by_hand_are_checked():
    task, env = jax.tree.map(np.asarray, by_hand()), Maze(rooms=2)
    assert not env.task_problems(task)
    shut = task.walls.copy()
    shut[4, 5] = True
    open_ = task.walls.copy()
    open_[3, 0] = False
    for wrong in (task._replace(walls=shut), task._replace(walls=open_), task._replace(goal=np.array([0, 0])),
                  task._replace(goal=task.start), task._replace(start=np.array([3, 9]))):  # fmt: skip
        assert len(env.task_problems(wrong)) == 1


@pytest.mark.parametrize(
    ("env", "hidden"), [(Maze(rooms=2, view="full"), 0), (Maze(rooms=2), 1), (Maze(rooms=2, view="position"), 1)]
)
def test_the_picture_hides_the_goal_where_the_agent_cannot_see_it(env, hidden):
    roles = shown(env, by_hand(), env.reset(by_hand(), jax.random.key(0))[0])
    assert roles.count("hidden") == hidden and roles.count("goal") == roles.count("agent") == 1
    assert roles.count("floor") == 11
