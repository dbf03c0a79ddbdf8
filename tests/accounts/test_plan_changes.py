from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from accounts import plan_changes, principals
from accounts.audit_log import BILLING
from accounts.models import AuditEvent, Workspace
from accounts.plans import PLANS
from bus import pruning, retention
from crosswire.lib import clock as product_clock
from crosswire.lib.errors import CrossWireError
from tests.conftest import Clock
from tests.support.cast import Caller
from tests.support.jobs import Jobs
from tests.support.mails import mails_to
from tests.support.people import make_person, owner_of


def kept_days(workspace: Workspace) -> int | None:
    """How many days of history a workspace has now."""
    return retention.days_in_force(principals.of_job(Workspace.objects.get(pk=workspace.pk)))


def test_a_smaller_plan_holds_the_longer_history_for_thirty_days(alice: Caller, clock: Clock) -> None:
    assert plan_changes.set_plan(alice.workspace, "free", why="asked for")
    assert kept_days(alice.workspace) == PLANS["pro"].retention_days
    clock.forward(days=29, hours=23)
    assert kept_days(alice.workspace) == PLANS["pro"].retention_days
    clock.forward(hours=2)
    assert kept_days(alice.workspace) == PLANS["free"].retention_days


def test_a_hold_never_makes_a_hold(alice: Caller, clock: Clock) -> None:
    plan_changes.set_plan(alice.workspace, "free")
    clock.forward(days=20)
    plan_changes.set_plan(alice.workspace, "starter")
    plan_changes.set_plan(alice.workspace, "free")
    assert [hold["days"] for hold in alice.workspace.retention_holds] == [90, 30]
    clock.forward(days=11)
    assert kept_days(alice.workspace) == PLANS["starter"].retention_days, "ninety days ended with the first hold"
    clock.forward(days=20)
    assert kept_days(alice.workspace) == PLANS["free"].retention_days


def test_of_holds_only_those_stay_that_are_longer_than_the_newest(alice: Caller, clock: Clock) -> None:
    for plan in ("starter", "free", "pro", "free", "pro"):
        plan_changes.set_plan(alice.workspace, plan)
        clock.forward(days=1)
    plan_changes.set_plan(alice.workspace, "free")
    (hold,) = alice.workspace.retention_holds
    assert hold["days"] == PLANS["pro"].retention_days
    assert hold["until"] > product_clock.iso(product_clock.now() + timedelta(days=29))


def test_who_kept_everything_goes_on_keeping_it_for_thirty_days(
    make_workspace: Callable[..., Caller], clock: Clock
) -> None:
    caller = make_workspace(plan="unlimited")
    plan_changes.set_plan(caller.workspace, "free")
    assert kept_days(caller.workspace) is None
    clock.forward(days=31)
    assert kept_days(caller.workspace) == PLANS["free"].retention_days


def test_the_same_plan_again_changes_nothing_and_records_nothing(alice: Caller) -> None:
    assert not plan_changes.set_plan(alice.workspace, "pro")
    assert not AuditEvent.objects.filter(workspace=alice.workspace, action="workspace.plan_changed").exists()


def test_overrides_replace_figures_and_going_back_holds_the_longer_history(alice: Caller) -> None:
    assert plan_changes.set_overrides(alice.workspace, {"messages": 5, "retention_days": 400})
    assert kept_days(alice.workspace) == 400
    assert not plan_changes.set_overrides(alice.workspace, {"messages": 5, "retention_days": 400})
    assert plan_changes.set_overrides(alice.workspace, {})
    assert kept_days(alice.workspace) == 400
    until = product_clock.now() + timedelta(days=30)
    assert alice.workspace.retention_holds == [{"days": 400, "until": alice.workspace.retention_holds[0]["until"]}]
    assert alice.workspace.retention_holds[0]["until"] <= product_clock.iso(until)
    events = AuditEvent.objects.filter(workspace=alice.workspace, action="workspace.overridden")
    assert [event.details["after"] for event in events.order_by("pk")] == [{"messages": 5, "retention_days": 400}, {}]


@pytest.mark.parametrize(
    "overrides",
    [
        {"colour": 1},
        {"messages": -1},
        {"messages": True},
        {"messages": "5"},
        {"retention_days": 0},
        {"retention_days": 1_000_000},
    ],
)
def test_overrides_that_mean_nothing_are_refused_and_change_nothing(alice: Caller, overrides: dict[str, Any]) -> None:
    with pytest.raises(CrossWireError) as refused:
        plan_changes.set_overrides(alice.workspace, overrides)
    assert refused.value.code == "invalid_input"
    assert Workspace.objects.get(pk=alice.workspace.pk).overrides == {}


def test_the_longest_retention_can_be_counted_back_and_ahead(alice: Caller) -> None:
    plan_changes.set_overrides(alice.workspace, {"retention_days": plan_changes.RETENTION_MOST})
    principal = principals.of_job(Workspace.objects.get(pk=alice.workspace.pk))
    assert retention.cutoff(principal).year < 1950
    assert str(retention.expires_at(principal, product_clock.now())) > "2100"
    assert pruning.prune(alice.workspace.pk) == ({}, True)


def test_there_has_to_be_such_a_plan(alice: Caller) -> None:
    with pytest.raises(CrossWireError, match="no plan"):
        plan_changes.set_plan(alice.workspace, "gold")


def test_who_runs_a_workspace_is_told_what_an_operator_changed_and_until_when_the_history_stays(
    alice: Caller, jobs: Jobs
) -> None:
    ada, vic = owner_of(alice), make_person(alice.workspace, "member")
    plan_changes.set_plan(alice.workspace, "free")
    jobs.do()
    [told] = mails_to(ada.user.email)
    assert told.subject == f"An operator changed the plan to Free · {alice.workspace.name}"
    assert "History older than 7 days is kept until" in told.body
    assert f"/w/{alice.workspace.slug}/settings" in told.body
    plan_changes.set_overrides(alice.workspace, {"messages": 500})
    jobs.do()
    assert mails_to(ada.user.email)[1].subject.startswith("An operator changed single figures of the plan ·")
    assert "In full: set figures of its own: messages: 500." in mails_to(ada.user.email)[1].body
    assert mails_to(vic.user.email) == []


def test_billing_tells_of_its_own_changes_itself(alice: Caller, jobs: Jobs) -> None:
    owner_of(alice)
    plan_changes.set_plan(alice.workspace, "free", actor=BILLING)
    assert jobs.names() == []
