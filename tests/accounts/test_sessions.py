"""The list of where a person is signed in."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from allauth.usersessions.models import UserSession

from accounts.templatetags.browsers import browser
from crosswire.lib import clock
from tests.support.people import make_person
from tests.support.visitors import Visitor, signed_in

PAGE = "/accounts/sessions/"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


def test_each_browser_is_listed_with_its_address() -> None:
    ada = make_person()
    here = signed_in(ada)
    elsewhere = Visitor(HTTP_USER_AGENT=FIREFOX)
    elsewhere.sign_in(ada.user.email)
    page = here.get(PAGE).content.decode()
    assert "Firefox on Windows" in page
    assert elsewhere.defaults["REMOTE_ADDR"] in page
    assert page.count("This one") == 1


def test_the_others_can_be_ended() -> None:
    ada = make_person()
    here, elsewhere = signed_in(ada), signed_in(ada)
    assert here.post(PAGE).status_code == 302
    assert here.get("/account/").status_code == 200
    assert elsewhere.get("/account/").status_code == 302
    assert "End all others" not in here.get(PAGE).content.decode()


def test_nobody_elses_sessions_are_listed_or_ended() -> None:
    ada, eve = signed_in(make_person()), signed_in(make_person(name="Eve"))
    eve.post(PAGE)
    assert ada.get("/account/").status_code == 200
    assert ada.defaults["REMOTE_ADDR"] not in eve.get(PAGE).content.decode()


def test_that_a_session_is_used_is_noted_every_few_minutes_and_not_at_every_page() -> None:
    ada = make_person()
    with time_machine.travel(clock.now(), tick=True) as now:
        visitor = signed_in(ada)
        visitor.get("/account/")
        first = UserSession.objects.get(user=ada.user).last_seen_at
        now.shift(timedelta(minutes=2))
        visitor.get("/account/")
        assert UserSession.objects.get(user=ada.user).last_seen_at == first
        now.shift(timedelta(minutes=4))
        visitor.get("/account/")
        assert UserSession.objects.get(user=ada.user).last_seen_at > first


def test_an_address_that_changes_is_noted_at_once() -> None:
    ada = make_person()
    visitor = signed_in(ada)
    visitor.get("/account/")
    visitor.get("/account/", REMOTE_ADDR="2001:db8::7")
    assert UserSession.objects.get(user=ada.user).ip == "2001:db8::7"


@pytest.mark.parametrize("peer", ["", "unix:", "nonsense"])
def test_an_address_that_is_not_known_is_no_fault(peer: str) -> None:
    ada = make_person()
    visitor = Visitor(REMOTE_ADDR=peer)
    assert visitor.sign_in(ada.user.email).status_code == 302
    assert visitor.get(PAGE).status_code == 200


@pytest.mark.parametrize(
    ("user_agent", "shown"),
    [
        (FIREFOX, "Firefox on Windows"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15",
            "Safari on macOS",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 CriOS/140.0 Safari/604.1",
            "Chrome on iPhone",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge on Linux",
        ),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "Unknown browser"),
        ("<script>" * 100, ("<script>" * 100)[:60]),
    ],
)
def test_a_browser_is_named_in_words(user_agent: str, shown: str) -> None:
    assert browser(user_agent) == shown


def test_a_hostile_browser_name_is_text() -> None:
    ada = make_person()
    visitor = Visitor(HTTP_USER_AGENT="<script>alert(1)</script>" + "x" * 5000)
    visitor.sign_in(ada.user.email)
    assert "<script>alert" not in visitor.get(PAGE).content.decode()
