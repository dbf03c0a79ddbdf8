"""What people leave behind goes by itself."""

from __future__ import annotations

from io import StringIO

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core.management import call_command

from accounts.models import User
from accounts.tasks import tidy
from tests.conftest import Clock
from tests.support.people import make_person
from tests.support.visitors import Visitor, new_address, signed_in


def test_a_session_that_is_over_goes_with_its_line_in_the_list(clock: Clock) -> None:
    ada = make_person()
    visitor = signed_in(ada)
    visitor.get("/account/")
    key = visitor.session.session_key
    tidy()
    assert Session.objects.filter(session_key=key).exists()
    assert UserSession.objects.filter(session_key=key).exists()
    clock.forward(days=31)
    tidy()
    assert not Session.objects.filter(session_key=key).exists()
    assert not UserSession.objects.filter(user=ada.user).exists()
    assert User.objects.filter(pk=ada.user.pk).exists()


def test_an_account_that_nobody_confirmed_goes_after_a_week_and_the_address_is_free(clock: Clock) -> None:
    email = new_address()
    Visitor().sign_up(email)
    clock.forward(days=6)
    tidy()
    assert User.objects.filter(email=email).exists()
    clock.forward(days=2)
    assert "unconfirmed accounts: " in command()
    assert not User.objects.filter(email=email).exists()


def test_everybody_else_stays(clock: Clock) -> None:
    people = [make_person().user, User.objects.create_user(new_address(), is_staff=True)]
    joined = new_address()
    Visitor().join(joined)
    clock.forward(days=400)
    tidy()
    assert User.objects.filter(pk__in=[each.pk for each in people]).count() == 2
    assert User.objects.filter(email=joined).exists()


def command() -> str:
    out = StringIO()
    call_command("tidy_accounts", stdout=out)
    return out.getvalue()
