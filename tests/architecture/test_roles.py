"""The roles: what each may do, as a table that changes only on purpose."""

from __future__ import annotations

import pytest

from accounts import roles
from accounts.models import Member
from accounts.roles import Action

ROLES = ("owner", "admin", "member", "viewer")
TABLE = {
    Action.VIEW: "+ + + +",
    Action.POST: "+ + + -",
    Action.MODERATE: "+ + + -",
    Action.MAKE_KEYS: "+ + + -",
    Action.MANAGE_KEYS: "+ + - -",
    Action.MANAGE_MEMBERS: "+ + - -",
    Action.VIEW_AUDIT: "+ + - -",
    Action.CHANGE_SETTINGS: "+ + - -",
    Action.EXPORT: "+ + - -",
    Action.BILLING: "+ - - -",
    Action.HAND_OVER: "+ - - -",
    Action.DELETE: "+ - - -",
}


def test_each_role_may_do_what_the_table_says() -> None:
    assert set(TABLE) == set(Action)
    assert {action: " ".join("+" if roles.may(role, action) else "-" for role in ROLES) for action in Action} == TABLE


def test_the_table_that_people_are_shown_is_the_one_in_force() -> None:
    assert {action: " ".join("+" if may else "-" for may in allowed) for action, allowed in roles.table()} == TABLE


@pytest.mark.parametrize(
    ("role", "grantable"),
    [("owner", ["admin", "member", "viewer"]), ("admin", ["member", "viewer"]), ("member", []), ("viewer", [])],
)
def test_nobody_gives_their_own_role_or_a_higher_one(role: str, grantable: list[str]) -> None:
    assert roles.grantable(role) == grantable


def test_a_role_narrows_when_anything_is_lost() -> None:
    order = list(ROLES)
    for before in Member.Role.values:
        for after in Member.Role.values:
            assert roles.narrows(before, after) == (order.index(after) > order.index(before))
