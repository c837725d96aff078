"""Pictures of tasks, from the scenes that environments describe."""

from collections.abc import Sequence

import jax
import matplotlib
import numpy as np
from matplotlib import patches
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adaptax.core.env import Environment
from adaptax.core.types import Task
from adaptax.ops.scene import Disc, Label, Path, Rectangle, Scene
from adaptax.report.style import COLOURS, GRID, INK, MUTED, RC

FILLS: dict[str, str] = {
    "floor": GRID,
    "wall": MUTED,
    "agent": COLOURS[0],
    "goal": COLOURS[2],
    "hidden": COLOURS[1],
    "key": COLOURS[6],
    "door": COLOURS[7],
    "hazard": COLOURS[4],
    "trail": COLOURS[0],
}
WORDS: dict[str, str] = {"hidden": "hidden from the agent"}  # where the role alone does not say it


def draw_scene(axes: Axes, scene: Scene) -> None:
    """Draws a scene into axes, to scale."""
    for order, shape in enumerate(scene.shapes, 1):
        if isinstance(shape, Label):
            axes.text(shape.x, shape.y, shape.text, ha="center", va="center", fontsize=7, color=INK)
            continue
        look = {"color": FILLS[shape.role], "zorder": order}
        match shape:
            case Rectangle():
                axes.add_patch(patches.Rectangle((shape.x, shape.y), shape.width, shape.height, lw=0, **look))
            case Disc():
                axes.add_patch(patches.Circle((shape.x, shape.y), shape.radius, lw=0, **look))
            case Path():
                axes.plot(*np.asarray(shape.points).T, lw=1.6, solid_capstyle="round", **look)
    axes.set(xlim=(scene.low[0], scene.high[0]), ylim=(scene.low[1], scene.high[1]), aspect="equal")
    axes.axis("off")


def scenes(pictures: Sequence[Scene], titles: Sequence[str]) -> Figure:
    """Scenes side by side, and what their colours mean."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(2.1 * len(pictures), 2.5), layout="constrained")
        for axes, scene, title in zip(np.ravel(figure.subplots(1, len(pictures))), pictures, titles, strict=True):
            draw_scene(axes, scene)
            axes.set_title(title, fontsize=8)
        there = {getattr(shape, "role", None) for scene in pictures for shape in scene.shapes}
        named = [role for role in FILLS if role in there and role not in ("floor", "wall", "trail")]
        handles = [patches.Patch(color=FILLS[role], label=WORDS.get(role, role)) for role in named]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8)
    return figure


def task_pictures(env: Environment, tasks: Sequence[Task], titles: Sequence[str]) -> Figure | None:
    """Each task as an episode begins, or None where the family has no picture."""
    found = [env.render(task, env.reset(task, jax.random.key(0))[0]) for task in tasks]
    return None if any(scene is None for scene in found) else scenes([s for s in found if s is not None], titles)
