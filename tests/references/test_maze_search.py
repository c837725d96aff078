"""The best search of a maze: known answers, and that to know more never costs more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.envs.cells import spot
from adaptax.envs.maze import Maze, MazeTask
from adaptax.measure import draw_tasks
from adaptax.references.maze import depth_first, maze_ways
from adaptax.references.maze_search import Seen, known_way, seen

ENV = Maze(rooms=3, view="position")


@pytest.fixture(scope="module")
def likely():
    return jax.tree.map(np.asarray, draw_tasks(ENV, "train", 3000, 0)[0])


def cells(*rows):
    """A map from pictures: # is a wall; the uppermost row has the largest y."""
    return np.array([[mark == "#" for mark in row] for row in rows])[::-1]


def test_two_doors_of_which_one_is_open():
    # from the middle, the goal is left or right, each behind a door; one of the doors is open, and it is the goal's
    left, right = cells("#######", "#...#.#", "#######"), cells("#######", "#.#...#", "#######")
    ends = lambda x: np.array([x, 1])
    of = lambda *mazes: MazeTask(*(jnp.stack(x) for x in zip(*mazes, strict=True)))
    mazes = of((left, ends(3), ends(1)), (right, ends(3), ends(5)))
    nothing = Seen(np.zeros((3, 7), bool), np.zeros((3, 7), bool), None)
    assert known_way(mazes, (3, 1), nothing) == pytest.approx(0.5 * 2 + 0.5 * 3)  # a try that fails costs one step
    thrice = of(*[(left, ends(3), ends(1))] * 3, (right, ends(3), ends(5)))
    assert known_way(thrice, (3, 1), nothing) == pytest.approx(0.75 * 2 + 0.25 * 3)
    tried = nothing._replace(wall=np.arange(7)[None].repeat(3, 0) == 2)
    assert known_way(mazes, (3, 1), tried) == 2


def test_steps_reveal_what_was_entered_and_what_was_not():
    at, to = np.array([[1, 1], [1, 1], [2, 1]]), np.array([[1, 1], [2, 1], [3, 1]])
    known = seen(at, np.array([1, 2, 2]), to, np.array([False, False, True]), 5)
    assert set(map(tuple, np.argwhere(known.free))) == {(1, 1), (1, 2), (1, 3)}
    assert set(map(tuple, np.argwhere(known.wall))) == {(2, 1)} and known.goal == (3, 1)
    still = seen(at[:1], np.array([0]), to[:1], np.array([False]), 5)
    assert not still.wall.any() and still.free.sum() == 1


def test_who_has_seen_the_whole_maze_walks_the_shortest_way(likely):
    for i in range(20):
        known = Seen(~likely.walls[i], likely.walls[i], spot(likely.goal[i]))
        way = maze_ways(jax.tree.map(lambda x: x[i : i + 1], likely))  # noqa: B023
        assert known_way(likely, spot(likely.start[i]), known) == way[0]


def test_to_know_more_saves_steps_on_average(likely):
    """Of a maze the lower two rows of rooms are known, or all its walls, or the goal too."""
    corner = (likely.start == 1).all(1) & (likely.goal[:, 1] == 5)
    tasks = jax.tree.map(lambda x: x[corner][:20], likely)
    below = np.arange(9)[:, None].repeat(9, 1) < 4
    known = lambda where: [
        known_way(likely, (1, 1), Seen(~walls & below, walls & where, None)) for walls in tasks.walls
    ]
    rows, everything = np.mean(known(below)), np.mean(known(np.ones((9, 9), bool)))
    assert maze_ways(tasks).mean() < everything < rows < depth_first(tasks, 0)[0].mean()


def test_what_no_maze_is_like_is_refused(likely):
    with pytest.raises(ValueError, match="draw more"):
        known_way(likely, (1, 1), Seen(np.zeros((9, 9), bool), np.ones((9, 9), bool), None))
