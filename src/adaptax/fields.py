"""Types of configuration fields with the range that a value must lie in; `adaptax.config` checks them."""

from typing import Annotated, NamedTuple

_LARGEST_INT = 2**31 - 1
_HUGE = 1e30  # beyond it, float32 arithmetic overflows


class Range(NamedTuple):
    """The legal values of a number: at least `low` and at most `high`, the ends left out where `open_` says so."""

    low: float | int = float("-inf")
    high: float | int = float("inf")
    open_low: bool = False

    def __contains__(self, value: float | int) -> bool:
        """Whether `value` is legal; NaN never is, infinity only where the range names it."""
        return (self.low < value or (value == self.low and not self.open_low)) and value <= self.high

    def __str__(self) -> str:
        """As a reader would write it; without ends that nobody meets."""
        return "" if self.low <= -_HUGE and self.high >= _HUGE else self.words(self.high < _LARGEST_INT)

    def words(self, up_to: bool) -> str:
        """The range, with its upper end or without."""
        low = f"> {self.low:g}" if self.open_low else f">= {self.low:g}"
        high = f"{self.high}" if isinstance(self.high, int) else f"{self.high:g}"
        return f"{low} and <= {high}" if up_to else low


Count = Annotated[int, Range(1, _LARGEST_INT)]
Whole = Annotated[int, Range(0, _LARGEST_INT)]
Positive = Annotated[float, Range(0, _HUGE, open_low=True)]
NonNegative = Annotated[float, Range(0, _HUGE)]
Fraction = Annotated[float, Range(0, 1)]
Real = Annotated[float, Range(-_HUGE, _HUGE)]
