"""Notification mails: what happens in a workspace, told to its owner and admins, those who did it aside.

A workspace may mute a topic on its settings page; a person may do without such mails altogether (`User.wants_mail`).
That a workspace is cut off is told its owner whatever they chose.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import Q, QuerySet

from accounts import audit_log, history, mails
from accounts.audit_log import BILLING, actor_in_words
from accounts.models import AuditEvent, Member, Workspace
from accounts.plans import PLANS
from accounts.signals import suspension_told
from crosswire.lib import jobs

_TASK = "accounts.tasks.tell"


TOLD_AN_HOUR = 20
"""Of so much that one person does about one topic within an hour mails tell; the audit log has the rest."""


class Topic(NamedTuple):
    """What a mail may be about. `actions` are those of the audit log, each with the words for it."""

    title: str
    about: str
    actions: dict[str, str]


TOPICS: dict[str, Topic] = {
    "keys": Topic(
        "Keys",
        "A key was made, rotated, restricted or revoked.",
        {
            "key.created": "made the key",
            "key.rotated": "rotated the key",
            "key.restricted": "restricted the key",
            "key.revoked": "revoked the key",
        },
    ),
    "members": Topic(
        "Members",
        "Somebody joined, left, was removed, or has another role.",
        {
            "member.joined": "joined the workspace",
            "member.left": "left the workspace",
            "member.removed": "removed",
            "member.role_changed": "changed the role of",
            "workspace.handed_over": "handed the workspace over to",
        },
    ),
    "exports": Topic(
        "Exports", "Somebody asked for a copy of everything.", {"export.asked": "asked for a copy of everything"}
    ),
    "plan": Topic(
        "Plan",
        "An operator changed the plan, or what it allows this workspace.",
        {"workspace.plan_changed": "changed the plan to", "workspace.overridden": "changed single figures of the plan"},
    ),
    "quota": Topic("Use of the plan", "80 % or all of the month's messages or of the shared data are used.", {}),
}
_RECEIVERS = (Member.Role.OWNER, Member.Role.ADMIN)
_ABOUT_ALL = ("export.asked", "workspace.overridden")
"""Actions whose target is the workspace itself."""
_CUT_OFF = {"workspace.suspended": "workspace_suspended", "workspace.resumed": "workspace_resumed"}
"""What no topic mutes, each with its mail."""
_TOPIC_OF = {action: topic for topic, each in TOPICS.items() for action in each.actions}


def consider(event: AuditEvent) -> None:
    """Have an event that was recorded just now told after the commit, if anybody wants to know."""
    if event.actor == BILLING:
        return
    if event.action in _CUT_OFF:
        jobs.queue(_TASK, event.pk)
    if event.action in _TOPIC_OF and event.workspace_id is not None and _receivers(event).exists():
        jobs.queue(_TASK, event.pk)


def tell(event_id: int) -> None:
    """Mail those who want to know of an event."""
    event = AuditEvent.objects.select_related("workspace").filter(pk=event_id).first()
    if event is None or event.workspace is None:
        return
    if event.action in _CUT_OFF:
        _tell_of_suspension(event, event.workspace)
    if event.action not in _TOPIC_OF:
        return
    topic = _TOPIC_OF[event.action]
    if topic in event.workspace.muted_mails or _is_flood(event, topic):
        return
    what = TOPICS[topic].actions[event.action]
    about = event.target if event.action not in _ABOUT_ALL and event.target != event.actor else ""
    if event.action == "workspace.plan_changed":
        about = PLANS[about].title
    page = f"{settings.PUBLIC_URL}/w/{event.workspace.slug}/"
    for member in _receivers(event):
        mails.send(
            "notice",
            member.user.email,
            workspace=event.workspace.name,
            who=actor_in_words(event.actor),
            what=what,
            about=about,
            detail=audit_log.deed(event) if topic == "plan" else "",
            at=event.at,
            page=page,
            fall=history.next_fall(event.workspace) if topic == "plan" else None,
        )


def _tell_of_suspension(event: AuditEvent, workspace: Workspace) -> None:
    meanwhile = [said for _, said in suspension_told.send(sender=Workspace, workspace=workspace) if said]
    for member in _running(workspace.pk).filter(Q(role=Member.Role.OWNER) | Q(user__wants_mail=True)):
        mails.send(
            _CUT_OFF[event.action],
            member.user.email,
            workspace=workspace.name,
            reason=event.details.get("reason", ""),
            meanwhile=meanwhile,
            at=event.at,
            page=f"{settings.PUBLIC_URL}/w/{workspace.slug}/",
        )


def _is_flood(event: AuditEvent, topic: str) -> bool:
    since = event.at - timedelta(hours=1)
    alike = AuditEvent.objects.filter(workspace=event.workspace_id, actor=event.actor, at__gt=since, pk__lt=event.pk)
    return alike.filter(action__in=TOPICS[topic].actions).count() >= TOLD_AN_HOUR


def _receivers(event: AuditEvent) -> QuerySet[Member]:
    """Return who is told: who runs the workspace and wants mail, without whoever did it."""
    assert event.workspace_id is not None
    return receivers(event.workspace_id).exclude(user__email=event.actor)


def receivers(workspace_id: int) -> QuerySet[Member]:
    """Return who runs a workspace and wants mail."""
    return _running(workspace_id).filter(user__wants_mail=True)


def _running(workspace_id: int) -> QuerySet[Member]:
    return (
        Member.objects.filter(workspace=workspace_id, role__in=_RECEIVERS, user__is_active=True)
        .select_related("user")
        .order_by("pk")
    )
