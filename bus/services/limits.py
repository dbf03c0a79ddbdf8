"""What the plan allows: places, channels, messages, bytes. Read with the counters, never from a cached principal."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

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


def reached(plan: Plan, message: str, limit: int, used: int, **details: Any) -> CrossWireError:
    """Return the refusal for a limit that is reached."""
    return CrossWireError(
        "limit_reached",
        f"{message} Upgrade at {upgrade_url()}.",
        plan=plan.name,
        limit=limit,
        used=used,
        upgrade_url=upgrade_url(),
        **details,
    )


def quota_exceeded(plan: Plan, used: int) -> CrossWireError:
    """Return the refusal for a message past the month's quota."""
    resets_at = clock.month_ends_at(clock.now())
    return CrossWireError(
        "quota_exceeded",
        f"Plan {plan.title} has {plan.messages} messages a month and {used} are used; the count starts anew at "
        f"{clock.iso(resets_at)}. Upgrade at {upgrade_url()}.",
        retry_after=max(1, int((resets_at - clock.now()).total_seconds())),
        plan=plan.name,
        limit=plan.messages,
        used=used,
        resets_at=clock.iso(resets_at),
        upgrade_url=upgrade_url(),
    )


def require_channel(principal: Principal, plan: Plan, being_made: int = 0) -> None:
    """Raises: CrossWireError `limit_reached` when the plan allows no further channel. Under the counters' lock."""
    if plan.channels is None:
        return
    used = channels_used(principal) + being_made
    if used >= plan.channels:
        raise reached(plan, f"Plan {plan.title} has {plan.channels} channels and {used} exist.", plan.channels, used)


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
    until = {row.name: clock.iso(row.last_seen_at + HOLDS_PLACE) for row in holders}
    told = ", ".join(f'"{holder}" (free at {when} unless seen)' for holder, when in until.items())
    raise reached(
        plan,
        f"Plan {plan.title} has {plan.instances} places for instances; taken by {told}. Unregister one, or wait.",
        plan.instances,
        len(holders),
        places=until,
    )


def places_held(principal: Principal) -> QuerySet[Instance]:
    """Return the instances that hold a place: seen within 30 minutes, or waiting."""
    waiting = access.open_waits(principal).exclude(instance=None).values("instance")
    return access.instances(principal).filter(
        Q(last_seen_at__gte=clock.now() - HOLDS_PLACE) | Q(pk__in=waiting), left_at=None
    )


def usage(principal: Principal) -> Usage:
    """Return the plan as it is now and what is used of it."""
    plan = plan_now(principal)
    counters = Counters.objects.get(workspace=principal.workspace_id)
    now = clock.now()
    sent = counters.month_messages if counters.month == clock.month_of(now) else 0
    return {
        "workspace": principal.workspace_name,
        "plan": plan.name,
        "messages": _quota(sent, plan.messages),
        "instances": _quota(places_held(principal).count(), plan.instances),
        "channels": _quota(channels_used(principal), plan.channels),
        "data_bytes": _quota(counters.data_bytes, plan.data_bytes),
        "retention_days": plan.retention_days,
        "calls_per_minute": plan.calls,
        "resets_at": clock.iso(clock.month_ends_at(now)),
        "upgrade_url": upgrade_url(),
    }


def _quota(used: int, limit: int | None) -> Quota:
    return {"used": used, "limit": limit, "left": None if limit is None else max(0, limit - used)}
