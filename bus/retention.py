"""What has expired. Retention is read-time first: past the cut-off nothing is visible, whenever it is deleted.

One retention holds for a whole workspace and times never decrease with numbers, so what has expired is a prefix of
the workspace: one look-up gives its first live number, and every read, search and count keeps to numbers from it.
bus/pruning.py deletes what lies before.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from accounts import history
from accounts.models import Workspace
from accounts.principals import Principal
from bus.models import Counters, Message
from crosswire.lib import clock

NEVER = datetime.min.replace(tzinfo=clock.now().tzinfo)

IDEMPOTENCY_REMEMBERED = timedelta(hours=24)

_first: dict[int, tuple[int, int, datetime]] = {}
_MOST = 10_000


def days_in_force(principal: Principal) -> int | None:
    """Return the plan's retention or a longer one still held; None is without end."""
    return history.days_in_force(principal.plan, principal.retention_holds, clock.now())


def cutoff(principal: Principal) -> datetime:
    """Return the time before which everything of the workspace has expired."""
    return before(days_in_force(principal))


def cutoff_of(workspace: Workspace) -> datetime:
    """Return the same for a row of a workspace."""
    return before(history.days_kept(workspace, clock.now()))


def before(days: int | None) -> datetime:
    """Return the time before which everything has expired where so many days are kept."""
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
    edge = before(days)
    known = _first.get(principal.workspace_id)
    if known is not None and known[0] == days and known[2] >= edge:
        return known[1]
    number, at = first_since(principal.workspace_id, edge)
    if at is not None:
        if len(_first) >= _MOST:
            _first.clear()
        _first[principal.workspace_id] = (days, number, at)
    return number


def first_since(workspace_id: int, edge: datetime) -> tuple[int, datetime | None]:
    """Return the first message of a time and later, its number and time; one past the newest when there is none."""
    # Read first: what is stored between the two look-ups must not be taken for expired. The counters' number, not that
    # of the newest row: the rows may be deleted.
    newest = Counters.objects.values_list("last_number", flat=True).filter(workspace=workspace_id).first() or 0
    live = Message.objects.filter(workspace=workspace_id, created_at__gte=edge).order_by("created_at", "number")
    return live.values_list("number", "created_at").first() or (newest + 1, None)
