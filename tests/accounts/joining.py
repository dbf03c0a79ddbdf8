"""What tests of people, invites and their workspaces share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core import mail
from django.test import Client

from accounts import invites
from accounts.models import AuditEvent, Invite, Member
from crosswire.lib.errors import CrossWireError
from tests.support.people import Person

HOSTILE = "<script>alert(1)</script>"
LINK = re.compile(r"^(http\S+)(/invites/(\S+))$", re.MULTILINE)


def link_in(message: mail.EmailMessage) -> str:
    """Return the path of the link in a mail."""
    found = LINK.search(str(message.body))
    assert found, message.body
    assert found[1] == settings.PUBLIC_URL
    return found[2]


def invited(by: Person, guest: Person, role: str = "member") -> tuple[Invite, str]:
    """Invite a person; return the invite and the path of its link."""
    return invites.send(by.member, email=guest.user.email, role=role).invite, link_in(mail.outbox[-1])


def answer(person: Person, invite: Invite, said: str = "accept", client: Client | None = None) -> Any:
    """Answer an invite as its page does."""
    return (client or person.client()).post("/invites", {"invite": invite.pk, "answer": said})


def code_of(work: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    """Return the code with which something is refused, "" when it is not."""
    try:
        work(*args, **kwargs)
    except CrossWireError as refusal:
        return refusal.code
    return ""


def joined(owner: Person) -> list[tuple[str, str]]:
    """Return address and role of the other members."""
    rows = Member.objects.filter(workspace=owner.workspace).exclude(pk=owner.member.pk).order_by("pk")
    return list(rows.values_list("user__email", "role"))


def roles_in(person: Person) -> list[str]:
    """Return the roles that there are."""
    return list(Member.objects.filter(workspace=person.workspace).order_by("pk").values_list("role", flat=True))


def told(person: Person) -> list[tuple[str, str, str]]:
    """Return who did what to whom, since the workspace was made."""
    events = AuditEvent.objects.filter(workspace=person.workspace).exclude(action__startswith="key").order_by("pk")
    return [(each.actor, each.action, each.target) for each in events][1:]


def actions(person: Person) -> list[str]:
    """Return what was done, since the workspace was made."""
    return [action for _, action, _ in told(person)]
