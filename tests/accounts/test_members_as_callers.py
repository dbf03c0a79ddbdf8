"""A member behind a page as the caller of operations: what the role allows, and when it is over."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accounts import principals, services
from accounts.models import Member
from accounts.roles import POLICY, Action, grantable, may
from bus.operations import OPERATIONS
from crosswire.lib.errors import CrossWireError
from tests.support.cast import Caller
from tests.support.people import Person, make_person


def narrow(person: Person) -> None:
    person.member.role = "viewer"
    person.member.save()


def suspend(person: Person) -> None:
    services.suspend(person.workspace, "unpaid")


def remove(person: Person) -> None:
    person.member.delete()


@pytest.mark.parametrize(
    ("change", "code"), [(narrow, "read_only_key"), (suspend, "suspended"), (remove, "unauthorized")]
)
def test_what_is_open_for_a_member_is_refused_once_it_was_taken_away(
    change: Callable[[Person], None], code: str
) -> None:
    ada = make_person(role="member")
    held = principals.of_member(ada.member)
    assert principals.refusals([held]) == [None]
    change(ada)
    (refusal,) = principals.refusals([held])
    assert refusal is not None
    assert refusal.code == code


def test_members_and_keys_are_judged_side_by_side(alice: Caller) -> None:
    ada = make_person(alice.workspace)
    held = [principals.of_member(ada.member), principals.authenticate(alice.key)]
    remove(ada)
    refused, other = principals.refusals(held)
    assert refused is not None
    assert other is None


def test_a_viewer_reads_and_a_member_writes(alice: Caller) -> None:
    reader = principals.of_member(make_person(alice.workspace, "viewer").member)
    writer = principals.of_member(make_person(alice.workspace, "member").member)
    assert OPERATIONS["list_channels"](reader, {})["channels"][0]["name"] == "general"
    with pytest.raises(CrossWireError) as refused:
        OPERATIONS["create_channel"](reader, {"name": "plans"})
    assert refused.value.code == "read_only_key"
    assert OPERATIONS["create_channel"](writer, {"name": "plans"})["created"]


def test_a_person_can_take_no_instances_name_and_no_instance_a_persons() -> None:
    for name in ("human", "human:Ada", "Human:Ada", "HUMAN:"):
        with pytest.raises(CrossWireError) as refused:
            principals.instance_name("sender", name)
        assert refused.value.code == "invalid_input"


def test_each_role_may_do_what_the_one_below_may_and_more() -> None:
    viewer, member, admin, owner = (POLICY[Member.Role(each)] for each in ("viewer", "member", "admin", "owner"))
    assert viewer < member < admin < owner == frozenset(Action)


def test_who_manages_members_gives_roles_below_its_own() -> None:
    assert grantable("owner") == ["admin", "member", "viewer"]
    assert grantable("admin") == ["member", "viewer"]
    assert grantable("member") == grantable("viewer") == []
    assert not may("admin", Action.DELETE)
