"""Another address for an account."""

from __future__ import annotations

import pytest
from allauth.account.models import EmailAddress

from accounts import audit, audit_log
from accounts.models import User
from tests.support.mails import code_for, mails_to
from tests.support.people import Person, make_person
from tests.support.visitors import CONFIRM, Visitor, new_address, signed_in

PAGE = "/accounts/email/"


def changing(ada: Person, email: str) -> Visitor:
    visitor = signed_in(ada)
    visitor.confirm_password()
    assert visitor.post(PAGE, {"email": email, "action_add": "1"})["Location"] == CONFIRM
    return visitor


def test_a_new_address_counts_once_it_is_confirmed_and_the_old_one_is_told() -> None:
    ada, new = make_person(), new_address()
    audit.record(ada.workspace.pk, ada.user.email, "workspace.changed")
    visitor = changing(ada, new)
    assert User.objects.get(pk=ada.user.pk).email == ada.user.email
    answer = visitor.post(CONFIRM, {"code": code_for(new)})
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert [each for each, _ in audit_log.actors(ada.workspace) if "@" in each] == [new]
    entries, _ = audit_log.page(ada.workspace, audit_log.Filter(actor=new))
    assert {each.event.actor for each in entries} == {new, ada.user.email}
    assert User.objects.get(pk=ada.user.pk).email == new
    assert list(EmailAddress.objects.filter(user=ada.user).values_list("email", "verified", "primary")) == [
        (new, True, True)
    ]
    assert "changed from" in str(mails_to(ada.user.email)[-1].body)
    assert Visitor().sign_in(new).status_code == 302
    assert Visitor().sign_in(ada.user.email).status_code == 200


def test_it_takes_the_password_first() -> None:
    ada, new = make_person(), new_address()
    visitor = signed_in(ada)
    asked = visitor.post(PAGE, {"email": new, "action_add": "1"})
    assert asked["Location"].startswith("/accounts/reauthenticate/?next=")
    assert mails_to(new) == []
    assert visitor.post(asked["Location"], {"password": "wrong"}).status_code == 200
    assert mails_to(new) == []


def test_the_address_of_somebody_else_is_never_taken() -> None:
    ada, eve = make_person(), make_person(name="Eve")
    visitor = changing(eve, ada.user.email)
    body = str(mails_to(ada.user.email)[-1].body)
    if "    " in body:
        visitor.post(CONFIRM, {"code": code_for(ada.user.email)})
    assert User.objects.get(pk=eve.user.pk).email == eve.user.email
    assert User.objects.get(pk=ada.user.pk).email == ada.user.email


@pytest.mark.parametrize("email", ["", "nonsense", "x" * 300 + "@example.com", "a\x00@example.com"])
def test_what_is_no_address_is_refused(email: str) -> None:
    visitor = signed_in(make_person())
    visitor.confirm_password()
    assert visitor.post(PAGE, {"email": email, "action_add": "1"}).status_code == 200


def test_ones_only_address_cannot_be_removed() -> None:
    ada = make_person()
    visitor = signed_in(ada)
    visitor.confirm_password()
    visitor.post(PAGE, {"email": ada.user.email, "action_remove": "1"})
    assert EmailAddress.objects.filter(user=ada.user).count() == 1


def test_another_persons_address_cannot_be_acted_on() -> None:
    ada, eve = make_person(), make_person(name="Eve")
    visitor = signed_in(eve)
    visitor.confirm_password()
    for action in ("action_remove", "action_primary", "action_send"):
        visitor.post(PAGE, {"email": ada.user.email, action: "1"})
    assert EmailAddress.objects.get(user=ada.user).email == ada.user.email
