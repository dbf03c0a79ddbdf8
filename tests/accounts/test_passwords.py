"""Resetting, changing and setting passwords."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from pytest_django.fixtures import Settings

from accounts.models import User
from crosswire.lib import clock
from tests.support.mails import code_for, mails_to
from tests.support.people import PASSWORD, Person, make_person
from tests.support.visitors import Visitor, new_address, signed_in

NEW = "another-horse-battery-7"
ENTER, COMPLETE = "/accounts/password/reset/confirm/", "/accounts/password/reset/complete/"


def ask(email: str) -> Visitor:
    visitor = Visitor()
    assert visitor.post("/accounts/password/reset/", {"email": email})["Location"] == ENTER
    return visitor


def reset(person: Person) -> Visitor:
    visitor = ask(person.user.email)
    assert visitor.post(ENTER, {"code": code_for(person.user.email)})["Location"] == COMPLETE
    assert visitor.post(COMPLETE, {"password1": NEW, "password2": NEW}).status_code == 302
    return visitor


def test_passwords_are_kept_as_argon2(settings: Settings) -> None:
    from crosswire.settings import PASSWORD_HASHERS  # noqa: PLC0415 - what tests of this folder replace

    settings.PASSWORD_HASHERS = PASSWORD_HASHERS
    ada = make_person()
    assert ada.user.password.startswith("argon2$argon2id$v=19$m=47104,t=1,p=1$")
    assert Visitor().sign_in(ada.user.email).status_code == 302


# --- reset ------------------------------------------------------------------------------------------------------


def test_a_mailed_code_sets_a_new_password_and_ends_every_session() -> None:
    ada = make_person()
    elsewhere = signed_in(ada)
    visitor = reset(ada)
    assert not visitor.is_signed_in, "who resets has still to sign in, with a second factor if there is one"
    assert elsewhere.get("/account/").status_code == 302
    assert Visitor().sign_in(ada.user.email).status_code == 200
    assert Visitor().sign_in(ada.user.email, NEW).status_code == 302
    assert mails_to(ada.user.email)[-1].subject == "Your CrossWire password was reset"


def test_the_new_password_cannot_be_set_without_the_code() -> None:
    ada = make_person()
    visitor = ask(ada.user.email)
    assert visitor.post(COMPLETE, {"password1": NEW, "password2": NEW})["Location"] == ENTER
    assert Visitor().sign_in(ada.user.email).status_code == 302


def test_a_code_sets_one_password() -> None:
    ada = make_person()
    visitor = reset(ada)
    assert visitor.post(COMPLETE, {"password1": PASSWORD, "password2": PASSWORD}).status_code == 302
    assert Visitor().sign_in(ada.user.email, NEW).status_code == 302


def test_three_wrong_codes_end_it() -> None:
    ada = make_person()
    visitor = ask(ada.user.email)
    for _ in range(3):
        visitor.post(ENTER, {"code": "BBBB-BBBB"})
    assert visitor.post(ENTER, {"code": code_for(ada.user.email)})["Location"] == "/accounts/login/"


def test_a_code_runs_out_and_that_is_said() -> None:
    ada = make_person()
    with time_machine.travel(clock.now(), tick=True) as now:
        visitor = ask(ada.user.email)
        now.shift(timedelta(minutes=16))
        answer = visitor.post(ENTER, {"code": code_for(ada.user.email)}, follow=True)
    assert "The code is no longer valid" in answer.content.decode()


def test_codes_are_mailed_a_few_times_an_hour_at_most() -> None:
    ada = make_person()
    met = [Visitor().post("/accounts/password/reset/", {"email": ada.user.email}).status_code for _ in range(8)]
    assert met == [302] * 5 + [429] * 3
    assert len(mails_to(ada.user.email)) == 5


def test_a_code_of_one_account_opens_no_other() -> None:
    ada, eve = make_person(), make_person(name="Eve")
    visitor = ask(ada.user.email)
    ask(eve.user.email)
    assert visitor.post(ENTER, {"code": code_for(eve.user.email)}).status_code == 200


def test_whoever_had_signed_up_with_somebody_elses_address_loses_it_to_its_owner() -> None:
    email, squatter = new_address(), Visitor()
    squatter.sign_up(email, "squatters-password-1")
    owner = ask(email)
    owner.post(ENTER, {"code": code_for(email)})
    owner.post(COMPLETE, {"password1": NEW, "password2": NEW})
    assert Visitor().sign_in(email, "squatters-password-1").status_code == 200
    squatter.get("/accounts/confirm-email/")
    assert not squatter.is_signed_in
    assert Visitor().sign_in(email, NEW).status_code == 302


# --- change -----------------------------------------------------------------------------------------------------


def test_changing_it_ends_all_other_sessions_and_is_mailed() -> None:
    ada = make_person()
    here, elsewhere = signed_in(ada), signed_in(ada)
    before = here.session.session_key
    answer = here.post(
        "/accounts/password/change/", {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}, follow=True
    )
    assert "Your other sessions have ended." in answer.content.decode()
    assert here.get("/account/").status_code == 200
    assert here.session.session_key != before
    assert elsewhere.get("/account/").status_code == 302
    assert mails_to(ada.user.email)[-1].subject == "Your CrossWire password was changed"
    assert NEW not in str(mails_to(ada.user.email)[-1].body)


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("wrong", NEW, NEW),
        (PASSWORD, NEW, f"{NEW}x"),
        (PASSWORD, "short", "short"),
        (PASSWORD, "password123", "password123"),
        ("", "", ""),
    ],
)
def test_a_change_that_is_not_sound_changes_nothing(old: str, new: str, again: str) -> None:
    ada = make_person()
    visitor = signed_in(ada)
    answer = visitor.post("/accounts/password/change/", {"oldpassword": old, "password1": new, "password2": again})
    assert answer.status_code == 200
    assert Visitor().sign_in(ada.user.email).status_code == 302


def test_the_current_password_is_guessed_five_times_a_minute_at_most() -> None:
    visitor = signed_in(make_person())
    met = [
        visitor.post(
            "/accounts/password/change/", {"oldpassword": f"guess {number}", "password1": NEW, "password2": NEW}
        ).status_code
        for number in range(7)
    ]
    assert met == [200] * 5 + [429] * 2


def test_who_has_none_sets_a_first_one() -> None:
    ada = make_person()
    User.objects.filter(pk=ada.user.pk).update(password="!")
    ada.user.refresh_from_db()
    visitor = Visitor()
    visitor.force_login(ada.user, "django.contrib.auth.backends.ModelBackend")
    assert visitor.get("/accounts/password/change/")["Location"] == "/accounts/password/set/"
    assert visitor.get("/accounts/password/set/").status_code == 200
    assert visitor.post("/accounts/password/set/", {"password1": NEW, "password2": NEW}).status_code == 302
    assert Visitor().sign_in(ada.user.email, NEW).status_code == 302
