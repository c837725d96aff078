"""HTML in which a string is text unless it says otherwise: what comes from disk cannot become markup."""

from html import escape
from typing import Any

from adaptax.report.folder import clean
from adaptax.report.style import COLOURS


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: Any, **attributes: Any) -> Markup:
    """An element; children that are not `Markup` are escaped, None is left out. `class_` stands for `class`."""
    named = "".join(
        f' {key.rstrip("_")}="{escape(str(value))}"' for key, value in attributes.items() if value is not None
    )
    return Markup(f"<{name}{named}>{join(*children)}</{name}>")


def join(*children: Any) -> Markup:
    """Several pieces, one after the other."""
    return Markup("".join(c if isinstance(c, Markup) else escape(str(c)) for c in children if c is not None))


def table(head: list[Any], rows: list[list[Any]], classes: list[str | None] | None = None) -> Markup:
    """A table; `classes` names a class for each row."""
    body = [
        tag(
            "tr",
            *(tag("th" if i == 0 else "td", cell, scope="row" if i == 0 else None) for i, cell in enumerate(row)),
            class_=mark,
        )
        for row, mark in zip(rows, classes or [None] * len(rows), strict=True)
    ]
    header = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in head)))
    return tag("div", tag("table", header, tag("tbody", *body)), class_="scroll")


def card(title: str, words: str, drawn: Markup) -> Markup:
    """A figure with its title and what it shows."""
    return tag("figure", tag("h3", title), tag("figcaption", words) if words else None, drawn, class_="card")


def pairs(fields: dict[str, Any]) -> Markup:
    """Names and values in two columns."""
    rows = [tag("tr", tag("td", clean(name)), tag("td", clean(value))) for name, value in fields.items()]
    return tag("div", tag("table", tag("tbody", *rows)), class_="words")


def swatch(colour: int) -> Markup:
    """A dash of a run's colour."""
    return tag("i", style=f"background:var(--c{colour % len(COLOURS)})")
