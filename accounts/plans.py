"""Plans, in code: what each allows. `None` means no bound. Per-workspace overrides replace single figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from django.conf import settings

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan. Prices in US cents; `messages` a calendar month (UTC); `data_bytes` of UTF-8; `calls` a minute."""

    name: str
    title: str
    price_month: int
    price_year: int
    messages: int | None
    instances: int | None
    channels: int | None
    data_bytes: int | None
    retention_days: int | None
    calls: int | None
    waits: int | None = 100
    live_keys: int = 100
    is_public: bool = True

    @property
    def data_megabytes(self) -> int | None:
        """The bytes for shared data, in megabytes."""
        return None if self.data_bytes is None else self.data_bytes // MEGABYTE

    @property
    def dollars_month(self) -> int:
        """The monthly price in US dollars."""
        return self.price_month // 100


PLANS: dict[str, Plan] = {
    plan.name: plan
    for plan in (
        Plan("free", "Free", 0, 0, 100, 2, 3, MEGABYTE, 7, 120, live_keys=20),
        Plan("starter", "Starter", 900, 9_000, 1_000, 5, 10, 10 * MEGABYTE, 30, 240),
        Plan("pro", "Pro", 2_900, 29_000, 10_000, None, None, 100 * MEGABYTE, 90, 1_200),
        Plan("unlimited", "Unlimited", 0, 0, None, None, None, None, None, None, waits=None, is_public=False),
    )
}
OVERRIDABLE = frozenset(
    {"messages", "instances", "channels", "data_bytes", "retention_days", "calls", "waits", "live_keys"}
)
BOUNDED = frozenset({"live_keys"})
"""Figures that always have a bound."""
assert {field.name for field in fields(Plan)} >= OVERRIDABLE


def upgrade_url(workspace: str = "") -> str:
    """Return where a person changes the plan of a workspace, named by its slug; else of the one they saw last."""
    return f"{settings.PUBLIC_URL}/w/{workspace}/billing" if workspace else f"{settings.PUBLIC_URL}/billing"


def plan_in_force(name: str, overrides: Mapping[str, Any] | None = None) -> Plan:
    """Return the plan with a workspace's overrides put in."""
    plan = PLANS[name]
    if not overrides:
        return plan
    return replace(plan, **{key: value for key, value in overrides.items() if key in OVERRIDABLE})
