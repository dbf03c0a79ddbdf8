"""The one clock. SQL takes its times from here as parameters, never from `now()`."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

_offset = timedelta(0)
_file = os.environ.get("CROSSWIRE_CLOCK_FILE", "")
_file_state: tuple[int, timedelta] = (0, timedelta(0))


def now() -> datetime:
    """Return the current time in UTC, in whole milliseconds."""
    moment = of_machine() + _offset
    if _file:
        moment += _from_file()
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def of_machine() -> datetime:
    """Return what this machine takes for the time, however far `now` was moved."""
    return datetime.now(UTC)


def shift(by: timedelta) -> None:
    """Move this process's clock; tests use it instead of sleeping."""
    global _offset  # noqa: PLW0603 - the offset is this module's whole state
    _offset += by


def reset() -> None:
    """Undo every `shift`."""
    global _offset  # noqa: PLW0603 - as above
    _offset = timedelta(0)


def _from_file() -> timedelta:
    """Return the offset (seconds) that `CROSSWIRE_CLOCK_FILE` holds, read again whenever it changes."""
    global _file_state  # noqa: PLW0603 - a one-entry cache
    try:
        stamp = os.stat(_file).st_mtime_ns
        if stamp != _file_state[0]:
            with open(_file, encoding="ascii") as handle:
                _file_state = (stamp, timedelta(seconds=float(handle.read().strip() or 0)))
    except (OSError, ValueError):
        pass
    return _file_state[1]


def iso(moment: datetime) -> str:
    """Return RFC 3339 in UTC with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def month_of(moment: datetime) -> int:
    """Return the calendar month in UTC as a number such as 202611."""
    utc = moment.astimezone(UTC)
    return utc.year * 100 + utc.month


def month_ends_at(moment: datetime) -> datetime:
    """Return the first instant of the next calendar month, when monthly quotas start anew."""
    utc = moment.astimezone(UTC)
    return datetime(utc.year + utc.month // 12, utc.month % 12 + 1, 1, tzinfo=UTC)
