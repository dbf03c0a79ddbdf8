"""Signing in while Redis is away: it goes on, and those who guess are still held back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.test import override_settings

from accounts.models import User
from crosswire.lib import redis_clients
from tests.support.mails import code_for
from tests.support.people import PASSWORD, make_person
from tests.support.visitors import Visitor, new_address

NOBODY_LISTENS = {"default": {"BACKEND": "crosswire.lib.cache.Cache", "LOCATION": "redis://127.0.0.1:1/0"}}


@pytest.fixture(autouse=True)
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No Redis answers."""
    monkeypatch.setattr(redis_clients, "_away_until", 0.0)
    with override_settings(CACHES=NOBODY_LISTENS):
        cache._own.clear()  # type: ignore[attr-defined] # a Cache's
        yield


def test_people_sign_in_and_up() -> None:
    assert Visitor().sign_in(make_person().user.email).status_code == 302
    email, visitor = new_address(), Visitor()
    assert visitor.sign_up(email).status_code == 302
    assert visitor.confirm(code_for(email)).status_code == 302
    assert User.objects.filter(email=email).exists()


def test_guesses_are_counted() -> None:
    ada, visitor = make_person(), Visitor()
    pages = [visitor.sign_in(ada.user.email, f"wrong {number}").content.decode() for number in range(8)]
    assert "Too many attempts" in pages[-1]
    assert "Too many attempts" in visitor.sign_in(ada.user.email, PASSWORD).content.decode()
