"""A round of pruning through all workspaces: one that fails holds up no other, one that was cut off is gone on with."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

from django.conf import settings
from django.db import close_old_connections, connection
from django.db.models import Q, QuerySet

from accounts import exports, pruned
from accounts.archive import SignOfLife
from accounts.models import PruneRun, Workspace
from bus import fulltext, pruning
from bus.models import IdempotencyKey, Wait
from bus.presence import TASK_KEPT, WAIT_ALIVE
from bus.retention import IDEMPOTENCY_REMEMBERED
from crosswire.lib import clock, steps
from crosswire.lib.database import writing

RUN_SECONDS = 600.0
"""How long a scheduled run lasts at most; the next one goes on."""
ALONE_SECONDS = 60.0
"""The same in the one process of the embedded default, where other jobs wait meanwhile."""
SHARE = 10
"""A workspace gets this part of a run before it is the others' turn, however much there is to do."""
EVERYWHERE = ("idempotency_keys", "waits", "tasks", "records", "runs", "exports", "export_leftovers", "words_taken_out")
"""What is counted of no workspace."""
_WORKSPACES_TOGETHER = 500

logger = logging.getLogger(__name__)


def run_scheduled() -> dict[str, int]:
    """Prune everything as the schedule does, for a bounded time; return how many rows of what went."""
    seconds = ALONE_SECONDS if settings.CELERY_TASK_ALWAYS_EAGER else RUN_SECONDS
    return run(seconds).counts  # type: ignore[no-any-return]  # JSON


def run(
    seconds: float = inf, told: Callable[[Workspace, Counter[str]], None] = lambda workspace, gone: None
) -> PruneRun:
    """Prune everything; return the record of it. `told` hears of each workspace where something went.

    Safe to run beside another one, and to be killed at any moment.
    """
    round_ = _Round(pruned.begin(), time.monotonic() + seconds, seconds / SHARE, told)
    round_.go()
    return round_.row


class _Round:
    def __init__(
        self, row: PruneRun, until: float, share: float, told: Callable[[Workspace, Counter[str]], None]
    ) -> None:
        self.row, self.until, self.share, self.told = row, until, share, told
        self.counts: Counter[str] = Counter()
        self.is_all = True
        self.alive = SignOfLife(self.tell)

    def tell(self) -> None:
        with writing():
            pruned.tell(self.row, self.counts)

    def go(self) -> None:
        """Prune what belongs to no workspace's retention, then the workspaces from where the last run ended."""
        self.attempt("", pruning.check_clock)
        if not self.row.failed:
            self.counts += everywhere(self.alive, partial(self.attempt, ""))
            while not self.once_through_all() and time.monotonic() < self.until:
                pass  # one that is large gets another share
            self.row.is_complete = self.is_all
        with writing():
            pruned.tell(self.row, self.counts, ended_at=clock.now())

    def once_through_all(self) -> bool:
        """Give each workspace its share of the time; return whether nothing is left."""
        self.is_all = True
        begin = self.row.reached
        if not all(self.through(part) for part in (Q(pk__gt=begin), Q(pk__lte=begin))):
            self.is_all = False
        return self.is_all

    def through(self, part: Q) -> bool:
        """Prune some of the workspaces, in the order of their keys; return whether there was time for all."""
        waiting = Workspace.objects.filter(part, closing_at=None).order_by("pk")
        after = -1
        while rows := list(waiting.filter(pk__gt=after)[:_WORKSPACES_TOGETHER]):
            due = self.due(rows)
            for workspace in rows:
                if time.monotonic() > self.until:
                    return False
                if workspace.pk in due and workspace.slug not in self.row.failed:
                    self.attempt(workspace.slug, partial(self.one, workspace))
                self.row.reached = after = workspace.pk
                self.alive()
        return True

    def due(self, rows: list[Workspace]) -> set[int]:
        """Return the keys of those where something may have expired; of all, where that cannot be said."""
        try:
            return pruning.due(rows)
        except Exception:
            logger.exception("prune_asked_one_by_one", extra={"after": self.row.reached})
            close_old_connections()
            return {workspace.pk for workspace in rows}

    def one(self, workspace: Workspace) -> None:
        until = min(self.until, time.monotonic() + self.share)
        gone, is_all = pruning.prune(workspace.pk, self.alive, until)
        self.is_all = self.is_all and is_all
        self.counts += gone
        if gone:
            self.told(workspace, gone)

    def attempt(self, name: str, work: Callable[[], None]) -> None:
        """Do something; what goes wrong is logged and written down. Raises: what the database raises if it is away."""
        try:
            work()
        except Exception as problem:
            logger.exception("prune_failed", extra={"workspace": name})
            if not connection.in_atomic_block:
                close_old_connections()
            self.row.failed[name] = type(problem).__name__
            self.tell()


def _over() -> dict[str, QuerySet[Any]]:
    """Return what nothing reads any more whatever the plan.

    Idempotency keys are looked up for 24 hours; waits are over past their `until`, or with their process; a task can be
    asked for an hour after its end.
    """
    now = clock.now()
    blocking = Wait.objects.exclude(kind=Wait.Kind.TASK)
    ended = Q(ended_at__lt=now - TASK_KEPT) | Q(ended_at=None, until__lt=now - TASK_KEPT)
    return {
        "idempotency_keys": IdempotencyKey.objects.filter(created_at__lt=now - IDEMPOTENCY_REMEMBERED),
        "waits": blocking.filter(Q(until__lt=now) | Q(seen_at__lt=now - 2 * WAIT_ALIVE)),
        "tasks": Wait.objects.filter(ended, kind=Wait.Kind.TASK),
        "records": pruned.old_days(),
        "runs": pruned.old_runs(),
    }


def everywhere(
    alive: Callable[[], None] = lambda: None, attempt: Callable[[Callable[[], None]], None] = lambda work: work()
) -> Counter[str]:
    """Delete what is over in all workspaces alike, and look after exports and the index; return how many of what.

    Messages that a previous release stored beside this one are made searchable. `attempt` does each of these works.
    """
    counts: Counter[str] = Counter()

    def delete(what: str, rows: QuerySet[Any]) -> None:
        counts[what] += steps.delete(rows, alive)

    for what, rows in _over().items():
        attempt(partial(delete, what, rows))
    attempt(lambda: counts.update(exports.sweep()))
    attempt(lambda: counts.update(words_taken_out=fulltext.fill()))
    return +counts


def preview_everywhere() -> Counter[str]:
    """Return how many rows and files that are over would go now."""
    return +Counter({**{what: rows.count() for what, rows in _over().items()}, **exports.sweep(is_dry=True)})
