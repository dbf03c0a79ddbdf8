"""What of accounts' own tables is too old to be kept."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import OuterRef, Q, QuerySet

from accounts.models import ApiKey, UsageDay

USAGE_KEPT = timedelta(days=400)
"""The charts show 30 days, the month's quota has a counter of its own; a year can be compared with the one before."""
KEYS_KEPT = timedelta(days=90)
"""How long a key that was revoked or has expired is listed; the audit log tells of it for ever."""


def usage_days(workspace: int | OuterRef, now: datetime) -> QuerySet[UsageDay]:
    """Return what a workspace sent on days that nobody asks about any more."""
    return UsageDay.objects.filter(workspace=workspace, day__lt=(now - USAGE_KEPT).date())


def keys(workspace: int | OuterRef, now: datetime) -> QuerySet[ApiKey]:
    """Return a workspace's keys that ended long ago."""
    since = now - KEYS_KEPT
    return ApiKey.objects.filter(Q(revoked_at__lt=since) | Q(expires_at__lt=since), workspace=workspace)
