"""`manage.py suspend_workspace`, `resume_workspace`, `set_plan` and `override`: operators without a browser."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts import audit_log, closing
from accounts.models import AuditEvent, User, Workspace
from tests.support.cast import Caller
from tests.support.operators import make_operator
from tests.support.people import make_person
from tests.support.surfaces import Surface

LANE = pytest.mark.parametrize("call", ["lane"], indirect=True)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def now(caller: Caller) -> Workspace:
    return Workspace.objects.get(pk=caller.workspace.pk)


@LANE
def test_a_workspace_is_suspended_and_goes_on(call: Surface, alice: Caller) -> None:
    assert "Unpaid" in run("suspend_workspace", alice.workspace.slug, "--reason", "Unpaid")
    assert "Unpaid" in call.refused(alice, "whoami", "suspended").message
    assert "goes on" in run("resume_workspace", alice.workspace.slug)
    call.ok(alice, "whoami")
    actors = AuditEvent.objects.filter(workspace=alice.workspace, action__startswith="workspace.").values_list("actor")
    assert set(actors) == {("operator",)}


def test_suspending_takes_a_reason(alice: Caller) -> None:
    with pytest.raises(CommandError, match="--reason"):
        run("suspend_workspace", alice.workspace.slug)


def test_a_plan_is_set(alice: Caller) -> None:
    assert "is now on Starter" in run("set_plan", alice.workspace.slug, "starter", "--why", "a friend")
    assert now(alice).plan == "starter"
    event = AuditEvent.objects.get(workspace=alice.workspace, action="workspace.plan_changed")
    assert event.details == {"before": "pro", "why": "a friend"}
    assert "was already on Starter" in run("set_plan", alice.workspace.slug, "starter")
    with pytest.raises(CommandError, match="gold"):
        run("set_plan", alice.workspace.slug, "gold")


def test_figures_are_overridden_one_by_one(alice: Caller) -> None:
    assert "the plan as it is" in run("override", alice.workspace.slug)
    assert "messages=5000, waits=none" in run("override", alice.workspace.slug, "messages=5000", "waits=none")
    assert now(alice).overrides == {"messages": 5000, "waits": None}
    run("override", alice.workspace.slug, "messages=plan", "channels=0")
    assert now(alice).overrides == {"waits": None, "channels": 0}


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ("messages", "FIGURE=VALUE"),
        ("messages=", "number, none or plan"),
        ("messages=-1", "number, none or plan"),
        ("messages=٣", "number, none or plan"),
        ("price_month=1", "cannot be overridden"),
        ("live_keys=none", "always a bound"),
        ("retention_days=0", "1 to 36,500"),
    ],
)
def test_a_figure_that_cannot_be_is_refused(alice: Caller, figure: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run("override", alice.workspace.slug, "channels=1", figure)
    assert now(alice).overrides == {}


@pytest.mark.parametrize(
    "arguments",
    [["suspend_workspace", "--reason", "x"], ["resume_workspace"], ["set_plan", "pro"], ["override", "waits=1"]],
)
def test_a_workspace_that_is_not_there_is_named(arguments: list[str]) -> None:
    command, *others = arguments
    with pytest.raises(CommandError, match="nowhere"):
        run(command, "nowhere", *others)


def test_a_workspace_that_is_being_erased_does_not_go_on(alice: Caller) -> None:
    closing.close(alice.workspace)
    slug = now(alice).slug
    for command in (["resume_workspace", slug], ["suspend_workspace", slug, "--reason", "x"]):
        with pytest.raises(CommandError, match="being erased"):
            run(*command)
    assert now(alice).suspended_reason == closing.REASON


def test_who_has_signed_up_becomes_the_first_operator() -> None:
    ada = make_person()
    said = run("make_operator", ada.user.email.upper())
    assert "/admin/" in said
    assert "First, set up two-factor sign-in" in said
    user = User.objects.get(pk=ada.user.pk)
    assert (user.is_staff, user.is_superuser) == (True, True)
    event = AuditEvent.objects.get(action="account.made_operator", target=user.email)
    assert audit_log.deed(event) == f"made {user.email} an operator, who may change everything"
    assert "First" not in run("make_operator", make_operator().user.email)
    with pytest.raises(CommandError, match="Nobody has signed up"):
        run("make_operator", "nobody@example.com")
