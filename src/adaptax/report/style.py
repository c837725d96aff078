"""Colours of figures and page. Figures are drawn in the light colours; on the page each becomes a CSS variable."""

from importlib.resources import files
from typing import Any

INK, MUTED, GRID = "#1b2330", "#5f6b7d", "#dfe3ea"
COLOURS = ("#2463c4", "#c2560c", "#0b7d58", "#8b3fbf", "#b92d62", "#0a7788", "#8a6d00", "#7a4a2b")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # one fewer than colours: the ninth curve looks unlike the first

# name -> (light, dark); the light values of ink, muted, grid and c0.. are those that figures are drawn in
THEME = {
    "ink": (INK, "#e9ecf2"),
    "muted": (MUTED, "#9da7b8"),
    "grid": (GRID, "#303847"),
    "paper": ("#ffffff", "#171b23"),
    "ground": ("#f5f6f9", "#0f1217"),
    "good": ("#0a6b4b", "#4fcf9d"),
    "warn": ("#8f5300", "#f0b35a"),
    "c0": (COLOURS[0], "#7fb0ff"),
    "c1": (COLOURS[1], "#ff9f61"),
    "c2": (COLOURS[2], "#4fcf9d"),
    "c3": (COLOURS[3], "#cda0ff"),
    "c4": (COLOURS[4], "#ff8cb0"),
    "c5": (COLOURS[5], "#5fd0e2"),
    "c6": (COLOURS[6], "#e3c04f"),
    "c7": (COLOURS[7], "#d9a37c"),
}

RC: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": MUTED,
    "axes.labelpad": 7,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.dpi": 150,
    "figure.figsize": (4.8, 3.1),
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and scaled
    "text.color": INK,
    "text.parse_math": False,  # names come from disk, and "$" in them is a dollar
    "xtick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.color": MUTED,
    "ytick.labelsize": 8.5,
    "ytick.left": False,
}

_ROOT = "".join(f"--{name}:{light};" for name, (light, _) in THEME.items())
_DARK = "".join(f"--{name}:{dark};" for name, (_, dark) in THEME.items())

VARIABLES = f":root{{color-scheme:light dark;{_ROOT}}}\n@media(prefers-color-scheme:dark){{:root{{{_DARK}}}}}\n"
CSS = VARIABLES + files("adaptax.report").joinpath("page.css").read_text(encoding="utf-8")
