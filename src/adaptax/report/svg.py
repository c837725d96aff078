"""Matplotlib figures as inline SVG: text as text, colours as CSS variables, the same bytes for the same figure."""

import io
import re
import warnings
from html import escape

import matplotlib
from matplotlib.figure import Figure

from adaptax.report.html import Markup
from adaptax.report.style import RC, THEME, VARIABLES

_VARIABLES = {light: name for name, (light, _) in THEME.items() if name not in ("paper", "ground", "good", "warn")}


def standalone_svg(figure: Figure) -> str:
    """The figure as a file of its own, the same bytes every time; it follows the reader's light or dark mode."""
    drawn = inline_svg(figure, "figure", "").replace(' role="img" aria-label=""', "", 1)
    root = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    ground = '<rect width="100%" height="100%" rx="4" style="fill: var(--paper)"/>'  # readable on any page
    behind = f"<style>{VARIABLES}</style></defs>\n{ground}"
    return f"{drawn.replace('<svg', root, 1).replace('</defs>', behind, 1)}\n"


def inline_svg(figure: Figure, name: str, alternative: str) -> Markup:
    """The figure as an element for a page.

    Args:
        figure: What to draw.
        name: Unique on the page; makes the figure's inner references unique too.
        alternative: What it shows, in words, for those who cannot see it.
    """
    buffer = io.StringIO()
    salt = {"svg.hashsalt": name}
    with matplotlib.rc_context(RC | salt), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's fonts draw the text, not matplotlib's
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r' xmlns(?::xlink)?="[^"]*"| version="1.1"', "", text, count=3)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    text = text.replace("<svg", f'<svg role="img" aria-label="{escape(alternative)}"', 1)
    return Markup(re.sub(r"\n\s*", "\n", text).strip())
