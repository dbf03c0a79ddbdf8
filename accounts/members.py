"""The people of a workspace: who they are, what they may do, how they come and go.

Whatever changes who may do what holds the workspace's row meanwhile and reads the roles under that lock, so that two
changes at once never leave a workspace without an owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.urls import reverse

from accounts import audit, principals, roles, services
from accounts.models import AuditEvent, Invite, Member, User, Workspace
from accounts.plans import upgrade_url
from accounts.roles import Action
from accounts.signals import workspace_handed_over
from crosswire.lib import clock
from crosswire.lib.errors import CrossWireError, invalid, not_found

FREE_WORKSPACES = 5
"""How many workspaces on Free one person may own."""
DELETED_A_DAY = 5
"""After so many workspaces deleted within a day a person makes no further one."""
LISTED_MOST = 100
"""How many people one page lists."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A member as the list shows them. `may_manage`: the reader may change their role or remove them."""

    member: Member
    has_second_factor: bool
    may_manage: bool


def listed(reader: Member, after: int = 0) -> list[Listed]:
    """Return the next members of the reader's workspace, the oldest first; `after` is the key of the last one seen."""
    people = with_second_factor(reader.workspace_id).filter(pk__gt=after)[:LISTED_MOST]
    return [Listed(each, each.has_second_factor, may_manage(reader, each)) for each in people]


def with_second_factor(workspace: Workspace | int) -> QuerySet[Any]:
    """Return the members of a workspace, the oldest first, with `has_second_factor`."""
    second_factors = Authenticator.objects.filter(user=OuterRef("user")).exclude(type="recovery_codes")
    people = Member.objects.filter(workspace=workspace).select_related("user")
    return people.annotate(has_second_factor=Exists(second_factors)).order_by("pk")


def may_manage(reader: Member, other: Member) -> bool:
    """Return whether one member may change the role of another and remove them."""
    return other.pk != reader.pk and other.role in roles.grantable(reader.role)


def colleague(reader: Member, member_id: int) -> Member:
    """Return another member of the reader's workspace. Raises: CrossWireError `not_found`."""
    query = Member.objects.select_related("user", "workspace")
    found = query.filter(workspace=reader.workspace_id, pk=member_id).first()
    if found is None:
        raise not_found("There is no such member.")
    return found


@transaction.atomic
def found_workspace(user: User, name: str) -> Member:
    """Make a workspace on Free and return its owner, who is this person.

    Raises: CrossWireError `limit_reached` (a person owns at most five on Free), `rate_limited` (who deletes and makes
    them by turns would have new quotas each time), `invalid_input` (the name).
    """
    lock_person(user)
    _require_room_for_another(user)
    day = clock.now() - timedelta(days=1)
    deleted = AuditEvent.objects.filter(workspace=None, action="workspace.deleted", actor=user.email[:160], at__gt=day)
    if deleted.count() >= DELETED_A_DAY:
        raise CrossWireError(
            "rate_limited", "You deleted several workspaces today; make a further one tomorrow.", retry_after=3600
        )
    workspace = services.create_workspace(name, actor=user.email)
    return Member.objects.create(workspace=workspace, user=user, role=Member.Role.OWNER)


@transaction.atomic
def set_role(by: Member, member_id: int, role: str) -> Member:
    """Give another member a role; where it allows less than before, what they have open ends.

    Raises: CrossWireError `forbidden`, `not_found`, `invalid_input`.
    """
    by = lock(by, Action.MANAGE_MEMBERS)
    other = _manageable(by, member_id)
    if role not in Member.Role.values:
        raise invalid("There is no such role.", field="role")
    if role not in roles.grantable(by.role):
        raise _forbidden("You may give only roles below your own.")
    if role == other.role:
        return other
    _give(other, role, by.user.email)
    principals.drop_after_commit(by.workspace_id)
    return other


def person_with(email: str) -> User:
    """Return the person with this address, whatever case it is written in. Raises: CrossWireError `not_found`."""
    person = User.objects.filter(email__iexact=email).first()
    if person is None:
        where = f"{settings.PUBLIC_URL}{reverse('account_signup')}"
        raise not_found(f"Nobody has signed up as {email}: sign up at {where} first.")
    return person


@transaction.atomic
def join(workspace: Workspace, person: User, role: Member.Role, *, actor: str = "operator") -> Member:
    """Make a person a member with this role, or give a member this role, as operators may: without an invite. A
    workspace has one owner at most: another one becomes an admin.

    Raises: CrossWireError `forbidden` when the only owner would become something less, `not_found` for somebody who
    deleted their account.
    """
    lock_workspace(workspace.pk)
    lock_person(person)
    member = Member.objects.filter(workspace=workspace, user=person).first()
    if member is not None and member.role == Member.Role.OWNER != role:
        raise _forbidden(f"{person.email} owns this workspace: make somebody else its owner first.")
    if role == Member.Role.OWNER:
        for before in Member.objects.filter(workspace=workspace, role=Member.Role.OWNER).exclude(user=person):
            _give(before, Member.Role.ADMIN, actor)
    if member is None:
        member = Member.objects.create(workspace=workspace, user=person, role=role)
        audit.record(workspace.pk, actor, "member.joined", person.email, role=role)
    elif member.role != role:
        _give(member, role, actor)
    principals.drop_after_commit(workspace.pk)
    return member


def _give(member: Member, role: str, actor: str) -> None:
    before, member.role = member.role, role
    member.save(update_fields=["role"])
    audit.record(member.workspace_id, actor, "member.role_changed", member.user.email, before=before, after=role)
    if roles.narrows(before, role):
        _take_away(member, actor)


@transaction.atomic
def remove(by: Member, member_id: int) -> Member:
    """Take another member out of the workspace; what they have open ends, keys they made stay.

    Raises: CrossWireError `forbidden`, `not_found`.
    """
    by = lock(by, Action.MANAGE_MEMBERS)
    other = _manageable(by, member_id)
    audit.record(by.workspace_id, by.user.email, "member.removed", other.user.email, role=other.role)
    return _end(other, by.user.email)


@transaction.atomic
def leave(member: Member) -> None:
    """Take oneself out of a workspace. Raises: CrossWireError `forbidden` for its only owner, `not_found`."""
    member = lock(member, Action.VIEW)
    if is_last_owner(member):
        raise _forbidden("A workspace always has an owner: hand it over first, or delete it.")
    audit.record(member.workspace_id, member.user.email, "member.left", member.user.email, role=member.role)
    _end(member, member.user.email)


def end_access(user: User) -> None:
    """End what a person has open as a member of workspaces, and forget what they may do there."""
    for member in Member.objects.filter(user=user):
        services.end_access(member.workspace_id, credential=principals.credential_of(member))
        principals.drop_after_commit(member.workspace_id)


def is_last_owner(member: Member) -> bool:
    """Return whether the workspace would have no owner without this member."""
    owners = Member.objects.filter(workspace=member.workspace_id, role=Member.Role.OWNER)
    return member.role == Member.Role.OWNER and not owners.exclude(pk=member.pk).exists()


@transaction.atomic
def hand_over(by: Member, member_id: int) -> Member:
    """Make another member the owner; the one who was becomes an admin. Return the new owner.

    Raises: CrossWireError `forbidden`, `not_found` (they deleted their account, too), `limit_reached` (they own as many
    on Free as one may).
    """
    by = lock(by, Action.HAND_OVER)
    other = colleague(by, member_id)
    if other.pk == by.pk:
        raise _forbidden("The workspace is yours already.")
    lock_person(other.user)
    if by.workspace.plan == "free" and other.role != Member.Role.OWNER:
        _require_room_for_another(other.user)
    by.role, other.role = Member.Role.ADMIN, Member.Role.OWNER
    Member.objects.bulk_update([by, other], ["role"])
    audit.record(by.workspace_id, by.user.email, "workspace.handed_over", other.user.email)
    owners = {"before": by.user.email, "after": other.user.email}
    workspace_handed_over.send(sender=Workspace, workspace=by.workspace, **owners)
    services.end_access(by.workspace_id, credential=principals.credential_of(by))
    principals.drop_after_commit(by.workspace_id)
    return other


def lock(member: Member, action: Action) -> Member:
    """Lock a member's workspace for this transaction and return the member as they are now.

    Raises: CrossWireError `forbidden` when they may not do that (any more), `not_found` when they are a member no more.
    """
    lock_workspace(member.workspace_id)
    now = colleague(member, member.pk)
    if not roles.may(now.role, action):
        raise _forbidden("Your role in this workspace does not allow that.")
    return now


@contextmanager
def acting(by: Member, action: Action) -> Iterator[Member]:
    """Do something by a member's right in one transaction, during which nobody takes that right away.

    Raises: CrossWireError as `lock`.
    """
    with transaction.atomic():
        yield lock(by, action)


def lock_workspace(workspace_id: int) -> None:
    """Lock a workspace's row for this transaction; one that was deleted meanwhile has no members to be found."""
    Workspace.objects.select_for_update(no_key=True).filter(pk=workspace_id).first()


def lock_person(user: User) -> None:
    """Lock a person's row for this transaction: they come to own nothing else, and do not delete their account.

    Who locks a workspace too does that first. Raises: CrossWireError `not_found` for a deleted account.
    """
    if User.objects.select_for_update(no_key=True).filter(pk=user.pk, closing_at=None).first() is None:
        raise not_found("This account was deleted.")


def _manageable(by: Member, member_id: int) -> Member:
    other = colleague(by, member_id)
    if other.pk == by.pk:
        raise _forbidden("Nobody changes their own place; to go, leave the workspace.")
    if not may_manage(by, other):
        raise _forbidden("You may change only people whose role is below yours.")
    return other


def _end(member: Member, actor: str) -> Member:
    key = member.pk
    _take_away(member, actor, is_going=True)
    member.delete()
    member.pk = key  # which the caller may still want to name
    principals.drop_after_commit(member.workspace_id)
    return member


def _take_away(member: Member, actor: str, *, is_going: bool = False) -> None:
    """End what a member has open; invites they sent end with the right to send them."""
    services.end_access(member.workspace_id, credential=principals.credential_of(member))
    if is_going or not roles.may(member.role, Action.MANAGE_MEMBERS):
        pending = Invite.objects.filter(
            workspace=member.workspace_id, created_by=member.user, accepted_at=None, revoked_at=None
        )
        for each in pending.filter(expires_at__gt=clock.now()):
            audit.record(member.workspace_id, actor, "invite.revoked", each.email, role=each.role)
        pending.update(revoked_at=clock.now())


def _require_room_for_another(user: User) -> None:
    """Raises: CrossWireError `limit_reached`."""
    owned = Member.objects.filter(user=user, role=Member.Role.OWNER, workspace__plan="free").count()
    if owned >= FREE_WORKSPACES:
        raise CrossWireError(
            "limit_reached",
            f"One person may own {FREE_WORKSPACES} workspaces on the Free plan, and owns {owned}. "
            f"Upgrade one at {upgrade_url()}.",
            plan="free",
            limit=FREE_WORKSPACES,
            used=owned,
            upgrade_url=upgrade_url(),
        )


def _forbidden(message: str) -> CrossWireError:
    return CrossWireError("forbidden", message)
