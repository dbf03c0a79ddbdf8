"""`manage.py join`: an operator puts a person into a workspace, such as the one that `make run` makes."""

from __future__ import annotations

import secrets
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEvent, Member
from tests.support.cast import Caller
from tests.support.people import Person, make_person


def joined(*arguments: str) -> str:
    out = StringIO()
    call_command("join", *arguments, stdout=out)
    return out.getvalue()


def role_of(person: Person, caller: Caller) -> str:
    return Member.objects.get(workspace=caller.workspace, user=person.user).role


def told_of(caller: Caller) -> list[tuple[str, str, str]]:
    events = AuditEvent.objects.filter(workspace=caller.workspace, action__startswith="member.").order_by("pk")
    return [(each.actor, each.action, each.target) for each in events]


@pytest.fixture
def ada() -> Person:
    """Somebody with a workspace of her own."""
    return make_person()


def test_who_has_signed_up_becomes_the_owner_and_sees_the_workspace(alice: Caller, ada: Person) -> None:
    said = joined(alice.workspace.slug, ada.user.email.upper())
    assert role_of(ada, alice) == "owner"
    assert f"{ada.user.email} is now owner of alice" in said
    assert said.rstrip().endswith(f"/w/{alice.workspace.slug}/")
    assert ada.client().get(f"/w/{alice.workspace.slug}/").status_code == 200
    assert told_of(alice) == [("operator", "member.joined", ada.user.email)]


def test_a_workspace_has_one_owner_and_the_one_before_becomes_an_admin(alice: Caller, ada: Person) -> None:
    bob = make_person(alice.workspace, "owner", "Bob Smith")
    joined(alice.workspace.slug, ada.user.email)
    assert (role_of(bob, alice), role_of(ada, alice)) == ("admin", "owner")
    assert ("operator", "member.role_changed", bob.user.email) in told_of(alice)


def test_a_member_gets_another_role_once(alice: Caller, ada: Person) -> None:
    for role in ("viewer", "member", "member"):
        joined(alice.workspace.slug, ada.user.email, "--role", role)
        assert role_of(ada, alice) == role
    assert [action for _, action, _ in told_of(alice)] == ["member.joined", "member.role_changed"]


def test_a_workspace_is_not_left_without_its_owner(alice: Caller, ada: Person) -> None:
    joined(alice.workspace.slug, ada.user.email)
    with pytest.raises(CommandError, match="owns this workspace"):
        joined(alice.workspace.slug, ada.user.email, "--role", "viewer")
    assert role_of(ada, alice) == "owner"


@pytest.mark.parametrize("email", ["nobody@example.com", "", "%", "no address"])
def test_who_has_not_signed_up_is_told_where(alice: Caller, email: str) -> None:
    with pytest.raises(CommandError, match="accounts/signup/ first"):
        joined(alice.workspace.slug, email)


def test_a_workspace_that_is_not_there_or_not_the_only_one_of_its_name_is_told(ada: Person) -> None:
    name = f"twin {secrets.token_hex(4)}"
    with pytest.raises(CommandError, match="There is no workspace"):
        joined(name, ada.user.email)
    for _ in range(2):
        call_command("create_workspace", name, stdout=StringIO())
    with pytest.raises(CommandError, match="name one by its slug"):
        joined(name, ada.user.email)
