"""What has expired. Retention is read-time first: past the cut-off nothing is visible, whenever it is deleted.

One retention holds for a whole workspace and times never decrease with numbers, so what has expired is a prefix of
the workspace: one look-up gives its first live number, and every read, search and count keeps to numbers from it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from accounts.principals import Principal
from bus import fulltext
from bus.models import IdempotencyKey, Message, Wait
from bus.presence import WAIT_ALIVE
from crosswire.lib import clock

NEVER = datetime.min.replace(tzinfo=clock.now().tzinfo)

IDEMPOTENCY_REMEMBERED = timedelta(hours=24)

_first: dict[int, tuple[int, int, datetime]] = {}
_MOST = 10_000


def days_in_force(principal: Principal) -> int | None:
    """Return the plan's retention or a longer one still held; None is without end."""
    figure = principal.plan.retention_days
    if figure is None:
        return None
    now = clock.iso(clock.now())
    return max([figure, *(days for days, until in principal.retention_holds if until > now)])


def cutoff(principal: Principal) -> datetime:
    """Return the time before which everything of the workspace has expired."""
    days = days_in_force(principal)
    return NEVER if days is None else clock.now() - timedelta(days=days)


def expires_at(principal: Principal, stored_at: datetime) -> str | None:
    """Return when something stored then expires."""
    days = days_in_force(principal)
    return None if days is None else clock.iso(stored_at + timedelta(days=days))


def first_live(principal: Principal) -> int:
    """Return the lowest number that has not expired, or one past the newest when all have; 0 without retention.

    A look-up's answer stays right until that message expires itself, so it is remembered with its time.
    """
    days = days_in_force(principal)
    if days is None:
        return 0
    edge = clock.now() - timedelta(days=days)
    known = _first.get(principal.workspace_id)
    if known is not None and known[0] == days and known[2] >= edge:
        return known[1]
    messages = Message.objects.filter(workspace=principal.workspace_id)
    # Read first: what is stored between the two look-ups must not be taken for expired.
    newest = messages.order_by("-number").values_list("number", flat=True).first() or 0
    live = messages.filter(created_at__gte=edge).order_by("created_at", "number").values_list("number", "created_at")
    found = live.first()
    if found is None:
        return newest + 1
    if len(_first) >= _MOST:
        _first.clear()
    _first[principal.workspace_id] = (days, *found)
    return found[0]


def sweep() -> dict[str, int]:
    """Delete what nothing reads any more, in every workspace; return how many rows of what. Safe to run twice.

    Messages that a previous release stored beside this one are made searchable.
    Idempotency keys are looked up for 24 hours; waits are over past their `until`, or with their process.
    """
    now = clock.now()
    keys, _ = IdempotencyKey.objects.filter(created_at__lt=now - IDEMPOTENCY_REMEMBERED).delete()
    blocking = Wait.objects.exclude(kind=Wait.Kind.TASK)
    waits, _ = blocking.filter(Q(until__lt=now) | Q(seen_at__lt=now - 2 * WAIT_ALIVE)).delete()
    return {"idempotency_keys": keys, "waits": waits, "words_taken_out": fulltext.fill()}
