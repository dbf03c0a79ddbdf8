"""Who enters the operators' console."""

from __future__ import annotations

import pytest

from accounts.models import User
from tests.support.people import Person, make_person
from tests.support.visitors import Visitor, signed_in


def operator() -> Person:
    person = make_person(name="Olga")
    User.objects.filter(pk=person.user.pk).update(is_staff=True, is_superuser=True)
    return person


def test_a_stranger_signs_in_as_everybody_does() -> None:
    answer = Visitor().get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0] == "/accounts/login/?next=/admin/"


def test_the_admins_own_form_takes_no_password() -> None:
    olga, visitor = operator(), Visitor()
    visitor.post("/admin/login/", {"username": olga.user.email, "password": "correct-horse-battery-9"})
    assert not visitor.is_signed_in
    assert visitor.get("/admin/").status_code == 302


def test_a_person_who_is_no_operator_is_refused() -> None:
    answer = signed_in(make_person()).get("/admin/", follow=True)
    assert answer.status_code == 403


def test_an_operator_with_a_password_alone_is_sent_to_set_up_a_second_factor() -> None:
    visitor = signed_in(operator())
    answer = visitor.get("/admin/accounts/user/", follow=True)
    assert answer.redirect_chain[-1][0] == "/accounts/2fa/"
    assert "Operators need two-factor sign-in" in answer.content.decode()


def test_an_operator_with_a_second_factor_enters() -> None:
    visitor = signed_in(operator())
    visitor.confirm_password()
    visitor.set_up_app()
    assert visitor.get("/admin/").status_code == 200
    assert visitor.get("/admin/login/?next=/admin/")["Location"] == "/admin/"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_nobody_is_sent_elsewhere(target: str) -> None:
    visitor = signed_in(operator())
    visitor.confirm_password()
    visitor.set_up_app()
    assert visitor.get("/admin/login/", {"next": target})["Location"] == "/admin/"
