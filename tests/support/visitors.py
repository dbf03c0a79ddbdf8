"""Somebody at a browser without JavaScript: Django's test client, from an address of their own."""

from __future__ import annotations

import secrets
from typing import Any

from django.http import HttpResponse
from django.test import Client

from tests.support.mails import code_for
from tests.support.people import PASSWORD, Person
from tests.support.totp import code_of

CONFIRM = "/accounts/confirm-email/"


def new_address(name: str = "ada") -> str:
    """Return an e-mail address that nobody has."""
    return f"{name}-{secrets.token_hex(5)}@example.com"


class Visitor(Client):
    """A browser; each has an IP address of its own, so that no rate limit is shared between tests."""

    def __init__(self, **options: Any) -> None:
        address = ".".join(str(1 + secrets.randbelow(250)) for _ in range(3))
        super().__init__(HTTP_HOST="localhost", **{"REMOTE_ADDR": f"100.{address}"} | options)

    @property
    def is_signed_in(self) -> bool:
        """Whether the session is somebody's."""
        return "_auth_user_id" in self.session

    def sign_up(self, email: str, password: str = PASSWORD, **fields: str) -> HttpResponse:
        """Send the form; the code has still to be entered."""
        return self.post("/accounts/signup/", {"email": email, "password1": password, **fields})  # type: ignore[return-value] # the client's own kind of it

    def confirm(self, code: str) -> HttpResponse:
        """Enter the code for an address."""
        return self.post(CONFIRM, {"code": code})  # type: ignore[return-value] # as above

    def join(self, email: str, **fields: str) -> HttpResponse:
        """Sign up and confirm; return the answer to the code."""
        assert self.sign_up(email, **fields).status_code == 302
        return self.confirm(code_for(email))

    def sign_in(self, email: str, password: str = PASSWORD, **fields: str) -> HttpResponse:
        """Send address and password."""
        return self.post("/accounts/login/", {"login": email, "password": password, **fields})  # type: ignore[return-value] # as above

    def confirm_password(self, password: str = PASSWORD) -> HttpResponse:
        """Show that it is still the same person."""
        return self.post("/accounts/reauthenticate/", {"password": password})  # type: ignore[return-value] # as above

    def set_up_app(self) -> tuple[str, list[str]]:
        """Set up an authenticator app; return its secret and the recovery codes. The password was confirmed."""
        secret = str(self.get("/accounts/2fa/totp/activate/").context["form"].secret)
        done = self.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)}, follow=True)
        return secret, list(done.context["unused_codes"])


def signed_in(person: Person) -> Visitor:
    """Return a browser in which a person has signed in with their password."""
    visitor = Visitor()
    assert visitor.sign_in(person.user.email).status_code == 302
    return visitor
