"""What operators do, through the forms of their console."""

from __future__ import annotations

import secrets

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from accounts import audit, audit_log, operators, plan_changes, services
from accounts.models import ApiKey, AuditEvent, User, Workspace
from accounts.plans import PLANS
from bus.operations import OPERATIONS
from crosswire.lib import keys
from crosswire.lib.errors import CrossWireError
from tests.bus.waiters import SOON, WAIT, begin
from tests.support.cast import Caller
from tests.support.jobs import Jobs
from tests.support.messages import principal_of
from tests.support.operators import browser_of, make_operator
from tests.support.people import PASSWORD, Person, make_person, owner_of
from tests.support.surfaces import Refusal, Surface
from tests.support.visitors import signed_in

LANE = pytest.mark.parametrize("call", ["lane"], indirect=True)
MCP = pytest.mark.parametrize("call", ["mcp-2026-07-28"], indirect=True)


def at(workspace: Workspace, deed: str) -> str:
    return f"/admin/accounts/workspace/{workspace.pk}/{deed}/"


def about(person: Person, deed: str) -> str:
    return f"/admin/accounts/user/{person.user.pk}/{deed}/"


def last_event(workspace: Workspace | None, action: str) -> AuditEvent:
    return AuditEvent.objects.filter(workspace=workspace, action=action).latest("pk")


# --- workspaces -------------------------------------------------------------------------------------------------


@MCP
def test_a_suspended_workspaces_waits_end_and_its_calls_are_refused_until_it_goes_on(
    call: Surface, console: Client, olga: Person, alice: Caller
) -> None:
    waited = begin(call, alice, WAIT, instance_id="ann")
    assert console.post(at(alice.workspace, "suspend"), {"reason": "Unpaid"}).status_code == 302
    ended = waited.result(SOON)
    assert isinstance(ended, Refusal), ended
    assert ended.code == "suspended"
    assert "Unpaid" in call.refused(alice, "whoami", "suspended").message
    event = last_event(alice.workspace, "workspace.suspended")
    assert (event.actor, event.details["reason"]) == (f"operator {olga.user.email}", "Unpaid")
    assert console.post(at(alice.workspace, "resume")).status_code == 302
    call.ok(alice, "whoami")
    assert last_event(alice.workspace, "workspace.resumed").actor == f"operator {olga.user.email}"


def test_suspending_takes_a_reason(console: Client, alice: Caller) -> None:
    found = console.post(at(alice.workspace, "suspend"), {"reason": " "})
    assert found.status_code == 400
    assert "This field is required." in found.content.decode()
    alice.workspace.refresh_from_db()
    assert alice.workspace.suspended_at is None


def test_what_is_done_already_is_not_done_again(console: Client, alice: Caller) -> None:
    found = console.post(at(alice.workspace, "resume"), follow=True)
    assert "there is nothing to do" in found.content.decode()
    services.suspend(alice.workspace, "Unpaid")
    console.post(at(alice.workspace, "suspend"), {"reason": "Another one"})
    alice.workspace.refresh_from_db()
    assert alice.workspace.suspended_reason == "Unpaid"


@LANE
def test_a_send_past_the_quota_succeeds_once_the_figure_is_higher(
    call: Surface, console: Client, olga: Person, alice: Caller
) -> None:
    plan_changes.set_overrides(alice.workspace, {"messages": 1, "calls": 500})
    call.ok(alice, "send_message", sender="ann", content="one")
    assert call.refused(alice, "send_message", "quota_exceeded", sender="ann", content="two").code == "quota_exceeded"
    text = console.get(at(alice.workspace, "overrides")).content.decode()
    assert 'value="500"' in text
    assert console.post(at(alice.workspace, "overrides"), {"messages": "5", "waits_free": "on"}).status_code == 302
    call.ok(alice, "send_message", sender="ann", content="two")
    alice.workspace.refresh_from_db()
    assert alice.workspace.overrides == {"messages": 5, "waits": None}
    event = last_event(alice.workspace, "workspace.overridden")
    assert event.actor == f"operator {olga.user.email}"
    assert event.details["before"] == {"messages": 1, "calls": 500}
    assert console.post(at(alice.workspace, "overrides"), {}).status_code == 302
    alice.workspace.refresh_from_db()
    assert alice.workspace.overrides == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"messages": "5", "messages_free": "on"}, "not both"),
        ({"messages": "-1"}, "greater than or equal to 0"),
        ({"messages": "many"}, "Enter a whole number"),
        ({"messages": "9" * 30}, "less than or equal to"),
        ({"retention_days": "0"}, "greater than or equal to 1"),
        ({"retention_days": "36501"}, "less than or equal to 36500"),
        ({"messages": "1.5"}, "Enter a whole number"),
    ],
)
def test_a_figure_that_cannot_be_is_refused(console: Client, alice: Caller, given: dict[str, str], said: str) -> None:
    found = console.post(at(alice.workspace, "overrides"), given)
    assert found.status_code == 400
    assert said in found.content.decode()
    alice.workspace.refresh_from_db()
    assert alice.workspace.overrides == {}


def test_keys_that_work_always_have_a_bound(console: Client, alice: Caller) -> None:
    assert "live_keys_free" not in console.get(at(alice.workspace, "overrides")).content.decode()
    with pytest.raises(CrossWireError, match="always a bound"):
        plan_changes.set_overrides(alice.workspace, {"live_keys": None})


def test_a_plan_is_set_by_hand_and_longer_history_is_held(console: Client, olga: Person, alice: Caller) -> None:
    assert console.post(at(alice.workspace, "plan"), {"plan": "free", "why": "a friend"}).status_code == 302
    alice.workspace.refresh_from_db()
    assert alice.workspace.plan == "free"
    assert [hold["days"] for hold in alice.workspace.retention_holds] == [PLANS["pro"].retention_days]
    event = last_event(alice.workspace, "workspace.plan_changed")
    assert (event.actor, event.details["why"]) == (f"operator {olga.user.email}", "a friend")
    assert console.post(at(alice.workspace, "plan"), {"plan": "gold"}).status_code == 400


@LANE
def test_a_key_is_revoked_by_what_lists_show_of_it(call: Surface, console: Client, olga: Person, alice: Caller) -> None:
    other = alice.with_key()
    key = ApiKey.objects.get(digest=keys.digest(alice.key))
    path = f"/admin/accounts/workspace/{alice.workspace.pk}/keys/{key.pk}/revoke/"
    assert key.prefix in console.get(path).content.decode()
    call.ok(alice, "whoami")
    assert console.post(path).status_code == 302
    call.refused(alice, "whoami", "unauthorized")
    call.ok(other, "whoami")
    event = last_event(alice.workspace, "key.revoked")
    assert (event.actor, event.details["prefix"]) == (f"operator {olga.user.email}", key.prefix)
    assert "revoked already" in console.post(path).content.decode()


def test_a_key_of_another_workspace_is_not_there(console: Client, alice: Caller, mallory: Caller) -> None:
    theirs = ApiKey.objects.get(digest=keys.digest(mallory.key))
    path = f"/admin/accounts/workspace/{alice.workspace.pk}/keys/{theirs.pk}/revoke/"
    assert console.post(path).status_code == 404
    theirs.refresh_from_db()
    assert theirs.revoked_at is None


def test_a_workspace_is_deleted_once_its_slug_is_typed(
    console: Client, olga: Person, alice: Caller, jobs: Jobs
) -> None:
    slug = alice.workspace.slug
    assert console.post(at(alice.workspace, "close"), {"slug": "another"}).status_code == 400
    found = console.post(at(alice.workspace, "close"), {"slug": slug}, follow=True)
    assert found.redirect_chain[-1][0] == "/admin/accounts/workspace/"
    event = AuditEvent.objects.get(workspace=None, action="workspace.deleted", target=slug)
    assert event.actor == f"operator {olga.user.email}"
    text = console.get(f"/admin/accounts/workspace/{alice.workspace.pk}/").content.decode()
    assert "being erased" in text
    for deed in ("plan", "overrides", "suspend", "resume", "close"):
        assert f"/{deed}/" not in text
        assert console.post(at(alice.workspace, deed), {"plan": "free", "reason": "x", "slug": slug}).status_code == 302
    alice.workspace.refresh_from_db()
    assert alice.workspace.suspended_at is not None, "it goes on while it is being erased"
    jobs.do()
    assert not Workspace.objects.filter(pk=alice.workspace.pk).exists()


# --- how customers see operators --------------------------------------------------------------------------------


def test_customers_read_of_an_operator_and_never_which_one(console: Client, olga: Person, alice: Caller) -> None:
    ada = owner_of(alice)
    console.post(at(alice.workspace, "plan"), {"plan": "starter"})
    page = ada.client().get(f"/w/{alice.workspace.slug}/audit").content.decode()
    assert "An operator" in page
    assert olga.user.email not in page
    lines, _ = audit_log.batch(alice.workspace, audit_log.Filter(), None)
    assert olga.user.email not in lines.decode()
    entries, _ = audit_log.page(alice.workspace, audit_log.Filter(actor="operator"))
    assert "workspace.plan_changed" in {each.event.action for each in entries}
    assert ("operator", "An operator") in audit_log.actors(alice.workspace)


def test_an_operator_who_is_a_member_too_is_named_for_what_they_do_as_one(olga: Person) -> None:
    services.create_key(olga.workspace, "mine", actor=olga.user.email)
    services.suspend(olga.workspace, "x", actor=audit.operator(olga.user))
    services.resume(olga.workspace, actor=audit.operator(olga.user))
    entries, _ = audit_log.page(olga.workspace, audit_log.Filter())
    assert [each.who for each in entries][:3] == ["An operator", "An operator", "Olga"]


# --- people -----------------------------------------------------------------------------------------------------


def test_who_is_deactivated_is_out_at_once_and_in_again_when_reactivated(
    console: Client, olga: Person, ada: Person
) -> None:
    visitor = signed_in(ada)
    assert visitor.get(ada.home).status_code == 200
    session = visitor.session.session_key
    assert console.post(about(ada, "deactivate"), {"reason": "spam"}).status_code == 302
    assert not Session.objects.filter(session_key=session).exists()
    assert visitor.get(ada.home).status_code == 302
    assert visitor.sign_in(ada.user.email)["Location"] == "/accounts/inactive/"
    event = AuditEvent.objects.get(action="account.deactivated", target=ada.user.email)
    assert (event.workspace, event.actor) == (None, f"operator {olga.user.email}")
    assert "deactivated the account" in console.get(f"/admin/accounts/user/{ada.user.pk}/").content.decode()
    assert console.post(about(ada, "reactivate")).status_code == 302
    assert visitor.get(ada.home).status_code == 302
    assert signed_in(ada).get(ada.home).status_code == 200


def test_nobody_shuts_themselves_out_nor_gives_themselves_rights(console: Client, olga: Person) -> None:
    assert "Nobody deactivates their own" in console.post(about(olga, "deactivate"), {"reason": "x"}).content.decode()
    assert "Nobody changes what they may" in console.post(about(olga, "unmake_operator")).content.decode()
    olga.user.refresh_from_db()
    assert olga.user.is_active
    assert olga.user.is_superuser


def test_an_operator_shuts_out_no_other_operator(olga: Person) -> None:
    paul = make_operator("Paul", rights=["people"])
    found = browser_of(paul).post(about(olga, "deactivate"), {"reason": "x"})
    assert "Only a superuser" in found.content.decode()
    assert User.objects.get(pk=olga.user.pk).is_active


def test_who_is_erasing_their_account_is_left_alone(console: Client, ada: Person) -> None:
    User.objects.filter(pk=ada.user.pk).update(is_active=False, closing_at=ada.user.date_joined)
    console.post(about(ada, "reactivate"))
    assert not User.objects.get(pk=ada.user.pk).is_active
    with pytest.raises(CrossWireError, match="deleted"):
        operators.reactivate(ada.user, by=ada.user)


def test_a_superuser_makes_operators_and_unmakes_them(console: Client, olga: Person) -> None:
    ada = make_person()
    assert console.post(about(ada, "operator"), {"rights": ["workspaces"]}).status_code == 302
    user = User.objects.get(pk=ada.user.pk)
    assert (user.is_staff, user.is_superuser, operators.rights_of(user)) == (True, False, ["workspaces"])
    assert 'value="workspaces" id="id_rights_0" checked' in console.get(about(ada, "operator")).content.decode()
    assert console.post(about(ada, "operator"), {"rights": ["people"]}).status_code == 302
    assert operators.rights_of(User.objects.get(pk=ada.user.pk)) == ["people"]
    assert console.post(about(ada, "operator"), {"rights": ["everything"]}).status_code == 400
    assert console.post(about(ada, "unmake_operator")).status_code == 302
    user = User.objects.get(pk=ada.user.pk)
    assert (user.is_staff, operators.rights_of(user)) == (False, [])
    actions = AuditEvent.objects.filter(target=ada.user.email).order_by("pk").values_list("action", "actor")
    who = f"operator {olga.user.email}"
    assert list(actions) == [(f"account.{each}", who) for each in ("made_operator", "made_operator", "unmade_operator")]


def test_a_superuser_who_is_unmade_is_none_any_more(console: Client) -> None:
    other = make_operator("Otto")
    console.post(about(other, "unmake_operator"))
    user = User.objects.get(pk=other.user.pk)
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert other.client().get("/admin/").status_code == 302


def test_a_deactivated_members_open_calls_end(console: Client, alice: Caller) -> None:
    ada = owner_of(alice)
    name = f"room-{secrets.token_hex(3)}"
    OPERATIONS["create_channel"](principal_of(alice), {"name": name})
    client = ada.client()
    assert client.get(f"{ada.home}channels/{name}/").status_code == 200
    console.post(about(ada, "deactivate"), {"reason": "x"})
    assert client.get(f"{ada.home}channels/{name}/").status_code == 302


# --- who it is --------------------------------------------------------------------------------------------------


def test_what_is_dangerous_asks_first_whether_it_is_still_the_same_person(olga: Person, alice: Caller) -> None:
    client = olga.client()
    for deed in ("suspend", "close"):
        found = client.post(at(alice.workspace, deed), {"reason": "x", "slug": alice.workspace.slug})
        assert found["Location"].startswith("/accounts/reauthenticate/?next=%2Fadmin%2F"), deed
    assert client.get(about(olga, "operator"))["Location"].startswith("/accounts/reauthenticate/?next=")
    alice.workspace.refresh_from_db()
    assert (alice.workspace.suspended_at, alice.workspace.closing_at) == (None, None)
    assert client.get(at(alice.workspace, "suspend")).status_code == 302
    client.post(f"/accounts/reauthenticate/?next={at(alice.workspace, 'suspend')}", {"password": PASSWORD})
    assert client.post(at(alice.workspace, "suspend"), {"reason": "x"})["Location"] == (
        f"/admin/accounts/workspace/{alice.workspace.pk}/"
    )
    alice.workspace.refresh_from_db()
    assert alice.workspace.suspended_at is not None
