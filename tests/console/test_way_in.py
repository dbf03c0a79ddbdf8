"""The way from setting up a second factor to the console."""

from __future__ import annotations

from tests.support.operators import make_operator
from tests.support.pages import text_of
from tests.support.people import Person, make_person

GO_ON = "go on to the operators' console"


def said(person: Person) -> str:
    return text_of(person.client().get("/accounts/2fa/").content.decode())


def test_an_operator_with_a_second_factor_is_led_on() -> None:
    assert GO_ON in said(make_operator())
    assert GO_ON not in said(make_operator(has_second_factor=False))
    assert GO_ON not in said(make_person())
