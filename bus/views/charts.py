"""Bars as a page draws them: geometry alone, in units of the drawing's own box; colours come from the style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

HEIGHT = 100
STEP, WIDTH = 10, 8
_LEAST = 1.5


@dataclass(frozen=True)
class Bar:
    """One day's bar; numbers are ready to be written into the drawing."""

    day: date
    messages: int
    x: int
    y: str
    height: str


@dataclass(frozen=True)
class Chart:
    """Bars beside each other, and what stands at their axes."""

    bars: list[Bar]
    top: int

    @property
    def width(self) -> int:
        """How wide the drawing's box is."""
        return STEP * len(self.bars)

    @property
    def middle(self) -> Bar:
        """The bar whose day stands below the middle."""
        return self.bars[len(self.bars) // 2]

    @property
    def best(self) -> Bar:
        """The highest bar, the latest of equals."""
        return max(self.bars, key=lambda bar: (bar.messages, bar.day))


def by_day(days: Sequence[tuple[date, int]]) -> Chart:
    """Return the bars of some days; one that had any message can be seen."""
    top = rounded_up(max((messages for _, messages in days), default=0))
    bars = []
    for index, (day, messages) in enumerate(days):
        height = max(_LEAST, HEIGHT * messages / top) if messages else 0
        bars.append(Bar(day, messages, STEP * index + 1, f"{HEIGHT - height:.2f}", f"{height:.2f}"))
    return Chart(bars, top)


def rounded_up(number: int) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50 …: where an axis ends."""
    size = 1
    while True:
        for step in (1, 2, 5):
            if step * size >= number:
                return step * size
        size *= 10


def share(part: int, of: int) -> str:
    """Return a part as a width in per cent of the drawing's box; any part can be seen."""
    return f"{max(0.5, 100 * part / of):.2f}" if part and of else "0"
