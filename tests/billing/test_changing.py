"""Changing a subscription: up at once, down at the end of what is paid, leaving, staying after all."""

from __future__ import annotations

import pytest

from accounts.models import AuditEvent
from accounts.plans import PLANS
from billing import refreshing, subscribing
from crosswire.lib.errors import CrossWireError
from tests.billing.payer import Payer
from tests.conftest import Clock


def test_up_is_at_once_and_the_difference_is_paid_now(payer: Payer) -> None:
    payer.subscribe("starter")
    payer.stripe.advance(days=15)
    change = payer.change("pro")
    assert (change.when, payer.plan) == ("now", "pro")
    newest = payer.standing.invoices[0]
    assert 800 < newest.total < 1_200, "half a month of the difference of $20"
    assert newest.status == "paid"
    assert payer.kinds()[-2:] == ["upgraded", "paid"] or payer.kinds()[-2:] == ["paid", "upgraded"]


def test_a_declined_upgrade_changes_nothing_and_says_so(payer: Payer) -> None:
    payer.subscribe("starter")
    payer.stripe.decline()
    with pytest.raises(CrossWireError, match="Nothing was changed") as refused:
        payer.change("pro")
    assert refused.value.code == "payment_declined"
    payer.stripe.settle()
    assert payer.plan == "starter"
    assert payer.standing.status == "active"


def test_a_declined_upgrade_keeps_the_change_that_was_planned(payer: Payer) -> None:
    payer.subscribe("starter", "year")
    payer.change("starter", "month")
    payer.stripe.decline()
    with pytest.raises(CrossWireError):
        payer.change("pro", "year")
    refreshing.refresh(payer.customer)
    scheduled = payer.standing.scheduled
    assert scheduled is not None
    assert (scheduled.plan.name, scheduled.interval) == ("starter", "month")


def test_down_is_at_the_end_of_what_is_paid(payer: Payer, clock: Clock) -> None:
    payer.subscribe("pro")
    change = payer.change("starter")
    assert change.when == "later"
    assert change.at == payer.subscription.current_period_end
    assert payer.plan == "pro"
    scheduled = payer.standing.scheduled
    assert scheduled is not None
    assert (scheduled.plan, scheduled.interval, scheduled.at) == (PLANS["starter"], "month", change.at)
    payer.stripe.advance(days=32)
    payer.stripe.settle()
    assert payer.plan == "starter"
    assert payer.standing.scheduled is None
    assert payer.standing.invoices[0].total == 900
    assert payer.workspace.retention_holds[0]["days"] == 90
    assert "downgraded" in payer.kinds()
    payer.stripe.advance(days=32)
    payer.stripe.settle()
    assert payer.plan == "starter"
    assert payer.standing.invoices[0].total == 900


def test_a_year_instead_of_a_month_is_at_once_and_back_later(payer: Payer) -> None:
    payer.subscribe("starter", "month")
    assert payer.change("starter", "year").when == "now"
    assert payer.standing.interval == "year"
    ends = payer.subscription.current_period_end
    assert ends is not None
    assert payer.change("starter", "month").when == "later"
    assert payer.standing.interval == "year"
    payer.stripe.advance(days=367)
    payer.stripe.settle()
    assert payer.standing.interval == "month"
    assert payer.plan == "starter"


def test_a_change_that_is_planned_can_be_changed_and_dropped(payer: Payer) -> None:
    payer.subscribe("pro", "year")
    payer.change("starter", "month")
    payer.change("starter", "year")
    scheduled = payer.standing.scheduled
    assert scheduled is not None
    assert (scheduled.plan.name, scheduled.interval) == ("starter", "year")
    assert payer.change("pro", "year").when == "dropped"
    assert payer.standing.scheduled is None
    assert payer.change("pro", "year").when == "unchanged"
    payer.stripe.advance(days=367)
    payer.stripe.settle()
    assert (payer.plan, payer.standing.interval) == ("pro", "year")


def test_who_cancels_keeps_the_plan_until_the_end_of_what_is_paid(payer: Payer) -> None:
    payer.subscribe("pro")
    ends = subscribing.cancel(payer.workspace, by=payer.email)
    payer.stripe.settle()
    assert ends == payer.subscription.current_period_end == payer.standing.cancels_at
    assert payer.plan == "pro"
    payer.stripe.advance(days=32)
    payer.stripe.settle()
    assert payer.plan == "free"
    assert not payer.standing.is_subscribed
    assert payer.workspace.retention_holds[0]["days"] == 90
    assert payer.kinds() == ["subscribed", "paid", "cancel_scheduled", "ended"]
    told = AuditEvent.objects.filter(workspace=payer.workspace, action="workspace.plan_changed").order_by("pk")
    assert [(each.actor, each.target, each.details["why"]) for each in told] == [
        ("billing", "pro", "it is paid for"),
        ("billing", "free", "the subscription ended"),
    ]
    payer.subscribe("starter")
    assert payer.plan == "starter"


def test_who_cancelled_may_stay_after_all(payer: Payer) -> None:
    payer.subscribe("pro")
    subscribing.cancel(payer.workspace, by=payer.email)
    subscribing.resume(payer.workspace, by=payer.email)
    payer.stripe.advance(days=32)
    payer.stripe.settle()
    assert payer.plan == "pro"
    assert payer.standing.cancels_at is None
    assert payer.kinds() == ["subscribed", "paid", "cancel_scheduled", "resumed", "paid"]


def test_who_cancels_drops_what_was_planned_and_who_plans_drops_the_end(payer: Payer) -> None:
    payer.subscribe("pro")
    payer.change("starter")
    subscribing.cancel(payer.workspace, by=payer.email)
    assert payer.standing.scheduled is None
    assert payer.standing.cancels_at is not None
    payer.change("starter")
    assert payer.standing.cancels_at is None
    assert payer.standing.scheduled is not None


def test_an_upgrade_of_who_had_cancelled_goes_on(payer: Payer) -> None:
    payer.subscribe("starter")
    subscribing.cancel(payer.workspace, by=payer.email)
    payer.change("pro")
    assert (payer.plan, payer.standing.cancels_at) == ("pro", None)


def test_without_a_subscription_there_is_nothing_to_change(payer: Payer) -> None:
    for what in (
        lambda: payer.change("pro"),
        lambda: subscribing.cancel(payer.workspace, by=payer.email),
        lambda: subscribing.resume(payer.workspace, by=payer.email),
    ):
        with pytest.raises(CrossWireError, match="no subscription"):
            what()


def test_the_next_invoice_is_asked_for_and_may_be_absent(payer: Payer) -> None:
    from billing import standing  # noqa: PLC0415 - this test's alone

    assert standing.next_invoice(payer.workspace) is None
    payer.subscribe("pro")
    found = standing.next_invoice(payer.workspace)
    assert found is not None
    assert (found.words, found.at) == ("$29.00", payer.subscription.current_period_end)
    payer.stripe.outage("500")
    assert standing.next_invoice(payer.workspace) is None
    payer.stripe.outage("")
    subscribing.cancel(payer.workspace, by=payer.email)
    assert standing.next_invoice(payer.workspace) is None
