"""Nobody learns from us who has an account: same pages, same mail, similar work."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection
from django.http import HttpResponseBase
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from tests.support.mails import mails_to
from tests.support.people import PASSWORD, make_person
from tests.support.visitors import CONFIRM, Visitor, new_address

_SECRET = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')


def plain(answer: HttpResponseBase, email: str) -> str:
    """Return a page without what differs from call to call."""
    return _SECRET.sub("", getattr(answer, "content", b"").decode()).replace(email, "EMAIL")


def known() -> str:
    return make_person().user.email


def unconfirmed() -> str:
    email = new_address()
    User.objects.create_user(email, PASSWORD)
    return email


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was hashed."""
    done: list[str] = []
    original = MD5PasswordHasher.encode

    def encode(self: MD5PasswordHasher, password: str, *rest: str) -> str:
        done.append(password)
        return original(self, password, *rest)

    monkeypatch.setattr(MD5PasswordHasher, "encode", encode)
    return done


@pytest.mark.parametrize("account", [known, unconfirmed])
def test_signing_up_with_a_known_address_looks_as_with_a_new_one(account: Callable[[], str]) -> None:
    pages = []
    for email in (account(), new_address()):
        visitor = Visitor()
        begun = visitor.sign_up(email)
        shown = visitor.get(CONFIRM)
        wrong = [visitor.confirm("BBBB-BBBB") for _ in range(3)]
        after = visitor.get(CONFIRM)
        pages.append(
            [
                (begun.status_code, begun["Location"]),
                plain(shown, email),
                *((each.status_code, each.headers.get("Location"), plain(each, email)) for each in wrong),
                (after.status_code, after["Location"]),
                sorted(visitor.cookies),
                len(mails_to(email)),
            ]
        )
    assert pages[0] == pages[1]


def test_the_owner_is_told_by_mail_and_nothing_changes() -> None:
    email = known()
    Visitor().sign_up(email, "squatters-password-1", name="Squatter")
    [mail] = mails_to(email)
    assert mail.subject == "You already have a CrossWire account"
    assert "/accounts/password/reset/" in str(mail.body)
    user = User.objects.get(email=email)
    assert user.check_password(PASSWORD)
    assert user.name != "Squatter"


@pytest.mark.parametrize("account", [known, new_address])
def test_signing_up_costs_a_hash_either_way(account: Callable[[], str], hashes: list[str]) -> None:
    email = account()
    hashes.clear()
    Visitor().sign_up(email, "some-password-77")
    assert hashes == ["some-password-77"]


def test_a_wrong_password_and_an_unknown_address_are_told_and_cost_alike(hashes: list[str]) -> None:
    pages, costs = [], []
    for email in (known(), new_address()):
        hashes.clear()
        pages.append(plain(Visitor().sign_in(email, "wrong"), email))
        costs.append(len(hashes))
    assert pages[0] == pages[1]
    assert costs == [1, 1]


def test_asking_for_a_reset_looks_the_same_for_known_and_unknown_addresses() -> None:
    pages, queries = [], []
    for email in (known(), new_address()):
        visitor = Visitor()
        with CaptureQueriesContext(connection) as ran:
            begun = visitor.post("/accounts/password/reset/", {"email": email})
        queries.append(len(ran))
        wrong = [visitor.post(begun["Location"], {"code": "BBBB-BBBB"}) for _ in range(3)]
        pages.append(
            [
                begun["Location"],
                *((each.status_code, each.headers.get("Location"), plain(each, email)) for each in wrong),
                len(mails_to(email)),
            ]
        )
    assert pages[0] == pages[1]
    assert abs(queries[0] - queries[1]) <= 3


def test_changing_to_an_address_somebody_has_looks_as_to_a_free_one() -> None:
    taken, free, answers = known(), new_address(), []
    for email in (taken, free):
        ada, visitor = make_person(), Visitor()
        visitor.sign_in(ada.user.email)
        visitor.confirm_password()
        begun = visitor.post("/accounts/email/", {"email": email, "action_add": "1"})
        answers.append((begun.status_code, begun["Location"], visitor.confirm("BBBB-BBBB").status_code))
    assert answers[0] == answers[1]


def test_a_passkey_challenge_names_nobody() -> None:
    answer = Visitor().get("/accounts/2fa/webauthn/login/", headers={"accept": "application/json"})
    assert not answer.json()["request_options"]["publicKey"].get("allowCredentials")
