"""Further workspaces of a person."""

from __future__ import annotations

from functools import partial

import pytest

from accounts import closing, members
from accounts.models import AuditEvent, Member
from tests.conftest import Clock
from tests.support.people import Person, make_person
from tests.support.races import at_once


@pytest.fixture
def ada() -> Person:
    return make_person(role="owner")


# --- further workspaces -----------------------------------------------------------------------------------------


def test_a_person_makes_another_workspace_and_owns_it(ada: Person) -> None:
    client = ada.client()
    answer = client.post("/w/new", {"name": "Side project"})
    member = Member.objects.get(user=ada.user, workspace__name="Side project")
    assert answer.status_code == 302
    assert answer["location"].startswith(f"/w/{member.workspace.slug}/")
    assert (member.role, member.workspace.plan) == ("owner", "free")
    assert client.session["first_key"] is True
    event = AuditEvent.objects.get(workspace=member.workspace, action="workspace.created")
    assert (event.actor, event.target) == (ada.user.email, "Side project")
    assert "Side project" in client.get(ada.home).content.decode(), "the menu has it"
    assert client.get(f"/w/{member.workspace.slug}/members").status_code == 200


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "a\0b", "two\nlines", "\u202eevil"])
def test_a_workspaces_name_is_one_line(ada: Person, name: str) -> None:
    answer = ada.client().post("/w/new", {"name": name})
    assert answer.status_code == 400
    assert "errorlist" in answer.content.decode()
    assert Member.objects.filter(user=ada.user).count() == 1


def test_a_person_owns_five_workspaces_on_free_and_no_sixth(ada: Person) -> None:
    codes = at_once(*(partial(members.found_workspace, ada.user, f"free {number}") for number in range(8)))
    assert sorted(codes) == [""] * 5 + ["limit_reached"] * 3
    answer = ada.client().post("/w/new", {"name": "a sixth"})
    assert answer.status_code == 400
    assert "5 workspaces on the Free plan" in answer.content.decode()
    mine = Member.objects.filter(user=ada.user, workspace__plan="free")
    owned = mine[0].workspace
    owned.plan = "pro"
    owned.save()
    members.found_workspace(ada.user, "room again")


def test_deleting_and_making_workspaces_by_turns_gives_no_new_quota_each_time(ada: Person, clock: Clock) -> None:
    for number in range(members.DELETED_A_DAY):
        closing.close(members.found_workspace(ada.user, f"{number}").workspace, actor=ada.user.email)
    answer = ada.client().post("/w/new", {"name": "one more"})
    assert answer.status_code == 400
    assert "deleted several workspaces today" in answer.content.decode()
    clock.forward(days=1, seconds=1)
    assert members.found_workspace(ada.user, "another day").role == "owner"
