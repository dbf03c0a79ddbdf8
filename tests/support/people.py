"""People: members of a workspace, signed in as a browser or a plain HTTP client would be."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings

from tests.support.cast import Caller, in_thread, make_workspace

if TYPE_CHECKING:
    from django.test import Client

    from accounts.models import Member, User, Workspace

PASSWORD = "correct-horse-battery-9"


@dataclass(frozen=True)
class Person:
    """Somebody with an account; `member` is their place in the workspace the test is about."""

    user: User
    member: Member

    @property
    def workspace(self) -> Workspace:
        """The workspace."""
        return self.member.workspace

    @property
    def home(self) -> str:
        """Where the workspace's pages begin."""
        return f"/w/{self.member.workspace.slug}/"

    def client(self) -> Client:
        """Return Django's test client, signed in."""
        from django.test import Client  # noqa: PLC0415 - this module is imported before Django is set up

        client = Client(HTTP_HOST="localhost")
        in_thread(lambda: client.force_login(self.user, "django.contrib.auth.backends.ModelBackend"))
        return client

    def cookie(self) -> tuple[str, str]:
        """Return name and value of a session cookie of this person."""
        client = self.client()
        return "sessionid", client.cookies["sessionid"].value


def make_person(workspace: Workspace | None = None, role: str = "owner", name: str = "Ada Jones") -> Person:
    """Make a person with a verified address, and a member of the workspace (of a new one, if none is given)."""
    from allauth.account.models import EmailAddress  # noqa: PLC0415 - as above

    from accounts.models import Member, User  # noqa: PLC0415 - as above

    def make() -> Person:
        email = f"{name.split(maxsplit=1)[0].lower()}-{secrets.token_hex(4)}@example.com"
        user = User.objects.create(email=email, name=name, password=_hashed(settings.PASSWORD_HASHERS[0]))
        EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
        home = workspace or make_workspace(name=name.split(maxsplit=1)[0].lower()).workspace
        return Person(user, Member.objects.create(workspace=home, user=user, role=role))

    return in_thread(make)


@cache
def _hashed(hasher: str) -> str:
    """Return the password's hash, which is slow to make on purpose: once for each hasher that is in use is enough."""
    assert hasher
    from django.contrib.auth.hashers import make_password  # noqa: PLC0415 - as above

    return make_password(PASSWORD)


def owner_of(caller: Caller) -> Person:
    """Make the owner of a caller's workspace."""
    return make_person(caller.workspace, "owner")
