"""The people of a workspace: the list, roles, removal, leaving."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import members, principals, services
from accounts.models import ApiKey, AuditEvent, Member, User
from accounts.signals import access_ended
from bus.models import Message, Wait
from bus.operations import OPERATIONS
from crosswire.lib import clock
from tests.accounts.joining import HOSTILE, code_of, roles_in, told
from tests.support.cast import Caller
from tests.support.messages import seed
from tests.support.people import Person, make_person, owner_of


@pytest.fixture
def ada() -> Person:
    return make_person(role="owner")


@pytest.fixture
def join(ada: Person) -> Callable[..., Person]:
    """Make a member of Ada's workspace."""
    return lambda role, name="Bo Lee": make_person(ada.workspace, role, name)


@pytest.fixture
def ends() -> Any:
    """What `access_ended` told."""
    heard: list[dict[str, Any]] = []

    def hear(**told: Any) -> None:
        heard.append({name: told[name] for name in ("workspace_id", "credential", "instance")})

    access_ended.connect(hear)
    yield heard
    access_ended.disconnect(hear)


# --- roles ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", Member.Role.values)
@pytest.mark.parametrize("target", Member.Role.values)
def test_roles_below_ones_own_are_given_and_taken_and_no_others(
    ada: Person, join: Callable[..., Person], actor: str, target: str
) -> None:
    by = join(actor, "Actor")
    rank = ["viewer", "member", "admin", "owner"]
    for role in Member.Role.values:
        other = join(target, "Target")
        is_allowed = actor in ("admin", "owner") and rank.index(target) < rank.index(actor) > rank.index(role)
        assert code_of(members.set_role, by.member, other.member.pk, role) == ("" if is_allowed else "forbidden")
        other.member.refresh_from_db()
        assert other.member.role == (role if is_allowed else target)
        is_below = actor in ("admin", "owner") and rank.index(target) < rank.index(actor)
        if not is_allowed or role in ("member", "viewer"):
            other = join(target, "Target")
            assert code_of(members.remove, by.member, other.member.pk) == ("" if is_below else "forbidden")


def test_nobody_changes_their_own_role_or_removes_themselves(ada: Person, join: Callable[..., Person]) -> None:
    for person in (ada, join("admin")):
        assert code_of(members.set_role, person.member, person.member.pk, "viewer") == "forbidden"
        assert code_of(members.remove, person.member, person.member.pk) == "forbidden"


def test_what_one_may_do_is_read_at_the_moment_it_is_done(ada: Person, join: Callable[..., Person]) -> None:
    admin, victim = join("admin"), join("viewer")
    held = Member.objects.get(pk=admin.member.pk)
    members.set_role(ada.member, admin.member.pk, "member")
    assert held.role == "admin"
    assert code_of(members.set_role, held, victim.member.pk, "member") == "forbidden"
    members.remove(ada.member, admin.member.pk)
    assert code_of(members.remove, held, victim.member.pk) == "not_found"


def test_another_workspaces_member_looks_absent(ada: Person) -> None:
    mallory = make_person(name="Mallory")
    for work in (
        lambda: members.set_role(ada.member, mallory.member.pk, "viewer"),
        lambda: members.remove(ada.member, mallory.member.pk),
        lambda: members.hand_over(ada.member, mallory.member.pk),
        lambda: members.set_role(ada.member, 2**80, "viewer"),
    ):
        assert code_of(work) == "not_found"


@pytest.mark.parametrize("role", ["", "god", "OWNER", "owner\0", "x" * 10_000])
def test_a_role_that_is_none_changes_nothing(ada: Person, join: Callable[..., Person], role: str) -> None:
    other = join("member")
    assert code_of(members.set_role, ada.member, other.member.pk, role) == "invalid_input"
    other.member.refresh_from_db()
    assert other.member.role == "member"


def test_a_change_of_role_is_told_and_the_same_role_is_no_change(ada: Person, join: Callable[..., Person]) -> None:
    other = join("member")
    members.set_role(ada.member, other.member.pk, "member")
    members.set_role(ada.member, other.member.pk, "admin")
    assert told(ada) == [(ada.user.email, "member.role_changed", other.user.email)]
    event = AuditEvent.objects.get(workspace=ada.workspace, action="member.role_changed")
    assert event.details == {"before": "member", "after": "admin"}


# --- what ends with them ----------------------------------------------------------------------------------------


def test_losing_a_right_ends_what_is_open_and_gaining_one_does_not(
    ada: Person, join: Callable[..., Person], ends: list[dict[str, Any]]
) -> None:
    other = join("viewer")
    members.set_role(ada.member, other.member.pk, "admin")
    assert ends == []
    members.set_role(ada.member, other.member.pk, "viewer")
    one = {"workspace_id": ada.workspace.pk, "credential": f"member:{other.member.pk}", "instance": None}
    assert ends == [one, one], "inside the transaction and after it"
    members.remove(ada.member, other.member.pk)
    assert ends == [one] * 4


def test_what_a_removed_person_waits_for_ends(ada: Person, join: Callable[..., Person]) -> None:
    other = join("member")
    row = {"workspace": ada.workspace, "kind": Wait.Kind.TASK, "until": clock.now() + timedelta(hours=1)}
    for name in (f"member:{other.member.pk}", f"member:{ada.member.pk}"):
        Wait.objects.create(token=secrets.token_hex(20), credential=name, **row)
    members.remove(ada.member, other.member.pk)
    ends = dict(Wait.objects.filter(workspace=ada.workspace).values_list("credential", "ended"))
    assert ends == {f"member:{other.member.pk}": "revoked", f"member:{ada.member.pk}": ""}


def test_who_was_removed_can_call_no_more(ada: Person, join: Callable[..., Person]) -> None:
    other = join("member")
    held = principals.of_member(other.member)
    assert OPERATIONS["list_channels"](held, {})["channels"]
    assert code_of(principals.check_again, held) == ""
    members.remove(ada.member, other.member.pk)
    assert code_of(principals.check_again, held) == "unauthorized"


def test_a_member_made_a_viewer_may_only_read(ada: Person, join: Callable[..., Person]) -> None:
    other = join("member")
    held = principals.of_member(other.member)
    members.set_role(ada.member, other.member.pk, "viewer")
    assert code_of(principals.check_again, held) == "read_only_key"


def test_keys_that_a_removed_person_made_go_on_working_and_say_who_made_them(
    ada: Person, join: Callable[..., Person]
) -> None:
    other = join("member")
    key, text = services.create_key(ada.workspace, "ci", created_by=other.user, actor=other.user.email)
    page = ada.client().get(f"{ada.home}members/{other.member.pk}").content.decode()
    assert "1 key they made will go on working" in page
    members.remove(ada.member, other.member.pk)
    assert principals.authenticate(text).workspace_id == ada.workspace.pk
    assert ApiKey.objects.get(pk=key.pk).created_by == other.user


def test_removing_somebody_takes_a_second_step_that_says_what_becomes_of_keys(
    ada: Person, join: Callable[..., Person]
) -> None:
    page = ada.client().get(f"{ada.home}members/{join('member').member.pk}").content.decode()
    step = page[page.index("<summary>Remove from the workspace") :]
    assert "Keys they made go on working" in step[: step.index("</details>")]
    assert step.index("</summary>") < step.index('type="submit"')


def test_what_a_removed_person_wrote_stays(alice: Caller) -> None:
    ada, bo = owner_of(alice), make_person(alice.workspace, "member")
    seed(alice, ["my words"])
    Message.objects.filter(workspace=alice.workspace).update(member=bo.member)
    members.remove(ada.member, bo.member.pk)
    kept = Message.objects.get(workspace=alice.workspace)
    assert (kept.content, kept.member) == ("my words", None)


# --- leaving ----------------------------------------------------------------------------------------------------


def test_who_leaves_is_gone_and_it_is_told(ada: Person, join: Callable[..., Person]) -> None:
    other = join("viewer")
    client = other.client()
    assert client.post(f"{ada.home}leave").status_code == 302
    assert client.get(ada.home).status_code == 404
    assert told(ada) == [(other.user.email, "member.left", other.user.email)]


def test_the_only_owner_cannot_leave(ada: Person, join: Callable[..., Person]) -> None:
    join("admin")
    assert code_of(members.leave, ada.member) == "forbidden"
    assert "only one" in ada.client().get(f"{ada.home}leave").content.decode()
    join("owner")
    members.leave(ada.member)
    assert roles_in(ada) == ["admin", "owner"]


def test_a_suspended_workspace_can_be_left_all_the_same(ada: Person, join: Callable[..., Person]) -> None:
    other = join("member")
    services.suspend(ada.workspace, "unpaid")
    assert other.client().post(f"{ada.home}leave").status_code == 302
    assert roles_in(ada) == ["owner"]


# --- the page ---------------------------------------------------------------------------------------------------


def test_the_list_says_who_is_there_and_who_has_a_second_factor(ada: Person, join: Callable[..., Person]) -> None:
    other, third = join("viewer"), join("member", "Cy Doe")
    Authenticator.objects.create(user=other.user, type="totp", data={})
    Authenticator.objects.create(user=third.user, type="recovery_codes", data={})
    rows = {each.member.pk: each.has_second_factor for each in members.listed(ada.member)}
    assert rows == {ada.member.pk: False, other.member.pk: True, third.member.pk: False}
    page = other.client().get(f"{ada.home}members").content.decode()
    for shown in (ada.user.email, other.user.email, "Ada Jones", "Owner", "Viewer", "2FA on"):
        assert shown in page


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_who_may_not_manage_sees_no_buttons(ada: Person, join: Callable[..., Person], role: str) -> None:
    page = join(role).client().get(f"{ada.home}members").content.decode()
    main = page[page.index('<main id="main">') :]
    assert "<form" not in main
    assert "<button" not in main
    assert "Manage" not in main


def test_hostile_names_are_text(ada: Person, join: Callable[..., Person]) -> None:
    other = join("admin", HOSTILE + " Lee")
    ada.workspace.name = HOSTILE
    ada.workspace.save()
    for path in ("members", f"members/{other.member.pk}", "members/hand-over", "leave", "audit"):
        page = ada.client().get(ada.home + path).content.decode()
        assert HOSTILE not in page, path
        assert "&lt;script&gt;" in page, path


def crowd(person: Person, count: int) -> None:
    domain = f"{secrets.token_hex(4)}.example"
    people = User.objects.bulk_create(User(email=f"p{nth}@{domain}", name="Name " * 5) for nth in range(count))
    Member.objects.bulk_create(Member(workspace=person.workspace, user=user) for user in people)


def test_the_page_costs_the_same_however_many_people_there_are(ada: Person) -> None:
    client, counts = ada.client(), []
    client.get(f"{ada.home}members")
    for _ in range(2):
        with CaptureQueriesContext(connection) as ran:
            assert client.get(f"{ada.home}members").status_code == 200
        counts.append(len(ran))
        crowd(ada, 30)
    assert counts[0] == counts[1] < 15


def test_a_long_list_comes_in_parts(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "LISTED_MOST", 2)
    for _ in range(3):
        make_person(ada.workspace, "viewer", "Bo Lee")
    everybody = list(Member.objects.filter(workspace=ada.workspace).order_by("pk"))
    client = ada.client()
    first = client.get(f"{ada.home}members")
    assert [each.member for each in first.context["people"]] == everybody[:2]
    assert f"?after={everybody[1].pk}" in first.content.decode()
    second = client.get(f"{ada.home}members?after={everybody[1].pk}")
    assert [each.member for each in second.context["people"]] == everybody[2:]
    for hostile in ("x", "-1", str(2**70), "", "\0"):
        assert client.get(f"{ada.home}members", {"after": hostile}).status_code == 200


def test_a_page_of_a_hundred_people_is_light(ada: Person) -> None:
    crowd(ada, 99)
    assert len(ada.client().get(f"{ada.home}members").content) < 150_000
