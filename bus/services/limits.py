"""What the plan allows: places, channels, messages, bytes. Read with the counters, never from a cached principal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from accounts import refusals
from accounts.models import Workspace
from accounts.plans import Plan, plan_in_force, upgrade_url
from accounts.principals import Principal
from bus import access
from bus.models import Channel, Counters, Instance
from bus.presence import HOLDS_PLACE
from bus.results import Quota, Usage
from crosswire.lib import clock
from crosswire.lib.errors import CrossWireError


def plan_now(principal: Principal) -> Plan:
    """Return the plan as it is at this moment. Raises: CrossWireError `suspended`."""
    workspace = Workspace.objects.get(pk=principal.workspace_id)
    refuse_suspended(workspace.suspended_at, workspace.suspended_reason)
    return plan_in_force(workspace.plan, workspace.overrides)


def refuse_suspended(suspended_at: Any, reason: str) -> None:
    """Raises: CrossWireError `suspended`."""
    if suspended_at is not None:
        raise CrossWireError("suspended", f"This workspace is suspended: {reason or 'ask the operator'}.")


def reached(
    principal: Principal,
    plan: Plan,
    message: str,
    limit: int,
    used: int,
    *,
    frees_at: str | None = None,
    **details: Any,
) -> CrossWireError:
    """Return the refusal for a limit that is reached; `frees_at` where time alone makes room."""
    return refusals.limit_reached(
        plan, message, principal.workspace_slug, limit=limit, used=used, frees_at=frees_at, **details
    )


def require_channel(principal: Principal, plan: Plan, being_made: int = 0) -> None:
    """Raises: CrossWireError `limit_reached` when the plan allows no further channel. Under the counters' lock."""
    if plan.channels is None:
        return
    used = channels_used(principal) + being_made
    if used >= plan.channels:
        message = f"Plan {plan.title} has {plan.channels} channels and {used} exist; archived ones do not count."
        raise reached(principal, plan, message, plan.channels, used)


def channels_used(principal: Principal) -> int:
    """Return how many channels count against the plan: all that are not archived."""
    return Channel.objects.filter(workspace=principal.workspace_id, archived_at=None).count()


def require_place(principal: Principal, name: str, plan: Plan, being_taken: int = 0) -> None:
    """Raises: CrossWireError `limit_reached` when all places are taken, naming who holds them and until when."""
    if plan.instances is None:
        return
    holders = list(places_held(principal).exclude(name=name).order_by("last_seen_at"))
    if len(holders) + being_taken < plan.instances:
        return
    waiting = set(access.open_waits(principal).exclude(instance=None).values_list("instance", flat=True))
    until = {row.name: None if row.pk in waiting else clock.iso(row.last_seen_at + HOLDS_PLACE) for row in holders}
    told = ", ".join(
        f'"{holder}" ({f"free at {when} unless seen" if when else "as long as it waits"})'
        for holder, when in until.items()
    )
    raise reached(
        principal,
        plan,
        f"Plan {plan.title} has {plan.instances} places for instances; taken by {told}. Unregister one, or wait.",
        plan.instances,
        len(holders),
        frees_at=min(filter(None, until.values()), default=None),
        places=until,
    )


def places_held(principal: Principal) -> QuerySet[Instance]:
    """Return the instances that hold a place: seen within 30 minutes, or waiting."""
    waiting = access.open_waits(principal).exclude(instance=None).values("instance")
    return access.instances(principal).filter(
        Q(last_seen_at__gte=clock.now() - HOLDS_PLACE) | Q(pk__in=waiting), left_at=None
    )


def holding(principal: Principal, names: Iterable[str]) -> set[str]:
    """Return which of these instances hold a place."""
    return set(places_held(principal).filter(name__in=list(names)).values_list("name", flat=True))


class Counted(NamedTuple):
    """What counts against the month's messages, and against the space for shared data, in bytes."""

    messages: int
    data_bytes: int


def counted(principal: Principal) -> Counted:
    """Return the counts; what expired items still take is given back before anything is refused for want of space."""
    expired = access.expired_shared_items(principal).order_by().values("workspace").annotate(total=Sum("size_bytes"))
    expired_bytes = Coalesce(Subquery(expired.values("total")), 0)
    counters = Counters.objects.annotate(expired_bytes=expired_bytes).get(workspace=principal.workspace_id)
    sent = counters.month_messages if counters.month == clock.month_of(clock.now()) else 0
    return Counted(sent, counters.data_bytes - counters.expired_bytes)


def usage(principal: Principal) -> Usage:
    """Return the plan as it is now and what is used of it. Raises: CrossWireError `suspended`."""
    plan = plan_now(principal)
    return usage_of(principal, plan, counted(principal))


def usage_of(principal: Principal, plan: Plan, used: Counted) -> Usage:
    """Return what is used of a plan, with the counts as they were just read; in a suspended workspace as well."""
    return {
        "workspace": principal.workspace_name,
        "plan": plan.name,
        "messages": _quota(used.messages, plan.messages),
        "instances": _quota(places_held(principal).count(), plan.instances),
        "channels": _quota(channels_used(principal), plan.channels),
        "data_bytes": _quota(used.data_bytes, plan.data_bytes),
        "retention_days": plan.retention_days,
        "calls_per_minute": plan.calls,
        "resets_at": clock.iso(clock.month_ends_at(clock.now())),
        "upgrade_url": upgrade_url(principal.workspace_slug),
    }


def _quota(used: int, limit: int | None) -> Quota:
    return {"used": used, "limit": limit, "left": None if limit is None else max(0, limit - used)}
