"""Ending waits from outside."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import batched
from typing import Any

from django.db.models import QuerySet

from bus import wakeups
from bus.models import Wait
from crosswire.lib import clock
from crosswire.lib.database import writing

LOST = frozenset({"revoked", "suspended"})
"""Ends after which the caller is refused."""
_TOGETHER = 1_000


def end_access(workspace_id: int, credential: str | None, instance: str | None, why: str) -> None:
    """End the waits of a workspace, or of a credential or an instance in it; `restart` leaves tasks alone."""
    waits = Wait.objects.filter(workspace=workspace_id, ended_at=None)
    if credential is not None:
        waits = waits.filter(credential=credential)
    if instance is not None:
        waits = waits.filter(instance__name=instance)
    end(waits if why in LOST else waits.exclude(kind=Wait.Kind.TASK), why)


def end(waits: QuerySet[Wait], why: str, about: Mapping[str, Any] | None = None) -> int:
    """End these waits and return how many of them were still open; what is known `about` the end goes into their rows.

    Each is told, in whatever process it is, once the transaction is committed.
    """
    told = {"ended_at": clock.now(), "ended": why, **({} if about is None else {"arguments": about})}
    with writing():
        # Of two that end it, one does; in one order, so that neither waits for the other.
        still_open = (
            waits.select_related(None).filter(ended_at=None).order_by("pk").select_for_update(of=("self",), no_key=True)
        )
        tokens = [wait.token for wait in still_open.only("token")]
        for some in batched(tokens, _TOGETHER):
            Wait.objects.filter(token__in=some).update(**told)
        for token in tokens:
            wakeups.wait_ended(token, why)
    return len(tokens)
