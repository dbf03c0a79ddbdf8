"""What operators do to people: shut somebody out, let them in again, make them an operator.

What they do to workspaces is in services.py, plan_changes.py and closing.py.
"""

from __future__ import annotations

from collections.abc import Collection

from django.contrib.auth.models import Permission
from django.db import transaction

from accounts import audit, members, sessions
from accounts.models import User
from crosswire.lib.errors import CrossWireError, invalid

RIGHTS = {
    "workspaces": ("change_workspace", "Change workspaces: suspend, plan, figures, keys, deletion"),
    "people": ("change_user", "Change people: deactivate and reactivate accounts"),
}
"""What an operator may do beside looking: the permission of Django's, and what it means."""


def may(operator: User, right: str) -> bool:
    """Return whether an operator may do what a right of `RIGHTS` allows."""
    return operator.has_perm(f"accounts.{RIGHTS[right][0]}")


def rights_of(user: User) -> list[str]:
    """Return the rights somebody has."""
    return [right for right in RIGHTS if may(user, right)]


@transaction.atomic
def deactivate(user: User, reason: str, *, by: User) -> None:
    """Shut somebody out: their sessions and what they have open end, nobody signs in to the account. Keys they made
    belong to their workspaces and go on.

    Raises: CrossWireError `forbidden` (oneself; an operator, for whom it takes a superuser), `not_found`.
    """
    members.lock_person(user)
    if user.pk == by.pk:
        raise CrossWireError("forbidden", "Nobody deactivates their own account.")
    if user.is_staff and not by.is_superuser:
        raise CrossWireError("forbidden", "Only a superuser deactivates the account of an operator.")
    members.end_access(user)
    sessions.end(user)
    user.is_active = False
    user.save(update_fields=["is_active"])
    audit.record(None, audit.operator(by), "account.deactivated", user.email, reason=reason)


@transaction.atomic
def reactivate(user: User, *, by: User) -> None:
    """Let somebody in again. Raises: CrossWireError `not_found` for who deleted their account."""
    members.lock_person(user)
    user.is_active = True
    user.save(update_fields=["is_active"])
    audit.record(None, audit.operator(by), "account.reactivated", user.email)


@transaction.atomic
def make_operator(user: User, rights: Collection[str], *, by: User) -> None:
    """Make somebody an operator with these rights of `RIGHTS` and no others.

    Raises: CrossWireError `forbidden` unless a superuser does it, `invalid_input`, `not_found`.
    """
    _require_superuser(user, by)
    if unknown := set(rights) - set(RIGHTS):
        raise invalid(f"There are no such rights: {', '.join(sorted(unknown))}.")
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    wanted = {RIGHTS[right][0] for right in rights}
    known = Permission.objects.filter(
        content_type__app_label="accounts", codename__in=[name for name, _ in RIGHTS.values()]
    )
    user.user_permissions.remove(*known.exclude(codename__in=wanted))
    user.user_permissions.add(*known.filter(codename__in=wanted))
    audit.record(None, audit.operator(by), "account.made_operator", user.email, rights=sorted(rights))


@transaction.atomic
def make_superuser(user: User) -> None:
    """Make somebody an operator who may do everything; for whoever has the machine, from its command line.

    Raises: CrossWireError `not_found` for who deleted their account.
    """
    members.lock_person(user)
    user.is_staff = user.is_superuser = True
    user.save(update_fields=["is_staff", "is_superuser"])
    audit.record(None, audit.OPERATOR, "account.made_operator", user.email, rights=["everything"])


@transaction.atomic
def unmake_operator(user: User, *, by: User) -> None:
    """Take from somebody whatever an operator may. Raises: CrossWireError as `make_operator`."""
    _require_superuser(user, by)
    user.is_staff = user.is_superuser = False
    user.save(update_fields=["is_staff", "is_superuser"])
    user.user_permissions.clear()
    audit.record(None, audit.operator(by), "account.unmade_operator", user.email)


def _require_superuser(user: User, by: User) -> None:
    members.lock_person(user)
    if not by.is_superuser:
        raise CrossWireError("forbidden", "Only a superuser makes and unmakes operators.")
    if user.pk == by.pk:
        raise CrossWireError("forbidden", "Nobody changes what they may do themselves.")
