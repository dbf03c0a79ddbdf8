"""Changing what a workspace may use: its plan, and an operator's overrides of single figures.

Where retention falls, the old figure is held for 30 days: nothing vanishes overnight. A hold is made of a figure, never
of another hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction

from accounts import audit, principals
from accounts.models import Workspace
from accounts.plans import BOUNDED, OVERRIDABLE, PLANS, plan_in_force
from crosswire.lib import clock
from crosswire.lib.errors import invalid

HELD = timedelta(days=30)
RETENTION_MOST = 36_500
"""Days: a hundred years ago and ahead there are dates, thousands of years away there are none."""


@transaction.atomic
def set_plan(workspace: Workspace, plan: str, *, actor: str = "operator", why: str = "") -> bool:
    """Put a workspace on a plan, effective in every process as a changed credential is; return whether it was another.

    `why` is for the audit log. Raises: CrossWireError `invalid_input` for an unknown plan.
    """
    if plan not in PLANS:
        raise invalid(f"There is no plan {plan!r}; plans: {', '.join(PLANS)}.")
    locked = _locked(workspace)
    before = locked.plan
    if before == plan:
        return False
    _change(locked, plan, locked.overrides)
    audit.record(locked.pk, actor, "workspace.plan_changed", plan, before=before, why=why)
    _show(workspace, locked)
    return True


@transaction.atomic
def set_overrides(workspace: Workspace, overrides: Mapping[str, object], *, actor: str = "operator") -> bool:
    """Replace the overrides of a workspace: figures of `OVERRIDABLE`, None for no bound; return whether they changed.

    Raises: CrossWireError `invalid_input`.
    """
    for name, figure in overrides.items():
        if name not in OVERRIDABLE:
            raise invalid(f"{name!r} cannot be overridden; what can: {', '.join(sorted(OVERRIDABLE))}.")
        if figure is not None and (isinstance(figure, bool) or not isinstance(figure, int) or figure < 0):
            raise invalid(f"{name}: give a whole number from 0 up, or nothing for no bound.")
    if unbounded := [name for name in BOUNDED if overrides.get(name, 1) is None]:
        raise invalid(f"{', '.join(unbounded)}: give a number; this has always a bound.")
    days = overrides.get("retention_days")
    if isinstance(days, int) and not 1 <= days <= RETENTION_MOST:
        raise invalid(f"retention_days: give 1 to {RETENTION_MOST:,}, or nothing to keep everything.")
    locked = _locked(workspace)
    before = locked.overrides
    if before == dict(overrides):
        return False
    _change(locked, locked.plan, overrides)
    audit.record(locked.pk, actor, "workspace.overridden", locked.name, before=before, after=dict(overrides))
    _show(workspace, locked)
    return True


def _locked(workspace: Workspace) -> Workspace:
    return Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)


def _change(locked: Workspace, plan: str, overrides: Mapping[str, Any]) -> None:
    old = plan_in_force(locked.plan, locked.overrides).retention_days
    new = plan_in_force(plan, overrides).retention_days
    now = clock.now()
    holds = [hold for hold in locked.retention_holds if hold["until"] > clock.iso(now)]
    if _is_longer(old, new):  # what is held is over before the new hold is: of it, only what is longer still counts
        holds = [hold for hold in holds if _is_longer(hold["days"], old)]
        holds.append({"days": old, "until": clock.iso(now + HELD)})
    locked.plan, locked.overrides, locked.retention_holds = plan, dict(overrides), holds
    locked.save(update_fields=["plan", "overrides", "retention_holds"])
    principals.drop_after_commit(locked.pk)


def _is_longer(days: int | None, than: int | None) -> bool:
    return than is not None and (days is None or days > than)


def _show(workspace: Workspace, locked: Workspace) -> None:
    """Bring what the caller holds up to date."""
    workspace.plan, workspace.overrides = locked.plan, locked.overrides
    workspace.retention_holds = locked.retention_holds
