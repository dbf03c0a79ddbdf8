"""A payment that fails: seven days in which nothing changes, then the plan Free, and back the moment it is paid."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from accounts.plans import PLANS
from billing import grace, subscribing
from crosswire.lib import clock as product_clock
from crosswire.lib.errors import CrossWireError
from tests.billing.payer import Payer
from tests.conftest import Clock
from tests.support.jobs import Jobs
from tests.support.mails import mails_to
from tests.support.people import make_person


def renew(payer: Payer) -> None:
    """Let the period end, and the hour after which Stripe takes its money."""
    ends = payer.subscription.current_period_end
    assert ends is not None
    payer.stripe.advance(seconds=int(ends.timestamp()) - payer.stripe.now() + 2 * 3600)
    payer.stripe.settle()


@pytest.fixture
def owing(payer: Payer) -> Payer:
    """Somebody whose renewal was declined just now."""
    payer.subscribe("pro")
    payer.stripe.decline(times=-1)
    renew(payer)
    return payer


def subjects(payer: Payer) -> list[str]:
    """Return what the owner was mailed since the subscription began, which is told as well."""
    began, *found = [each.subject.replace(payer.workspace.name, "W") for each in mails_to(payer.email)]
    assert began == "W is on the plan Pro now"
    return found


def test_for_seven_days_nothing_changes_and_the_owner_is_told(owing: Payer, jobs: Jobs) -> None:
    jobs.do()
    found = owing.standing
    assert (owing.plan, found.status, found.is_in_grace, found.is_lapsed) == ("pro", "past_due", True, False)
    assert found.grace_until is not None
    assert timedelta(days=6, hours=23) < found.grace_until - product_clock.now() <= timedelta(days=7)
    assert found.open_invoice is not None
    assert found.open_invoice.hosted_url
    assert subjects(owing) == [f"A payment for W failed: Pro goes on until {found.grace_until:%-d %B}"]


def test_who_may_not_change_the_plan_is_not_mailed(payer: Payer, jobs: Jobs) -> None:
    others = [make_person(payer.workspace, role) for role in ("admin", "member", "viewer")]
    payer.subscribe("pro")
    payer.stripe.decline(times=-1)
    renew(payer)
    jobs.do()
    assert [len(mails_to(each.user.email)) for each in others] == [0, 0, 0]
    assert len(subjects(payer)) == 1


def test_after_seven_days_the_plan_is_free_and_the_history_stays_thirty_more(
    owing: Payer, jobs: Jobs, clock: Clock
) -> None:
    until = owing.standing.grace_until
    assert until is not None
    clock.forward(seconds=(until - product_clock.now()).total_seconds() - 5)
    grace.keep()
    assert owing.plan == "pro", "five seconds before"
    clock.forward(seconds=6)
    grace.keep()
    assert owing.plan == "free", "a second after"
    assert owing.standing.is_lapsed
    hold = owing.workspace.retention_holds[-1]
    assert hold["days"] == PLANS["pro"].retention_days
    jobs.do()
    assert [each.partition(":")[0] for each in subjects(owing)] == [
        "A payment for W failed",
        "The payment for W is still missing",
        "W is on the plan Free now",
    ]
    grace.keep()
    jobs.do()
    assert len(subjects(owing)) == 3, "told once"


def test_a_payment_that_comes_in_time_ends_the_matter(owing: Payer, jobs: Jobs, clock: Clock) -> None:
    clock.forward(days=3)
    owing.stripe.recover()
    owing.stripe.settle()
    assert (owing.plan, owing.standing.status, owing.standing.grace_until) == ("pro", "active", None)
    clock.forward(days=5)
    grace.keep()
    assert owing.plan == "pro"
    jobs.do()
    assert subjects(owing)[-1] == "The payment for W has come"


def test_a_payment_that_comes_after_the_grace_brings_the_plan_back_at_once(
    owing: Payer, jobs: Jobs, clock: Clock
) -> None:
    clock.forward(days=8)
    grace.keep()
    assert owing.plan == "free"
    owing.stripe.recover()
    owing.stripe.settle()
    assert (owing.plan, owing.standing.is_lapsed, owing.standing.is_in_grace) == ("pro", False, False)
    jobs.do()
    assert subjects(owing)[-1] == "The payment for W has come: Pro is back"
    owing.stripe.decline(times=-1)
    renew(owing)
    assert owing.standing.is_in_grace, "the next missing payment has seven days of its own"


def test_one_failed_payment_suspends_nobody_for_good(owing: Payer, clock: Clock) -> None:
    for _ in range(3):
        clock.forward(days=8)
        grace.keep()
        assert owing.workspace.suspended_at is None
        owing.stripe.recover()
        owing.stripe.settle()
        assert owing.plan == "pro"
        owing.stripe.decline(times=-1)
        renew(owing)
        assert owing.plan == "pro"


def test_while_stripe_is_away_no_grace_ends(owing: Payer, clock: Clock) -> None:
    clock.forward(days=8)
    owing.stripe.outage("500")
    grace.keep()
    assert owing.plan == "pro", "the payment may have come: nobody knows"
    owing.stripe.outage("")
    grace.keep()
    assert owing.plan == "free"


def test_a_payment_that_stripe_told_nobody_of_is_seen_before_the_plan_is_taken(owing: Payer, clock: Clock) -> None:
    owing.stripe.webhooks(drop=["*"])
    owing.stripe.recover()
    clock.forward(days=8)
    grace.keep()
    assert owing.plan == "pro"


def test_who_owes_pays_first_and_may_leave_at_once(owing: Payer) -> None:
    with pytest.raises(CrossWireError, match="payment is missing"):
        owing.change("starter")
    assert subscribing.cancel(owing.workspace, by=owing.email) is None
    owing.stripe.settle()
    assert owing.plan == "free"
    assert owing.subscription.status == "canceled"


def test_when_stripe_gives_up_the_subscription_ends(owing: Payer, jobs: Jobs) -> None:
    owing.stripe.control("last_retry", then="cancel")
    owing.stripe.advance(days=40)
    owing.stripe.settle()
    assert owing.subscription.status == "canceled"
    assert owing.plan == "free"
    jobs.do()
    assert subjects(owing)[-1] == "The subscription of W has ended"


def test_an_operators_gift_outlives_a_missing_payment(new_payer: Callable[..., Payer], clock: Clock) -> None:
    payer = new_payer("pro")
    payer.subscribe("starter")
    payer.stripe.decline(times=-1)
    renew(payer)
    clock.forward(days=8)
    grace.keep()
    assert payer.plan == "pro"
