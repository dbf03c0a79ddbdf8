"""Handing a workspace over: it always has an owner, whoever comes and goes at the same moment."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from accounts import leaving, members
from accounts.models import Member
from bus.models import Wait
from crosswire.lib import clock
from tests.accounts.joining import actions, code_of, roles_in, told
from tests.support.cast import make_workspace
from tests.support.people import Person, make_person
from tests.support.races import at_once


@pytest.fixture
def ada() -> Person:
    return make_person(role="owner")


@pytest.fixture
def join(ada: Person) -> Callable[..., Person]:
    """Make a member of Ada's workspace."""
    return lambda role, name="Bo Lee": make_person(ada.workspace, role, name)


# --- handing over -----------------------------------------------------------------------------------------------


def hand_over(person: Person, member: object, name: str) -> Any:
    return person.client().post(f"{person.home}members/hand-over", {"member": member, "name": name})


def test_ownership_is_handed_over_and_the_old_owner_becomes_an_admin(ada: Person, join: Callable[..., Person]) -> None:
    other = join("viewer")
    held = Wait.objects.create(
        workspace=ada.workspace,
        kind=Wait.Kind.TASK,
        token=secrets.token_hex(20),
        credential=f"member:{ada.member.pk}",
        until=clock.now() + timedelta(hours=1),
    )
    assert hand_over(ada, other.member.pk, ada.workspace.name).status_code == 302
    held.refresh_from_db()
    assert held.ended == "revoked", "what an owner had open ends with the ownership"
    assert roles_in(ada) == ["admin", "owner"]
    assert told(ada) == [(ada.user.email, "workspace.handed_over", other.user.email)]
    assert code_of(members.hand_over, Member.objects.get(pk=ada.member.pk), other.member.pk) == "forbidden"


@pytest.mark.parametrize("name", ["", "x", "ACME", "\0", "<b>"])
def test_the_workspaces_name_has_to_be_typed(ada: Person, join: Callable[..., Person], name: str) -> None:
    other = join("admin")
    assert hand_over(ada, other.member.pk, name).status_code == 400
    assert roles_in(ada) == ["owner", "admin"]


@pytest.mark.parametrize("member", ["", "0", "-1", "x", 2**70, "\0"])
def test_a_new_owner_is_one_of_the_members(ada: Person, join: Callable[..., Person], member: object) -> None:
    join("admin")
    mallory = make_person(name="Mallory")
    for named in (member, mallory.member.pk, ada.member.pk):
        assert hand_over(ada, named, ada.workspace.name).status_code == 400
    assert roles_in(ada) == ["owner", "admin"]


def test_whoever_owns_five_free_workspaces_takes_no_sixth() -> None:
    ada = make_person(make_workspace("free").workspace)
    other = make_person(ada.workspace, "admin")
    for number in range(members.FREE_WORKSPACES):
        members.found_workspace(other.user, f"mine {number}")
    assert code_of(members.hand_over, ada.member, other.member.pk) == "limit_reached"
    assert roles_in(ada) == ["owner", "admin"]


def test_nobody_hands_a_workspace_to_somebody_who_deleted_their_account(
    ada: Person, join: Callable[..., Person]
) -> None:
    other = join("admin")
    leaving.close(other.user)
    assert code_of(members.hand_over, ada.member, other.member.pk) == "not_found"
    assert code_of(members.join, ada.workspace, other.user, Member.Role.OWNER) == "not_found"
    leaving.erase(other.user.pk)
    assert roles_in(ada) == ["owner"]


# --- races ------------------------------------------------------------------------------------------------------


def test_two_owners_who_leave_at_once_leave_one_behind(ada: Person, join: Callable[..., Person]) -> None:
    for _ in range(3):
        first, second = join("owner"), join("owner")
        Member.objects.filter(pk=ada.member.pk).update(role="admin")
        codes = at_once(partial(members.leave, first.member), partial(members.leave, second.member))
        assert sorted(codes) == ["", "forbidden"]
        assert roles_in(ada).count("owner") == 1
        Member.objects.filter(workspace=ada.workspace).exclude(pk=ada.member.pk).delete()


def test_a_workspace_handed_to_two_at_once_has_one_owner(ada: Person, join: Callable[..., Person]) -> None:
    first, second = join("admin"), join("member")
    codes = at_once(
        lambda: members.hand_over(ada.member, first.member.pk), lambda: members.hand_over(ada.member, second.member.pk)
    )
    assert sorted(codes) == ["", "forbidden"]
    assert roles_in(ada).count("owner") == 1


def test_who_leaves_while_it_is_handed_to_them_does_not_take_the_owner_along(
    ada: Person, join: Callable[..., Person]
) -> None:
    for _ in range(4):
        Member.objects.filter(pk=ada.member.pk).update(role="owner")
        other = join("admin")
        codes = at_once(partial(members.hand_over, ada.member, other.member.pk), partial(members.leave, other.member))
        assert roles_in(ada).count("owner") == 1
        assert codes in (["", "forbidden"], ["not_found", ""])
        Member.objects.filter(workspace=ada.workspace).exclude(pk=ada.member.pk).delete()


def test_two_admins_who_are_demoted_while_they_act_do_not_outlive_it(ada: Person, join: Callable[..., Person]) -> None:
    admin, victim = join("admin"), join("member")
    at_once(
        lambda: members.set_role(ada.member, admin.member.pk, "viewer"),
        lambda: members.remove(admin.member, victim.member.pk),
    )
    assert Member.objects.get(pk=admin.member.pk).role == "viewer"
    gone = not Member.objects.filter(pk=victim.member.pk).exists()
    order = actions(ada)
    assert order == (["member.removed", "member.role_changed"] if gone else ["member.role_changed"])


def test_a_workspace_that_was_deleted_meanwhile_has_nobody_to_act(ada: Person, join: Callable[..., Person]) -> None:
    other = join("member")
    ada.workspace.delete()
    for work in (
        lambda: members.leave(other.member),
        lambda: members.set_role(ada.member, other.member.pk, "viewer"),
        lambda: members.hand_over(ada.member, other.member.pk),
    ):
        assert code_of(work) == "not_found"


def test_who_deletes_their_account_while_it_is_handed_to_them_does_not_take_the_owner_along(
    ada: Person, join: Callable[..., Person]
) -> None:
    for _ in range(4):
        Member.objects.filter(pk=ada.member.pk).update(role="owner")
        other = join("admin")
        codes = at_once(partial(members.hand_over, ada.member, other.member.pk), partial(leaving.close, other.user))
        assert codes in (["", "forbidden"], ["not_found", ""])
        leaving.erase(other.user.pk)
        assert roles_in(ada).count("owner") == 1
        Member.objects.filter(workspace=ada.workspace).exclude(pk=ada.member.pk).delete()
