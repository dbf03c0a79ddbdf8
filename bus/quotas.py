"""What a workspace uses of its quotas, for those who are told when it comes close to them (accounts/quotas.py)."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from accounts import principals, quotas
from accounts.models import Workspace
from accounts.plans import PLANS, Plan
from accounts.quotas import Use
from bus.models import Counters
from bus.services import limits
from bus.services.limits import Counted
from crosswire.lib import clock, jobs

_TASK = "bus.tasks.warn"


def uses(plan: Plan, used: Counted) -> list[Use]:
    """Return what is used of the month's messages and of the space for shared data."""
    return [Use("messages", used.messages, plan.messages), Use("data_bytes", used.data_bytes, plan.data_bytes)]


def notice(workspace_id: int, before: int, after: int, limit: int | None) -> None:
    """Have people told, after the commit, if a count has crossed a line."""
    if quotas.crosses(before, after, limit):
        jobs.queue(_TASK, workspace_id)


def warn(workspace_id: int) -> int:
    """Tell those who run a workspace how much of its quotas is used, if that is new to them; return how many lines."""
    workspace = Workspace.objects.filter(pk=workspace_id, closing_at=None).first()
    if workspace is None:
        return 0
    principal = principals.of_job(workspace)
    return quotas.tell(workspace, uses(principal.plan, limits.counted(principal)))


def look() -> dict[str, int]:
    """Tell of what nobody was told, in every workspace; return how many lines that were, and how many rows went."""
    told = sum(warn(pk) for pk in list(_near().values_list("workspace", flat=True)))
    return {"quota_warnings": told, "old_quota_warnings": quotas.forget_old()}


def _near() -> QuerySet[Counters]:
    """Return the counters of workspaces that have reached a line, as far as plans tell; those with overrides may."""
    month, first = clock.month_of(clock.now()), quotas.LINES[0] / 100
    near = ~Q(workspace__overrides={})
    for plan in PLANS.values():
        if plan.messages is not None:
            near |= Q(workspace__plan=plan.name, month=month, month_messages__gte=first * plan.messages)
        if plan.data_bytes is not None:
            near |= Q(workspace__plan=plan.name, data_bytes__gte=first * plan.data_bytes)
    return Counters.objects.filter(near, workspace__suspended_at=None)
