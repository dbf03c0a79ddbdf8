"""What a new person finds: a workspace of their own, unless somebody has invited them to one."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse

from accounts import invites, members
from accounts.here import FIRST_KEY, LAST_WORKSPACE
from accounts.models import Member, User, Workspace
from crosswire.lib.text import printable

AGAIN = "signup_again"
"""Where a sign-up that waits for its code keeps what it says about an account that never was confirmed."""


class Again(NamedTuple):
    """What a repeated sign-up says: the hash of its password, a name, a time zone."""

    password: str
    name: str
    time_zone: str


def is_unconfirmed(user: User) -> bool:
    """Return whether nobody has ever shown that the account is theirs: no code entered, no session, no other way in."""
    return (
        user.is_active
        and user.last_login is None
        and not (user.is_staff or user.is_superuser)
        and not EmailAddress.objects.filter(user=user, verified=True).exists()
        and not SocialAccount.objects.filter(user=user).exists()
    )


def unconfirmed(email: str) -> User | None:
    """Return the account of an address that was never confirmed."""
    user = User.objects.filter(email__iexact=email).first()
    return user if user is not None and is_unconfirmed(user) else None


def settle(user: User, state: dict[str, Any]) -> None:
    """Let a repeated sign-up count, now that its code was entered where it was made."""
    said = state.pop(AGAIN, None)
    if said is None or not is_unconfirmed(user):
        return
    user.password, user.name, user.time_zone = Again(**said)
    user.save(update_fields=["password", "name", "time_zone"])


@transaction.atomic
def furnish(user: User) -> Workspace | None:
    """Make a person who is in no workspace, and not invited to one, the owner of a new one; None for all others.

    However many calls come at once, they get one.
    """
    members.lock_person(user)
    if Member.objects.filter(user=user).exists() or invites.pending_for(user).exists():
        return None
    return members.found_workspace(user, f"{possessive(user)} workspace").workspace


def possessive(user: User) -> str:
    """Return a person's first name with its 's, made from the address where there is none."""
    name = printable(user.name, 80).partition(" ")[0] or re.split(r"[._+-]", user.email.partition("@")[0])[0].title()
    return f"{printable(name, 80) or 'My'}{"'s" if printable(name, 80) else ''}"


def welcome(request: HttpRequest, user: User) -> str:
    """See to it that somebody who signs in for the first time has somewhere to go; return where."""
    workspace = furnish(user)
    if workspace is not None:
        request.session[FIRST_KEY] = True
        request.session[LAST_WORKSPACE] = workspace.slug
        return reverse("connect", args=[workspace.slug])
    return reverse("invites") if invites.pending_for(user).exists() else reverse("home")
