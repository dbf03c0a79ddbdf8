"""A workspace's settings: its name, the mails it sends; and in words what its plan allows."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format

from accounts import audit, principals
from accounts.models import Workspace
from accounts.notices import TOPICS
from accounts.plans import Plan, plan_in_force
from crosswire.lib import clock
from crosswire.lib.text import one_line


@transaction.atomic
def change(workspace: Workspace, *, name: str, mails: Collection[str], actor: str) -> None:
    """Give a workspace another name, and say about which topics it sends mail.

    Raises: CrossWireError `invalid_input`.
    """
    locked = Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
    muted = [topic for topic in TOPICS if topic not in mails]
    now = {"name": one_line("name", name, most=120), "muted_mails": muted}
    before = {"name": locked.name, "muted_mails": locked.muted_mails}
    changed = {field: value for field, value in now.items() if value != before[field]}
    if not changed:
        return
    Workspace.objects.filter(pk=locked.pk).update(**changed)
    audit.record(
        locked.pk,
        actor,
        "workspace.changed",
        locked.name,
        before={field: before[field] for field in changed},
        after=changed,
    )
    principals.drop_after_commit(locked.pk)


class Allowance(NamedTuple):
    """One thing a plan allows, in words."""

    what: str
    how_much: str


def allowances(plan: Plan) -> list[Allowance]:
    """Return what a plan allows."""

    def figure(value: int | None, unit: str = "") -> str:
        return "unlimited" if value is None else f"{value:,}{unit}"

    return [
        Allowance("Messages a month", figure(plan.messages)),
        Allowance("Instances at a time", figure(plan.instances)),
        Allowance("Channels", figure(plan.channels)),
        Allowance("Shared data", figure(plan.data_megabytes, " MB")),
        Allowance("Calls a minute", figure(plan.calls)),
        Allowance("Keys", figure(plan.live_keys)),
    ]


def retention_in_words(workspace: Workspace) -> list[str]:
    """Return how long messages and shared data are kept: by the plan, and longer while an earlier promise holds."""
    days = plan_in_force(workspace.plan, workspace.overrides).retention_days
    if days is None:
        return ["Messages and shared data are kept until somebody deletes them."]
    now = clock.iso(clock.now())
    told = [f"Messages and shared data are kept for {days} {'day' if days == 1 else 'days'}."]
    for hold in sorted(workspace.retention_holds, key=lambda hold: hold["until"]):
        until = parse_datetime(hold["until"])
        if until is None or hold["until"] <= now:
            continue
        when = date_format(timezone.localtime(until), "j F Y, H:i")
        if hold["days"] is None:
            told.append(f"Until {when} nothing expires, as before the plan changed.")
        elif hold["days"] > days:
            told.append(f"Until {when} they are still kept for {hold['days']} days, as before the plan changed.")
    return told
