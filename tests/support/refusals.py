"""What every refusal for want of plan tells, whatever the surface."""

from __future__ import annotations

from typing import Any

from accounts.plans import PLANS, upgrade_url
from tests.support.cast import Caller
from tests.support.messages import TIME
from tests.support.surfaces import Refusal

RESETTING = {"quota_exceeded", "rate_limited"}


def tells_plan(refusal: Refusal, caller: Caller, *, limit: int, used: int, plan: str = "free") -> dict[str, Any]:
    """Assert that a refusal names plan, limit, use, reset and where to upgrade; return its further details."""
    further = dict(refusal.details)
    told = {key: further.pop(key) for key in ("plan", "limit", "used", "upgrade_url")}
    address = upgrade_url(caller.workspace.slug)
    assert told == {"plan": plan, "limit": limit, "used": used, "upgrade_url": address}
    assert all(part in refusal.message for part in (PLANS[plan].title, f"{limit:,}", address))
    if refusal.code in RESETTING:
        seconds = further["retry_after"]
        assert seconds > 0
        assert TIME.fullmatch(further["resets_at"])
        assert refusal.status is None or refusal.headers["retry-after"] == str(seconds)
    assert refusal.status in (None, 429)
    return further
