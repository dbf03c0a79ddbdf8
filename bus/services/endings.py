"""Ending waits from outside."""

from __future__ import annotations

from django.db.models import QuerySet

from bus import wakeups
from bus.models import Wait
from crosswire.lib import clock


def end(waits: QuerySet[Wait], why: str) -> None:
    """End these waits; each is told, in whatever process it is, once the transaction is committed."""
    tokens = list(waits.values_list("token", flat=True))
    if tokens:
        Wait.objects.filter(token__in=tokens).update(ended_at=clock.now(), ended=why)
    for token in tokens:
        wakeups.wait_ended(token, why)
