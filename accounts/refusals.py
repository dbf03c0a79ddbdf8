"""Refusals for want of plan, on every surface alike: plan, limit, use, when it resets, where to upgrade.

`workspace` is the slug that the address of its billing page names.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from accounts.plans import Plan, upgrade_url
from crosswire.lib import clock
from crosswire.lib.errors import CrossWireError


def quota_exceeded(plan: Plan, used: int, workspace: str) -> CrossWireError:
    """Return the refusal of a message past the month's quota."""
    now = clock.now()
    anew = clock.month_ends_at(now)
    return _refusal(
        "quota_exceeded",
        f"Plan {plan.title} has {plan.messages:,} messages a month and {used:,} are used; "
        f"the count starts anew at {clock.iso(anew)}.",
        plan,
        workspace,
        retry_after=max(1, int((anew - now).total_seconds())),
        limit=plan.messages,
        used=used,
        resets_at=clock.iso(anew),
    )


def limit_reached(
    plan: Plan,
    message: str,
    workspace: str,
    *,
    limit: int,
    used: int,
    frees_at: str | None = None,
    **details: Any,
) -> CrossWireError:
    """Return the refusal for what the plan does not allow at one time; `frees_at` where time alone makes room."""
    when = {} if frees_at is None else {"resets_at": frees_at}
    return _refusal("limit_reached", message, plan, workspace, limit=limit, used=used, **when, **details)


def rate_limited(plan: Plan, message: str, workspace: str, *, limit: int, retry_after: int) -> CrossWireError:
    """Return the refusal of a call past what the plan allows a minute."""
    return _refusal(
        "rate_limited",
        message,
        plan,
        workspace,
        retry_after=retry_after,
        limit=limit,
        used=limit,
        resets_at=resets_at(retry_after),
    )


def resets_at(retry_after: int) -> str:
    """Return the time that lies so many seconds ahead, as answers write it."""
    return clock.iso(clock.now() + timedelta(seconds=retry_after))


def _refusal(code: str, message: str, plan: Plan, workspace: str, **details: Any) -> CrossWireError:
    url = upgrade_url(workspace)
    return CrossWireError(code, f"{message} Upgrade at {url}.", plan=plan.name, upgrade_url=url, **details)
