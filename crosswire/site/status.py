"""How the service is, for people: what it depends on, asked at most every few seconds however many look."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from django.conf import settings
from django.core.cache import cache

from crosswire import health
from crosswire.lib import clock, redis_clients

KEPT_SECONDS = 5.0
BEAT_EVERY = timedelta(minutes=1)
BEAT_LATE = 3 * BEAT_EVERY
_BEAT = "crosswire:beat"


@dataclass(frozen=True)
class Part:
    """Something the service needs: `state` is good, warn or bad; `said` tells what that means for its users."""

    name: str
    state: str
    word: str
    said: str
    at: datetime | None = None


@dataclass(frozen=True)
class Report:
    """All parts, and when they were asked."""

    parts: tuple[Part, ...]
    at: datetime

    @property
    def state(self) -> str:
        """How the service is as a whole: good, warn or bad."""
        states = {part.state for part in self.parts}
        return next((state for state in ("bad", "warn") if state in states), "good")


_lock = Lock()
_kept: tuple[float, Report] | None = None


def report() -> Report:
    """Return how the service is, as of a few seconds ago at most. Whoever asks meanwhile waits for the same answer."""
    global _kept  # noqa: PLW0603 - guarded by the lock
    with _lock:
        if _kept is None or time.monotonic() - _kept[0] > KEPT_SECONDS:
            parts = [_database()]
            parts += _with_redis() if settings.REDIS_URL else [_alone(), _jobs(cache.get(_BEAT))]
            _kept = time.monotonic(), Report(tuple(parts), clock.now())
        return _kept[1]


def forget() -> None:
    """Ask anew the next time."""
    global _kept  # noqa: PLW0603 - as above
    with _lock:
        _kept = None


def note_beat() -> None:
    """Remember that background jobs run."""
    cache.set(_BEAT, clock.now(), None)


def _database() -> Part:
    if health.is_database_there():
        return Part("Messages", "good", "working", "They are stored and read.")
    return Part(
        "Messages",
        "bad",
        "away",
        "The database does not answer. Calls are refused with 503 and can be repeated; what was acknowledged is kept.",
    )


def _alone() -> Part:
    return Part("Waking", "good", "working", "Everything runs in one process: who waits hears of a message at once.")


def _with_redis() -> list[Part]:
    try:
        redis_clients.client().ping()
        seen = cache.get(_BEAT)
    except redis_clients.AWAY:
        slow = Part("Waking", "warn", "slow", "Who waits hears of a message within 2 seconds instead of at once.")
        return [slow, Part("Background jobs", "warn", "unknown", "They cannot be asked about now.")]
    awake = Part("Waking", "good", "working", "Who waits hears of a message at once.")
    return [awake, _jobs(seen)]


def _jobs(seen: datetime | None) -> Part:
    if seen is None:
        return Part("Background jobs", "warn", "not seen", "None has run yet: exports, mails and cleaning up are late.")
    if clock.now() - seen > BEAT_LATE:
        return Part("Background jobs", "warn", "late", "Exports, mails and cleaning up are late. They last ran", seen)
    return Part("Background jobs", "good", "working", "They last ran", seen)
