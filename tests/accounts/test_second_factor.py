"""Authenticator apps, recovery codes, and what they protect."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.db import connection

from crosswire.lib import clock
from tests.support.mails import mails_to
from tests.support.people import Person, make_person
from tests.support.totp import code_of
from tests.support.visitors import Visitor, signed_in

STEP, ACTIVATE, DEACTIVATE = (
    "/accounts/2fa/authenticate/",
    "/accounts/2fa/totp/activate/",
    "/accounts/2fa/totp/deactivate/",
)
CODES, GENERATE = "/accounts/2fa/recovery-codes/", "/accounts/2fa/recovery-codes/generate/"


def with_app(ada: Person) -> tuple[Visitor, str, list[str]]:
    visitor = signed_in(ada)
    visitor.confirm_password()
    return visitor, *visitor.set_up_app()


def test_the_code_of_the_app_is_asked_for_after_the_password() -> None:
    ada = make_person()
    with time_machine.travel(clock.now(), tick=True) as now:
        _, secret, _ = with_app(ada)
        now.shift(timedelta(minutes=2))
        visitor = Visitor()
        assert visitor.sign_in(ada.user.email)["Location"] == STEP
        assert not visitor.is_signed_in
        assert visitor.get("/account/").status_code == 302
        assert visitor.post(STEP, {"code": "000000"}).status_code == 200
        assert visitor.post(STEP, {"code": code_of(secret)}).status_code == 302
    assert visitor.is_signed_in
    assert mails_to(ada.user.email)[0].subject == "Authenticator app set up for your CrossWire account"


def test_a_code_is_taken_once() -> None:
    ada = make_person()
    with time_machine.travel(clock.now(), tick=True) as now:
        _, secret, _ = with_app(ada)
        now.shift(timedelta(minutes=2))
        code = code_of(secret)
        first, second = Visitor(), Visitor()
        first.sign_in(ada.user.email)
        second.sign_in(ada.user.email)
        assert first.post(STEP, {"code": code}).status_code == 302
        assert second.post(STEP, {"code": code}).status_code == 200


def test_a_recovery_code_is_taken_once() -> None:
    ada = make_person()
    _, _, codes = with_app(ada)
    assert len(set(codes)) == 10
    for expected in (302, 200):
        visitor = Visitor()
        visitor.sign_in(ada.user.email)
        assert visitor.post(STEP, {"code": codes[0]}).status_code == expected


def test_recovery_codes_are_shown_once() -> None:
    ada = make_person()
    visitor, _, codes = with_app(ada)
    for path in (CODES, GENERATE, "/accounts/2fa/", CODES):
        page = visitor.get(path)
        assert page.status_code == 200
        assert not any(code in page.content.decode() for code in codes), path
    assert visitor.get("/accounts/2fa/recovery-codes/download/").status_code in {403, 404}


def test_new_recovery_codes_replace_the_old_ones() -> None:
    ada = make_person()
    visitor, _, old = with_app(ada)
    page = visitor.post(GENERATE, follow=True)
    new = list(page.context["unused_codes"])
    assert set(new).isdisjoint(old)
    other = Visitor()
    other.sign_in(ada.user.email)
    assert other.post(STEP, {"code": old[0]}).status_code == 200
    assert other.post(STEP, {"code": new[0]}).status_code == 302


def test_codes_are_guessed_a_few_times_at_most() -> None:
    ada = make_person()
    _, secret, _ = with_app(ada)
    said = []
    for number in range(8):
        visitor = Visitor()
        visitor.sign_in(ada.user.email)
        said.append(visitor.post(STEP, {"code": f"{number:06d}"}).content.decode())
    assert "Too many" in said[-1]
    visitor = Visitor()
    visitor.sign_in(ada.user.email)
    visitor.post(STEP, {"code": code_of(secret, steps=1)})
    assert not visitor.is_signed_in, "the right one waits, too"


@pytest.mark.parametrize("path", [ACTIVATE, GENERATE, "/accounts/2fa/webauthn/add/", DEACTIVATE])
def test_setting_up_and_taking_away_takes_the_password_first(path: str) -> None:
    visitor = signed_in(make_person())
    if path == DEACTIVATE:
        assert visitor.get(path).status_code == 404
        return
    assert visitor.get(path)["Location"].startswith("/accounts/reauthenticate/")
    assert visitor.post(path, {"code": "000000"})["Location"].startswith("/accounts/reauthenticate/")


def test_confirming_lasts_five_minutes() -> None:
    with time_machine.travel(clock.now(), tick=True) as now:
        visitor = signed_in(make_person())
        visitor.confirm_password()
        assert visitor.get(ACTIVATE).status_code == 200
        now.shift(timedelta(minutes=6))
        assert visitor.get(ACTIVATE).status_code == 302


def test_turned_off_it_is_not_asked_for() -> None:
    ada = make_person()
    visitor, _, codes = with_app(ada)
    assert visitor.post(DEACTIVATE).status_code == 302
    assert Visitor().sign_in(ada.user.email)["Location"] == "/w/"
    assert not Authenticator.objects.filter(user=ada.user).exists(), "the recovery codes went with it"
    assert codes


def test_resetting_the_password_does_not_step_over_it() -> None:
    ada = make_person()
    with_app(ada)
    from tests.accounts.test_passwords import NEW, reset  # noqa: PLC0415 - the way is that test's

    visitor = reset(ada)
    assert not visitor.is_signed_in
    assert Visitor().sign_in(ada.user.email, NEW)["Location"] == STEP


def test_no_secret_stands_in_the_database_as_it_is() -> None:
    ada = make_person()
    _, secret, codes = with_app(ada)
    with connection.cursor() as cursor:
        cursor.execute("SELECT data FROM mfa_authenticator")
        stored = str(cursor.fetchall())
    assert secret not in stored
    assert not any(code in stored for code in codes)


def test_the_wrong_thing_in_place_of_a_passkey_is_refused() -> None:
    ada = make_person()
    visitor = signed_in(ada)
    visitor.confirm_password()
    for credential in (
        "",
        "{}",
        "[]",
        "null",
        "nonsense",
        '{"id": 1}',
        "\x00",
        '{"response": {"clientDataJSON": "x"}}',
    ):
        answer = visitor.post("/accounts/2fa/webauthn/add/", {"name": "x", "credential": credential})
        assert answer.status_code == 200, credential
        answer = Visitor().post("/accounts/2fa/webauthn/login/", {"credential": credential})
        assert answer.status_code in {200, 302}, credential
    assert not Authenticator.objects.filter(user=ada.user).exists()


def test_another_persons_passkey_looks_absent() -> None:
    ada, eve = make_person(), make_person(name="Eve")
    key = Authenticator.objects.create(user=ada.user, type="webauthn", data={"name": "laptop", "credential": {}})
    visitor = signed_in(eve)
    visitor.confirm_password()
    for action in ("edit", "remove"):
        assert visitor.get(f"/accounts/2fa/webauthn/keys/{key.pk}/{action}/").status_code == 404
        assert visitor.post(f"/accounts/2fa/webauthn/keys/{key.pk}/{action}/", {"name": "x"}).status_code == 404
