"""Deleting an account: the person is out at once, and a job takes their name from wherever it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.functions import Cast

from accounts import audit, closing, mails, members, principals, sessions
from accounts.archive import SignOfLife
from accounts.audit_log import ADDRESS_CHANGED
from accounts.models import AuditEvent, Invite, Member, UsageDay, User, Workspace
from accounts.signals import address_erased, person_erased
from crosswire.lib import clock, jobs
from crosswire.lib.database import writing
from crosswire.lib.errors import CrossWireError

NOBODY = "a deleted account"
"""Who did what a person did whose account is no more."""
STALE = timedelta(minutes=2)
_TOGETHER = 500
_TASK = "accounts.tasks.erase_account"

type Place = tuple[int, int | None, str]
"""A workspace, a membership there (None: a former one) and the name a person wrote under, perhaps."""


@dataclass(frozen=True)
class Leaving:
    """What deleting an account means for the workspaces of a person: `alone` go with it, `shared` are in the way (the
    person owns them and others are in them), of the `others` the person is a member and they stay."""

    alone: list[Workspace]
    shared: list[Workspace]
    others: list[Workspace]


def what_goes(user: User) -> Leaving:
    """Return what deleting an account means."""
    found = Leaving([], [], [])
    for member in Member.objects.filter(user=user).select_related("workspace").order_by("pk"):
        others = Member.objects.filter(workspace=member.workspace_id).exclude(user=user)
        if member.role != Member.Role.OWNER or others.filter(role=Member.Role.OWNER).exists():
            found.others.append(member.workspace)
        elif others.exists():
            found.shared.append(member.workspace)
        else:
            found.alone.append(member.workspace)
    return found


@transaction.atomic
def close(user: User) -> None:
    """Delete an account and the workspaces it owns alone. The person is out now, a job erases the rest.

    Raises: CrossWireError `forbidden` while they own a workspace that others are in, `not_found` when that was done.
    """
    mine = Member.objects.filter(user=user, role=Member.Role.OWNER).values("workspace")
    list(Workspace.objects.select_for_update(no_key=True).filter(pk__in=mine).order_by("pk"))  # nobody joins now
    members.lock_person(user)  # nor hands them anything
    going = what_goes(user)
    if going.shared:
        names = ", ".join(f"“{each.name}”" for each in going.shared)
        raise CrossWireError("forbidden", f"Others are in {names}: hand over what you own, or delete it, first.")
    for workspace in going.alone:
        closing.close(workspace, actor=user.email)
    members.end_access(user)
    _lock_out(user)
    jobs.queue(_TASK, user.pk)


def _lock_out(user: User) -> None:
    """End every way in; addresses stay until the job has looked for them everywhere."""
    sessions.end(user)
    for model in (Authenticator, SocialAccount):
        model.objects.filter(user=user).delete()
    user.is_active, user.closing_at = False, clock.now()
    user.set_unusable_password()
    user.save(update_fields=["is_active", "closing_at", "password"])


def erase(user_id: int) -> None:
    """Erase a person who deleted their account; goes on where it was cut off. A mail says that it is done."""
    closing_account = User.objects.filter(pk=user_id, closing_at__isnull=False)

    def tell() -> None:
        with writing():
            closing_account.update(closing_at=clock.now())

    user = closing_account.first()
    if user is None:
        return
    tell()
    for workspace in Workspace.objects.filter(closing_at__isnull=False, members__user=user):
        closing.erase(workspace.pk)
    told: Any = person_erased.send(sender=User, places=list(_places(user)), alive=SignOfLife(tell))
    for workspace_id, name in {each for _, names in told for each in names}:
        _rename_usage(workspace_id, name)
    for address in _addresses(user):
        _rename_in_records(address)
        address_erased.send(sender=User, address=address, nobody=NOBODY)
        with writing():
            Invite.objects.filter(email__iexact=address).delete()
    with writing():
        user.delete()
    mails.send("account_deleted", user.email)


def _addresses(user: User) -> set[str]:
    """Return a person's addresses with those they had before, unless these are somebody else's by now."""
    present = {user.email, *EmailAddress.objects.filter(user=user).values_list("email", flat=True)}
    former = {before for address in present for before in _former(user, address)}
    others = User.objects.filter(email__in=former).exclude(pk=user.pk)
    return present | former.difference(others.values_list("email", flat=True))


def _former(user: User, address: str) -> Iterator[str]:
    """Go back from one of a person's addresses: who changed theirs to it last is them, who did before is not."""
    changes = AuditEvent.objects.filter(action=ADDRESS_CHANGED, at__gte=user.date_joined).order_by("-pk")
    while change := changes.filter(target=address).first():
        changes = changes.filter(pk__lt=change.pk)
        address = str(change.details["before"])
        yield address


def _places(user: User) -> Iterator[Place]:
    """Return where a person may have written: where they are a member, and where the record says that they were."""
    name = principals.PERSON + user.get_full_name()
    present = list(Member.objects.filter(user=user).values_list("workspace_id", "pk"))
    for workspace_id, pk in present:
        yield workspace_id, pk, name
    told = AuditEvent.objects.filter(Q(actor=user.email) | Q(target=user.email), workspace__isnull=False)
    former = set(told.values_list("workspace_id", flat=True).distinct()) - {workspace_id for workspace_id, _ in present}
    for workspace_id in sorted(former):
        yield workspace_id, None, name


def _rename_usage(workspace_id: int, name: str) -> None:
    """Count a person's messages as somebody's."""
    for day in UsageDay.objects.filter(workspace=workspace_id, instance=name):
        with writing():
            anonymous, _ = UsageDay.objects.select_for_update().get_or_create(
                workspace_id=workspace_id, day=day.day, instance="human"
            )
            anonymous.messages += day.messages
            anonymous.save(update_fields=["messages"])
            day.delete()


def _rename_in_records(address: str) -> None:
    """Put nobody in the place of an address, in the audit log of every workspace and in the operators' own."""
    pattern = re.compile(rf"(?<![\w.+%-]){re.escape(address)}(?![\w-]|\.\w)", re.IGNORECASE)
    as_json = json.dumps(address)[1:-1]  # as SQLite keeps it
    rows = AuditEvent.objects.annotate(told=Cast("details", TextField()))
    as_operator = audit.operator(User(email=address))[:160]
    found = Q(actor__iexact=address[:160]) | Q(actor__iexact=as_operator) | Q(target__icontains=address[:200])
    for events in _some(rows.filter(found | Q(told__icontains=address) | Q(told__icontains=as_json))):
        for event in events:
            if event.actor.lower() == address[:160].lower():
                event.actor = NOBODY
            elif event.actor.lower() == as_operator.lower():
                event.actor = f"{audit.OPERATOR} {NOBODY}"
            event.target = pattern.sub(NOBODY, event.target)
            event.details = _renamed(pattern, event.details)
        with writing():
            AuditEvent.objects.bulk_update(events, ["actor", "target", "details"])
    for entries in _some(
        LogEntry.objects.filter(Q(object_repr__icontains=address) | Q(change_message__icontains=address))
    ):
        for entry in entries:
            entry.object_repr = pattern.sub(NOBODY, entry.object_repr)
            entry.change_message = pattern.sub(NOBODY, entry.change_message)
        with writing():
            LogEntry.objects.bulk_update(entries, ["object_repr", "change_message"])


def _some[M: Model](rows: QuerySet[M]) -> Iterator[list[M]]:
    """Return rows in the order of their keys, a bounded number at a time."""
    last = 0
    while found := list(rows.filter(pk__gt=last).order_by("pk")[:_TOGETHER]):
        last = found[-1].pk
        yield found


def _renamed(pattern: re.Pattern[str], value: Any) -> Any:
    match value:
        case str():
            return pattern.sub(NOBODY, value)
        case list():
            return [_renamed(pattern, each) for each in value]
        case dict():
            return {_renamed(pattern, key): _renamed(pattern, each) for key, each in value.items()}
        case _:
            return value


def resume() -> int:
    """Begin anew what was cut off; return how many."""
    dead = User.objects.filter(closing_at__lt=clock.now() - STALE).values_list("pk", flat=True)[:_TOGETHER]
    for pk in dead:
        jobs.start(_TASK, pk)
    return len(dead)
