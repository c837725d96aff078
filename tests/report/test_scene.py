"""Every family's picture is drawn from shapes inside what is shown, and says what it stands for."""

import jax
import numpy as np
import pytest

from adaptax.ops.scene import Disc, Rectangle, bars, cells
from adaptax.registry import ENVIRONMENTS
from adaptax.report.scene import FILLS, scenes


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_family_shows_what_an_episode_begins_with(name):
    env = ENVIRONMENTS[name]()
    task = env.tasks.test(jax.random.key(0))
    scene = env.render(task, env.reset(task, jax.random.key(1))[0])
    assert scene is not None
    (left, low), (right, high) = scene.low, scene.high
    for shape in scene.shapes:
        assert getattr(shape, "role", "floor") in FILLS
        if isinstance(shape, Rectangle | Disc):
            assert left <= shape.x <= right and low <= shape.y <= high
    figure = scenes([scene, scene], ["one", "two"])
    assert [axes.get_title("left") for axes in figure.axes] == ["one", "two"]


def test_bars_are_as_high_as_their_numbers():
    heights = [shape.height for shape in bars(np.array([0.5, 1.0])).shapes if isinstance(shape, Rectangle)]
    assert heights[1] == pytest.approx(2 * heights[0])


def test_cells_stand_where_they_are():
    walls = np.array([[False, True], [False, False]])
    scene = cells(walls, ((0, 1, "agent"),), hidden=((1, 1),))
    tiles = {(int(s.x), int(s.y)): s.role for s in scene.shapes if isinstance(s, Rectangle)}
    assert tiles == {(0, 0): "floor", (1, 0): "wall", (0, 1): "floor", (1, 1): "hidden"}
    assert [(s.x, s.y, s.role) for s in scene.shapes if isinstance(s, Disc)] == [(0.5, 1.5, "agent")]
