"""How long a workspace keeps messages and shared data, and when that becomes less."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from accounts.models import Workspace
from accounts.plans import Plan, plan_in_force
from crosswire.lib import clock


class Fall(NamedTuple):
    """From `at` on only so many days are kept: less than before."""

    at: datetime
    days: int


def days_in_force(plan: Plan, holds: Iterable[tuple[int | None, str]], at: datetime) -> int | None:
    """Return how many days are kept at a time: the plan's, or more while a hold (days, until) runs. None is without
    end."""
    figure = plan.retention_days
    if figure is None:
        return None
    now = clock.iso(at)
    held = [days for days, until in holds if until > now]
    return None if None in held else max([figure, *(days for days in held if days is not None)])


def days_kept(workspace: Workspace, at: datetime) -> int | None:
    """Return the same for a row of a workspace."""
    holds = [(hold["days"], hold["until"]) for hold in workspace.retention_holds]
    return days_in_force(plan_in_force(workspace.plan, workspace.overrides), holds, at)


def next_fall(workspace: Workspace) -> Fall | None:
    """Return when a hold ends and less is kept than now; None while nothing of the kind is to come."""
    now = clock.now()
    kept = days_kept(workspace, now)
    for until in sorted(hold["until"] for hold in workspace.retention_holds if hold["until"] > clock.iso(now)):
        at = datetime.fromisoformat(until)
        days = days_kept(workspace, at)
        if days is not None and (kept is None or days < kept):
            return Fall(at, days)
    return None
