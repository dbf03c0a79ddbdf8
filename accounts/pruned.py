"""The record of what age has taken: for each workspace by day, and how the runs went that took it.

bus/pruning.py and bus/pruners.py do it and write here; pages and the operators' console read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import Pruned, PruneRun
from crosswire.lib import clock

SHOWN = timedelta(days=30)
KEPT = timedelta(days=90)
"""How long what was pruned is known, and how the runs went."""
NAMED_MOST = 20
"""Names that are kept of a day."""
LATE = timedelta(hours=3)
"""A schedule that runs every hour has ended a run within this time."""
DEAD = timedelta(minutes=10)
"""After so long without a sign of life a run was cut off."""

SHARED_DATA = "shared_data"
TITLES = {
    "messages": ("message", "messages"),
    SHARED_DATA: ("item of shared data", "items of shared data"),
    "keys": ("ended key", "ended keys"),
    "usage_days": ("old line of statistics", "old lines of statistics"),
}
"""What members are told of, in the order they are; the rest is bookkeeping about messages that are gone."""


@transaction.atomic
def note(workspace_id: int, what: str, count: int, names: Iterable[str] = ()) -> None:
    """Record that so many rows were deleted; in the transaction that deletes them."""
    known = Pruned.objects.select_for_update()
    row, _ = known.get_or_create(workspace_id=workspace_id, day=clock.now().date(), what=what)
    row.count += count
    row.names = [*row.names, *names][:NAMED_MOST]
    row.save(update_fields=["count", "names"])


@dataclass(frozen=True)
class Taken:
    """What went of one kind: how many, and some of their names."""

    what: str
    count: int
    names: list[str]

    @property
    def in_words(self) -> str:
        """How many of what: `3 messages`."""
        return f"{self.count:,} {TITLES[self.what][self.count != 1]}"

    @property
    def unnamed(self) -> int:
        """How many went whose names are not kept."""
        return self.count - len(self.names)


def last_pruned(workspace_id: int, *what: str) -> list[tuple[date, list[Taken]]]:
    """Return what went in the last 30 days of what members know of (or only of some of it), by day, newest first."""
    rows = Pruned.objects.filter(workspace=workspace_id, day__gt=(clock.now() - SHOWN).date(), what__in=what or TITLES)
    order = list(TITLES)
    found: dict[date, list[Taken]] = {}
    for row in sorted(rows.order_by("-day"), key=lambda row: order.index(row.what)):
        found.setdefault(row.day, []).append(Taken(row.what, row.count, row.names))
    return sorted(found.items(), reverse=True)


def totals(days: Iterable[tuple[date, list[Taken]]]) -> list[Taken]:
    """Return what went on all of these days together."""
    counts = dict.fromkeys(TITLES, 0)
    for _, taken in days:
        for each in taken:
            counts[each.what] += each.count
    return [Taken(what, count, []) for what, count in counts.items() if count]


@dataclass(frozen=True)
class Health:
    """How pruning is, installation-wide: the newest run, the newest complete one, and whether that is too long ago.

    `state`: `never`, `running`, `complete`, `partial` (time ran out; the next one goes on), `failed` (in some
    workspaces, see `last.failed`), or `cut off`.
    """

    last: PruneRun | None
    complete: PruneRun | None
    state: str
    is_late: bool

    @property
    def seconds(self) -> float | None:
        """How long the newest run took or has been going on; None when there was none."""
        if self.last is None:
            return None
        return ((self.last.ended_at or self.last.seen_at) - self.last.started_at).total_seconds()


def health() -> Health:
    """Return how pruning is, as every process sees it."""
    runs = PruneRun.objects.order_by("-pk")
    last, complete = runs.first(), runs.filter(is_complete=True).first()
    is_late = complete is None or complete.ended_at is None or complete.ended_at < clock.now() - LATE
    return Health(last, complete, _state(last), is_late)


def _state(run: PruneRun | None) -> str:
    if run is None:
        return "never"
    if run.ended_at is None:
        return "running" if run.seen_at > clock.now() - DEAD else "cut off"
    if run.failed:
        return "failed"
    return "complete" if run.is_complete else "partial"


def begin() -> PruneRun:
    """Note that a run begins; it goes on after the workspace that an unfinished one before it had come to."""
    before = PruneRun.objects.order_by("-pk").first()
    reached = 0 if before is None or before.is_complete else before.reached
    return PruneRun.objects.create(reached=reached)


def tell(run: PruneRun, counts: Mapping[str, int], ended_at: datetime | None = None) -> None:
    """Write down how far a run is."""
    run.seen_at, run.ended_at, run.counts = clock.now(), ended_at, dict(counts)
    run.save(update_fields=["seen_at", "ended_at", "is_complete", "reached", "counts", "failed"])


def old_days() -> QuerySet[Pruned]:
    """Return what was recorded so long ago that it goes itself."""
    return Pruned.objects.filter(day__lt=(clock.now() - KEPT).date())


def old_runs() -> QuerySet[PruneRun]:
    """Return the runs of that age."""
    return PruneRun.objects.filter(started_at__lt=clock.now() - KEPT)
