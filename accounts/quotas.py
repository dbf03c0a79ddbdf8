"""How close a workspace is to what its plan allows in all, and the mails about it: one a month for each line.

A row of `QuotaWarning` makes it one mail, however many processes notice; what was cut off goes on with the next look.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from django.db.models import Q

from accounts import mails, notices
from accounts.models import QuotaWarning, Workspace
from accounts.plans import PLANS, upgrade_url
from crosswire.lib import clock
from crosswire.lib.database import writing

LINES = (80, 100)
"""Per cent of a quota from which on people are told."""
TOPIC = "quota"
STALE = timedelta(minutes=10)
"""Whoever began to send the mails and is not done by then is taken for dead."""


class Use(NamedTuple):
    """How much is used of something: `messages` of the month, or `data_bytes`. Without a limit there is no line."""

    what: str
    used: int
    limit: int | None

    @property
    def line(self) -> int:
        """The highest line that is reached, 0 below the first. A limit of 0 is somebody's wish and has no line."""
        return max((each for each in LINES if self.limit and 100 * self.used >= each * self.limit), default=0)

    @property
    def percent(self) -> int:
        """How much of the limit is used, rounded down so that 100 means all of it."""
        return 100 * self.used // self.limit if self.limit else 0


def crosses(before: int, after: int, limit: int | None) -> bool:
    """Return whether a line lies between two counts."""
    return bool(limit) and Use("", before, limit).line < Use("", after, limit).line


def tell(workspace: Workspace, uses: Iterable[Use]) -> int:
    """Mail whoever runs a workspace about each line that is reached and not told of yet; return how many lines."""
    if workspace.suspended_at or TOPIC in workspace.muted_mails:
        return 0
    return sum(_tell(workspace, use) for use in uses if use.line)


def _tell(workspace: Workspace, use: Use) -> bool:
    row = _claimed(workspace, use)
    if row is None:
        return False
    now = clock.now()
    sent = [
        mails.send(
            "quota",
            member.user.email,
            workspace=workspace.name,
            plan=PLANS[workspace.plan].title,
            use=use,
            resets_at=clock.month_ends_at(now),
            page=upgrade_url(workspace.slug),
        )
        for member in notices.receivers(workspace.pk)
    ]
    is_told = any(sent) or not sent
    QuotaWarning.objects.filter(pk=row.pk).update(told_at=clock.now() if is_told else None)
    return is_told


def _claimed(workspace: Workspace, use: Use) -> QuotaWarning | None:
    """Return the row of a line if it is this process that tells of it. Lower lines count as told with it."""
    now = clock.now()
    named = {"workspace": workspace, "month": clock.month_of(now), "what": use.what, "limit": use.limit}
    if QuotaWarning.objects.filter(**named, line__gte=use.line).exclude(told_at=None).exists():
        return None
    with writing():
        lower = [QuotaWarning(**named, line=line, told_at=now) for line in LINES if line < use.line]
        QuotaWarning.objects.bulk_create([*lower, QuotaWarning(**named, line=use.line)], ignore_conflicts=True)
        mine = QuotaWarning.objects.filter(**named, line=use.line, told_at=None)
        is_free = Q(begun_at=None) | Q(begun_at__lt=now - STALE)
        return mine.first() if mine.filter(is_free).update(begun_at=now) else None


def forget_old() -> int:
    """Delete the rows of months gone by; return how many."""
    return QuotaWarning.objects.filter(month__lt=clock.month_of(clock.now())).delete()[0]
