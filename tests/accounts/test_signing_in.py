"""Signing in and out."""

from __future__ import annotations

import ipaddress
import secrets
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.support.mails import code_for, mails_to
from tests.support.people import PASSWORD, make_person
from tests.support.visitors import CONFIRM, Visitor, new_address, signed_in


def test_address_and_password_lead_to_the_workspace() -> None:
    ada = make_person()
    visitor = Visitor()
    assert visitor.sign_in(ada.user.email).url == "/w/"  # type: ignore[attr-defined] # a redirect
    assert visitor.get("/w/").url == ada.home  # type: ignore[attr-defined] # as above


def test_a_wrong_password_opens_nothing() -> None:
    visitor = Visitor()
    answer = visitor.sign_in(make_person().user.email, "wrong")
    assert answer.status_code == 200
    assert "This address and this password do not belong together." in answer.content.decode()
    assert not visitor.is_signed_in


@pytest.mark.parametrize("password", ["", "\x00", "x" * 100_000, "💥"])
def test_a_hostile_password_is_no_fault_of_ours(password: str) -> None:
    assert Visitor().sign_in(make_person().user.email, password).status_code == 200


def test_an_address_that_was_never_confirmed_needs_a_code_first() -> None:
    email = new_address()
    Visitor().sign_up(email)
    visitor = Visitor()
    User.objects.get(email=email)
    assert visitor.sign_in(email).status_code in {200, 302}
    assert not visitor.is_signed_in


def test_a_closed_account_says_so_to_its_owner_and_to_nobody_else() -> None:
    ada = make_person()
    User.objects.filter(pk=ada.user.pk).update(is_active=False)
    assert Visitor().sign_in(ada.user.email).url == "/accounts/inactive/"  # type: ignore[attr-defined] # a redirect
    assert "do not belong together" in Visitor().sign_in(ada.user.email, "wrong").content.decode()


def test_closing_an_account_ends_its_sessions() -> None:
    ada = make_person()
    visitor = signed_in(ada)
    User.objects.filter(pk=ada.user.pk).update(is_active=False)
    assert visitor.get("/account/").status_code == 302


def test_the_session_gets_another_name_when_one_signs_in() -> None:
    ada, visitor = make_person(), Visitor()
    visitor.get("/accounts/login/")
    visitor.post("/accounts/signup/", {})
    planted = visitor.session
    planted["planted"] = True
    planted.save()
    visitor.cookies["sessionid"] = str(planted.session_key)
    visitor.sign_in(ada.user.email)
    assert visitor.is_signed_in
    assert visitor.session.session_key != planted.session_key
    thief = Client(HTTP_HOST="localhost")
    thief.cookies["sessionid"] = str(planted.session_key)
    assert thief.get("/account/").status_code == 302


def test_an_old_session_is_of_no_use_after_signing_out() -> None:
    visitor = signed_in(make_person())
    kept = visitor.cookies["sessionid"].value
    assert visitor.post("/accounts/logout/").url == "/"  # type: ignore[attr-defined] # a redirect
    visitor.cookies["sessionid"] = kept
    assert visitor.get("/account/").status_code == 302


def test_looking_at_the_page_signs_nobody_out() -> None:
    visitor = signed_in(make_person())
    assert visitor.get("/accounts/logout/").status_code == 200
    assert visitor.is_signed_in


def test_the_session_cookie_is_kept_from_scripts_and_other_sites() -> None:
    visitor = Visitor()
    cookie = visitor.sign_in(make_person().user.email).cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", "")
    assert cookie["max-age"] == 30 * 24 * 3600


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/signup/", "/accounts/password/reset/"])
def test_pages_with_a_password_are_kept_by_no_cache_and_in_no_frame(path: str) -> None:
    answer = Visitor().get(path)
    assert answer["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    if "reset" not in path:
        assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "///evil.example",
        "http:/\\evil.example",
        "https://localhost.evil.example/",
        "http://127.0.0.1:9/",
    ],
)
@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/logout/"])
def test_nobody_is_sent_elsewhere(path: str, target: str) -> None:
    ada = make_person()
    visitor = signed_in(ada) if "logout" in path else Visitor()
    answer = visitor.post(path, {"login": ada.user.email, "password": PASSWORD, "next": target})
    assert answer["Location"] in {"/", "/w/"}


def test_the_page_that_was_asked_for_is_come_back_to() -> None:
    ada, visitor = make_person(), Visitor()
    asked = visitor.get(ada.home)
    assert asked["Location"] == f"/accounts/login/?next={ada.home}"
    assert (
        visitor.post(asked["Location"], {"login": ada.user.email, "password": PASSWORD, "next": ada.home})["Location"]
        == ada.home
    )


# --- guessing ---------------------------------------------------------------------------------------------------


def guesses(email: str, count: int, **options: Any) -> list[str]:
    return [Visitor(**options).sign_in(email, f"guess {number}").content.decode() for number in range(count)]


def test_passwords_of_one_account_are_guessed_five_times_whatever_the_address_one_comes_from() -> None:
    ada = make_person()
    said = guesses(ada.user.email, 7)
    assert ["Too many attempts" in each for each in said] == [False] * 5 + [True] * 2
    assert "Too many attempts" in Visitor().sign_in(ada.user.email).content.decode(), "the right one waits, too"
    assert "Try again in 5 minutes" in said[-1]
    assert "Reset your password" in said[-1]


def test_the_host_header_buys_no_further_guesses() -> None:
    ada = make_person()
    said = [
        Visitor()
        .post("/accounts/login/", {"login": ada.user.email, "password": "x"}, HTTP_HOST=f"localhost:{port}")
        .content.decode()
        for port in range(1, 8)
    ]
    assert ["Too many attempts" in each for each in said] == [False] * 5 + [True] * 2


def test_one_address_gets_no_further_guesses_by_naming_others(settings: Any) -> None:
    origin = f"198.51.100.{secrets.randbelow(250)}"
    met = {
        Visitor(REMOTE_ADDR=origin, HTTP_X_FORWARDED_FOR=f"203.0.113.{number}").sign_in(new_address(), "x").status_code
        for number in range(35)
    }
    assert 429 in met


def test_behind_a_trusted_proxy_people_are_told_apart_and_lies_are_not_believed(settings: Any) -> None:
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/8")]
    net = f"2001:db8:{secrets.token_hex(2)}:1"
    for number in range(30):
        forwarded = f"1.2.3.{number}, {net}::{number:x}"  # the client's lie, then what the proxy saw; one /64
        answer = Visitor(REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded).sign_in(new_address(), "x")
        assert answer.status_code == 200
    answer = Visitor(REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=f"{net}::ffff").sign_in(new_address(), "x")
    assert answer.status_code == 429
    other = Visitor(REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=f"203.0.113.{secrets.randbelow(250)}")
    assert other.sign_in(new_address(), "x").status_code == 200


def test_too_often_is_said_on_a_page_of_ours() -> None:
    visitor = Visitor()
    answers = [visitor.sign_in(new_address(), "x") for _ in range(31)]
    assert answers[-1].status_code == 429
    assert answers[-1]["Retry-After"] == "60"
    assert "That came too often" in answers[-1].content.decode()


def test_who_signs_in_before_confirming_is_mailed_a_code(settings: Any) -> None:
    email = new_address()
    User.objects.create_user(email, PASSWORD)  # as an operator makes one: without an address that is confirmed
    visitor = Visitor()
    assert visitor.sign_in(email).url == CONFIRM  # type: ignore[attr-defined] # a redirect
    assert len(mails_to(email)) == 1
    assert visitor.confirm(code_for(email)).status_code == 302
    assert visitor.is_signed_in
