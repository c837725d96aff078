"""Figures of evaluations and trainings. Each function returns a matplotlib figure, or draws into axes that it is given.

Example:
    >>> import json, pathlib
    >>> results = [json.loads(p.read_text()) for p in pathlib.Path("runs/a/eval").glob("*.json")]
    >>> adaptation_curve(results).savefig("curve.png") if results else None
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from adaptax.report.folder import clean, interval, metric, number, numbers
from adaptax.report.style import COLOURS, INK, MARKERS, MUTED, RC

Results = Sequence[dict[str, Any]]  # as `Evaluation.as_dict` makes them, or read from `eval/*.json`
MANY = 30  # points above which a curve has no markers
STEADY = ("oracle", "random", "still")  # references that play every episode alike


class Curve(NamedTuple):
    """One line with its 95 % band."""

    label: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray
    colour: str
    marker: str
    sure: int  # leading points that at least half of the lives reached; the rest is dotted


def adaptation_curve(
    results: Results,
    labels: Sequence[str] | None = None,
    *,
    axes: Axes | None = None,
    colours: Sequence[int] | None = None,
    legend: bool = True,
) -> Figure:
    """Return of the i-th episode as really lived, with its 95 % band; references that play all episodes alike as lines.

    Where episodes vary in length, few lives reach the late ones: the curve is dotted from where it is fewer than half.

    Args:
        results: Evaluations, for example `[ax.evaluate(run).as_dict()]`.
        labels: Their names; by default those of the learners.
        axes: Where to draw; None makes a figure.
        colours: Number of the colour of each.
        legend: Name the curves in the figure, where there are several.
    """
    curves = _curves(results, "episode_return", lambda data, n: 1.0 + np.arange(n), labels, colours)
    return _beside_lines(results, curves, axes, legend, "episode", "return of the episode")


def probe_curve(
    results: Results,
    labels: Sequence[str] | None = None,
    *,
    axes: Axes | None = None,
    colours: Sequence[int] | None = None,
    legend: bool = True,
) -> Figure:
    """Greedy return on probe episodes after k phases, k = 0 .. K; arguments as in `adaptation_curve`."""
    curves = _curves(results, "phase_return", lambda data, n: 1.0 * np.arange(n), labels, colours)
    return _beside_lines(results, curves, axes, legend, "phases of adaptation", "greedy return")


def step_curve(
    results: Results,
    labels: Sequence[str] | None = None,
    *,
    axes: Axes | None = None,
    colours: Sequence[int] | None = None,
    legend: bool = True,
) -> Figure:
    """Return of the episode finished last, over environment steps; arguments as in `adaptation_curve`."""
    curves = _curves(results, "return_at_step", lambda data, n: numbers(data.get("steps"))[:n], labels, colours)
    return _beside_lines(
        results, curves, axes, legend, "environment steps in the task", "return of the last episode", markers=False
    )


def _beside_lines(
    results: Results, curves: list, axes: Axes | None, legend: bool, across: str, up: str, markers: bool = True
) -> Figure:
    """Curves beside the lines of the references."""
    with matplotlib.rc_context(RC):
        axes = axes or _new()
        _lines(axes, _steady(results))
        _draw(axes, curves, legend, markers=markers)
        _say(axes, across, up, whole=True)
    return _figure(axes)


def beside_references(
    results: Results,
    labels: Sequence[str] | None = None,
    *,
    axes: Axes | None = None,
    colours: Sequence[int] | None = None,
) -> Figure:
    """Return of the whole life beside the references, best on top; the exact optimum as a line."""
    rows: list[tuple[str, float, Any, str, str]] = [
        (name, value, None, MUTED, "o") for name, value in reference_rows(results, labels)
    ]
    for curve in _curves(results, "total_return", lambda data, n: np.zeros(n), labels, colours):
        rows.append((curve.label, curve.y[0], (curve.low[0], curve.high[0]), curve.colour, curve.marker))
    rows = sorted((row for row in rows if math.isfinite(row[1])), key=lambda row: row[1])
    with matplotlib.rc_context(RC):
        axes = axes or _new(0.8 + 0.29 * max(len(rows), 3))
        for place, (name, value, bounds, colour, marker) in enumerate(rows):
            _row(axes, place, name, value, bounds, colour, marker)
        axes.set_yticks(range(len(rows)), [row[0] for row in rows], color=INK)
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.06, y=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.set_xlabel("return of the whole life")
    return _figure(axes)


class Logged(NamedTuple):
    """One metric of one training."""

    label: str
    steps: np.ndarray  # [n] meta-steps
    values: np.ndarray  # [n, S]
    colour: int


def logged(lines: Sequence[dict[str, Any]], name: str, label: str | None = None, colour: int = 0) -> Logged:
    """A metric from the lines of `metrics.jsonl` (or `run.history`), ready to be drawn."""
    return Logged(clean(name if label is None else label).lstrip("_"), *metric(list(lines), name), colour)


def overview(results: Results, labels: Sequence[str] | None = None) -> Figure:
    """The adaptation curve, and the whole life beside its references; arguments as in `adaptation_curve`."""
    with matplotlib.rc_context(RC):
        left, right = Figure(figsize=(8.6, 3.1), layout="constrained").subplots(1, 2)
    adaptation_curve(results, labels, axes=left)
    return beside_references(results, labels, axes=right)


def training_curve(series: Sequence[Logged], what: str = "", *, axes: Axes | None = None) -> Figure:
    """Metrics over meta-steps: a thin line for each seed, a thick one for their mean.

    Args:
        series: What `logged` makes.
        what: Name of the vertical axis.
        axes: Where to draw; None makes a figure.
    """
    with matplotlib.rc_context(RC):
        axes = axes or _new()
        for one in series:
            _seeds(axes, one)
        if len(series) > 1:
            _legend(axes)
        _say(axes, "meta-step", what, whole=True)
    return _figure(axes)


def reference_rows(results: Results, labels: Sequence[str] | None = None) -> list[tuple[str, float]]:
    """All references of several evaluations, each once; where they disagree, with the name of the evaluation."""
    labels = _labels(results, labels)
    found: dict[str, dict[float, str]] = {}
    for data, label in zip(results, labels, strict=True):
        for name, value in (data.get("references") or {}).items():
            if math.isfinite(number(value)):
                found.setdefault(clean(name), {}).setdefault(round(number(value), 9), label)
    alone = lambda name, label: name if len(found[name]) == 1 else f"{name} ({label})"
    return [(alone(name, label), value) for name, values in found.items() for value, label in values.items()]


def _labels(results: Results, labels: Sequence[str] | None) -> list[str]:
    return [clean(x).lstrip("_") for x in (labels if labels is not None else [data["learner"] for data in results])]


def _curves(
    results: Results, name: str, place: Any, labels: Sequence[str] | None, colours: Sequence[int] | None
) -> list[Curve]:
    curves = []
    for index, (data, label) in enumerate(zip(results, _labels(results, labels), strict=True)):
        y, colour = numbers(data.get(name)), colours[index] if colours else index
        low, high = interval(data, name)
        x = place(data, len(y))
        if len(x) == len(y):
            marker = MARKERS[colour % len(MARKERS)]
            sure = _sure(data, len(y)) if name == "episode_return" else len(y)
            curves.append(Curve(label, x, y, low, high, COLOURS[colour % len(COLOURS)], marker, sure))
    return curves


def _sure(data: dict[str, Any], length: int) -> int:
    counts = numbers(data.get("episode_count"))
    few = np.flatnonzero(2 * counts < counts.max()) if len(counts) == length > 0 else []
    return int(few[0]) if len(few) else length


def _steady(results: Results) -> dict[str, float]:
    """Return of one episode under the references that play all alike, where the life was nothing but whole episodes."""
    found: dict[str, float] = {}
    for data in results:
        episodes, total = numbers(data.get("episode_return")), number(data.get("total_return"))
        whole = math.isclose(float(episodes.sum()), total, rel_tol=1e-6, abs_tol=1e-9)
        for name, value in (data.get("references") or {}).items():
            if whole and name in STEADY and math.isfinite(number(value)) and not math.isclose(number(value), total):
                found.setdefault(name, number(value) / len(episodes))
    return found


def _new(height: float | None = None) -> Axes:
    width, usual = matplotlib.rcParams["figure.figsize"]
    return Figure(figsize=(width, height or usual), layout="constrained").add_subplot()


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _draw(axes: Axes, curves: list[Curve], legend: bool, markers: bool = True) -> None:
    for index, curve in enumerate(curves):
        marker, sure = curve.marker if markers and len(curve.x) <= MANY else None, curve.sure
        above = 2.9 - 0.01 * index  # the first lies over the others
        axes.fill_between(
            curve.x[:sure], curve.low[:sure], curve.high[:sure], color=curve.colour, alpha=0.16, linewidth=0
        )
        axes.plot(curve.x[:sure], curve.y[:sure], color=curve.colour, marker=marker, label=curve.label, zorder=above)
        if sure < len(curve.x):
            rest = slice(max(sure - 1, 0), None)
            axes.plot(curve.x[rest], curve.y[rest], color=curve.colour, linewidth=1.2, linestyle=":", zorder=above)
    if legend and len(curves) > 1:
        _legend(axes)


def _legend(axes: Axes) -> None:
    """Above the figure, where it covers nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, handlelength=1.6)


def _lines(axes: Axes, levels: dict[str, float]) -> None:
    for name, value in levels.items():
        axes.axhline(value, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            name, (1, value), (0, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
            ha="right", va="bottom", fontsize=8.5, color=MUTED,
        )  # fmt: skip


def _row(axes: Axes, place: int, name: str, value: float, bounds: Any, colour: str, marker: str) -> None:
    """One policy of `beside_references`: its value, its interval where it has one, and the number in a column."""
    optimal = name == "optimal" and bounds is None
    if optimal:
        axes.axvline(value, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    style: Any = {"marker": "D", "color": INK} if optimal else {"marker": marker, "color": colour}
    axes.plot([value], [place], **style, markersize=4.5 if bounds is None else 6.5)
    if bounds is not None and np.isfinite(bounds).all():
        axes.plot(bounds, [place, place], color=colour, linewidth=3.5, alpha=0.45, solid_capstyle="butt")
    shown = f"{value:,.3f}".replace("-", "\N{MINUS SIGN}")
    column: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    axes.annotate(shown, (1, place), (6, 0), **column, fontsize=8.5, color=INK if bounds is None else colour)


def _seeds(axes: Axes, one: Logged) -> None:
    """Lines of one metric; one that is logged rarely has its points shown."""
    shade, marker = COLOURS[one.colour % len(COLOURS)], "o" if len(one.steps) <= MANY else None
    present = np.isfinite(one.values)
    count = present.sum(1)
    total = np.where(present, one.values, 0.0).sum(1)
    mean = np.divide(total, count, out=np.full(len(one.steps), np.nan), where=count > 0)
    for column in one.values.T if one.values.shape[1] > 1 else ():
        axes.plot(one.steps, column, color=shade, linewidth=0.8, alpha=0.4)
    axes.plot(one.steps, mean, color=shade, marker=marker, label=one.label)


def _say(axes: Axes, x: str, y: str, whole: bool) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.margins(x=0.03, y=0.09)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=whole))
