"""Signing up once more, because the code of the first time was never entered."""

from __future__ import annotations

import pytest
from allauth.socialaccount.models import SocialAccount
from django.conf import LazySettings
from django.core.cache import cache

from accounts.models import User
from tests.support.mails import code_for, code_in, mails_to
from tests.support.people import PASSWORD, make_person
from tests.support.visitors import CONFIRM, Visitor, new_address

OTHER = "another-long-password-7"


def forget_the_wait() -> None:
    """As if the seconds between two codes for one address had passed."""
    cache.clear()


def begun_before(name: str = "") -> str:
    email = new_address()
    Visitor().sign_up(email, name=name)
    forget_the_wait()
    return email


def test_it_sends_a_new_code_and_what_was_said_last_counts() -> None:
    email, again = begun_before("First"), Visitor()
    assert (
        again.sign_up(email, OTHER, name="Second", time_zone="Europe/Berlin", next="/account/")["Location"] == CONFIRM
    )
    newest = mails_to(email)[-1]
    assert newest.subject.endswith("is your CrossWire code")
    assert again.confirm(code_in(str(newest.body)))["Location"] == "/account/"
    assert again.get("/account/").status_code == 200
    user = User.objects.get(email=email)
    assert (user.name, user.time_zone, user.check_password(OTHER)) == ("Second", "Europe/Berlin", True)


def test_a_strangers_attempt_does_not_decide_about_the_password() -> None:
    email, owner, stranger = new_address(), Visitor(), Visitor()
    owner.sign_up(email, PASSWORD)
    code = code_for(email)
    forget_the_wait()
    stranger.sign_up(email, OTHER, name="Mallory")
    assert owner.confirm(code).status_code == 302
    assert owner.is_signed_in
    user = User.objects.get(email=email)
    assert user.check_password(PASSWORD)
    assert user.name != "Mallory"
    assert not stranger.is_signed_in
    assert stranger.get("/account/").status_code == 302


def test_the_code_of_a_later_attempt_changes_nothing_once_the_address_is_confirmed() -> None:
    email, owner, late = new_address(), Visitor(), Visitor()
    owner.sign_up(email, PASSWORD)
    forget_the_wait()
    late.sign_up(email, OTHER)
    first, second = (code_in(str(each.body)) for each in mails_to(email))
    owner.confirm(first)
    late.confirm(second)
    assert User.objects.get(email=email).check_password(PASSWORD)
    assert not late.is_signed_in


@pytest.mark.parametrize("kind", ["confirmed", "staff", "linked"])
def test_an_account_that_is_somebodys_is_not_signed_up_again(kind: str) -> None:
    email = make_person().user.email if kind == "confirmed" else begun_before()
    user = User.objects.get(email=email)
    if kind == "staff":
        User.objects.filter(pk=user.pk).update(is_staff=True)
    if kind == "linked":
        SocialAccount.objects.create(user=user, provider="github", uid=email)
    Visitor().sign_up(email, OTHER)
    assert mails_to(email)[-1].subject == "You already have a CrossWire account"
    assert not User.objects.get(pk=user.pk).check_password(OTHER)


def test_the_mail_names_only_providers_there_are(settings: LazySettings) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = {}
    email = make_person().user.email
    Visitor().sign_up(email)
    assert "GitHub" not in str(mails_to(email)[-1].body)
    settings.SOCIALACCOUNT_PROVIDERS = {"github": {"APPS": []}}
    forget_the_wait()
    Visitor().sign_up(email)
    assert "To sign in with GitHub, sign in" in str(mails_to(email)[-1].body)


def test_after_the_last_wrong_code_it_is_said_how_to_go_on() -> None:
    visitor = Visitor()
    visitor.sign_up(new_address())
    for _ in range(3):
        last = visitor.post(CONFIRM, {"code": "BBBB-BBBB"}, follow=True)
    assert "Sign in with your address and password to get a new code" in last.content.decode()


def test_who_comes_from_an_invite_is_told_that_they_join() -> None:
    page = Visitor().get("/accounts/signup/?next=/invites/abc").content.decode()
    assert "join that" in page
    assert "plan Free" not in page
    assert "plan Free" in Visitor().get("/accounts/signup/").content.decode()


@pytest.mark.parametrize(
    ("referer", "back"), [("http://localhost/pricing", "http://localhost/pricing"), ("https://evil.example/", "/w/")]
)
def test_a_stale_form_leads_back_to_this_site_alone(referer: str, back: str) -> None:
    visitor = Visitor(enforce_csrf_checks=True)
    page = visitor.post("/accounts/login/", {}, headers={"referer": referer})
    assert page.status_code == 403
    assert f'href="{back}">Back</a>' in page.content.decode()
    assert "Sign up" in page.content.decode()
