"""Mails about payments: to who may change the plan, and to the operator."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from accounts import mails, roles
from accounts.models import Member, Workspace
from accounts.roles import Action
from billing import history, owners
from billing.history import KINDS, Told
from billing.models import Happening, Subscription
from crosswire.lib import clock, jobs
from crosswire.lib.database import writing

WITHIN = timedelta(days=7)
"""What could not be told for so long is not told any more."""
_TASK = "billing.tasks.tell"


def tell(happening_id: int) -> None:
    """Mail who wants to know of something that happened, once."""
    with writing():
        found = Happening.objects.select_for_update().filter(pk=happening_id, told_at=None).first()
        if found is None:
            return
        found.told_at = clock.now()
        found.save(update_fields=["told_at"])
    happening = Happening.objects.select_related("customer__workspace").get(pk=happening_id)
    kind = KINDS.get(happening.kind)
    is_told = kind is not None and kind.told is Told.PEOPLE and not _is_surplus(happening)
    if is_told and happening.customer.workspace is not None:
        _tell_people(happening, happening.customer.workspace)
    if settings.OPERATOR_EMAIL and (kind is None or kind.told is Told.OPERATOR or happening.kind == "surplus"):
        mails.send("billing_operator", settings.OPERATOR_EMAIL, **_context(happening))


def resume() -> int:
    """Have told what a lost job has not told; return how many."""
    since = clock.now() - WITHIN
    waiting = Happening.objects.filter(told_at=None, at__gt=since).order_by("at").values_list("pk", flat=True)
    found = list(waiting[:200])
    for pk in found:
        jobs.start(_TASK, pk)
    return len(found)


def _tell_people(happening: Happening, workspace: Workspace) -> None:
    members = Member.objects.filter(
        workspace=workspace, role__in=roles.able(Action.BILLING), user__is_active=True
    ).select_related("user")
    told = [member.user.email for member in members.order_by("pk")]
    if happening.kind == owners.HANDED_OVER:
        told.append(str(happening.details.get("by", "")))  # whose card it may be
    for address in dict.fromkeys(filter(None, told)):
        mails.send(f"billing_{happening.kind}", address, **_context(happening))


def _is_surplus(happening: Happening) -> bool:
    """Whether a subscription that began was one too many: of that another mail tells."""
    began = Subscription.objects.filter(stripe_id=happening.about, is_surplus=True)
    return happening.kind == "subscribed" and began.exists()


def _context(happening: Happening) -> dict[str, Any]:
    details, workspace = happening.details, happening.customer.workspace
    slug = happening.customer.workspace_slug
    return {
        "workspace": workspace.name if workspace else slug,
        "slug": slug,
        "customer": happening.customer.stripe_id,
        "plan": history.title(str(details.get("plan", ""))),
        "former_owner": str(details.get("by", "")),
        "owner": str(details.get("to", "")),
        "method": str(details.get("method", "")),
        "before": history.title(str(details.get("before", ""))),
        "until": datetime.fromisoformat(details["on"]) if details.get("on") else None,
        "interval": history.INTERVALS.get(str(details.get("interval", "")), ""),
        "why": history.ENDED_BECAUSE.get(str(details.get("why", "")), ""),
        "words": history.words(happening),
        "at": happening.at,
        "page": f"{settings.PUBLIC_URL}/w/{slug}/billing",
        "export": f"{settings.PUBLIC_URL}/w/{slug}/settings",
    }
