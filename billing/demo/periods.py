"""Billing periods: calendar months and years counted from an anchor, as Stripe counts them."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime

_SECONDS = {"day": 86_400, "week": 7 * 86_400}


def stepped(anchor: int, interval: str, count: int) -> int:
    """Return the anchor moved by so many intervals; the 31st becomes the last day of a shorter month."""
    if interval in _SECONDS:
        return anchor + count * _SECONDS[interval]
    start = datetime.fromtimestamp(anchor, UTC)
    months = start.month - 1 + count * (12 if interval == "year" else 1)
    year, month = start.year + months // 12, months % 12 + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())


def end_after(anchor: int, interval: str, interval_count: int, moment: int) -> int:
    """Return the end of the period that a moment lies in, counted from the anchor."""
    steps = 1
    while (end := stepped(anchor, interval, steps * interval_count)) <= moment:
        steps += 1
    return end


def share(amount: int, left: int, whole: int) -> int:
    """Return an amount's part for the time that is left of a whole, rounded half away from zero."""
    parts = 2 * abs(amount) * left + whole
    return (1 if amount >= 0 else -1) * (parts // (2 * whole))
