"""Operators: people who run the service, with the second factor that the console asks for."""

from __future__ import annotations

from collections.abc import Collection

from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client

from accounts import operators
from accounts.models import User
from tests.support.cast import in_thread
from tests.support.people import PASSWORD, Person, make_person


def make_operator(
    name: str = "Olga", *, rights: Collection[str] | None = None, has_second_factor: bool = True, secret: str = ""
) -> Person:
    """Make a superuser, or an operator with these rights alone; `secret` is their authenticator app's."""
    person = make_person(name=name)

    def promote() -> None:
        User.objects.filter(pk=person.user.pk).update(is_staff=True, is_superuser=True)
        person.user.refresh_from_db()
        if has_second_factor:
            TOTP.activate(person.user, secret or generate_totp_secret())
        if rights is not None:
            operators.make_operator(person.user, rights, by=make_operator("Root", has_second_factor=False).user)
            User.objects.filter(pk=person.user.pk).update(is_superuser=False)
            person.user.refresh_from_db()

    in_thread(promote)
    return person


def browser_of(operator: Person) -> Client:
    """Return a browser in which an operator is signed in and has just shown that it is still them."""
    client = operator.client()
    in_thread(lambda: client.post("/accounts/reauthenticate/", {"password": PASSWORD}))
    return client
