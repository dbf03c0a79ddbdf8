"""Invites: an offer to join, sent to an address, good once and for whoever has that address verified.

The link is how people find the offer, not what entitles them: an invite that was passed on opens nothing.
"""

from __future__ import annotations

import logging
import secrets
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from allauth.account.models import EmailAddress
from anymail.exceptions import AnymailError
from django.conf import settings
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.urls import reverse

from accounts import audit, members, roles
from accounts.models import AuditEvent, Invite, Member, User, Workspace
from accounts.roles import Action
from crosswire.lib import clock, keys
from crosswire.lib.errors import CrossWireError, invalid, not_found
from crosswire.lib.mail import is_mailable
from crosswire.lib.text import printable

LIFE = timedelta(days=7)
PENDING_MOST = 50
"""How many invites of a workspace may wait for an answer."""
LISTED_MOST = 50
"""How many invites a person is shown at once."""
MAILS_A_DAY, MAILS_TO_ONE_A_DAY = 100, 5
"""How many mails with invites a workspace may send within 24 hours, and how many of them to one address."""
EMAIL_MOST = 254

logger = logging.getLogger("crosswire.invites")


class State(StrEnum):
    """What may be said of an invite."""

    PENDING = "pending"
    EXPIRED = "expired"
    REVOKED = "revoked"
    USED = "used"


_OVER = {
    State.EXPIRED: "This invite has expired; ask for a new one.",
    State.REVOKED: "This invite was withdrawn or declined.",
    State.USED: "This invite was used already; an invite works once.",
}


class Sent(NamedTuple):
    """An invite that was stored. `is_mailed`: the mail server took the mail."""

    invite: Invite
    is_mailed: bool


def state_of(invite: Invite) -> State:
    """Return where an invite stands."""
    if invite.accepted_at:
        return State.USED
    if invite.revoked_at:
        return State.REVOKED
    return State.PENDING if invite.expires_at > clock.now() else State.EXPIRED


def pending_in(workspace: Workspace) -> QuerySet[Invite, Invite]:
    """Return the invites of a workspace that wait for an answer, the newest first."""
    return _pending(Invite.objects.filter(workspace=workspace)).select_related("created_by").order_by("-pk")


def pending_for(user: User) -> QuerySet[Invite, Invite]:
    """Return the invites that wait for this person: those to any address they have verified."""
    ours = _pending(Invite.objects.filter(email__in=verified_addresses(user)))
    return ours.select_related("workspace", "created_by").order_by("pk")


def find(token: str) -> Invite | None:
    """Return the invite of a link. The look-up is by digest, so its time tells nothing about the token."""
    return Invite.objects.select_related("workspace", "created_by").filter(digest=keys.digest(token)).first()


def is_for(invite: Invite, user: User) -> bool:
    """Return whether an invite was sent to an address this person has verified."""
    return invite.email in verified_addresses(user)


def verified_addresses(user: User) -> set[str]:
    """Return the addresses that are this person's beyond doubt, in lower case."""
    return {
        each.lower() for each in EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    }


# --- what a workspace does --------------------------------------------------------------------------------------


def send(by: Member, *, email: str, role: str) -> Sent:
    """Invite an address, and mail it a link; an address that was invited before gets a new link and this role.

    Raises: CrossWireError `invalid_input`, `forbidden` (a role not below one's own), `limit_reached`, `rate_limited`.
    """
    address = _address(email)
    token = secrets.token_urlsafe(20)
    with transaction.atomic():
        by = members.lock(by, Action.MANAGE_MEMBERS)
        _require_grantable(by, role)
        holders = EmailAddress.objects.filter(email=address, verified=True).values("user")
        if Member.objects.filter(workspace=by.workspace_id, user__in=holders).exists():
            raise invalid(f"{address} belongs to somebody who is a member already.", field="email")
        _require_mails_left(by.workspace, address)
        pending = pending_in(by.workspace)
        invite = pending.filter(email=address).first()
        if invite is None and pending.count() >= PENDING_MOST:
            raise CrossWireError(
                "limit_reached", f"{PENDING_MOST} invites wait for an answer, the most there may be; revoke one first."
            )
        if invite is not None:
            _require_grantable(by, invite.role)
        is_new, invite = invite is None, invite or Invite(workspace=by.workspace, email=address)
        invite.role, invite.digest, invite.created_by = role, keys.digest(token), by.user
        invite.expires_at = clock.now() + LIFE
        invite.save()
        action = "invite.sent" if is_new else "invite.renewed"
        audit.record(by.workspace_id, by.user.email, action, address, role=role)
    return Sent(invite, _mail(invite, by, token))


def resend(by: Member, invite_id: int) -> Sent:
    """Mail a new link for a pending invite; the old one ends. Raises: CrossWireError as `send`, `not_found`."""
    invite = pending_in(by.workspace).filter(pk=invite_id).first()
    if invite is None:
        raise _no_such_invite()
    return send(by, email=invite.email, role=invite.role)


@transaction.atomic
def revoke(by: Member, invite_id: int) -> Invite:
    """Withdraw a pending invite. Raises: CrossWireError `not_found`, `forbidden`."""
    by = members.lock(by, Action.MANAGE_MEMBERS)
    invite = pending_in(by.workspace).filter(pk=invite_id).first()
    if invite is None:
        raise _no_such_invite()
    _require_grantable(by, invite.role)
    return _withdraw(invite, by.user, "invite.revoked")


# --- what the invited person does -------------------------------------------------------------------------------


@transaction.atomic
def accept(user: User, invite_id: int) -> Member:
    """Use an invite up and return the place it gives; somebody who is a member already keeps the place they have.

    Raises: CrossWireError `not_found` (also: somebody else's, used, withdrawn, expired), `suspended`.
    """
    invite = _take(user, invite_id)
    if invite.workspace.suspended_at:
        raise CrossWireError("suspended", "This workspace is suspended; its invites work again once it is resumed.")
    invite.accepted_at = clock.now()
    invite.save(update_fields=["accepted_at"])
    member, is_new = Member.objects.get_or_create(workspace=invite.workspace, user=user, defaults={"role": invite.role})
    if is_new:
        inviter = invite.created_by.email if invite.created_by else ""
        details = {"role": invite.role, "invited_by": inviter}
        audit.record(invite.workspace_id, user.email, "member.joined", invite.email, **details)
    return member


@transaction.atomic
def decline(user: User, invite_id: int) -> Invite:
    """Turn an invite down. Raises: CrossWireError `not_found`, as `accept`."""
    return _withdraw(_take(user, invite_id), user, "invite.declined")


def _take(user: User, invite_id: int) -> Invite:
    """Lock an invite's workspace for this transaction and return the invite if it is this person's and pending."""
    ours = Invite.objects.filter(pk=invite_id, email__in=verified_addresses(user))
    if (seen := ours.first()) is None:
        raise _no_such_invite()
    members.lock_workspace(seen.workspace_id)
    invite = ours.select_related("workspace", "created_by").first()
    if invite is None:
        raise _no_such_invite()
    if (state := state_of(invite)) is not State.PENDING:
        raise not_found(_OVER[state])
    return invite


def _withdraw(invite: Invite, actor: User, action: str) -> Invite:
    invite.revoked_at = clock.now()
    invite.save(update_fields=["revoked_at"])
    audit.record(invite.workspace_id, actor.email, action, invite.email, role=invite.role)
    return invite


def _pending(query: QuerySet[Invite, Invite]) -> QuerySet[Invite, Invite]:
    return query.filter(accepted_at=None, revoked_at=None, expires_at__gt=clock.now())


def _address(email: str) -> str:
    """Return an address as invites keep it. Raises: CrossWireError `invalid_input`."""
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError as problem:
        raise invalid("This is not an e-mail address.", field="email") from problem
    if len(address) > EMAIL_MOST or not is_mailable(address):
        raise invalid("This is not an e-mail address.", field="email")
    return address


def _require_grantable(by: Member, role: str) -> None:
    if role not in roles.grantable(by.role):
        raise CrossWireError("forbidden", "You may invite people only to roles below your own.")


def _require_mails_left(workspace: Workspace, address: str) -> None:
    """Count the day's mails in the audit log, which is written in the same transaction, under the same lock."""
    day = AuditEvent.objects.filter(workspace=workspace, at__gt=clock.now() - timedelta(days=1))
    mailed = day.filter(action__in=("invite.sent", "invite.renewed"))
    if mailed.filter(target=address[:200]).count() >= MAILS_TO_ONE_A_DAY:
        problem = f"{address} got {MAILS_TO_ONE_A_DAY} invites within a day, enough for now; try again tomorrow."
        raise CrossWireError("rate_limited", problem, retry_after=3600)
    if mailed.count() >= MAILS_A_DAY:
        raise CrossWireError(
            "rate_limited", f"A workspace may send {MAILS_A_DAY} invites a day; try again later.", retry_after=3600
        )


def _no_such_invite() -> CrossWireError:
    return not_found("There is no such invite, or it was answered already.")


def _mail(invite: Invite, by: Member, token: str) -> bool:
    """Mail the link, after the commit. The invite stands when the mail server fails: it can be sent again."""
    workspace, inviter = printable(by.workspace.name, 120), printable(by.user.get_full_name(), 80)
    context = {
        "workspace": workspace,
        "inviter": inviter,
        "inviter_email": by.user.email,
        "role": invite.get_role_display(),
        "days": LIFE.days,
        "email": invite.email,
        "url": settings.PUBLIC_URL + reverse("invite", args=[token]),
    }
    text = render_to_string("accounts/mail/invite.txt", context)
    try:
        return bool(mail.send_mail(f"{inviter} invites you to {workspace} on CrossWire", text, None, [invite.email]))
    except (OSError, UnicodeError, AnymailError) as problem:
        logger.error("an invite could not be mailed: %s", problem)  # noqa: TRY400 - the mail server's fault, not ours
        return False
