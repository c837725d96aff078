"""The benchmark of what is made of exploration: what it says that is earned, against what is known to be."""

import importlib

import jax
import numpy as np
import pytest

import adaptax as ax
from adaptax.envs.cells import MOVES
from adaptax.envs.maze import Maze
from adaptax.measure import draw_tasks
from adaptax.references.maze import maze_ways, steps_to
from adaptax.references.planning import Tables, value_iteration


@pytest.fixture
def explored(benchmarks):
    """The script as a module."""
    return importlib.import_module("explored")


def drawn(env, count):
    return jax.tree.map(np.asarray, draw_tasks(env, "test", count, 0)[0])


def lives(explored, count, steps, choice):
    """Lives in which nothing happened."""
    nothing = np.zeros((count, choice.shape[1], steps), int)
    return explored.Explored(nothing, nothing, nothing.astype(float), nothing, nothing.astype(bool), choice)


def test_who_walks_the_shortest_way_earns_what_it_pays_and_who_stands_pays_to_the_end(explored):
    env = Maze(rooms=3, view="position")
    tasks = drawn(env, 12)
    far = steps_to(~tasks.walls, tasks.goal)  # [N, y, x]
    y, x = np.mgrid[1 : env.width + 1, 1 : env.width + 1].reshape(2, -1)
    onward = np.stack([far[:, y + up, x + right] for right, up in np.asarray(MOVES)])
    nearest = onward.argmin(0)
    choice = np.stack([np.zeros_like(nearest), nearest], 1)
    earned = explored.walked(env, tasks, choice)
    np.testing.assert_allclose(earned[:, 0], -0.01 * env.episode_steps)
    np.testing.assert_allclose(earned[:, 1], explored.paid(maze_ways(tasks)))


def test_who_has_seen_the_goal_beside_the_start_is_expected_to_go_there_at_once(explored):
    env = Maze(rooms=3, view="position", apart=1)
    tasks = drawn(env, 40)
    tasks = jax.tree.map(lambda x: x[maze_ways(tasks) == 2][:2], tasks)
    way = np.stack([tasks.start, (tasks.start + tasks.goal) // 2, tasks.goal], 1) - 1  # [N, 3, 2]
    number = way[..., 1] * env.width + way[..., 0]
    right_up = np.sign(tasks.goal - tasks.start)
    action = np.array([[int((np.asarray(MOVES) == step).all(1).argmax())] * 2 for step in right_up])
    seen = lives(explored, 2, 2, np.zeros((2, 1, env.width**2), int))
    seen = seen._replace(here=number[:, None, :2], after=number[:, None, 1:], action=action[:, None])
    seen = seen._replace(arrived=np.array([[[False, True]]] * 2))
    found = explored.in_mazes(env, tasks, seen)
    np.testing.assert_allclose(found["best"], 0.99)
    np.testing.assert_allclose(found["told"], 0.99)
    np.testing.assert_allclose(found["network"], -0.01 * env.episode_steps)  # it stands


def test_in_an_mdp_the_best_choice_earns_the_most_and_a_planner_learns_it_from_much(explored):
    env = ax.make("tabular-mdp", states=3, actions=2, horizon=4)
    tasks, rng = drawn(env, 5), np.random.default_rng(0)
    steps = 6000
    here, action = rng.integers(0, 3, (5, 1, steps)), rng.integers(0, 2, (5, 1, steps))
    which = np.arange(5)[:, None, None]
    sums = tasks.transition[which, here, action].cumsum(-1)
    after = (rng.random((5, 1, steps, 1)) > sums).sum(-1).clip(0, 2)
    reward = tasks.reward[which, here, action] + rng.standard_normal(here.shape)
    greedy = tasks.reward.argmax(-1)[:, None]
    life = explored.Explored(here, action, reward, after, np.zeros_like(here, bool), greedy)
    found = explored.in_mdps(env, tasks, life)
    optimal = value_iteration(Tables(tasks.transition.astype(float), tasks.reward.astype(float)), 4)[0][0, :, :1]
    np.testing.assert_allclose(found["told"], optimal)
    assert (found["best"] <= optimal + 1e-9).all() and found["best"].mean() > 0.98 * optimal.mean()
    value = np.zeros((5, 3))
    for _ in range(4):
        chosen = np.take_along_axis(tasks.transition, greedy[:, 0, :, None, None], 2)[:, :, 0]
        value = tasks.reward.max(-1) + (chosen @ value[..., None])[..., 0]
    np.testing.assert_allclose(found["network"][:, 0], value[:, 0], rtol=1e-6)
