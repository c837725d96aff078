import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.envs.maze import Maze, MazeTask
from adaptax.references import references
from adaptax.references.maze import UNREACHABLE, depth_first, maze_ways, random_search, steps_to
from lives import by_map, downhill, draw, lived


def test_steps_around_a_wall():
    free = np.ones((1, 3, 4), bool)
    free[0, :2, 1] = free[0, 0, 3] = False
    far = UNREACHABLE
    assert steps_to(free, np.array([[2, 0]])).tolist() == [[[6, far, 0, far], [5, far, 1, 2], [4, 3, 2, 3]]]


@pytest.mark.parametrize("layout", ["tree", "rooms"])
def test_the_oracle_is_who_walks_the_shortest_way(layout):
    env = Maze(rooms=3, layout=layout, apart=2)
    tasks = draw(env, "test", 30)
    moves = downhill(steps_to(~tasks.walls, tasks.goal))
    returns = lived(env, tasks, moves, by_map, 2 * env.episode_steps)
    found = references(env, tasks, seed=0, episodes=2)
    assert found.optimal is None
    assert found.values["oracle"] == pytest.approx(returns.mean(), abs=1e-3)
    assert found.values["depth-first"] < found.values["oracle"]


def test_an_episode_too_short_never_arrives():
    env = Maze(horizon=5)
    assert references(env, draw(env, "test", 30), seed=0, episodes=4).values == {"oracle": pytest.approx(-0.2)}


def test_a_search_takes_as_many_steps_as_there_are_cells_before_the_goal():
    tasks = draw(Maze(), "train", 60)
    free, ways = ~tasks.walls, maze_ways(tasks)
    free[np.arange(60), tasks.goal[:, 1], tasks.goal[:, 0]] = False
    before = (steps_to(free, tasks.start) < UNREACHABLE).sum((1, 2))
    searches = np.array([depth_first(tasks, seed)[0] for seed in range(200)])
    for _, way in (depth_first(tasks, 0), depth_first(tasks, 1)):
        assert (way == ways).all()  # there is but one
    error = searches.std(0) / np.sqrt(200)
    assert (np.abs(searches.mean(0) - before) <= 4 * error).all()
    assert searches.max() <= Maze().episode_steps


def test_the_largest_maze_can_be_searched_in_one_episode():
    env = Maze()
    found, _ = depth_first(draw(env, "ood", 2000), 0)
    assert 80 < found.max() <= env.episode_steps


@pytest.mark.parametrize(("horizon", "expected"), [(10_000, 15), (2, 50)])
def test_random_moves_along_a_corridor_meet_its_end(horizon, expected):
    # of five moves one leads on, one back from the middle: x = 5 + (2.5 + x / 2); of episodes of two steps 1 in 25
    # arrives
    walls = np.ones((1, 3, 5), bool)
    walls[0, 1, 1:4] = False
    task = MazeTask(jnp.asarray(walls), jnp.array([[1, 1]]), jnp.array([[3, 1]]))
    assert random_search(task, horizon) == pytest.approx(expected, rel=1e-3)
