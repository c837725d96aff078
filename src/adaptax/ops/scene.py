"""What a task looks like: plain shapes in the plane. `adaptax.report.scene` draws them; environments only name them."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

# What a shape stands for; the drawing chooses colours by it. "hidden" is what the agent cannot see.
Role = Literal["floor", "wall", "agent", "goal", "hidden", "key", "door", "hazard", "trail"]


class Rectangle(NamedTuple):
    """Its lower left corner and its sides."""

    x: float
    y: float
    width: float
    height: float
    role: Role


class Disc(NamedTuple):
    """Its centre and radius."""

    x: float
    y: float
    radius: float
    role: Role


class Path(NamedTuple):
    """A line through points."""

    points: Float[np.ndarray, "P 2"]
    role: Role


class Label(NamedTuple):
    """Words, centred."""

    x: float
    y: float
    text: str


class Scene(NamedTuple):
    """Shapes, the first drawn first, in the part of the plane that is shown."""

    low: tuple[float, float]  # lower left corner
    high: tuple[float, float]
    shapes: tuple[Rectangle | Disc | Path | Label, ...]


def bars(values: Float[np.ndarray, " A"], high: float = 1.0) -> Scene:
    """A bar for each of A numbers, from 0 up: what the arms of a bandit pay."""
    heights = np.asarray(values, float) * 0.7 * len(values) / high
    shapes = [Rectangle(arm + 0.1, 0.0, 0.8, float(height), "hidden") for arm, height in enumerate(heights)]
    names = [Label(arm + 0.5, -0.06 * len(heights), str(arm)) for arm in range(len(heights))]
    floor = Path(np.array([[0.0, 0.0], [len(heights), 0.0]]), "wall")
    top = 0.75 * len(heights)
    return Scene((0.0, min(-0.12 * len(heights), float(heights.min()))), (len(heights), top), (*shapes, floor, *names))


def cells(
    walls: Bool[np.ndarray, "H W"], marks: tuple[tuple[int, int, Role], ...], hidden: tuple[tuple[int, int], ...] = ()
) -> Scene:
    """A grid, `walls[y, x]` with y up, and what lies in its cells.

    Args:
        walls: Cells that cannot be entered.
        marks: (x, y, role), each a disc; the agent's is drawn smaller, so that what it stands on is seen.
        hidden: Cells (x, y) that the agent cannot see anything special in, and that are.
    """
    height, width = walls.shape
    tiles = [
        Rectangle(x + 0.03, y + 0.03, 0.94, 0.94, "wall" if walls[y, x] else "floor")
        for y in range(height)
        for x in range(width)
    ]
    secret = [Rectangle(x + 0.03, y + 0.03, 0.94, 0.94, "hidden") for x, y in hidden]
    discs = [Disc(x + 0.5, y + 0.5, 0.25 if role == "agent" else 0.36, role) for x, y, role in marks]
    return Scene((0.0, 0.0), (width, height), (*tiles, *secret, *discs))
