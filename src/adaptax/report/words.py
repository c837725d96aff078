"""Numbers and lists as a reader would write them."""

from collections.abc import Iterable
from typing import Any

from adaptax.report.folder import interval, number


def text(value: Any) -> str:
    """A number for a reader; a dash where there is none."""
    x = number(value)
    return "\N{EN DASH}" if x != x else f"{x:,.3f}".replace("-", "\N{MINUS SIGN}")


def bounds(data: dict[str, Any], name: str) -> str:
    """The 95 % interval of a number of an evaluation; empty where it is not known."""
    low, high = (float(x[0]) for x in interval(data, name))
    return f"{text(low)} to {text(high)}" if low == low and high == high else ""


def whole(value: Any) -> str:
    """A count for a reader."""
    x = number(value)
    return "\N{EN DASH}" if x != x else f"{x:,.0f}"


def plural(count: int, word: str) -> str:
    """One seed, two seeds."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def duration(seconds: float) -> str:
    """A time, as exact as it matters."""
    if seconds != seconds:
        return "an unknown time"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def listed(names: Iterable[str]) -> str:
    """Names, each once, with an "and" before the last."""
    *rest, last = list(dict.fromkeys(names))
    return f"{', '.join(rest)} and {last}" if rest else last
